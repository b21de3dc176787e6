# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock manager's side of a status monitor that another program of this host is (rpc.statd). Read
StatdMonitor.watch.

Each client is registered by SM_MON with a secret of its own; the monitor hands the secret back when that
client restarted, so that nobody else on this host can make us believe it. Our own list is kept as well: a
client stays monitored over our restarts, and one that never comes back is given back to the monitor. What the
monitor's host does at a reboot (notifying everybody) is the monitor's business.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import Protocol

from pydaemons.engine.effects import Effect, Level, Log, Persist
from pydaemons.engine.entropy import Entropy
from pydaemons.engine.protocol import Now, Transport
from pydaemons.engine.timers import Timers
from pydaemons.nsm.monitor import Restarted
from pydaemons.nsm.store import MONITORED, Host, Start, canonical
from pydaemons.nsm.types import (
    CALLER,
    MONITOR_ARGS,
    MONITOR_RESULT,
    NSM_PROGRAM,
    NSM_VERSION,
    PAIR,
    PRIVATE,
    STATE,
    Caller,
    MonitorArgs,
    Outcome,
    Pair,
    Proc,
)
from pydaemons.sunrpc import client
from pydaemons.sunrpc.client import RpcClient, Success, Target
from pydaemons.wire.errors import WireError

NLM_PROGRAM, NLM_VERSION, NLM_NOTIFY = 100021, 4, 16
"""What the monitor calls when a client restarted."""
SCHEDULE = (1.0, 2.0, 4.0)
RETRY = 30.0
"""Seconds until a registration that failed is tried again."""
UNUSED = 15 * 60.0
"""Seconds after our start until clients of the last life that did not come back are given up."""

STATD_ID = "5f1b2a90c9a64b7f9a0f2d52a7a4de55"
"""MESSAGE_ID of a status monitor that refuses or does not answer."""

UNTOLD_ID = "b1f7f0a18b1a45b8a3e0f7f0f2a6c1d7"
"""MESSAGE_ID of locks lost without the clients being told."""


class Settings(Protocol):
    """The tunables it follows."""

    nsm_use_hostnames: bool


