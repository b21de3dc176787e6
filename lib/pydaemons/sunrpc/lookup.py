# SPDX-License-Identifier: GPL-3.0-or-later
"""Which port a program has at a host: asked of that host's rpcbind, in the order worth asking, and kept. Read
Ports; client uses it.

IPv4 hosts are asked by portmap version 2 first, over UDP, which nearly every rpcbind answers, then by rpcbind
4 and 3, then by version 2 over TCP. Version 2 cannot speak of IPv6, and 3 and 4 answer for the transport they
are asked over, whatever netid the question names (RFC 1833 section 2.2.1). One question at a time is asked
per program, however many wait for the answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, TypeVar

from pydaemons.engine.effects import Effect, Send
from pydaemons.engine.protocol import Address, Now, Transport
from pydaemons.engine.timers import Timers
from pydaemons.sunrpc.message import AcceptStat, ReplyMessage, pack_call, unpack_reply
from pydaemons.sunrpc.rpcbind import (
    MAPPING,
    PORT,
    PORT_NUMBER,
    PORTMAP,
    PROGRAM,
    PROTOCOLS,
    RPCB,
    RPCBIND3,
    RPCBIND4,
    UNIVERSAL_ADDRESS,
    Mapping,
    PortmapProc,
    Rpcb,
    RpcbindProc,
    is_ipv6,
    netid,
    parse_uaddr,
)
from pydaemons.wire.errors import WireError

PORTS_KNOWN = 4096
"""Answers of rpcbinds kept; the oldest go first."""
LIFETIME = 600.0
"""Seconds an answer is believed while nothing speaks against it."""
FRESH = 1.0
"""Seconds within which it is not asked for again, whatever speaks against it."""
UNPROVED = 10.0
"""Seconds an answer is believed where nobody would notice that it is wrong."""
QUESTION_WAIT = {Transport.UDP: 1.0, Transport.TCP: 3.0}
"""Seconds an rpcbind is given to answer before the next question."""
NO_ANSWER = "no answer"

Waiter = TypeVar("Waiter")


class Sought(NamedTuple):
    """Whose port is wanted."""

    host: str
    program: int
    version: int
    transport: Transport


class Question(NamedTuple):
    """One call of the host's rpcbind."""

    transport: Transport
    version: int
    procedure: int
    args: bytes


def questions(sought: Sought) -> list[Question]:
    """What to ask, one after the other until one is answered."""
    by_netid = [(sought.transport, RPCBIND4), (sought.transport, RPCBIND3)]
    order = by_netid
    if not is_ipv6(sought.host):
        order = [(Transport.UDP, PORTMAP), *by_netid, (Transport.TCP, PORTMAP)]
    return [_question(sought, transport, version) for transport, version in order]


def _question(sought: Sought, transport: Transport, version: int) -> Question:
    if version == PORTMAP:
        mapping = Mapping(sought.program, sought.version, PROTOCOLS[sought.transport], 0)
        return Question(transport, version, PortmapProc.GETPORT, MAPPING.pack(mapping))
    wanted = netid(sought.transport, sought.host).encode()
    # the address tells a server of version 4 which of its own addresses we can reach
    place = (f"{sought.host.partition('%')[0]}.0.111").encode()
    row = Rpcb(sought.program, sought.version, wanted, place, b"")
    return Question(transport, version, RpcbindProc.GETADDR, RPCB.pack(row))


def answered_port(question: Question, reply: ReplyMessage) -> int | None:
    """The port (0: the program is not registered), or None when this was no answer to the question and the
    next one should be asked."""
    if reply.accept_stat is not AcceptStat.SUCCESS:
        return None
    try:
        if question.version == PORTMAP:
            port = PORT_NUMBER.unpack(reply.data, 0).port
            return port if port < 65536 else None
        text = UNIVERSAL_ADDRESS.unpack(reply.data, 0).uaddr
        return parse_uaddr(text.decode("ascii", "replace")).port if text else 0
    except WireError:
        return None


class _Asking(Generic[Waiter]):
    """The questions about one program at one host, and who waits for the answer."""

    __slots__ = ("left", "question", "sought", "source", "waiting", "xid")

    def __init__(self, sought: Sought, source: str | None) -> None:
        self.sought = sought
        self.source = source
        self.left: deque[Question] = deque(questions(sought))
        self.question: Question = self.left.popleft()
        self.xid = 0
        self.waiting: dict[int, Waiter] = {}
        """By identity: whoever waits is there once."""


