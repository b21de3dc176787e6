# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations of pybos on files of the server: install, uninstall, getdate, prune, getlog; and exec."""

from __future__ import annotations

import os
import time

from pydaemons.cli.bos_link import Refused
from pydaemons.cli.bos_session import Session, worst

TYPE_CHECKING = False
if TYPE_CHECKING:  # what only some operations need is imported there: starting is most of what this costs
    from collections.abc import Mapping
    from typing import Any, TextIO

    Values = Mapping[str, Any]

PIECE = 96 << 10
"""Bytes of a file per request"""


def install(session: Session, values: Values) -> int:
    results = []
    for source in values["file"]:
        try:
            with open(source, "rb") as file:
                data = file.read()
                found = os.fstat(file.fileno())
        except OSError:
            session.complain(f"can't find file '{source}', quitting")
            return 1
        target = _binary(values["dir"], source)
        mode, mtime = found.st_mode & 0o7777, int(found.st_mtime)
        results.append(min(1, _install_one(session, source, target, (mode, mtime), data)))
    return worst(results)


def _install_one(session: Session, source: str, target: str, stamp: tuple[int, int], data: bytes) -> int:
    import base64  # noqa: PLC0415

    offset = 0
    while True:
        piece = data[offset : offset + PIECE]
        status = session.attempt(
            f"failed to install {source}",
            "Install",
            file=target,
            mode=stamp[0],
            mtime=stamp[1],
            data=base64.b64encode(piece).decode(),
            offset=offset,
            size=len(data),
        )
        offset += len(piece)
        if status or offset >= len(data):
            break
    if not status:
        session.say(f"{session.program}: installed file {source}")
    return status


def _binary(folder: str | None, name: str) -> str:
    """Where a program belongs: the canonical folder unless another is given."""
    return f"{(folder or '/usr/afs/bin').rstrip('/')}/{os.path.basename(name)}"


def uninstall(session: Session, values: Values) -> int:
    results = []
    for name in values["file"]:
        target = _binary(values["dir"], name)
        status = session.attempt(f"failed to uninstall {name}", "Uninstall", file=target)
        if not status:
            session.say(f"{session.program}: uninstalled file {name}")
        results.append(min(1, status))
    return worst(results)


def getdate(session: Session, values: Values) -> int:
    rows = []
    for name in values["file"]:
        target = _binary(values["dir"], name)
        try:
            result = session.link.call("GetDate", file=target)
        except Refused as refused:
            session.complain(f"failed to check date on {name} {refused}")
            return refused.status
        rows.append({"file": target, **result})
        if session.json:
            continue
        new, bak, old = result["new"], result["bak"], result["old"]
        text = f"File {target} " + (f"dated {time.ctime(new)}" if new else "does not exist")
        text += f", .BAK file dated {time.ctime(bak)}" if bak else ", no .BAK file"
        text += f", .OLD file dated {time.ctime(old)}." if old else ", no .OLD file."
        session.say(text)
    return session.show(rows) if session.json else 0


def prune(session: Session, values: Values) -> int:
    everything = values["all"]
    chosen = {name: bool(values[name] or everything) for name in ("bak", "old", "core")}
    return session.attempt_turned("failed to prune server files", "Prune", **chosen)


def run_exec(session: Session, values: Values) -> int:
    try:
        wait_status = session.link.call("Exec", command=values["cmd"])["status"]
    except Refused as refused:
        session.complain(f"failed to execute command {refused}")
        return refused.status
    code: int = os.waitstatus_to_exitcode(wait_status)
    if code < 0:
        session.complain(f"failed to execute command (killed by signal {-code})")
        return 128 - code
    if code:
        session.complain(f"failed to execute command (exit code {code})")
    return code


def getlog(session: Session, values: Values) -> int:
    session.say(f"Fetching log file '{values['file']}'...")
    return copy_log(session, values["file"], session.out)


def copy_log(session: Session, name: str, target: TextIO) -> int:
    import base64  # noqa: PLC0415

    offset = 0
    while True:
        try:
            result = session.link.call("GetLog", file=name, offset=offset)
        except Refused as refused:
            session.complain(f"{refused.text} (while reading log)")
            return refused.status
        data = base64.b64decode(result["data"])
        target.write(data.decode("utf-8", "replace"))
        offset += len(data)
        if result["end"]:
            return 0
