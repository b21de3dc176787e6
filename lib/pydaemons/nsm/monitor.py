# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded status monitor: who is monitored, and what happens when one of them restarted. Read Monitor.

Program 100024 for this host (X/Open XNFS 3W chapter 11), and at the same time the monitor of our own lock
manager, which calls `watch` and `unwatch`. A host is its address: a notification counts when it comes from
the very address that is monitored and brings a state number not heard before, whatever name it gives.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address

from pydaemons.engine.effects import Effect, Persist
from pydaemons.engine.protocol import Now, Origin, Transport
from pydaemons.nsm.notify import Notifier
from pydaemons.nsm.store import MONITORED, Host, Start, canonical, next_state, persist_state
from pydaemons.nsm.types import (
    STATUS,
    Caller,
    Change,
    HostName,
    MonitorArgs,
    MonitorResult,
    Outcome,
    Pair,
    State,
    Status,
)
from pydaemons.sunrpc.client import RpcClient, Target, growing
from pydaemons.sunrpc.program import Call
from pydaemons.wire.xdr import NOTHING, Void

MOST_FOR_OTHERS = 4096
"""Hosts monitored for other programs on this host."""
CALLER_TIMEOUT = 2.0

Restarted = Callable[[str, int, Now], None]
"""`restarted(address, state, now)`: a client restarted, its locks mean nothing any more."""