class Ports(Generic[Waiter]):
    """What the rpcbinds of other hosts said, and who waits for them to.

    `next_xid()` gives the xid of each question, `effects` takes what is to be sent, and
    `found(waiting, port, why, now)` is called with the answer; port 0 means there is none, and why.
    """

    def __init__(
        self,
        *,
        next_xid: Callable[[], int],
        effects: deque[Effect],
        found: Callable[[Iterable[Waiter], int, str, Now], None],
        rpcbind_port: int = PORT,
    ) -> None:
        self.questions = 0
        """Asked so far."""
        self._next_xid = next_xid
        self._effects = effects
        self._found = found
        self._rpcbind_port = rpcbind_port
        self._known: dict[Sought, tuple[int, float]] = {}
        self._by_sought: dict[Sought, _Asking[Waiter]] = {}
        self._by_xid: dict[int, _Asking[Waiter]] = {}
        self._timers: Timers[int] = Timers()

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, xid: int) -> bool:
        """Whether a question of that xid is open."""
        return xid in self._by_xid

    def get(
        self, sought: Sought, waiter: Waiter | None, now: Now, *, source: str | None = None
    ) -> int | None:
        """The port if it is known. If not, or not lately, it is asked for (from the local address `source`)
        and `waiter` is among those who are told."""
        known = self._known.get(sought)
        if known is None or now.mono - known[1] > LIFETIME:
            self.ask(sought, waiter, now, source=source)
        return None if known is None else known[0]

    def doubt(
        self,
        sought: Sought,
        waiter: Waiter | None,
        now: Now,
        *,
        source: str | None = None,
        older: float = FRESH,
    ) -> None:
        """Nobody answers at the port we know: see whether it is still the one, if that was said more than
        `older` seconds ago."""
        known = self._known.get(sought)
        if known is not None and now.mono - known[1] > older:
            self.ask(sought, waiter, now, source=source)

    def ask(self, sought: Sought, waiter: Waiter | None, now: Now, *, source: str | None = None) -> None:
        """Ask, unless that is under way, and tell `waiter` in the end."""
        asking = self._by_sought.get(sought)
        if asking is None:
            asking = self._by_sought[sought] = _Asking(sought, source)
            self._put_question(asking, now)
        if waiter is not None:
            asking.waiting[id(waiter)] = waiter

    def forget(self, sought: Sought) -> None:
        """What we know is wrong."""
        self._known.pop(sought, None)

    def forget_host(self, host: str) -> None:
        """All we know of a host is out of date."""
        for sought in [sought for sought in self._known if sought.host == host]:
            del self._known[sought]

    def unreachable(self, to: Address, transport: Transport, why: str, now: Now) -> None:
        """A packet to that address could not be delivered, a question perhaps or a call of what is there."""
        for sought, (port, _) in list(self._known.items()):
            if sought.host == to.host and port == to.port and sought.transport is transport:
                self.doubt(sought, None, now)
        if to.port == self._rpcbind_port:
            for asking in list(self._by_xid.values()):
                if asking.sought.host == to.host and asking.question.transport is transport:
                    self._answered(asking, None, now, why=why)

    def receive(self, xid: int, data: bytes, host: str, now: Now) -> bool:
        """The reply to a question came, or claims to be one: whether it is. Raises WireError."""
        asking = self._by_xid.get(xid)
        if asking is None or asking.sought.host != host:
            return False
        self._answered(asking, answered_port(asking.question, unpack_reply(data)), now)
        return True

    def tick(self, now: Now) -> None:
        """Questions not answered make room for the next."""
        for xid in self._timers.due(now.mono):
            self._answered(self._by_xid[xid], None, now, why=NO_ANSWER)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        return self._timers.deadline()

    def _put_question(self, asking: _Asking[Waiter], now: Now) -> None:
        question = asking.question
        xid = asking.xid = self._next_xid()
        self._by_xid[xid] = asking
        self._timers.set(xid, now.mono + QUESTION_WAIT[question.transport])
        self.questions += 1
        message = pack_call(
            xid=xid,
            program=PROGRAM,
            version=question.version,
            procedure=question.procedure,
            args=question.args,
        )
        to = Address(asking.sought.host, self._rpcbind_port)
        self._effects.append(Send(question.transport, to, message, source=asking.source))

    def _answered(
        self, asking: _Asking[Waiter], port: int | None, now: Now, *, why: str = "not understood"
    ) -> None:
        """An rpcbind answered with a port, with 0 (not registered), with nothing useful, or not at all."""
        del self._by_xid[asking.xid]
        self._timers.cancel(asking.xid)
        if port is None and asking.left:
            asking.question = asking.left.popleft()
            self._put_question(asking, now)
            return
        sought = asking.sought
        del self._by_sought[sought]
        if port is not None:
            self._known.pop(sought, None)
        if port:
            if len(self._known) >= PORTS_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[sought] = (port, now.mono)
        problem = "the program is not registered there" if port == 0 else f"its rpcbind: {why}"
        self._found(list(asking.waiting.values()), port or 0, problem, now)
