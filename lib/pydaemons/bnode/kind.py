# SPDX-License-Identifier: GPL-3.0-or-later
"""What every bnode type answers: is this creatable, which processes are wanted now, how do we say it is.

A kind has no state of its own and does nothing: it looks at a bnode and says which of its parts should
run at this moment. Asking again after every event is what makes "volserver dies: only volserver again"
and "fileserver dies hard: salvage first" fall out of a few lines each (see fs).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydaemons.bnode.machine import State
from pydaemons.bnode.model import Goal, Part, Status

if TYPE_CHECKING:
    from pydaemons.bnode.model import Bnode, Process


class Kind(ABC):
    """One bnode type."""

    name: ClassVar[str]
    parts: ClassVar[tuple[Part, ...]]
    parameters: ClassVar[tuple[str, ...]]
    """what its commands are, for people; their number is the number it wants"""

    def refuse(self, commands: Sequence[str]) -> str | None:
        """Why these commands make no bnode of this kind, or None. (The peer drops a second command of a
        simple bnode and runs a folder for an fs with one.)"""
        if len(commands) != len(self.parameters):
            wanted = ", ".join(self.parameters)
            return f"{self.name} takes {len(self.parameters)} command(s) ({wanted}), not {len(commands)}"
        return None

    def programs(self, commands: Sequence[str]) -> tuple[str, ...]:
        """Those of its commands that are command lines."""
        return tuple(commands)

    @abstractmethod
    def wanted(self, bnode: Bnode, wall: float) -> Sequence[str]:
        """The parts that should run now, in the order to start them."""

    def exited(  # noqa: B027 -- most kinds have nothing to remember
        self, bnode: Bnode, process: Process, *, asked: bool, wall: float
    ) -> None:
        """A process of it ended; its last_exit and last_signal say how."""

    def schedule(self, bnode: Bnode, wall: float) -> float | None:
        """When it wants to be asked again, in wall-clock seconds."""
        return None

    def status(self, bnode: Bnode) -> Status:
        states = {process.state for process in bnode.processes}
        if bnode.error_stop and bnode.idle:
            return Status.STARTING_UP if bnode.retry_at is not None else Status.SHUTDOWN
        if State.STOPPING in states and bnode.goal is Goal.SHUTDOWN:
            return Status.SHUTTING_DOWN
        if bnode.idle:
            return Status.SHUTDOWN if bnode.goal is Goal.SHUTDOWN else Status.STARTING_UP
        if bnode.goal is Goal.SHUTDOWN:
            return Status.SHUTTING_DOWN
        wanted = self.wanted(bnode, 0.0)
        running = all(bnode.process(part).state is State.UP for part in wanted)
        return Status.NORMAL if running else Status.STARTING_UP

    def detail(self, bnode: Bnode) -> str:
        """The peer's auxiliary status line; empty for none. `{}` stands for the date of `schedule`."""
        return ""
