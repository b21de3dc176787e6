# SPDX-License-Identifier: GPL-3.0-or-later
"""dafs: the demand-attach file server. Three processes at once, each restarted alone.

Volumes are salvaged one by one when they are attached (the salsrv part does that), so no salvager runs
when the file part dies; the fourth command is kept for `bos salvage`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydaemons.bnode.kind import Kind
from pydaemons.bnode.machine import State
from pydaemons.bnode.model import Bnode, Goal, Part, Patience, Restart, Signal


class Dafs(Kind):
    """The demand-attach file server processes."""

    name: ClassVar = "dafs"
    parts: ClassVar = (
        Part("file", 0, Restart.ALWAYS, Signal.QUIT, Patience.LONG),
        Part("vol", 1, Restart.ALWAYS, Signal.TERM),
        Part("salsrv", 2, Restart.ALWAYS, Signal.TERM),
    )
    parameters: ClassVar = ("the fileserver", "the volserver", "the salvageserver", "the salvager")

    def wanted(self, bnode: Bnode, wall: float) -> Sequence[str]:
        return ("file", "vol", "salsrv") if bnode.goal is Goal.NORMAL else ()

    def detail(self, bnode: Bnode) -> str:
        if bnode.goal is Goal.NORMAL and bnode.process("file").state is State.UP:
            return "file server running."
        if bnode.process("file").state is State.STOPPING:
            return "file server shutting down."
        return "file server shut down." if bnode.idle else ""
