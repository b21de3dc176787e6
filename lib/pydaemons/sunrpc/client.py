# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of our own to other hosts, retransmitted until answered or given up. Read RpcClient.call, then
_transmit and _expired: a call is a message, a place to send it and the waits after each sending.

Where the caller names no port the host's rpcbind is asked (lookup), one question at a time per service
however many calls wait for it. The answer is kept for a while and asked for again whenever a call goes
unanswered or is refused: beside the retransmission rather than before it, so that the gaps on the wire are
the schedule's. A reply counts when its xid and the host it comes from are those of a call outstanding.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pydaemons.engine.effects import Effect, Send, SendFailed
from pydaemons.engine.entropy import Entropy
from pydaemons.engine.protocol import Address, Now, Origin, Transport
from pydaemons.engine.timers import Timers
from pydaemons.sunrpc import rpcbind
from pydaemons.sunrpc.auth import pack_sys
from pydaemons.sunrpc.lookup import UNPROVED, Ports, Sought
from pydaemons.sunrpc.message import AcceptStat, ReplyMessage, pack_call, unpack_reply
from pydaemons.wire.errors import WireError

IN_FLIGHT = 64
"""Calls outstanding per host; more of them wait for their turn."""
BACKLOG = 65536
"""Calls waiting for their turn, per host; one more is refused."""


@dataclass(frozen=True, slots=True)
class Success:
    """The procedure was executed; `result` is what it returned, not taken apart."""

    result: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """The host answered that it will not, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class TimedOut:
    """Nothing came back."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The call could not be delivered: no way to the host, nothing at its port, or no port known."""

    why: str


Outcome = Success | Refused | TimedOut | Unreachable
Done = Callable[[Outcome, Now], None]


class Target(NamedTuple):
    """What is called, where, and from where."""

    host: str
    program: int
    version: int
    transport: Transport
    port: int | None = None
    """None: the host's rpcbind knows."""
    source: str | None = None
    """Local address the call must leave from; None lets the routing table choose."""
    source_port: int | None = None
    """Local port the call must leave from, one of our listening ones (datagrams only)."""
    privileged: bool = False
    """The call must leave from a port below 1024."""


def growing(first: float, *, retries: int = 5, most: float = 6.0) -> tuple[float, ...]:
    """The waits after each sending as the kernel's lock manager has them: `first` seconds, one `first` more
    at each of `retries` retransmissions, at most `most` times `first`."""
    return tuple(first * min(n + 1, most) for n in range(retries + 1))


class Pending:
    """A call under way. Callers keep it to cancel it, nothing else."""

    __slots__ = (
        "done",
        "failure",
        "impatient",
        "message",
        "oneway",
        "rebound",
        "schedule",
        "sent_to",
        "target",
        "tries",
        "xid",
    )

    def __init__(
        self,
        target: Target,
        *,
        xid: int,
        message: bytes,
        schedule: tuple[float, ...],
        done: Done | None,
        oneway: bool,
        impatient: bool,
    ) -> None:
        self.target = target
        self.xid = xid
        self.message = message
        self.schedule = schedule
        self.done = done
        self.oneway = oneway
        self.impatient = impatient
        self.tries = 0
        self.sent_to: int | None = None
        """Port of the last sending; None before the first."""
        self.rebound = False
        """Whether the port was asked for anew because the one known was wrong."""
        self.failure: Outcome = TimedOut()
        """What the outcome is if nothing more comes."""


