# SPDX-License-Identifier: GPL-3.0-or-later
"""pybos top: all bnodes at a glance, again and again, the troubled ones first."""

from __future__ import annotations

import os
import time

from pydaemons.bnode import views
from pydaemons.cli.bos_session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Values = Mapping[str, Any]

CLEAR = "\033[H\033[2J"
LONGEST_DELAY = 86400.0
HEAD = ["NAME", "TYPE", "STATE", "STARTS", "EXITS", "UP", "PIDS", ""]
_STATES = {0: "down", 1: "running", 2: "stopping", 3: "starting", None: "unknown"}
_MARKS = {"errorStop": "ERROR STOP", "flapping": "flapping", "hasCore": "core"}


def top(session: Session, values: Values) -> int:
    """Until interrupted, or -count times."""
    try:
        delay, count = float(values["delay"] or 2), int(values["count"] or 0)
    except ValueError:
        delay = count = -1
    if not 0 < delay <= LONGEST_DELAY or count < 0:
        session.complain("-delay is a number of seconds, -count one of pictures")
        return 1
    shown = 0
    while True:
        result = session.link.call("Status", instances=[], long=True)
        picture = screen(result["instances"], result["trouble"], time.time())
        if session.out.isatty():
            size = os.get_terminal_size(session.out.fileno())
            picture = CLEAR + fit(picture, size.columns, size.lines)
        session.out.write(picture)
        session.out.flush()
        shown += 1
        if shown == count:
            return 0
        time.sleep(delay)


def fit(picture: str, columns: int, lines: int) -> str:
    """As much of a picture as the terminal has room for: what scrolls by is not seen, and who is in trouble
    stands above. Sizes of 0 are terminals that do not know."""
    rows = picture.splitlines()
    if lines:
        rows = rows[:lines]
    return "\n".join(row[: columns or None] for row in rows) + ("" if lines and len(rows) == lines else "\n")


def screen(instances: list[dict[str, Any]], trouble: str, now: float) -> str:
    """One picture: a sentence and a table."""
    stopped = sum(view["errorStop"] for view in instances)
    running = sum(process["state"] == "up" for view in instances for process in view["processes"])
    first = f"{len(instances)} bnodes, {running} processes, {stopped} stopped for too many errors"
    if trouble:
        first = f"systemd does not answer: {trouble}"
    rows = [_row(view, now) for view in sorted(instances, key=_trouble)]
    return f"{first}\n\n" + views.format_table([HEAD, *rows])


def _trouble(view: dict[str, Any]) -> tuple[bool, bool, bool]:
    """Errors first, then what flaps, then what is not where it should be; else as created."""
    return not view["errorStop"], not view["flapping"], view["status"] == view["goal"]


def _row(view: dict[str, Any], now: float) -> list[str]:
    up = int(now - view["startTime"]) if view["status"] == 1 and view["startTime"] else None
    marks = [name for key, name in _MARKS.items() if view[key]]
    pids = [str(process["pid"]) for process in view["processes"] if process["pid"]]
    return [
        view["name"],
        view["type"],
        _STATES[view["status"]],
        str(view["starts"]),
        str(view["exitsInWindow"]),
        "-" if up is None else _span(up),
        " ".join(pids) or "-",
        ", ".join(marks),
    ]


def _span(seconds: int) -> str:
    """The two largest units."""
    for size, name, below, least in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if seconds >= size:
            return f"{seconds // size}{name}{seconds % size // below:02d}{least}"
    return f"{seconds}s"
