# SPDX-License-Identifier: GPL-3.0-or-later
"""A network in virtual time between independent clients (hosts.rx) and an endpoint: it loses, doubles, delays
datagrams as its dice say."""

from __future__ import annotations

import heapq
import random
from itertools import count
from typing import Any

from fakes.network import Clock, Origins
from hosts import rx
from hosts.rx import ClientCall
from pydaemons.engine.effects import Reply
from pydaemons.rx.call import WAIT, Read
from pydaemons.rx.crowd import Limits
from pydaemons.rx.endpoint import Endpoint
from pydaemons.rx.packet import Failure
from pydaemons.rx.security import Null
from pydaemons.wire.errors import WireError

ECHO, SLOW, UPLOAD, DOWNLOAD, REFUSE, WRONG, QUICK = range(1, 8)
"""Procedures of the service below."""


EPOCH, CID = 0x80000001, 4


def data(
    body: bytes, *, call: int = 1, seq: int = 1, flags: int = rx.LAST, serial: int = 1, cid: int = CID
) -> bytes:
    """A DATA packet of a client, made by hand."""
    return rx.Packet(EPOCH, cid, call, seq, serial, rx.DATA, rx.CLIENT | flags, 0, 0, 0, 1, body).bytes()


def ack(first: int, *, call: int = 1, reason: int = rx.DELAY, serial: int = 0, flags: int = 0) -> bytes:
    """An ACK of its."""
    body = rx.ack_body(first, serial, reason)
    return rx.Packet(EPOCH, CID, call, 0, 9, rx.ACK, rx.CLIENT | flags, 0, 0, 0, 1, body).bytes()


class Echo:
    """A service with one procedure of each kind. It counts what it was asked to do."""

    streaming = frozenset({UPLOAD})

    def __init__(self) -> None:
        self.begun: list[bytes] = []
        self.waiting: list[Any] = []
        self.uploaded = b""
        self.quick_ones = 0

    def quick(self, request):
        if request[:4] != QUICK.to_bytes(4, "big"):
            return None
        self.quick_ones += 1
        if len(request) == 16:
            return content(0, int.from_bytes(request[12:], "big"))
        return int.from_bytes(request[8:12], "big", signed=True) or request[4:]

    def answer(self, request, call, now):
        self.begun.append(request)
        procedure, rest = int.from_bytes(request[:4], "big"), request[4:]
        if procedure == ECHO:
            return rest
        if procedure == SLOW:
            return self._slow(call, rest)
        if procedure == DOWNLOAD:
            return self._download(int.from_bytes(rest[:4], "big"))
        if procedure == REFUSE:
            return int.from_bytes(rest[:4], "big", signed=True)
        if procedure == QUICK:
            return self.quick(request)
        if procedure == WRONG:
            raise WireError("no", 4)
        return Failure.OPCODE

    def stream(self, procedure, call, now):
        size = int.from_bytes((yield Read(8))[4:], "big")
        taken = b""
        while len(taken) < size:
            taken += yield Read(min(50_000, size - len(taken)))
            self.waiting.append(call)
            yield WAIT
        self.begun.append(taken)
        self.uploaded = taken
        return b"done"

    def _slow(self, call, rest):
        self.waiting.append(call)
        value = yield WAIT
        return rest + value

    @staticmethod
    def _download(size):
        for at in range(0, size, 30_000):
            yield content(at, min(30_000, size - at))
        return None


