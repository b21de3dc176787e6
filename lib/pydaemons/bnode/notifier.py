# SPDX-License-Identifier: GPL-3.0-or-later
"""What a notifier program reads on its standard input, to the byte as the peer writes it.

The peer's manual promises a lastSignal line, the peer does not write one; it is written on request only,
so that programs counting lines go on working. `flags` is 1: the process was started.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydaemons.bnode.model import Bnode, Process


class Occasion(Enum):
    """Why a notifier is run; its environment says so (BOS_EVENT)."""

    EXIT = "exit"
    ERRORSTOP = "errorstop"
    RECOVERED = "recovered"


def describe(bnode: Bnode, process: Process, *, command: str, with_signal: bool) -> bytes:
    """The two blocks. The process must still carry the pid that ended; the count is without this exit."""
    lines = [
        "BEGIN bnode_proc",
        f"comLine: {command}",
        f"coreName: {process.part.name or '(null)'}",
        f"pid: {process.pid}",
        f"lastExit: {process.last_exit}",
    ]
    if with_signal:
        lines.append(f"lastSignal: {process.last_signal}")
    lines += [
        "flags: 1",
        "END bnode_proc",
        "BEGIN bnode",
        f"name: {bnode.name}",
        f"rsTime: {bnode.window.opened_wall}",
        f"rsCount: {bnode.window.count}",
        f"procStartTime: {bnode.start_time}",
        f"procStarts: {bnode.starts}",
        f"lastAnyExit: {bnode.last_any_exit}",
        f"lastErrorExit: {bnode.last_error_exit}",
        f"errorCode: {bnode.error_code}",
        f"errorSignal: {bnode.error_signal}",
        f"goal: {int(bnode.goal)}",
        "END bnode",
    ]
    return ("\n".join(lines) + "\n").encode()
