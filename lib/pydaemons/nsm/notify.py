# SPDX-License-Identifier: GPL-3.0-or-later
"""Telling those who were monitored that we restarted (SM_NOTIFY), so that they reclaim their locks. Read
Notifier.

In the background, from the addresses each of them knows us by, over UDP by AUTH_NONE from a privileged port
(as monitors require), once for every form of our name: a peer finds us in its list by either. Whoever does
not answer is tried again for a while, with growing gaps, and then given up: that is no crash of the peer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from pydaemons.engine.effects import Effect, Level, Log, Persist
from pydaemons.engine.protocol import Now, Transport
from pydaemons.engine.timers import Timers
from pydaemons.nsm.store import UNTOLD, Host
from pydaemons.nsm.types import CHANGE, NSM_PROGRAM, NSM_VERSION, Change, Proc
from pydaemons.sunrpc.client import Outcome, Pending, RpcClient, Success, Target, Unreachable

PATIENCE = 15 * 60.0
"""Seconds after which a host is given up."""
FIRST_WAIT, LONGEST_WAIT = 2.0, 60.0
BURST, PAUSE = 32, 0.05
"""So many hosts are begun with at once, then that many seconds' pause: not to drown a network in one go."""

GIVEN_UP_ID = "0e0c4d2f9c0b4c50a3f5a1c1e0a6c033"
"""MESSAGE_ID of a host that could not be notified."""


Way = tuple[bytes, str]
"""A form of our name, and the address of ours it is said from; empty: whichever."""


class _Task:
    """One host to be told."""

    __slots__ = ("astray", "calls", "host", "left", "lost", "until", "wait")

    def __init__(self, host: Host, names: tuple[bytes, ...], until: float) -> None:
        self.host = host
        self.left: set[Way] = {(name, local) for local in host.locals or ("",) for name in names}
        """Not yet acknowledged."""
        self.until = until
        self.wait = FIRST_WAIT
        self.astray: set[str] = set()
        """Addresses from which the last round could not be delivered,"""
        self.lost: set[str] = set()
        """and which the next leaves to the routing table therefore."""
        self.calls: dict[Way, Pending] = {}
        """Under way."""


class Notifier:
    """The hosts to be told and how far that is."""

    def __init__(self, untold: dict[str, Host], *, rpc: RpcClient, names: tuple[bytes, ...]) -> None:
        self.untold = untold
        """By address; a host leaves when it knows or is given up."""
        self._rpc = rpc
        self._names = tuple(dict.fromkeys(names))
        self._state = 0
        self._tasks: dict[str, _Task] = {}
        self._queue: deque[str] = deque()
        self._timers: Timers[str] = Timers()
        self._next_burst: float | None = None
        self._effects: deque[Effect] = deque()

    def add(self, host: Host, now: Now) -> None:
        """One more to be told, durably."""
        self.untold[host.address] = host
        self._effects.append(Persist(f"{UNTOLD}/{host.address}", host.format()))

    def begin(self, state: int, now: Now) -> None:
        """Tell all of them, from the beginning, that our state number is `state`."""
        self._state = state
        for task in list(self._tasks.values()):
            self._stop(task, now)
        until = now.mono + PATIENCE
        self._tasks = {host.address: _Task(host, self._names, until) for host in self.untold.values()}
        self._queue = deque(self._tasks)
        self._next_burst = now.mono if self._queue else None
        self.tick(now)

    def forget(self, address: str, now: Now) -> None:
        """Do not tell this one."""
        task = self._tasks.get(address)
        if task is not None:
            self._stop(task, now)
        if self.untold.pop(address, None) is not None:
            self._effects.append(Persist(f"{UNTOLD}/{address}", None))

    def tick(self, now: Now) -> None:
        """Send what is due."""
        if self._next_burst is not None and now.mono >= self._next_burst:
            for _ in range(min(BURST, len(self._queue))):
                self._send(self._queue.popleft(), now)
            self._next_burst = now.mono + PAUSE if self._queue else None
        for address in self._timers.due(now.mono):
            self._send(address, now)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        at = self._timers.deadline()
        if self._next_burst is not None and (at is None or self._next_burst < at):
            return self._next_burst
        return at

    def drain(self) -> Iterator[Effect]:
        """What must be written and said."""
        while self._effects:
            yield self._effects.popleft()

    def _stop(self, task: _Task, now: Now) -> None:
        del self._tasks[task.host.address]
        self._timers.cancel(task.host.address)
        for pending in task.calls.values():
            self._rpc.cancel(pending, now)

    def _send(self, address: str, now: Now) -> None:
        task = self._tasks.get(address)
        if task is None:
            return
        if now.mono >= task.until:
            text = f"client {address} could not be told of our restart within {PATIENCE / 60:.0f} minutes"
            self._effects.append(Log(Level.WARNING, text, {"CLIENT": address}, GIVEN_UP_ID))
            self.forget(address, now)
            return
        # the address it knows us by may be gone from this host: any other is better than none
        task.lost ^= task.astray
        task.astray.clear()
        for way in sorted(task.left):
            before = task.calls.get(way)
            if before is not None:
                self._rpc.cancel(before, now)
            name, local = way
            source = None if local in task.lost else local or None
            target = Target(address, NSM_PROGRAM, NSM_VERSION, Transport.UDP, source=source, privileged=True)

            def done(outcome: Outcome, now: Now, way: Way = way) -> None:
                self._done(task, way, outcome, now)

            args = CHANGE.pack(Change(name, self._state))
            task.calls[way] = self._rpc.call(
                target, Proc.NOTIFY, args, schedule=(task.wait,), now=now, done=done, anonymous=True
            )
        self._timers.set(address, now.mono + task.wait)
        task.wait = min(task.wait * 2, LONGEST_WAIT)

    def _done(self, task: _Task, way: Way, outcome: Outcome, now: Now) -> None:
        task.calls.pop(way, None)
        if isinstance(outcome, Success):
            task.left.discard(way)
            if not task.left:
                self.forget(task.host.address, now)
        elif isinstance(outcome, Unreachable):
            task.astray.add(way[1])
