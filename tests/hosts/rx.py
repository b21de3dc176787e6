# SPDX-License-Identifier: GPL-3.0-or-later
"""A small Rx client, written from the Rx draft and captures and sharing no code with lib/.

`ClientCall` is one call without any I/O: packets and the time go in, packets come out of `out`. `Client` has
a socket for it: `Client(place, host).call(84, u32(0))` gives the answer's bytes or raises Aborted.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

DATA, ACK, BUSY, ABORT, ACKALL, CHALLENGE, RESPONSE, DEBUG, VERSION = 1, 2, 3, 4, 5, 6, 7, 8, 13
CLIENT, WANT_ACK, LAST, MORE, JUMBO = 1, 2, 4, 8, 32
REQUESTED, DUPLICATE, OUT_OF_SEQUENCE, EXCEEDS, NO_SPACE, PING, PING_RESPONSE, DELAY, IDLE = range(1, 10)
_HEAD = struct.Struct("!5I4B2H")
PACKET = 1416
BOZO = 1


class Packet(NamedTuple):
    epoch: int
    cid: int
    call: int
    seq: int
    serial: int
    kind: int
    flags: int
    status: int
    security: int
    checksum: int
    service: int
    body: bytes = b""

    def bytes(self) -> bytes:
        return _HEAD.pack(*self[:11]) + self.body


def parse(data: bytes) -> Packet:
    return Packet(*_HEAD.unpack_from(data), data[_HEAD.size :])


class Acknowledgement(NamedTuple):
    first: int
    previous: int
    serial: int
    reason: int
    acks: bytes
    trailer: tuple[int, ...]


def parse_ack(body: bytes) -> Acknowledgement:
    _space, _skew, first, previous, serial, reason, count = struct.unpack_from("!2H3I2B", body)
    rest = body[18 + count + 3 :]
    return Acknowledgement(
        first, previous, serial, reason, body[18 : 18 + count], struct.unpack(f"!{len(rest) // 4}I", rest)
    )


def ack_body(
    first: int,
    serial: int,
    reason: int,
    acks: bytes = b"",
    *,
    window: int = 32,
    longest: int = 1444,
    datagram: int = 4,
) -> bytes:
    head = struct.pack("!2H3I2B", 0, 0, first, 0, serial, reason, len(acks))
    return head + acks + b"\0\0\0" + struct.pack("!4I", 5692, longest, window, datagram)


def u32(*numbers: int) -> bytes:
    return b"".join(struct.pack("!I", number & 0xFFFFFFFF) for number in numbers)


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return u32(len(raw)) + raw + b"\0" * (-len(raw) % 4)


def read_text(data: bytes, at: int = 0) -> tuple[str, int]:
    size = struct.unpack_from("!I", data, at)[0]
    return data[at + 4 : at + 4 + size].decode(), at + 4 + (size + 3 & ~3)


class Aborted(Exception):  # noqa: N818
    """The call ended with a code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Lost(Exception):  # noqa: N818
    """Nothing was heard for too long."""


