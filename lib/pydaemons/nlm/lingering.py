# SPDX-License-Identifier: GPL-3.0-or-later
"""When clients come to be known, and when they are forgotten. Read `Lingering.look`.

A client is monitored from the first thing it has to lose (XNFS, NSM). It stays so for a while after the last:
one that locks and unlocks would otherwise cost two durable writes each time.
"""

from __future__ import annotations

from typing import Protocol

from pydaemons.engine.protocol import Now
from pydaemons.nlm.hosts import ROOM, Host, Hosts, Owner
from pydaemons.nlm.journal import Journal
from pydaemons.nlm.locktable import LockTable
from pydaemons.nlm.shares import Shares
from pydaemons.nlm.waiters import Waiters
from pydaemons.sunrpc.program import Call

LINGER = 300.0
"""Seconds between looks for clients that neither hold nor wait for anything any more. A client stays
monitored until the second such look."""

LOCKS_PER_OWNER = 16
"""Locks passed over, at most, for each owner that was made since the last time."""


class Monitor(Protocol):
    """The status monitor, ours or the host's: who must be told when we, or who tells us when they, lost their
    memory."""

    def watch(
        self, address: str, name: bytes, now: Now, *, local: str, state: int = 0, resumed: bool = False
    ) -> None:
        """Monitor this client; durable before the answer that depends on it leaves. `local` is an address of
        ours it talks to, `state` its NSM state number if it told; `resumed`: the last process had it so."""

    def unwatch(self, address: str, now: Now, *, local: str) -> None:
        """No longer, as far as that address of ours goes."""

    def notified(self, mon_name: bytes, state: int, priv: bytes, now: Now) -> None:
        """The host's status monitor reports a restarted client (procedure 16)."""


class State(Protocol):
    """Where clients have anything (nlm.server.Server has it)."""

    hosts: Hosts
    journal: Journal
    table: LockTable[Owner]
    shares: Shares[tuple[Host, bytes]]

    @property
    def waiters(self) -> Waiters[Owner, object]: ...


class Lingering:
    """Has the clients of a lock manager monitored, and forgets those that have nothing."""

    def __init__(self, state: State, monitor: Monitor) -> None:
        self.due: float | None = None
        """When `look` is wanted; None while there are no clients."""
        self._state = state
        self._monitor = monitor
        self._idle: set[Host] = set()
        """Those that had nothing at the last look."""

    def watch(self, host: Host, call: Call, now: Now, *, monitored: bool = True) -> None:
        """A client has something to lose now: monitor it, if it wants that, and look after it."""
        if monitored:
            host.monitored, host.noted = True, False
            self._monitor.watch(host.address, host.name, now, local=host.local, state=host.state)
        if self.due is None:
            self.due = now.mono + LINGER

    def resume(self, now: Now) -> None:
        """Monitor those whom the last process monitored, after a replay."""
        for host in self._state.hosts:
            if host.monitored:
                self._monitor.watch(
                    *(host.address, host.name, now), local=host.local, state=host.state, resumed=True
                )
        if len(self._state.hosts):
            self.due = now.mono + LINGER

    def tick(self, now: Now) -> None:
        """Look, if it is time."""
        if self.due is not None and now.mono >= self.due:
            self.look(now)

    def look(self, now: Now) -> None:
        """Forget owners that hold nothing, and hosts that held nothing at two looks in a row."""
        state = self._state
        busy = self._busy()
        sharers = {share.owner[0] for _, share in state.shares.shares()}
        idle = set()
        for host in state.hosts:
            self._keep(host, busy)
            if host.owners or host in sharers:
                continue
            if host not in self._idle:
                idle.add(host)
                continue
            state.hosts.remove(host)
            state.journal.gone(host)
            if host.monitored:
                self._monitor.unwatch(host.address, now, local=host.local)
        self._idle = idle
        self.due = now.mono + LINGER if len(state.hosts) else None

    def thin(self, host: Host) -> None:
        """A client has more owners than it has room for: forget those that hold nothing. A program that locks
        and unlocks under one number after the other would else fill memory and journal until the next look.
        So seldom that a pass over the table costs little for each number."""
        self._keep(host, self._busy())
        host.room = max(ROOM, 2 * len(host.owners), len(self._state.table) // LOCKS_PER_OWNER)

    def _busy(self) -> set[Owner]:
        """Who holds or waits for anything; one pass over the table."""
        busy = self._state.table.owners()
        busy.update(waiter.owner for waiter in self._state.waiters.waiters())
        return busy

    @staticmethod
    def _keep(host: Host, busy: set[Owner]) -> None:
        host.owners = {svid: owner for svid, owner in host.owners.items() if owner in busy}
        host.changes += 1