class RpcClient:
    """All calls to all hosts. `machine_name` is said in AUTH_SYS credentials; empty means AUTH_NONE."""

    def __init__(
        self, entropy: Entropy, *, machine_name: bytes = b"", rpcbind_port: int = rpcbind.PORT
    ) -> None:
        self.counts: Counter[str] = Counter()
        """Calls, retransmissions, outcomes, and replies nobody waited for."""
        self._credential = pack_sys(machine_name) if machine_name else None
        self._xid = entropy.getrandbits(32)
        self._flying: dict[int, Pending] = {}
        self._in_flight: Counter[str] = Counter()
        self._backlog: dict[str, deque[Pending]] = {}
        self._timers: Timers[int] = Timers()
        self._effects: deque[Effect] = deque()
        self._ports: Ports[Pending] = Ports(
            next_xid=self._next_xid,
            effects=self._effects,
            found=self._port_found,
            rpcbind_port=rpcbind_port,
        )

    # ---- what callers do

    def call(
        self,
        target: Target,
        procedure: int,
        args: bytes,
        *,
        schedule: Sequence[float],
        now: Now,
        done: Done | None = None,
        anonymous: bool = False,
        impatient: bool = False,
    ) -> Pending:
        """Call, and tell `done` the outcome, later and once. `schedule` are the seconds to wait after each
        sending (see growing), so that its length is the number of sendings. `anonymous` calls by
        AUTH_NONE. `impatient` takes the first word that the host cannot be reached for the outcome (somebody
        waits at a terminal) where others go on trying."""
        pending = self._pending(
            target,
            procedure,
            args,
            tuple(schedule),
            done,
            anonymous=anonymous,
            oneway=False,
            impatient=impatient,
        )
        host = target.host
        if self._in_flight[host] < IN_FLIGHT:
            self._start(pending, now)
            return pending
        backlog = self._backlog.setdefault(host, deque())
        if len(backlog) >= BACKLOG:
            pending.failure = Unreachable(f"{BACKLOG} calls are waiting for {host} already")
            pending.schedule = (0.0,)
            pending.tries = 1
            self._flying[pending.xid] = pending
            self._in_flight[host] += 1
            self._timers.set(pending.xid, now.mono)
        else:
            backlog.append(pending)
        return pending

    def send(self, target: Target, procedure: int, args: bytes, *, now: Now, anonymous: bool = False) -> None:
        """Call without awaiting an answer: sent once, when the port is known."""
        pending = self._pending(target, procedure, args, (), None, anonymous=anonymous, oneway=True)
        self._transmit(pending, now)

    def prepare(self, target: Target, now: Now) -> None:
        """A call of `target` is to be expected: find out its port if it is not known, or not lately."""
        if target.port is None:
            sought = _sought(target)
            self._ports.get(sought, None, now, source=target.source)
            self._ports.doubt(sought, None, now, source=target.source, older=UNPROVED)

    def cancel(self, pending: Pending, now: Now) -> None:
        """Forget a call: it is not sent again and `done` is not told. Nothing happens if it has ended."""
        if self._flying.get(pending.xid) is pending:
            self._end(pending, now)
        backlog = self._backlog.get(pending.target.host)
        if backlog is not None and pending in backlog:
            backlog.remove(pending)

    def forget_host(self, host: str) -> None:
        """A host restarted: ask its rpcbind again for everything."""
        self._ports.forget_host(host)

    # ---- what the engine around it passes on

    def receive_reply(self, data: bytes, origin: Origin, now: Now) -> None:
        """A message came that is a reply (sunrpc.program.Service sorts them out)."""
        xid = int.from_bytes(data[:4], "big")
        host = origin.peer.host
        pending = self._flying.get(xid)
        try:
            if pending is not None and pending.target.host == host:
                self._answered(pending, unpack_reply(data), now)
            elif not self._ports.receive(xid, data, host, now):
                self.counts["replies nobody waited for"] += 1
        except WireError:
            self.counts["replies not understood"] += 1

    def send_failed(self, failed: SendFailed, now: Now) -> None:
        """Nothing is there, or no way leads there. The schedule goes on; the port may have changed."""
        to = failed.to
        for pending in list(self._flying.values()):
            target = pending.target
            if target.host == to.host and pending.sent_to == to.port and target.transport is failed.transport:
                pending.failure = Unreachable(failed.error)
                if pending.impatient:
                    self._end(pending, now, pending.failure)
                elif target.port is None:
                    self._ports.ask(_sought(target), pending, now, source=target.source)
        self._ports.unreachable(to, failed.transport, failed.error, now)

    def tick(self, now: Now) -> None:
        """Retransmit and give up what is due."""
        for xid in self._timers.due(now.mono):
            self._expired(self._flying[xid], now)
        self._ports.tick(now)

    def deadline(self) -> float | None:
        """When `tick` is wanted next."""
        times = (self._timers.deadline(), self._ports.deadline())
        return min((at for at in times if at is not None), default=None)

    def drain(self) -> Iterator[Effect]:
        """What is to be sent."""
        while self._effects:
            yield self._effects.popleft()

    # ---- the life of a call

    def _pending(
        self,
        target: Target,
        procedure: int,
        args: bytes,
        schedule: tuple[float, ...],
        done: Done | None,
        *,
        anonymous: bool,
        oneway: bool,
        impatient: bool = False,
    ) -> Pending:
        self.counts["calls"] += 1
        xid = self._next_xid()
        message = pack_call(
            xid=xid,
            program=target.program,
            version=target.version,
            procedure=procedure,
            args=args,
            cred=None if anonymous else self._credential,
        )
        return Pending(
            target,
            xid=xid,
            message=message,
            schedule=schedule,
            done=done,
            oneway=oneway,
            impatient=impatient,
        )

    def _next_xid(self) -> int:
        while True:
            self._xid = self._xid + 1 & 0xFFFFFFFF
            if self._xid not in self._flying and self._xid not in self._ports:
                return self._xid

    def _start(self, pending: Pending, now: Now) -> None:
        self._flying[pending.xid] = pending
        self._in_flight[pending.target.host] += 1
        self._try(pending, now)

    def _try(self, pending: Pending, now: Now) -> None:
        """The next sending of the schedule, now or as soon as the port is known."""
        self._timers.set(pending.xid, now.mono + pending.schedule[pending.tries])
        pending.tries += 1
        self._transmit(pending, now)

    def _transmit(self, pending: Pending, now: Now) -> None:
        target = pending.target
        port = target.port
        if port is None:
            port = self._ports.get(_sought(target), pending, now, source=target.source)
            if port is None:
                return
        self._send(pending, port)
        if pending.oneway and target.port is None:
            # no answer would tell that it went astray: if the port is another by now, it is sent there too
            self._ports.doubt(_sought(target), pending, now, source=target.source, older=UNPROVED)

    def _send(self, pending: Pending, port: int) -> None:
        target = pending.target
        pending.sent_to = port
        self._effects.append(
            Send(
                target.transport,
                Address(target.host, port),
                pending.message,
                source=target.source,
                source_port=target.source_port,
                privileged=target.privileged,
            )
        )

    def _expired(self, pending: Pending, now: Now) -> None:
        if pending.tries == len(pending.schedule):
            self._end(pending, now, pending.failure)
            return
        self.counts["retransmissions"] += 1
        if pending.target.port is None:
            target = pending.target
            self._ports.doubt(_sought(target), pending, now, source=target.source)
        self._try(pending, now)

    def _answered(self, pending: Pending, reply: ReplyMessage, now: Now) -> None:
        match reply.accept_stat:
            case AcceptStat.SUCCESS:
                self._end(pending, now, Success(reply.data))
            case None:
                self._end(pending, now, Refused(reply.refusal or "denied"))
            case AcceptStat.PROG_UNAVAIL if pending.target.port is None and not pending.rebound:
                # somebody else has the port now
                pending.rebound = True
                pending.failure = Refused(AcceptStat.PROG_UNAVAIL.name)
                sought = _sought(pending.target)
                self._ports.forget(sought)
                self._ports.ask(sought, pending, now, source=pending.target.source)
            case stat:
                self._end(pending, now, Refused(stat.name))

    def _end(self, pending: Pending, now: Now, outcome: Outcome | None = None) -> None:
        """Forget a call under way, tell its outcome if there is one, and let the next one to that host go."""
        host = pending.target.host
        del self._flying[pending.xid]
        self._timers.cancel(pending.xid)
        self._in_flight[host] -= 1
        if not self._in_flight[host]:
            del self._in_flight[host]
        if outcome is not None:
            self.counts[type(outcome).__name__] += 1
        backlog = self._backlog.get(host)
        if backlog is not None:
            if backlog:
                self._start(backlog.popleft(), now)
            else:
                del self._backlog[host]
        if outcome is not None and pending.done is not None:
            pending.done(outcome, now)

    # ---- ports

    def _port_found(self, waiting: Iterable[Pending], port: int, why: str, now: Now) -> None:
        """The host's rpcbind named the port of what these calls want, or (0) did not."""
        for pending in waiting:
            if not port:
                if not isinstance(pending.failure, Refused):
                    pending.failure = Unreachable(why)
                if pending.impatient and self._flying.get(pending.xid) is pending:
                    self._end(pending, now, pending.failure)
            elif pending.sent_to == port:
                continue  # it went there already; its schedule says when again
            elif pending.oneway or self._flying.get(pending.xid) is pending:
                self._send(pending, port)


def _sought(target: Target) -> Sought:
    return Sought(target.host, target.program, target.version, target.transport)
