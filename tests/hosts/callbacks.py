# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock manager of a client host: it takes what a server calls it with, by UDP and TCP, and answers.

Registered with the host's rpcbind, which must run. `next` gives one call after the other; calls for which
`answers` returns bytes are answered with them, GRANTED_MSG by a call of GRANTED_RES.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from hosts import nlmcalls as nlm
from hosts import rpc
from hosts.lab import Host


@dataclass(frozen=True, slots=True)
class Arrived:
    """One call of a server."""

    moment: float
    """time.monotonic() when it was read."""
    tcp: bool
    source: tuple[str, int]
    version: int
    procedure: int
    arguments: bytes
    message: bytes

    def granted(self) -> tuple[bytes, bool, nlm.Alock]:
        """cookie, exclusive and lock of a GRANTED or GRANTED_MSG, to the last byte."""
        reader = rpc.Unpacker(self.arguments)
        cookie, exclusive = reader.opaque(), bool(reader.u32())
        lock = nlm.Alock.read(reader, self.version)
        reader.done()
        return cookie, exclusive, lock

    def result(self) -> nlm.Result:
        """What a *_RES carries."""
        found = nlm.read(self.procedure, self.arguments, self.version)
        assert found is not None
        return found


class Callbacks:
    """Sockets of one host's lock manager. `status` is what every GRANTED is answered with, None: nothing."""

    def __init__(self, host: Host) -> None:
        with host.network():
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.udp.bind(("0.0.0.0", 0))
        self.tcp.bind(("0.0.0.0", 0))
        self.tcp.listen()
        self.status: int | None = nlm.OK
        self.judge: Callable[[Arrived], int] | None = None
        """Who answers each GRANTED in place of `status`."""
        self._streams: dict[socket.socket, bytes] = {}
        self._arrived: deque[Arrived] = deque()
        with rpc.Udp("127.0.0.1", 111, place=host.network) as rpcbind:
            for version in nlm.VERSIONS:
                for protocol, sock in ((rpc.UDP, self.udp), (rpc.TCP, self.tcp)):
                    row = rpc.u32(rpc.NLM, version, protocol, sock.getsockname()[1])
                    assert rpcbind.call(rpc.PORTMAP, 2, 1, row).result().u32(), "rpcbind refused the row"

    def next(
        self, wanted: Callable[[Arrived], bool], *, server: tuple[str, int], timeout: float = 30.0
    ) -> Arrived:
        """The next call that is wanted; others are answered and dropped. GRANTED_RES goes to `server` by UDP.
        NoReplyError when none comes."""
        deadline = time.monotonic() + timeout
        while True:
            while self._arrived:
                found = self._arrived.popleft()
                if wanted(found):
                    return found
            left = deadline - time.monotonic()
            if left <= 0:
                raise rpc.NoReplyError(f"no such call within {timeout:g} s")
            for sock in select.select([self.udp, self.tcp, *self._streams], [], [], left)[0]:
                self._read(sock, server)

    def serve(self, seconds: float, server: tuple[str, int]) -> None:
        """Answer what comes in that time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for sock in select.select([self.udp, self.tcp, *self._streams], [], [], left)[0]:
                self._read(sock, server)
            self._arrived.clear()

    def drain(self, server: tuple[str, int]) -> list[Arrived]:
        """Whatever has arrived by now."""
        while ready := select.select([self.udp, self.tcp, *self._streams], [], [], 0)[0]:
            for sock in ready:
                self._read(sock, server)
        found = list(self._arrived)
        self._arrived.clear()
        return found

    def _read(self, sock: socket.socket, server: tuple[str, int]) -> None:
        if sock is self.tcp:
            self._streams[sock.accept()[0]] = b""
        elif sock is self.udp:
            message, source = sock.recvfrom(65536)
            answer = self._take(message, source, server, tcp=False)
            if answer:
                sock.sendto(answer, source)
        else:
            try:
                data = sock.recv(65536)
            except ConnectionResetError:
                data = b""  # a server that was killed
            if not data:
                del self._streams[sock]
                sock.close()
                return
            data = self._streams[sock] + data
            while len(data) >= 4 and len(data) >= 4 + (size := int.from_bytes(data[:4]) & 0x7FFF_FFFF):
                assert data[0] & 0x80, "callbacks are small: one fragment each"
                answer = self._take(data[4 : 4 + size], sock.getpeername(), server, tcp=True)
                if answer:
                    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                        sock.sendall(rpc.u32(0x8000_0000 | len(answer)) + answer)
                data = data[4 + size :]
            self._streams[sock] = data

    def _take(self, message: bytes, source: tuple[str, int], server: tuple[str, int], *, tcp: bool) -> bytes:
        """Note the call; the bytes to answer it with."""
        reader = rpc.Unpacker(message)
        xid, kind, rpc_version, program, version, procedure = (reader.u32() for _ in range(6))
        if kind != rpc.CALL:
            return b""  # a reply to our GRANTED_RES
        for _ in range(2):
            reader.u32()
            reader.opaque()
        assert (rpc_version, program) == (2, rpc.NLM)
        found = Arrived(time.monotonic(), tcp, source[:2], version, procedure, reader.rest, message)
        self._arrived.append(found)
        if procedure not in (nlm.GRANTED, nlm.GRANTED_MSG):
            return b""  # *_RES are not answered
        status = self.status if self.judge is None else self.judge(found)
        if status is None:
            return b""
        result = nlm.result(status, found.granted()[0])
        if procedure == nlm.GRANTED:
            return rpc.u32(xid, rpc.REPLY, 0, 0, 0, 0) + result
        self.udp.sendto(rpc.call_bytes(rpc.NLM, version, nlm.GRANTED_RES, result), server)
        return b""

    def close(self) -> None:
        for sock in (self.udp, self.tcp, *self._streams):
            sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
