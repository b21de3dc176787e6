# SPDX-License-Identifier: GPL-3.0-or-later
"""What people see of a bnode: a mapping for JSON, and the peer's text made of it.

The text is built from the mapping alone, so that a command on another machine says the same.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # pybos starts with this module: typing alone would cost it 7 ms
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from pydaemons.bnode.model import Bnode

    View = Mapping[str, Any]
    Date = Callable[[float], str]

_STATUS = {
    0: "currently shutdown.",
    1: "currently running normally.",
    2: "currently shutting down.",
    3: "currently starting up.",
}
_GOALS = {(1, 1): "", (0, 0): "disabled, ", (0, 1): "temporarily disabled, ", (1, 0): "temporarily enabled, "}


def status(bnode: Bnode, *, known: bool) -> dict[str, Any]:
    """All of a bnode. `known` is whether systemd answers: without it the status is null."""
    return {
        "name": bnode.name,
        "type": bnode.kind.name,
        **brief(bnode, known=known),
        "retryAt": bnode.retry_at,
        "startTime": bnode.start_time,
        "starts": bnode.starts,
        "manualStarts": bnode.manual_starts,
        "lastExit": bnode.last_any_exit,
        "lastErrorExit": bnode.last_error_exit,
        "errorCode": bnode.error_code,
        "errorSignal": bnode.error_signal,
        "lastErrorName": bnode.last_error_name,
        "exitsInWindow": bnode.window.count,
        "commands": list(bnode.commands),
        "notifier": bnode.notifier,
        "processes": [
            {
                "part": process.part.name,
                "unit": process.unit,
                "state": process.state.value,
                "pid": process.pid if process.state.value in ("up", "stopping") else None,
            }
            for process in bnode.processes
        ],
    }


def brief(bnode: Bnode, *, known: bool) -> dict[str, Any]:
    """What the short listing needs."""
    return {
        "name": bnode.name,
        "goal": int(bnode.goal),
        "fileGoal": int(bnode.file_goal),
        "status": int(bnode.kind.status(bnode)) if known else None,
        "errorStop": bnode.error_stop,
        "flapping": bnode.flapping,
        "hasCore": bnode.has_core,
        "detail": bnode.kind.detail(bnode) if known else "",
        "nextRun": bnode.next_run,
    }


def format_status(view: View, date: Date) -> str:
    """The short form, as `bos status` prints it."""
    return f"Instance {view['name']}, {_state(view)}\n{_detail(view, date)}"


def format_long(view: View, date: Date) -> str:
    """The form of `bos status -long`, with its empty line."""
    lines = [f"Instance {view['name']}, (type is {view['type']}) {_state(view)}\n", _detail(view, date)]
    if view["startTime"]:
        lines.append(
            f"    Process last started at {date(view['startTime'])} ({view['starts']} proc starts)\n"
        )
    if view["lastExit"]:
        lines.append(f"    Last exit at {date(view['lastExit'])}\n")
    if view["lastErrorExit"]:
        lines.append(f"    Last error exit at {date(view['lastErrorExit'])}, {_error(view)}\n")
    for number, command in enumerate(view["commands"], 1):
        lines.append(f"    Command {number} is '{command}'\n")
    if view["notifier"]:
        lines.append(f"    Notifier  is '{view['notifier']}'\n")
    lines.append("\n")
    return "".join(lines)


def _state(view: View) -> str:
    words = [_GOALS[view["goal"], view["fileGoal"]]]
    if view["errorStop"]:
        words.append("stopped for too many errors, ")
    if view["flapping"] and not view["errorStop"]:
        words.append("flapping, ")
    if view["hasCore"]:
        words.append("has core file, ")
    words.append(
        "in a state nobody knows: systemd does not answer."
        if view["status"] is None
        else _STATUS[view["status"]]
    )
    return "".join(words)


def _detail(view: View, date: Date) -> str:
    if not view["detail"]:
        return ""
    detail = view["detail"]
    if "{}" in detail:
        detail = detail.replace("{}", date(view["nextRun"] or 0))
    return f"    Auxiliary status is: {detail}\n"


def _error(view: View) -> str:
    by = f"by {view['lastErrorName']}, " if view["lastErrorName"] else ""
    if view["errorSignal"]:
        return f"{by}due to signal {view['errorSignal']}"
    return f"{by}by exiting with code {view['errorCode']}"


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need to be, the last one free."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)] if rows else []
    out = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        out.append("  ".join([*cells, row[-1]]).rstrip() + "\n")
    return "".join(out)