class StatdMonitor:
    """The same to the lock manager as monitor.Monitor. `hostname` is what we call ourselves to the monitor;
    `state` is its state number once it told us."""

    def __init__(
        self,
        start: Start,
        *,
        rpc: RpcClient,
        entropy: Entropy,
        hostname: bytes,
        restarted: Restarted,
        settings: Settings,
    ) -> None:
        self.state = 0
        self.hosts = start.monitored
        self.counts: Counter[str] = Counter()
        self._settings = settings
        self._rpc = rpc
        self._entropy = entropy
        self._restarted = restarted
        self._caller = Caller(hostname, NLM_PROGRAM, NLM_VERSION, NLM_NOTIFY)
        self._target = Target("127.0.0.1", NSM_PROGRAM, NSM_VERSION, Transport.UDP, privileged=True)
        self._effects: deque[Effect] = deque(start.effects)
        strangers = [host for host in self.hosts.values() if not host.alias]
        for host in strangers:  # noted by a life that was the monitor itself
            self._name(host)
            self._keep(host)
        self._by_private = {host.private: host for host in self.hosts.values()}
        self._unused: set[str] = set(self.hosts)
        self._timers: Timers[str] = Timers()
        self._silent = False
        self._lost = start.needs_grace
        if strangers and self._lost:
            self._complain()
            self._lost = False

    # ---- what the lock manager asks

    def watch(
        self, address: str, name: bytes, now: Now, *, local: str, state: int = 0, resumed: bool = False
    ) -> None:
        """Have a client monitored: our note of it is durable before the answers of this batch leave, the
        registration is on its way."""
        address = canonical(address)
        self._unused.discard(address)
        host = self.hosts.get(address)
        if host is None:
            host = Host(address, name, [local], state, self.state)
            self._name(host)
            self.hosts[address] = host
            self._by_private[host.private] = host
            self._keep(host)
            self._register(host, now)
        elif local not in host.locals:
            host.locals.append(local)
            self._keep(host)

    def unwatch(self, address: str, now: Now, *, local: str) -> None:
        """Have it monitored no longer, unless it talks to another address of ours as well."""
        host = self.hosts.get(canonical(address))
        if host is None:
            return
        if local in host.locals:
            host.locals.remove(local)
        if host.locals:
            self._keep(host)
        else:
            self._forget(host, now)

    def _forget(self, host: Host, now: Now) -> None:
        del self.hosts[host.address]
        self._unused.discard(host.address)
        self._timers.cancel(host.address)
        self._by_private.pop(host.private, None)
        self._effects.append(Persist(f"{MONITORED}/{host.address}", None))
        args = PAIR.pack(Pair(host.alias, self._caller))
        self._rpc.call(self._target, Proc.UNMON, args, schedule=SCHEDULE, now=now)

    def notified(self, mon_name: bytes, state: int, priv: bytes, now: Now) -> None:
        """The monitor reports a restarted client (NLM procedure 16)."""
        host = self._by_private.get(priv)
        if host is None:
            self.counts["with a secret not ours"] += 1
        elif host.state == state:
            self.counts["repeated"] += 1
        else:
            self.counts["accepted"] += 1
            host.state = state
            self._keep(host)
            self._rpc.forget_host(host.address)
            self._restarted(host.address, state, now)

    def crash(self, now: Now) -> None:
        """Our locks are gone and the host did not restart. Only its monitor may raise the state number, and
        SM_SIMU_CRASH makes rpc.statd exit without a word to anybody: a person has to see to it."""
        if self.hosts:
            self._complain()

    # ---- the engine around it

    def begin(self, now: Now) -> None:
        """Register anew everybody on our list, whom a monitor that restarted may have forgotten; learn the
        state number."""
        for host in self.hosts.values():
            self._register(host, now)
        if not self.hosts:
            # asks for the state number by giving up what was never registered
            args = CALLER.pack(self._caller)
            self._rpc.call(
                self._target, Proc.UNMON_ALL, args, schedule=SCHEDULE, now=now, done=self._answered_state
            )
        if self._unused:
            self._timers.set("", now.mono + UNUSED)

    def handle(self, event: object, now: Now) -> None:
        """Nothing but answers and time concerns it."""

    def tick(self, now: Now) -> None:
        """Try again what failed; give up whom nobody needs."""
        for address in self._timers.due(now.mono):
            host = self.hosts.get(address)
            if host is not None:
                self._register(host, now)
            elif not address:
                for unused in sorted(self._unused):
                    self._forget(self.hosts[unused], now)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        return self._timers.deadline()

    def drain(self) -> Iterator[Effect]:
        """What must be written and said."""
        while self._effects:
            yield self._effects.popleft()

    # ---- parts

    def _complain(self) -> None:
        text = (
            f"the locks of {len(self.hosts)} clients are lost and rpc.statd, as the host did not restart,"
            " tells them nothing: run sm-notify -f and restart rpc-statd to have them reclaim"
        )
        self._effects.append(Log(Level.WARNING, text, {}, UNTOLD_ID))

    def _name(self, host: Host) -> None:
        """Decide what the monitor shall know it by, and how we know its word again."""
        host.private = self._entropy.getrandbits(8 * PRIVATE).to_bytes(PRIVATE, "big")
        host.alias = host.name if self._settings.nsm_use_hostnames and host.name else host.address.encode()

    def _register(self, host: Host, now: Now) -> None:
        args = MONITOR_ARGS.pack(MonitorArgs(host.alias, self._caller, host.private))

        def done(outcome: client.Outcome, now: Now) -> None:
            self._registered(host, outcome, now)

        self._rpc.call(self._target, Proc.MON, args, schedule=SCHEDULE, now=now, done=done)

    def _registered(self, host: Host, outcome: client.Outcome, now: Now) -> None:
        if self.hosts.get(host.address) is not host:
            return
        if isinstance(outcome, Success):
            try:
                result = MONITOR_RESULT.unpack(outcome.result, 0)
            except WireError:
                why = "its answer makes no sense"
            else:
                if result.outcome == Outcome.SUCCEEDED:
                    self.state = result.state
                    self._silent = False
                    if self._lost and host.told == result.state:
                        self.crash(now)
                    self._lost = False
                    if host.told != result.state:
                        host.told = result.state
                        self._keep(host)
                    return
                why = "it refuses"
        else:
            why = getattr(outcome, "why", "no answer")
        self.counts["registrations failed"] += 1
        self._timers.set(host.address, now.mono + RETRY)
        if not self._silent:
            self._silent = True
            text = f"the host's status monitor does not monitor {host.address}: {why}; trying again"
            self._effects.append(Log(Level.WARNING, text, {"CLIENT": host.address}, STATD_ID))

    def _answered_state(self, outcome: client.Outcome, now: Now) -> None:
        if isinstance(outcome, Success):
            try:
                self.state = STATE.unpack(outcome.result, 0).state
            except WireError:
                self.counts["answers not understood"] += 1

    def _keep(self, host: Host) -> None:
        self._effects.append(Persist(f"{MONITORED}/{host.address}", host.format()))
