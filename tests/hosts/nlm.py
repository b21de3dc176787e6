# SPDX-License-Identifier: GPL-3.0-or-later
"""A small NLM client for wire tests, after X/Open XNFS (C702) and nothing of lib/: see rpc.py for why.

`Client` is one client host's lock manager seen from the server: it sends calls over one transport and gives
back statuses. `Waiter` is its other half: registered with the host's rpcbind, it takes GRANTED and
GRANTED_MSG over UDP or TCP and acknowledges them.
"""

from __future__ import annotations

import select
import socket
import time
from dataclasses import dataclass
from typing import Self

from hosts import rpc
from hosts.lab import Host

NULL, TEST, LOCK, CANCEL, UNLOCK, GRANTED = range(6)
GRANTED_MSG, GRANTED_RES, SHARE, UNSHARE, NM_LOCK, FREE_ALL = 10, 15, 20, 21, 22, 23
STATUS_GRANTED, STATUS_DENIED, STATUS_NOLOCKS, STATUS_BLOCKED, STATUS_GRACE, STATUS_DEADLOCK = range(6)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who stands in the way, as TEST tells it."""

    exclusive: bool
    svid: int
    owner: bytes
    offset: int
    length: int


class Client:
    """Calls to the lock manager at `address`:`port` in the name of `host`.

    Ranges default to 0, 10; `length` 0 is to the end of the file. Statuses are the protocol's numbers.
    """

    def __init__(
        self, host: Host, address: str, port: int, *, tcp: bool = False, version: int = 4, caller: str = ""
    ) -> None:
        self.caller = caller or host.name
        self.version = version
        self.line = (rpc.Tcp if tcp else rpc.Udp)(address, port, place=host.network)

    def test(self, handle: bytes, *, exclusive: bool = True, **where: int) -> tuple[int, Holder | None]:
        result = self._call(TEST, self._cookie + rpc.u32(exclusive) + self._lock(handle, **where))
        status = result.u32()
        if status != STATUS_DENIED:
            return status, None
        is_exclusive, svid, owner = bool(result.u32()), result.u32(), result.opaque()
        number = result.u64 if self.version == 4 else result.u32
        return status, Holder(is_exclusive, svid, owner, number(), number())

    def lock(
        self,
        handle: bytes,
        *,
        exclusive: bool = True,
        block: bool = False,
        reclaim: bool = False,
        state: int = 1,
        **where: int,
    ) -> int:
        return self._call(
            LOCK,
            self._cookie + rpc.u32(block, exclusive) + self._lock(handle, **where) + rpc.u32(reclaim, state),
        ).u32()

    def cancel(self, handle: bytes, *, exclusive: bool = True, block: bool = True, **where: int) -> int:
        words = rpc.u32(block, exclusive)
        return self._call(CANCEL, self._cookie + words + self._lock(handle, **where)).u32()

    def unlock(self, handle: bytes, **where: int) -> int:
        return self._call(UNLOCK, self._cookie + self._lock(handle, **where)).u32()

    def send_lock(self, handle: bytes, **where: int) -> None:
        """An exclusive LOCK without waiting for its answer."""
        arguments = self._cookie + rpc.u32(0, 1) + self._lock(handle, **where) + rpc.u32(0, 1)
        self.line.send(rpc.call_bytes(rpc.NLM, self.version, LOCK, arguments))

    def send_unlock(self, handle: bytes, **where: int) -> None:
        """UNLOCK without waiting for its answer; read_reply() takes it."""
        arguments = self._cookie + self._lock(handle, **where)
        self.line.send(rpc.call_bytes(rpc.NLM, self.version, UNLOCK, arguments))

    def read_reply(self) -> int:
        result = rpc.Reply.parse(self.line.receive()).result()
        result.opaque()
        return result.u32()

    def share(self, handle: bytes, *, mode: int = 0, access: int = 1, svid: int = 1) -> int:
        """`mode` is what others shall not do (0 nothing, 1 read, 2 write, 3 both), `access` what we do."""
        return self._call(SHARE, self._share(handle, mode, access, svid)).u32()

    def unshare(self, handle: bytes, *, mode: int = 0, access: int = 1, svid: int = 1) -> int:
        return self._call(UNSHARE, self._share(handle, mode, access, svid)).u32()

    def free_all(self, *, state: int = 1) -> None:
        arguments = rpc.opaque(self.caller) + rpc.u32(state)
        self.line.call(rpc.NLM, self.version, FREE_ALL, arguments).result().done()

    # ---- shapes

    _cookie = rpc.opaque(b"\0\0\0\1")

    def _owner(self, svid: int) -> bytes:
        return rpc.opaque(f"{svid}@{self.caller}")

    def _lock(self, handle: bytes, *, svid: int = 1, offset: int = 0, length: int = 10) -> bytes:
        where = rpc.u64(offset, length) if self.version == 4 else rpc.u32(offset, length)
        return rpc.opaque(self.caller) + rpc.opaque(handle) + self._owner(svid) + rpc.u32(svid) + where

    def _share(self, handle: bytes, mode: int, access: int, svid: int) -> bytes:
        who = rpc.opaque(self.caller) + rpc.opaque(handle) + self._owner(svid)
        return self._cookie + who + rpc.u32(mode, access) + rpc.u32(0)

    def _call(self, procedure: int, arguments: bytes) -> rpc.Unpacker:
        """The result behind its cookie, which must be ours."""
        result = self.line.call(rpc.NLM, self.version, procedure, arguments).result()
        cookie = result.opaque()
        assert rpc.opaque(cookie) == self._cookie, f"cookie {cookie!r} came back"
        return result

    def close(self) -> None:
        self.line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Callback:
    """A call the server made to the waiter."""

    moment: float
    """time.monotonic() when it was read."""
    procedure: int
    version: int
    source: tuple[str, int]
    handle: bytes
    svid: int
    offset: int
    length: int


class Waiter:
    """Takes callbacks for `host`; needs its rpcbind running."""

    def __init__(self, host: Host) -> None:
        with host.network():
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.udp.bind(("0.0.0.0", 0))
        self.tcp.bind(("0.0.0.0", 0))
        self.tcp.listen()
        self.streams: dict[socket.socket, bytes] = {}
        """Connections of servers, with what came in and is not a whole record yet."""
        self.acknowledge = True
        """False: callbacks are seen but not answered, as by a client that hangs."""
        with rpc.Udp("127.0.0.1", 111, place=host.network) as rpcbind:
            for version in (1, 3, 4):
                for protocol, sock in ((rpc.UDP, self.udp), (rpc.TCP, self.tcp)):
                    row = rpc.u32(rpc.NLM, version, protocol, sock.getsockname()[1])
                    assert rpcbind.call(rpc.PORTMAP, 2, 1, row).result().u32(), "rpcbind refused the waiter"

    def wait(self, server: tuple[str, int], *, timeout: float = 30.0) -> Callback:
        """The next GRANTED or GRANTED_MSG; GRANTED_RES goes to `server`. NoReplyError when none comes."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select([self.udp, self.tcp, *self.streams], [], [], left)
            moment = time.monotonic()
            for sock in ready:
                if sock is self.tcp:
                    self.streams[sock.accept()[0]] = b""
                elif found := self._read(sock, server, moment):
                    return found
        raise rpc.NoReplyError(f"no GRANTED within {timeout:g} s")

    def _read(self, sock: socket.socket, server: tuple[str, int], moment: float) -> Callback | None:
        if sock is self.udp:
            message, source = sock.recvfrom(65536)
            answer, found = self._answer(message, source, moment)
            if answer and self.acknowledge:
                sock.sendto(answer, server if found and found.procedure == GRANTED_MSG else source)
            return found
        data = sock.recv(65536)
        if not data:
            del self.streams[sock]
            sock.close()
            return None
        data = self.streams[sock] + data
        if len(data) < 4 or len(data) < 4 + (size := int.from_bytes(data[:4]) & 0x7FFF_FFFF):
            self.streams[sock] = data  # callbacks are small: one fragment each
            return None
        self.streams[sock] = data[4 + size :]
        answer, found = self._answer(data[4 : 4 + size], sock.getpeername(), moment)
        if answer and self.acknowledge:
            sock.sendall(rpc.u32(0x8000_0000 | len(answer)) + answer)
        return found

    @staticmethod
    def _answer(message: bytes, source: tuple[str, int], moment: float) -> tuple[bytes, Callback | None]:
        """What to send back, and the callback; nothing for a reply (to our GRANTED_RES)."""
        call = rpc.Unpacker(message)
        xid, kind = call.u32(), call.u32()
        if kind != rpc.CALL:
            return b"", None
        _, _, version, procedure = (call.u32() for _ in range(4))
        for _ in range(2):  # credential and verifier
            call.u32()
            call.opaque()
        empty = rpc.u32(xid, rpc.REPLY, 0, 0, 0, 0)
        if procedure not in (GRANTED, GRANTED_MSG):
            return empty, None
        result = rpc.opaque(call.opaque()) + rpc.u32(STATUS_GRANTED)
        call.u32()  # exclusive
        call.opaque()  # caller
        handle, _, svid = call.opaque(), call.opaque(), call.u32()
        number = call.u64 if version == 4 else call.u32
        found = Callback(moment, procedure, version, source[:2], handle, svid, number(), number())
        if procedure == GRANTED_MSG:
            return rpc.call_bytes(rpc.NLM, version, GRANTED_RES, result), found
        return empty + result, found

    def close(self) -> None:
        for sock in (self.udp, self.tcp, *self.streams):
            sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
