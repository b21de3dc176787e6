# SPDX-License-Identifier: GPL-3.0-or-later
"""fs: fileserver and volserver, and the salvager when the fileserver died hard.

The file part is started first, vol right after it; vol alone is simply started again. When file dies
otherwise than by a clean exit its volumes cannot be trusted: vol is told to stop, the salvager runs, then
both start. That a salvage is due is kept on disk (local/SALVAGE.NAME) from the start of the file part to
its clean exit, so that a machine that went down does not forget it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydaemons.bnode.kind import Kind
from pydaemons.bnode.machine import State
from pydaemons.bnode.model import Bnode, Goal, Part, Patience, Restart, Signal

if TYPE_CHECKING:
    from pydaemons.bnode.model import Process


class Fs(Kind):
    """The classic file server processes."""

    name: ClassVar = "fs"
    parts: ClassVar = (
        Part("file", 0, Restart.ON_SUCCESS, Signal.QUIT, Patience.LONG),
        Part("vol", 1, Restart.ALWAYS, Signal.TERM),
        Part("salv", 2, Restart.NO, Signal.TERM),
    )
    parameters: ClassVar = ("the fileserver", "the volserver", "the salvager")

    def wanted(self, bnode: Bnode, wall: float) -> Sequence[str]:
        if bnode.goal is Goal.SHUTDOWN:
            return ()
        if not bnode.salvage:
            return ("file", "vol") if bnode.process("salv").state is State.DOWN else ("salv",)
        servers_down = all(bnode.process(part).state is State.DOWN for part in ("file", "vol"))
        return ("salv",) if servers_down else ()

    def exited(self, bnode: Bnode, process: Process, *, asked: bool, wall: float) -> None:
        clean = process.last_exit == 0 and process.last_signal == 0
        if process.part.name == "file" and not clean:
            bnode.salvage = True
        elif process.part.name == "salv" and clean:
            bnode.salvage = False

    def detail(self, bnode: Bnode) -> str:
        if bnode.process("salv").live:
            return "salvaging file system."
        running = bnode.process("file").state is State.UP
        if bnode.goal is Goal.NORMAL and running:
            return (
                "file server running." if bnode.process("vol").state is State.UP else "vol server starting."
            )
        if bnode.process("file").state is State.STOPPING:
            return "file server shutting down."
        return "file server shut down." if bnode.idle else ""