def content(at: int, size: int) -> bytes:
    """Bytes that are different everywhere."""
    first = at // 4
    return b"".join(n.to_bytes(4, "big") for n in range(first, first + size // 4 + 2))[at % 4 :][:size]


class Network:
    """One endpoint, any number of client calls."""

    def __init__(
        self,
        *,
        loss: float = 0.0,
        double: float = 0.0,
        delay: tuple[float, float] = (0.001, 0.001),
        seed: int = 0,
        limits: Limits | None = None,
        securities: Any = None,
    ) -> None:
        self.clock = Clock()
        self.origins = Origins(port=7007)
        self.service = Echo()
        self.dice = random.Random(seed)
        self.loss, self.double, self.delay = loss, double, delay
        self.endpoint = Endpoint(
            {1: self.service},
            securities=securities or {0: Null},
            entropy=random.Random(seed + 1),
            limits=limits,
            version=b"test 1.0",
        )
        self.calls: dict[int, ClientCall] = {}
        self.ports: dict[int, ClientCall] = {}
        self.sent: list[bytes] = []
        """everything the endpoint sent"""
        self.bytes_in = self.bytes_out = 0
        self._queue: list[tuple[float, int, bool, int, bytes]] = []
        self._order = count()
        self.finish_after = 0.5
        """how long what a body waits for takes"""
        self._ready: list[tuple[float, Any]] = []

    @property
    def now(self):
        return self.clock.now

    def give(self, data: bytes, port: int = 700, host: str = "10.0.0.9") -> list[bytes]:
        """One datagram to the endpoint at once; what it says to it."""
        self.bytes_in += len(data)
        first = self.endpoint.receive(data, self.origins(host, port), self.now)
        return self._taken([] if first is None else [(port, first)])

    def tick(self) -> list[bytes]:
        self.endpoint.tick(self.now)
        return self._taken([])

    def resume(self, call: Any, value: Any) -> list[bytes]:
        self.endpoint.resume(call, value, self.now)
        return self._taken([])

    def _taken(self, said: list[tuple[int, bytes]]) -> list[bytes]:
        for effect in self.endpoint.drain():
            assert isinstance(effect, Reply)
            said.append((effect.origin.peer.port, effect.data))
        for port, data in said:
            self.bytes_out += len(data)
            self.sent.append(data)
            self._post(False, port, data)
        return [data for _, data in said]

    def _post(self, to_server: bool, port: int, data: bytes) -> None:
        copies = 0 if self.dice.random() < self.loss else 1
        copies += self.dice.random() < self.double
        for _ in range(copies):
            at = self.clock.mono + self.dice.uniform(*self.delay)
            heapq.heappush(self._queue, (at, next(self._order), to_server, port, data))

    def start(self, call: ClientCall, port: int = 700) -> ClientCall:
        self.ports[port] = call
        return call

    def run(self, *, limit: float = 300.0, until=None) -> None:
        """Let time pass until all calls are done."""
        end = self.clock.mono + limit
        until = until or (lambda: all(call.done for call in self.ports.values()))
        while not until():
            assert self.clock.mono < end, f"not done after {limit} s: {dict(self.endpoint.counts)}"
            for port, call in self.ports.items():
                call.tick(self.clock.mono)
                self._collect(port, call)
            self._step()

    def _collect(self, port: int, call: ClientCall) -> None:
        out, call.out = call.out, []
        for data in out:
            self._post(True, port, data)

    def _step(self) -> None:
        """To the next thing that happens, at most 50 ms away."""
        at = self.clock.mono + 0.05
        deadline = self.endpoint.deadline()
        if deadline is not None:
            at = min(at, max(deadline, self.clock.mono))
        if self._queue:
            at = min(at, self._queue[0][0])
        self.clock.mono = max(self.clock.mono, at)
        while self._queue and self._queue[0][0] <= self.clock.mono:
            _, _, to_server, port, data = heapq.heappop(self._queue)
            if to_server:
                self.give(data, port)
            elif port in self.ports:
                self.ports[port].receive(data, self.clock.mono)
                self._collect(port, self.ports[port])
        while self.service.waiting:
            self._ready.append((self.clock.mono + self.finish_after, self.service.waiting.pop()))
        for due, call in [each for each in self._ready if each[0] <= self.clock.mono]:
            self._ready.remove((due, call))
            self.resume(call, b"!")
        if deadline is not None and deadline <= self.clock.mono:
            self.tick()
