# SPDX-License-Identifier: GPL-3.0-or-later
"""A small ONC RPC client for wire tests, written from RFC 5531, 4506, 1833 and 1813 and nothing of lib/.

It shares no code with the daemons on purpose: an error both sides made alike would go unseen. `Udp` and `Tcp`
are connections that send raw bytes or whole calls; portmap and NFS helpers below use them. `place` is where
the socket is created: `host.network` of a lab's host, or nothing for the machine's own loopback.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

Place = Callable[[], contextlib.AbstractContextManager[None]]

CALL, REPLY = 0, 1
UDP, TCP = 17, 6
PORTMAP, NFS, MOUNT, NLM, NSM = 100000, 100003, 100005, 100021, 100024


# ---------------------------------------------------------------------- XDR (RFC 4506)


def u32(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def u64(*values: int) -> bytes:
    return struct.pack(f">{len(values)}Q", *values)


def opaque(data: bytes | str) -> bytes:
    raw = data.encode() if isinstance(data, str) else data
    return u32(len(raw)) + raw + bytes(-len(raw) % 4)


class Unpacker:
    """Reads XDR from the front; struct.error or ValueError when the bytes do not suffice."""

    def __init__(self, data: bytes) -> None:
        self.data, self.offset = data, 0

    def u32(self) -> int:
        (value,) = struct.unpack_from(">I", self.data, self.offset)
        self.offset += 4
        return int(value)

    def u64(self) -> int:
        (value,) = struct.unpack_from(">Q", self.data, self.offset)
        self.offset += 8
        return int(value)

    def opaque(self) -> bytes:
        length = self.u32()
        value = self.data[self.offset : self.offset + length]
        if len(value) != length:
            raise ValueError(f"opaque of {length} bytes at {self.offset}, {len(value)} are there")
        self.offset += length + (-length % 4)
        return value

    @property
    def rest(self) -> bytes:
        return self.data[self.offset :]

    def done(self) -> None:
        if self.offset != len(self.data):
            raise ValueError(f"{len(self.data) - self.offset} bytes too many")


# ---------------------------------------------------------------------- messages (RFC 5531)

AUTH_NONE = u32(0, 0)


def auth_sys(machine: str = "test", uid: int = 0, gid: int = 0) -> bytes:
    return u32(1) + opaque(u32(1) + opaque(machine) + u32(uid, gid, 0))


_xids = itertools.count(int.from_bytes(os.urandom(3)) << 8)


def call_bytes(
    program: int,
    version: int,
    procedure: int,
    arguments: bytes = b"",
    *,
    xid: int | None = None,
    credential: bytes | None = None,
    rpc_version: int = 2,
) -> bytes:
    number = next(_xids) & 0xFFFF_FFFF if xid is None else xid
    head = u32(number, CALL, rpc_version, program, version, procedure)
    return head + (auth_sys() if credential is None else credential) + AUTH_NONE + arguments


@dataclass(frozen=True, slots=True)
class Reply:
    """`accepted` 0 SUCCESS, 1 PROG_UNAVAIL, 2 PROG_MISMATCH, 3 PROC_UNAVAIL, 4 GARBAGE_ARGS, 5 SYSTEM_ERR;
    `denied` 0 RPC_MISMATCH, 1 AUTH_ERROR. Exactly one of the two is not None. `body` is what follows."""

    xid: int
    accepted: int | None
    denied: int | None
    body: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        reader = Unpacker(data)
        xid, kind, status = reader.u32(), reader.u32(), reader.u32()
        if kind != REPLY:
            raise ValueError(f"message type {kind} is not a reply")
        if status == 1:
            return cls(xid, None, reader.u32(), reader.rest)
        reader.u32()  # verifier: flavour and body
        reader.opaque()
        return cls(xid, reader.u32(), None, reader.rest)

    def result(self) -> Unpacker:
        assert self.accepted == 0, f"the call was not executed: {self}"
        return Unpacker(self.body)


class NoReplyError(AssertionError):
    """Nothing came back in time."""


class _Connection:
    """What UDP and TCP share: a call is bytes out, the reply with its xid back."""

    sock: socket.socket

    def send(self, message: bytes) -> None:
        raise NotImplementedError

    def receive(self, timeout: float = 5.0) -> bytes:
        raise NotImplementedError

    def call(
        self, program: int, version: int, procedure: int, arguments: bytes = b"", *, timeout: float = 10.0
    ) -> Reply:
        message = call_bytes(program, version, procedure, arguments)
        self.send(message)
        while True:
            data = self.receive(timeout)
            if data[:4] == message[:4]:
                return Reply.parse(data)

    @property
    def local(self) -> tuple[str, int]:
        return self.sock.getsockname()[:2]

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _socket(kind: int, address: str, place: Place | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with place() if place else contextlib.nullcontext():
        return socket.socket(family, kind)


class Udp(_Connection):
    """A socket that talks to one address; `bound` is a local address or port to talk from."""

    def __init__(
        self, address: str, port: int, *, place: Place | None = None, bound: tuple[str, int] | None = None
    ) -> None:
        self.sock = _socket(socket.SOCK_DGRAM, address, place)
        if bound:
            self.sock.bind(bound)
        self.sock.connect((address, port))

    def send(self, message: bytes) -> None:
        self.sock.send(message)

    def receive(self, timeout: float = 5.0) -> bytes:
        self.sock.settimeout(timeout)
        try:
            return self.sock.recv(65536)
        except TimeoutError:
            raise NoReplyError(f"no datagram within {timeout:g} s") from None


class Tcp(_Connection):
    """One connection; messages are records of one or more fragments (RFC 5531 §11)."""

    def __init__(
        self, address: str, port: int, *, place: Place | None = None, bound: tuple[str, int] | None = None
    ) -> None:
        self.sock = _socket(socket.SOCK_STREAM, address, place)
        self.sock.settimeout(10)
        if bound:
            self.sock.bind(bound)
        self.sock.connect((address, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, message: bytes, *, fragment: int = 0) -> None:
        """As one record; with `fragment`, in fragments of so many bytes."""
        size = fragment or max(len(message), 1)
        pieces = [message[at : at + size] for at in range(0, len(message), size)] or [b""]
        last = len(pieces) - 1
        marked = (u32(len(p) | (0x8000_0000 if n == last else 0)) + p for n, p in enumerate(pieces))
        self.sock.sendall(b"".join(marked))

    def send_raw(self, data: bytes) -> None:
        self.sock.sendall(data)

    def receive(self, timeout: float = 5.0) -> bytes:
        self.sock.settimeout(timeout)
        record, last = b"", False
        while not last:
            (mark,) = struct.unpack(">I", self._exactly(4))
            last = bool(mark >> 31)
            record += self._exactly(mark & 0x7FFF_FFFF)
        return record

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                piece = self.sock.recv(count - len(data))
            except TimeoutError:
                raise NoReplyError("no record in time") from None
            if not piece:
                raise EOFError("the server closed the connection")
            data += piece
        return data


# ---------------------------------------------------------------------- rpcbind, version 2 (RFC 1833)


def getport(
    address: str, program: int, version: int, protocol: int = UDP, *, place: Place | None = None
) -> int:
    """The port, or 0 when the program is not registered; NoReplyError when no rpcbind answers."""
    with Udp(address, 111, place=place) as rpcbind:
        return rpcbind.call(PORTMAP, 2, 3, u32(program, version, protocol, 0)).result().u32()


def dump(address: str, *, place: Place | None = None) -> set[tuple[int, int, int, int]]:
    """Every (program, version, protocol, port) registered."""
    rows = set()
    with Tcp(address, 111, place=place) as rpcbind:
        reader = rpcbind.call(PORTMAP, 2, 4).result()
    while reader.u32():
        rows.add((reader.u32(), reader.u32(), reader.u32(), reader.u32()))
    return rows


def answers(
    address: str, port: int, program: int, version: int, *, tcp: bool = False, place: Place | None = None
) -> bool:
    """Does procedure 0 answer?"""
    try:
        with (Tcp if tcp else Udp)(address, port, place=place) as connection:
            return connection.call(program, version, 0, timeout=0.5).accepted == 0
    except (OSError, EOFError, NoReplyError):
        return False


# ---------------------------------------------------------------------- MOUNT and NFS version 3 (RFC 1813)


def mount_root(address: str, export: str, *, port: int, place: Place | None = None) -> bytes:
    """The file handle of an export's root."""
    with Tcp(address, port, place=place) as mount:
        reader = mount.call(MOUNT, 3, 1, opaque(export)).result()
    status = reader.u32()
    assert status == 0, f"MNT {export}: status {status}"
    return reader.opaque()


class Nfs:
    """Just enough NFSv3 to have files with real handles."""

    def __init__(self, address: str, *, port: int = 2049, place: Place | None = None) -> None:
        self._connection = Tcp(address, port, place=place)

    def create(self, folder: bytes, name: str) -> bytes:
        """The handle of a file made (or found) in `folder`; CREATE UNCHECKED, mode 0666."""
        attributes = u32(1, 0o666, 0, 0, 0, 0, 0)
        arguments = opaque(folder) + opaque(name) + u32(0) + attributes
        reader = self._connection.call(NFS, 3, 8, arguments).result()
        status, follows = reader.u32(), reader.u32()
        assert status == 0 and follows, f"CREATE {name}: status {status}"
        return reader.opaque()

    def lookup(self, folder: bytes, name: str) -> bytes:
        reader = self._connection.call(NFS, 3, 3, opaque(folder) + opaque(name)).result()
        status = reader.u32()
        assert status == 0, f"LOOKUP {name}: status {status}"
        return reader.opaque()

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
