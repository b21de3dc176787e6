# SPDX-License-Identifier: GPL-3.0-or-later
"""The server's end of Rx on one port: datagrams in, calls to services, datagrams out. Read receive.

Whatever comes in is answered by at most as much until it is a call of a connection (see connection), counted
when it is nothing, and never makes more than the limits allow: the connections used longest ago, and with no
call under way, are forgotten for new ones. What becomes of calls is in `calls`.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping

from pydaemons.engine.effects import Effect, Reply
from pydaemons.engine.entropy import Entropy
from pydaemons.engine.protocol import Now, Origin
from pydaemons.rx.call import ABORTED, DONE, Brief, Call, Service, State
from pydaemons.rx.calls import Calls
from pydaemons.rx.connection import FIRST_SERIAL_BITS, Connection, Key
from pydaemons.rx.crowd import Limits
from pydaemons.rx.outbox import Outbox
from pydaemons.rx.packet import (
    CHANNEL_MASK,
    EPOCH_ALONE,
    HEADER,
    HEADER_SIZE,
    Failure,
    Flag,
    Header,
    Piece,
    Reason,
    Type,
    pack_code,
    split,
    unpack_ack,
)
from pydaemons.rx.receiver import WINDOW
from pydaemons.rx.roundtrip import RoundTrip
from pydaemons.rx.security import Security
from pydaemons.wire.errors import WireError

HOSTS = 1024
"""Whose round trips are remembered."""
VERSION_SIZE = 65
CHALLENGE_INTERVAL = 0.5
UNKNOWN_DEBUG = b"\xff\xff\xff\xf8"
"""What a debug request that is not supported is answered (the Rx draft, "Debugging")."""
_DATA, _ACK = int(Type.DATA), int(Type.ACK)
_ACK_FIRST, _ACK_SERIAL = slice(32, 36), slice(40, 44)
"""Where these fields of an ACK are."""
_WHOLE = Flag.LAST | Flag.JUMBO
_CURIOUS = frozenset({int(Type.DEBUG), int(Type.VERSION)})


class Endpoint:
    """All connections to one port."""

    def __init__(
        self,
        services: Mapping[int, Service],
        *,
        securities: Mapping[int, Callable[[], Security]],
        entropy: Entropy,
        limits: Limits | None = None,
        version: bytes = b"",
    ) -> None:
        self.counts: Counter[str] = Counter()
        """Calls begun, packets sent again, and what was dropped and why."""
        self._limits = limits or Limits()
        self._outbox = Outbox(self.counts)
        self._calls = Calls(services, self._limits, self._outbox, self.counts)
        self._services = services
        self._securities = securities
        self._entropy = entropy
        self._version = version
        self._connections: OrderedDict[Key, Connection] = OrderedDict()
        """the one used longest ago first"""
        self._hosts: OrderedDict[str, RoundTrip] = OrderedDict()
        self._sweep_at: float | None = None

    def __len__(self) -> int:
        return len(self._connections)

    def when_ended(self, tell: Callable[[Call, Now], None]) -> None:
        """Who is told when a client is gone while its call waits for something."""
        self._calls.ended = tell

    def resume(self, call: Call, value: object, now: Now) -> None:
        """What the body of a call waited for has come."""
        self._calls.resume(call, value, now)

    # -- the seam

    def receive(self, data: bytes, origin: Origin, now: Now) -> bytes | None:
        """A datagram. Its first answer is returned, others come from `drain`."""
        if len(data) < HEADER_SIZE:
            self.counts["malformed"] += 1
            return None
        header = Header._make(HEADER.unpack_from(data))
        if not header.flags & Flag.CLIENT:  # we are nobody's client; and no loops
            self.counts["not from a client"] += 1
            return None
        kind = header.type
        if kind in _CURIOUS:
            return self._curious(header, data)
        out = self._outbox.out
        before = len(out)
        try:
            connection = self._find(header, data, origin, now)
            if connection is not None:
                connection.hear(origin, len(data), now.mono)
                if kind == _DATA:
                    if header.flags & _WHOLE == Flag.LAST and header.seq == 1 and connection.plain:
                        answer = self._calls.brief(connection, header, data, now)
                        if answer is not None:
                            return answer
                    self._data(connection, header, data, now)
                elif kind == _ACK:
                    self._acknowledged(connection, header, data, now)
                else:
                    self._other(connection, header, data, now)
        except WireError:
            self.counts["malformed"] += 1
        if len(out) == before:
            return None
        first = out.pop(before)
        assert isinstance(first, Reply)
        return first.data

    def deadline(self) -> float | None:
        at, sweep = self._calls.timers.deadline(), self._sweep_at
        return sweep if at is None or (sweep is not None and sweep < at) else at

    def tick(self, now: Now) -> None:
        for call in self._calls.timers.due(now.mono):
            self._calls.due(call, now)
        if self._sweep_at is not None and now.mono >= self._sweep_at:
            self._sweep(now)

    def drain(self) -> Iterator[Effect]:
        """Datagrams to send."""
        if self._outbox.out:
            effects, self._outbox.out = self._outbox.out, []
            yield from effects

    # -- connections

    def _find(self, header: Header, data: bytes, origin: Origin, now: Now) -> Connection | None:
        """The connection of a packet, made when it is DATA and acceptable."""
        peer = None if header.epoch & EPOCH_ALONE else origin.peer
        key = (header.epoch, header.id & ~CHANNEL_MASK, peer)
        connection = self._connections.get(key)
        if connection is not None:
            self._connections.move_to_end(key)
            return connection
        if header.type != _DATA:
            # a question about a call of before our start, or about one whose request is still on its way
            self.counts["of no connection"] += 1
            return None
        make = self._securities.get(header.security)
        if header.call == 0:
            self._refuse(header, data, Failure.PROTOCOL_ERROR, origin)
        elif make is None or header.service not in self._services:
            self._refuse(header, data, Failure.INVALID_OPERATION, origin)
        elif not 0 < header.seq <= WINDOW:
            self.counts["malformed"] += 1
        elif self._make_room():
            connection = self._connections[key] = Connection(
                key,
                header,
                origin,
                security=make(),
                round_trip=self._round_trip(origin.peer.host),
                serial=self._entropy.getrandbits(FIRST_SERIAL_BITS),
                mono=now.mono,
            )
            if self._sweep_at is None:
                self._sweep_at = now.mono + self._limits.idle / 2
            return connection
        return None

    def _make_room(self) -> bool:
        """Forget a connection for a new one; in vain when all have calls under way."""
        if len(self._connections) < self._limits.connections:
            return True
        for connection in self._connections.values():
            if not connection.active:
                self._forget(connection)
                return True
        self.counts["too many connections"] += 1
        return False

    def _forget(self, connection: Connection) -> None:
        del self._connections[connection.key]
        for call in connection.calls:
            if call is not None:
                self._calls.timers.cancel(call)

    def _sweep(self, now: Now) -> None:
        """Forget those that nothing was heard of."""
        before = now.mono - self._limits.idle
        for connection in [c for c in self._connections.values() if c.heard <= before and not c.active]:
            self._forget(connection)
        self._sweep_at = now.mono + self._limits.idle / 2 if self._connections else None

    def _round_trip(self, host: str) -> RoundTrip:
        known = self._hosts.get(host)
        if known is None:
            if len(self._hosts) >= HOSTS:
                self._hosts.popitem(last=False)
            known = self._hosts[host] = RoundTrip()
        return known

    # -- without a connection: never more than came

    def _curious(self, header: Header, data: bytes) -> bytes | None:
        """DEBUG and VERSION: what fits into as many bytes as were sent."""
        size = len(data) - HEADER_SIZE
        if header.type == Type.VERSION:
            size = min(size, VERSION_SIZE)
            payload = self._version[: size - 1].ljust(size, b"\0") if size else b""
        else:
            payload = UNKNOWN_DEBUG * 2
        if not 0 < len(payload) <= size:
            return None
        self.counts["curious"] += 1
        return HEADER.pack(*header._replace(flags=header.flags & ~Flag.CLIENT)) + payload

    def _refuse(self, header: Header, data: bytes, code: int, origin: Origin) -> None:
        """An ABORT for what makes no connection; it has no serial number."""
        self.counts["refused"] += 1
        if len(data) >= HEADER_SIZE + 4:
            head = header._replace(seq=0, serial=0, type=int(Type.ABORT), flags=0, checksum=0)
            self._outbox.out.append(Reply(origin, HEADER.pack(*head) + pack_code(code)))

    # -- packets of a connection

    def _data(self, connection: Connection, header: Header, data: bytes, now: Now) -> None:
        call = connection.calls[header.id & CHANNEL_MASK]
        if call is None or header.call != call.number:
            call = self._next_call(connection, call, header, now)
            if call is None:
                return
        elif isinstance(call, Brief):
            if call.state is DONE:
                return
            call = self._calls.unfold(call)
        call.hear(now.mono)
        try:
            if not connection.trusted and not self._trust(connection, now):
                return
            if header.flags & Flag.JUMBO:
                for piece in split(header, data):
                    self._calls.piece(call, header, piece, now)
            else:
                piece = Piece(header.seq, header.serial, header.flags, data[HEADER_SIZE:])
                self._calls.piece(call, header, piece, now)
        finally:
            self._calls.arm(call)

    def _next_call(
        self, connection: Connection, old: Call | Brief | None, header: Header, now: Now
    ) -> Call | None:
        """A packet of another call than the channel's last one."""
        number = header.call
        if number == 0 or (old is not None and number < old.number):
            self.counts["of an old call"] += 1
            return None
        if not 0 < header.seq <= WINDOW:
            self.counts["malformed"] += 1
            return None
        if old is not None and old.state is State.WORKING:
            # the client gave it up, but what it began must end first
            self._outbox.send(connection, connection.packet(Type.BUSY, old, b""))
            return None
        if old is not None:
            self._calls.end(old, State.DONE, now)
        channel = header.id & CHANNEL_MASK
        call = connection.calls[channel] = self._calls.begin(connection, channel, number, now)
        return call

    def _trust(self, connection: Connection, now: Now) -> bool:
        """Whether its calls may begin; if not, it is asked for what is missing."""
        challenge = connection.security.challenge()
        if challenge is None:
            connection.trusted = True
            return True
        due = now.mono - connection.challenged >= CHALLENGE_INTERVAL
        if due and connection.room() >= HEADER_SIZE + len(challenge):
            connection.challenged = now.mono
            self._outbox.send(connection, connection.packet(Type.CHALLENGE, None, challenge))
        return False

    def _acknowledged(self, connection: Connection, header: Header, data: bytes, now: Now) -> None:
        call = connection.calls[header.id & CHANNEL_MASK]
        if call is None or header.call != call.number:
            return
        if data[_ACK_FIRST] == call.end and data[_ACK_SERIAL] == b"\0\0\0\0":
            self._calls.end(call, State.DONE, now)  # the usual case, recognised without looking at the rest
            return
        if call.state is DONE or call.state is ABORTED:
            # who still asks has not heard how it ended; an answer to that alone would keep him waiting
            if header.flags & Flag.WANT_ACK:
                self._outbox.abort_if_room(connection, call, call.code or Failure.CALL_DEAD)
            return
        if isinstance(call, Brief):
            call = self._calls.unfold(call)
        ack = unpack_ack(data)
        connection.prove(ack.serial)
        call.hear(now.mono)
        if ack.reason == Reason.PING and header.flags & Flag.WANT_ACK:
            self._outbox.ack(call, Reason.PING_RESPONSE, header.serial)
        self._calls.acknowledge(call, ack, header.serial, now)

    def _other(self, connection: Connection, header: Header, data: bytes, now: Now) -> None:
        """ABORT, ACKALL, RESPONSE; the rest has no meaning for a server."""
        call = connection.calls[header.id & CHANNEL_MASK]
        if header.type == Type.ABORT:
            for each in connection.calls if header.call == 0 else (call,):
                if each is not None and header.call in (0, each.number):
                    self._calls.end(each, State.DONE, now)
        elif header.type == Type.ACKALL and call is not None and header.call == call.number:
            if call.state is State.SENDING:
                self._calls.end(call, State.DONE, now)
        elif header.type == Type.RESPONSE and not connection.trusted:
            self._responded(connection, data[HEADER_SIZE:], now)
        else:
            self.counts["meaningless"] += 1

    def _responded(self, connection: Connection, response: bytes, now: Now) -> None:
        """The answer to a challenge; the client repeats the call itself."""
        code = connection.security.respond(response)
        if code == 0:
            connection.trusted = True
            return
        self._outbox.abort(connection, None, code)
        for call in connection.calls:
            if call is not None:
                self._calls.end(call, State.DONE, now)
        self._forget(connection)
