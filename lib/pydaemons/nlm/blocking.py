# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocked locks from the LOCK that cannot be had to the client that knows it has it (XNFS ch. 10). Read
`Blocking.wait`, then `serve`: waiters.py is the queue between them, grants.py calls the clients back.

A blocking LOCK is answered BLOCKED at once. Its client may repeat it as often as it likes: it waits once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from pydaemons.engine.entropy import Entropy
from pydaemons.engine.protocol import Now
from pydaemons.nlm.deadlock import would_deadlock
from pydaemons.nlm.grants import Blocked, Grants, Request, Settings, key_of, way_back
from pydaemons.nlm.hosts import Host, Owner, host_of
from pydaemons.nlm.journal import Journal
from pydaemons.nlm.locktable import LockTable
from pydaemons.nlm.ranges import Span, Spans
from pydaemons.nlm.types import LockArgs, Status
from pydaemons.nlm.waiters import Waiters
from pydaemons.sunrpc.client import RpcClient
from pydaemons.sunrpc.program import Call

LOCK_MSG = 7

Key = tuple[bytes, Owner, int, int, bool]
"""File, owner, start, end, exclusive: one blocked lock."""


class Limits(Settings, Protocol):
    """The tunables of this module and of grants.py."""

    nlm_max_blocked: int
    nlm_max_blocked_per_client: int


class Blocking:
    """The queue and the callbacks of one lock manager. `watch(host, call, now)` has a client monitored,
    `taken()` is told that locks were taken beside `Server.lock`."""

    def __init__(
        self,
        settings: Limits,
        *,
        table: LockTable[Owner],
        journal: Journal,
        rpc: RpcClient,
        entropy: Entropy,
        hostname: bytes,
        watch: Callable[[Host, Call, Now], None],
        taken: Callable[[], None],
    ) -> None:
        self.waiters: Waiters[Owner, Request] = Waiters(host_of)
        self.grants = Grants(
            settings, rpc, entropy, hostname=hostname, journal=journal, give_up=self._not_wanted
        )
        self._settings = settings
        self._table = table
        self._journal = journal
        self._rpc = rpc
        self._watch = watch
        self._taken = taken

    def wait(self, args: LockArgs, call: Call, owner: Owner, wanted: tuple[bytes, int, int], now: Now) -> int:
        """A blocking LOCK that cannot be had now; its status."""
        file, start, end = wanted
        waiters = self.waiters
        blockers = self._table.conflicts(file, owner, start, end, args.exclusive)
        waiting = waiters.find(file, owner, start, end, args.exclusive)
        if waiting is None and would_deadlock(
            owner, blockers, lambda other: waiters.blockers(self._table, other)
        ):
            return Status.DEADLCK
        procedure: Any = call.procedure
        asynchronous = procedure.number == LOCK_MSG
        request = Request(args.fh, args.offset, args.length, call, asynchronous, now.wall)
        if waiting is not None:
            waiting.payload = request._replace(since=waiting.payload.since)
        elif len(waiters) >= self._settings.nlm_max_blocked or (
            (limit := self._settings.nlm_max_blocked_per_client) and waiters.waiting_of(owner.host) >= limit
        ):
            return Status.DENIED_NOLOCKS
        else:
            waiting = waiters.add(file, owner, start, end, args.exclusive, payload=request)
            # so that GRANTED can leave at once when its time comes
            self._rpc.prepare(way_back(call), now)
        owner.host.learn_state(args.state)
        if not owner.host.monitored:
            self._watch(owner.host, call, now)
        self._journal.waits(waiting)
        return Status.BLOCKED

    def cancel(self, key: Key) -> bool:
        """Take a blocked lock out of the queue; whether it was there."""
        waiting = self.waiters.cancel(*key)
        if waiting is not None:
            self._journal.cancelled(waiting)
        return waiting is not None

    def serve(self, file: bytes, start: int, end: int, now: Now) -> None:
        """Bytes became free: whoever waited for them and can have its lock now has it, and is told."""
        self._taken()
        for blocked in self.waiters.ready(self._table, file, start, end):
            self.grants.tell(blocked, now)

    def settle_freed(self, file: bytes, owner: Owner, span: Span, now: Now) -> None:
        """The client unlocked what it was being told it has: it knows."""
        start, end = span
        for blocked in self.grants.of(file, owner):
            if blocked.start < end and start < blocked.end:
                self.grants.settle(key_of(blocked), now)

    def crowded(self, file: bytes) -> bool:
        """Whether somebody waits for bytes of this file, or is being told that it has them."""
        return file in self.waiters.queues or file in self.grants.files

    @property
    def crowd(self) -> bool:
        """Whether that is so of any file."""
        return bool(self.waiters.queues or self.grants.open)

    def _not_wanted(self, blocked: Blocked, now: Now) -> None:
        """A client refused the lock it was granted, or never answered: what that added goes to the next."""
        file, owner = blocked.file, blocked.owner
        for start, end, before in blocked.beneath:
            if before is None:
                if self._table.unlock(file, owner, start, end):
                    self._journal.unlocked(owner, file, start, end)
            elif before is not blocked.exclusive:
                self._give_back(file, owner, start, end, before)
        self.serve(file, blocked.start, blocked.end, now)

    def _give_back(self, file: bytes, owner: Owner, start: int, end: int, exclusive: bool) -> None:
        """Bytes become what they were before an upgrade or a downgrade nobody wanted; of a downgrade only
        those that nobody reads by now."""
        free = Spans(((start, end),))
        if exclusive:
            for other in list(self._table.held(file, start, end)):
                if other.owner is not owner:
                    free.cut(other.start, other.end)
        for low, high in free:
            if self._table.lock(file, owner, low, high, exclusive) is None:
                self._journal.locked(owner, file, low, high, exclusive)
