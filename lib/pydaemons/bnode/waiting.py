# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that are answered later: when bnodes have reached a goal. Each holds its bnodes meanwhile.

The seed keeps the hold for ever when the goal changes under a waiter; here that is an answer (FAILED).
"""

from __future__ import annotations

from typing import Protocol

from pydaemons.bnode.model import Bnode, Code, Goal
from pydaemons.bnode.outbox import Outbox
from pydaemons.engine.protocol import Now


class Waiter:
    """A request that waits for bnodes. `goal` None: for each to reach its own goal, whatever that is."""

    __slots__ = ("goal", "names", "start", "ticket")

    def __init__(self, ticket: object, *, goal: Goal | None, start: bool) -> None:
        self.ticket = ticket
        self.names: set[str] = set()
        self.goal = goal
        self.start = start
        """what has reached its goal is started again"""


class Owner(Protocol):
    """What waiting needs of the supervisor."""

    def find_any(self, name: str) -> Bnode | None: ...
    def hold(self, bnode: Bnode) -> None: ...
    def release(self, bnode: Bnode, now: Now) -> None: ...
    def set_stat(self, bnode: Bnode, goal: Goal, now: Now) -> None: ...


class Waiting:
    """All who wait."""

    def __init__(self, owner: Owner, out: Outbox) -> None:
        self._owner = owner
        self._out = out
        self._waiters: list[Waiter] = []

    def __len__(self) -> int:
        return len(self._waiters)

    def add(self, waiter: Waiter, bnodes: list[Bnode], now: Now) -> None:
        """Answer its ticket when all of them have reached the goal, or FAILED when one gets another."""
        for bnode in bnodes:
            self._owner.hold(bnode)
            waiter.names.add(bnode.name)
        self._waiters.append(waiter)
        if not bnodes:
            self._finish(waiter)
        for bnode in bnodes:
            self.wake(bnode, now)

    def wake(self, bnode: Bnode, now: Now) -> None:
        """Something about this bnode has changed."""
        if not self._waiters:
            return
        status = bnode.kind.status(bnode)
        for waiter in list(self._waiters):
            if bnode.name not in waiter.names or waiter not in self._waiters:
                continue
            goal = bnode.goal if waiter.goal is None else waiter.goal
            if int(status) == int(goal) and (goal is Goal.NORMAL or bnode.idle):
                waiter.names.discard(bnode.name)
                self._owner.release(bnode, now)
                if waiter.start:
                    self._owner.set_stat(bnode, Goal.NORMAL, now)
                if not waiter.names:
                    self._finish(waiter)
            elif goal is not bnode.goal:
                self._drop(waiter, now)
                reason = f"the goal of {bnode.name} was changed meanwhile"
                self._out.answer(waiter.ticket, Code.FAILED, reason=reason)

    def forget(self, ticket: object, now: Now) -> None:
        """Who asked is gone. A restart goes on without; a mere wait ends."""
        for waiter in list(self._waiters):
            if waiter.ticket is ticket and waiter.start:
                waiter.ticket = None
            elif waiter.ticket is ticket:
                self._drop(waiter, now)

    def _finish(self, waiter: Waiter) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
            if waiter.ticket is not None:
                self._out.answer(waiter.ticket, Code.OK)

    def _drop(self, waiter: Waiter, now: Now) -> None:
        self._waiters.remove(waiter)
        for name in waiter.names:
            held = self._owner.find_any(name)
            if held is not None:
                self._owner.release(held, now)