class Monitor:
    """The status monitor of this host. `names` are the forms of our own name, the short one first;
    `restarted` is told of clients, `crashed` that everybody was told we crashed (SM_SIMU_CRASH)."""

    def __init__(
        self,
        start: Start,
        *,
        rpc: RpcClient,
        names: tuple[bytes, ...],
        restarted: Restarted,
        crashed: Callable[[Now], None] = lambda now: None,
    ) -> None:
        self.state = start.state
        self.hosts = start.monitored
        """By address."""
        self.counts: Counter[str] = Counter()
        """Notifications by what became of them."""
        self.notifier = Notifier(start.untold, rpc=rpc, names=names)
        self._rpc = rpc
        self._restarted = restarted
        self._crashed = crashed
        self._effects: deque[Effect] = deque(start.effects)
        self._for_others = sum(1 for host in self.hosts.values() if host.callers)

    # ---- what our lock manager asks

    def watch(
        self, address: str, name: bytes, now: Now, *, local: str, state: int = 0, resumed: bool = False
    ) -> None:
        """Monitor a client, durably before the answers of this batch leave. `local` is our address it talks
        to; `state` its state number if it told."""
        address = canonical(address)
        host = self.hosts.get(address)
        if host is None:
            host = Host(address, name, [], state, self.state)
        elif host.ours and host.name == (name or host.name) and local in host.locals:
            return
        host.ours = True
        host.name = name or host.name
        host.state = host.state or state
        if local not in host.locals:
            host.locals.append(local)
        self._keep(host)

    def unwatch(self, address: str, now: Now, *, local: str) -> None:
        """Monitor a client no longer, unless it talks to another address of ours as well."""
        host = self.hosts.get(canonical(address))
        if host is not None and host.ours:
            if local in host.locals:
                host.locals.remove(local)
            host.ours = bool(host.locals)
            self._keep(host)

    def notified(self, mon_name: bytes, state: int, priv: bytes, now: Now) -> None:
        """Somebody plays this host's status monitor, which is us."""
        self.counts["from a monitor that is not ours"] += 1

    def crash(self, now: Now) -> None:
        """Our locks are gone: raise the state number and notify everybody monitored."""
        self.state = next_state(self.state)
        self._effects.append(persist_state(self.state))
        for host in list(self.hosts.values()):
            self.notifier.add(host, now)
            del self.hosts[host.address]
            self._effects.append(Persist(f"{MONITORED}/{host.address}", None))
        self._for_others = 0
        self.notifier.begin(self.state, now)

    def announce(self, address: str | None, now: Now, *, local: str | None = None) -> list[str]:
        """Tell one monitored host, or all, or all that talk to our address `local`, that we restarted, though
        no lock is lost: an administrator wants them to reclaim. They stay monitored. Whom it was told. With
        both addresses the host need not be monitored: a service address came here, and who talked to it
        elsewhere is told from there.

        It takes a new state number: clients take no notice of one they heard before."""
        hosts = [
            replace(host, locals=host.locals if local is None else [local])
            for host in self.hosts.values()
            if address in (None, host.address) and (local is None or local in host.locals)
        ]
        if not hosts and address is not None and local is not None:
            hosts = [Host(canonical(address), locals=[canonical(local)])]
        if hosts:
            self.state = next_state(self.state)
            self._effects.append(persist_state(self.state))
            for host in hosts:
                self.notifier.add(host, now)
            self.notifier.begin(self.state, now)
        return [host.address for host in hosts]

    # ---- the engine around it

    def begin(self, now: Now) -> None:
        """Start notifying those who are to be told. They will come back at once: our ports should be known to
        rpcbind by now."""
        self.notifier.begin(self.state, now)

    def handle(self, event: object, now: Now) -> None:
        """Nothing but packets and time concerns it."""

    def tick(self, now: Now) -> None:
        """The deadline passed."""
        self.notifier.tick(now)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        return self.notifier.deadline()

    def drain(self) -> Iterator[Effect]:
        """What must be written and said; what is to be sent comes out of the RPC client."""
        while self._effects:
            yield self._effects.popleft()
        yield from self.notifier.drain()

    # ---- procedures (procs.Rules)

    def null(self, args: Void, call: Call, now: Now) -> Void:
        """NULL."""
        return NOTHING

    def stat(self, args: HostName, call: Call, now: Now) -> MonitorResult:
        """SM_STAT: would we monitor that host; and our state number."""
        return self._result(_address_of(args.name) is not None)

    def mon(self, args: MonitorArgs, call: Call, now: Now) -> MonitorResult:
        """SM_MON: another program of this host wants a host monitored. Only addresses can be: looking a name
        up may take minutes, and what it yields is nobody's proof."""
        address = _address_of(args.name)
        if address is None or not is_local(call.origin):
            return self._result(False)
        host = self.hosts.get(address)
        if host is None or not host.callers:
            if self._for_others >= MOST_FOR_OTHERS:
                return self._result(False)
            self._for_others += 1
        if host is None:
            host = Host(address, told=self.state, ours=False)
        if host.callers.get(args.caller) != args.private:
            host.callers[args.caller] = args.private
            self._keep(host)
        return self._result(True)

    def unmon(self, args: Pair, call: Call, now: Now) -> State:
        """SM_UNMON."""
        host = self.hosts.get(_address_of(args.name) or "")
        if host is not None and is_local(call.origin):
            self._drop_caller(host, args.caller)
        return State(self.state)

    def unmon_all(self, args: Caller, call: Call, now: Now) -> State:
        """SM_UNMON_ALL."""
        if is_local(call.origin):
            for host in list(self.hosts.values()):
                self._drop_caller(host, args)
        return State(self.state)

    def simu_crash(self, args: Void, call: Call, now: Now) -> Void:
        """SM_SIMU_CRASH: behave as after a crash."""
        if is_local(call.origin):
            self.crash(now)
            self._crashed(now)
        else:
            self.counts["crash simulations refused"] += 1
        return NOTHING

    def notify(self, args: Change, call: Call, now: Now) -> Void:
        """SM_NOTIFY: a host restarted, if it is the one that says so and it is news."""
        address = call.origin.peer.host
        host = self.hosts.get(address)
        if host is None:
            self.counts["from hosts not monitored"] += 1
        elif host.state == args.state:
            self.counts["repeated"] += 1
        else:
            self.counts["accepted"] += 1
            host.state = args.state
            self._keep(host)
            self._tell(host, args, now)
        return NOTHING

    # ---- parts

    def _tell(self, host: Host, change: Change, now: Now) -> None:
        self._rpc.forget_host(host.address)
        if host.ours:
            self._restarted(host.address, change.state, now)
        for caller, private in host.callers.items():
            target = Target("127.0.0.1", caller.program, caller.version, Transport.UDP, privileged=True)
            args = STATUS.pack(Status(host.address.encode(), change.state, private))
            self._rpc.call(target, caller.procedure, args, schedule=growing(CALLER_TIMEOUT), now=now)

    def _drop_caller(self, host: Host, caller: Caller) -> None:
        if host.callers.pop(caller, None) is not None:
            self._for_others -= not host.callers
            self._keep(host)

    def _keep(self, host: Host) -> None:
        """Have the list on disk say what the one in memory says; nobody wants it: forget it."""
        wanted = host.ours or bool(host.callers)
        if wanted:
            self.hosts[host.address] = host
        else:
            self.hosts.pop(host.address, None)
        self._effects.append(Persist(f"{MONITORED}/{host.address}", host.format() if wanted else None))

    def _result(self, agreed: bool) -> MonitorResult:
        return MonitorResult(Outcome.SUCCEEDED if agreed else Outcome.FAILED, self.state)


def is_local(origin: Origin) -> bool:
    """Whether a packet came over loopback."""
    return ip_address(origin.peer.host.partition("%")[0]).is_loopback


def _address_of(name: bytes) -> str | None:
    try:
        return canonical(name.decode("ascii", "replace"))
    except ValueError:
        return None