class ClientCall:
    """One call. `window` packets of the request may be unacknowledged; sent again after `patience`."""

    def __init__(
        self,
        request: bytes,
        *,
        epoch: int,
        cid: int,
        number: int = 1,
        serial: int = 0,
        window: int = 8,
        patience: float = 0.3,
        jumbo: int = 1,
        service: int = BOZO,
        security: int = 0,
        piece: int = PACKET,
    ) -> None:
        self.epoch, self.cid, self.number, self.serial = epoch, cid, number, serial
        self.service, self.security = service, security
        size = 1412 if jumbo > 1 else piece
        cut = [request[n : n + size] for n in range(0, len(request), size)] or [b""]
        self.pieces = dict(enumerate(cut, 1))
        self.last = len(cut)
        self.acked: set[int] = set()
        self.sent_at: dict[int, float] = {}
        self.window, self.patience, self.jumbo = window, patience, jumbo
        self.got: dict[int, bytes] = {}
        self.end = 0
        self.code: int | None = None
        self.out: list[bytes] = []
        self.heard: float | None = None
        self.pings_answered = 0
        self.acks_seen: list[int] = []
        self.ping_at = 0.0

    # -- out

    def _packet(self, kind: int, body: bytes, flags: int = 0, seq: int = 0) -> bytes:
        self.serial += 1
        return Packet(
            self.epoch, self.cid, self.number, seq, self.serial, kind, flags | CLIENT, 0, self.security, 0,
            self.service, body,
        ).bytes()  # fmt: skip

    def tick(self, now: float) -> None:
        """Send what is due."""
        if self.heard is None:
            self.heard, self.ping_at = now, now + 4.0
        if self.done:
            return
        base = next((seq for seq in self.pieces if seq not in self.acked), self.last + 1)
        due = [
            seq
            for seq in range(base, min(self.last + 1, base + self.window))
            if seq not in self.acked and now - self.sent_at.get(seq, -1e9) >= self.patience
        ]
        while due:
            together = [due.pop(0)]
            again = together[0] in self.sent_at
            while due and len(together) < self.jumbo and due[0] == together[-1] + 1 and not again:
                together.append(due.pop(0))
            self._send(together, now, again=again)
        if now >= self.ping_at:
            self.ping_at = now + 4.0
            self.out.append(self._packet(ACK, ack_body(self._first, 0, PING), WANT_ACK))

    def _send(self, seqs: list[int], now: float, *, again: bool) -> None:
        flags = [(LAST if seq == self.last else 0) | (WANT_ACK if again else 0) | JUMBO for seq in seqs]
        flags[-1] &= ~JUMBO
        body = self.pieces[seqs[0]]
        for bits, seq in zip(flags[1:], seqs[1:], strict=True):
            body += struct.pack("!BBH", bits | CLIENT, 0, 0) + self.pieces[seq]
        self.out.append(self._packet(DATA, body, flags[0], seqs[0]))
        self.serial += len(seqs) - 1
        for seq in seqs:
            self.sent_at[seq] = now

    # -- in

    @property
    def _first(self) -> int:
        first = 1
        while first in self.got:
            first += 1
        return first

    @property
    def done(self) -> bool:
        return self.code is not None or bool(self.end and self._first > self.end)

    @property
    def answer(self) -> bytes:
        return b"".join(self.got[seq] for seq in range(1, self.end + 1))

    def receive(self, data: bytes, now: float) -> None:
        packet = parse(data)
        assert not packet.flags & CLIENT, "a server's packet says it is a client's"
        if (packet.epoch, packet.cid & ~3) != (self.epoch, self.cid & ~3) or packet.call not in (
            0,
            self.number,
        ):
            return
        self.heard, self.ping_at = now, now + 4.0
        if packet.kind == ABORT:
            self.code = struct.unpack_from("!i", packet.body)[0]
        elif packet.kind == ACK:
            self._acked(parse_ack(packet.body), packet)
        elif packet.kind == DATA:
            self.acked.update(self.pieces)
            duplicate = packet.seq in self.got
            self.got[packet.seq] = packet.body
            if packet.flags & LAST:
                self.end = packet.seq
            first = self._first
            top = max(self.got)
            acks = bytes(seq in self.got for seq in range(first, top + 1))[:255]
            reason = DUPLICATE if duplicate else REQUESTED if packet.flags & WANT_ACK else IDLE
            if packet.flags & (WANT_ACK | LAST) or duplicate or acks or packet.seq % 2 == 0:
                serial = packet.serial
                if reason == IDLE and packet.flags & LAST:  # as the real one has it
                    reason, serial = DELAY, 0
                self.out.append(self._packet(ACK, ack_body(first, serial, reason, acks)))

    def _acked(self, ack: Acknowledgement, packet: Packet) -> None:
        self.acks_seen.append(ack.reason)
        self.acked.update(range(1, ack.first))
        self.acked.update(ack.first + n for n, has in enumerate(ack.acks) if has)
        self.acked &= set(self.pieces)
        for seq, has in enumerate(ack.acks, ack.first):
            if not has:
                self.acked.discard(seq)
        if ack.reason == PING_RESPONSE:
            self.pings_answered += 1
        if ack.reason == PING and packet.flags & WANT_ACK:
            self.out.append(self._packet(ACK, ack_body(self._first, packet.serial, PING_RESPONSE)))


class Client:
    """A client process: one socket, one connection, one call after the other on its first channel."""

    def __init__(
        self,
        place: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext,
        host: str = "127.0.0.1",
        port: int = 7007,
        *,
        limit: float = 30.0,
    ) -> None:
        with place():
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect((host, port))
        self.sock.setblocking(False)
        self.limit = limit
        self.epoch = int.from_bytes(os.urandom(4), "big") | 0x80000000
        self.cid = int.from_bytes(os.urandom(4), "big") & ~3
        self.number = 0
        self.serial = 0

    def begin(self, procedure: int, arguments: bytes = b"", **options: Any) -> ClientCall:
        """The next call, not yet sent."""
        self.number += 1
        options |= {"epoch": self.epoch, "cid": self.cid, "number": self.number, "serial": self.serial}
        return ClientCall(u32(procedure) + arguments, **options)

    def call(self, procedure: int, arguments: bytes = b"", **options: Any) -> bytes:
        call = self.begin(procedure, arguments, **options)
        deadline = time.monotonic() + self.limit
        while not call.done:
            now = time.monotonic()
            if now > deadline:
                raise Lost(f"procedure {procedure}: nothing for {self.limit:.0f} s")
            call.tick(now)
            self._exchange(call, 0.05)
        self._exchange(call, 0)
        self.serial = call.serial
        if call.code is not None:
            raise Aborted(call.code)
        return call.answer

    def _exchange(self, call: ClientCall, timeout: float) -> None:
        out, call.out = call.out, []
        for data in out:
            with contextlib.suppress(ConnectionRefusedError):
                self.sock.send(data)
        if timeout and not select.select([self.sock], [], [], timeout)[0]:
            return
        while True:
            try:
                call.receive(self.sock.recv(65536), time.monotonic())
            except (BlockingIOError, ConnectionRefusedError):
                break
        out, call.out = call.out, []
        for data in out:
            with contextlib.suppress(ConnectionRefusedError):
                self.sock.send(data)

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def texts(*values: str) -> bytes:
    return b"".join(text(value) for value in values)


def replies(data: Iterable[bytes]) -> list[Packet]:
    return [parse(each) for each in data]
