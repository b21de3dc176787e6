# SPDX-License-Identifier: GPL-3.0-or-later
"""simple: one process, kept running. Any exit, a clean one too, is answered by a restart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydaemons.bnode.kind import Kind
from pydaemons.bnode.model import Bnode, Goal, Part, Restart, Signal


class Simple(Kind):
    """A command that should always run."""

    name: ClassVar = "simple"
    parts: ClassVar = (Part("", 0, Restart.ALWAYS, Signal.TERM),)
    parameters: ClassVar = ("the command",)

    def wanted(self, bnode: Bnode, wall: float) -> Sequence[str]:
        return ("",) if bnode.goal is Goal.NORMAL else ()
