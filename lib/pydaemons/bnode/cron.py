# SPDX-License-Identifier: GPL-3.0-or-later
"""cron: one process, run at a time of day or week and not restarted. `now` means once, then it is gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydaemons.bnode import ktime
from pydaemons.bnode.kind import Kind
from pydaemons.bnode.machine import State
from pydaemons.bnode.model import Bnode, Goal, Part, Restart, Signal, Status

if TYPE_CHECKING:
    from pydaemons.bnode.model import Process


class Cron(Kind):
    """A command and the times to run it at."""

    name: ClassVar = "cron"
    parts: ClassVar = (Part("", 0, Restart.NO, Signal.TERM),)
    parameters: ClassVar = ("the command", "the time")

    def refuse(self, commands: Sequence[str]) -> str | None:
        if len(commands) == 1:
            commands = (*commands, "")  # the peer: no time is midnight
        reason = super().refuse(commands)
        if reason:
            return reason
        try:
            ktime.parse(commands[1])
        except ValueError as error:
            return str(error)
        return None

    def programs(self, commands: Sequence[str]) -> tuple[str, ...]:
        return (commands[0],)

    def wanted(self, bnode: Bnode, wall: float) -> Sequence[str]:
        if bnode.goal is Goal.SHUTDOWN:
            return ()
        due = bnode.next_run is not None and wall >= bnode.next_run
        return ("",) if due or bnode.processes[0].live else ()

    def schedule(self, bnode: Bnode, wall: float) -> float | None:
        """The time of the next run, set when there is none. A run that was missed while the machine was off
        is not made up for, as in the peer."""
        if bnode.goal is Goal.SHUTDOWN:
            bnode.next_run = None
        elif bnode.next_run is None and bnode.processes[0].state is State.DOWN:
            bnode.next_run = ktime.parse(" ".join(bnode.commands[1:])).after(wall)
        return None if bnode.processes[0].live else bnode.next_run

    def exited(self, bnode: Bnode, process: Process, *, asked: bool, wall: float) -> None:
        bnode.next_run = None
        if not asked and self._once(bnode):
            bnode.goal, bnode.doomed = Goal.SHUTDOWN, True

    def status(self, bnode: Bnode) -> Status:
        state = bnode.processes[0].state
        if state is State.STOPPING:
            return Status.SHUTTING_DOWN
        if bnode.goal is Goal.NORMAL:
            return Status.NORMAL
        if state is State.DOWN:
            return Status.SHUTDOWN if bnode.retry_at is None else Status.STARTING_UP
        return Status.SHUTTING_DOWN

    def detail(self, bnode: Bnode) -> str:
        if bnode.processes[0].state in (State.STARTING, State.UP):
            return "running now."
        if bnode.goal is Goal.SHUTDOWN:
            return ""
        return "run next at {}." if bnode.next_run is not None else "never run."

    @staticmethod
    def _once(bnode: Bnode) -> bool:
        return ktime.parse(" ".join(bnode.commands[1:])).now
