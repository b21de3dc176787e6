# SPDX-License-Identifier: GPL-3.0-or-later
"""The other end of a private D-Bus socket: lets everybody in, takes calls apart, answers them.

Written from the D-Bus specification, apart from lib/, and with sd-bus at this end as a judge of it. It is a
process, for pystemd keeps all threads of this one waiting while it waits. Read DBusPeer and _Peer.serve.
"""

from __future__ import annotations

import multiprocessing
import select
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

GUID = b"0123456789abcdef0123456789abcdef"
RETURN, ERROR, SIGNAL = 2, 3, 4
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, SIGNATURE = 1, 2, 3, 4, 5, 8

Answer = Callable[["Call"], bytes | tuple[bytes, bytes]]
"""Makes of a call its answer: a string, or an error's name and text."""


@dataclass(frozen=True)
class Call:
    """One message that came in."""

    kind: int
    flags: int
    serial: int
    fields: dict[int, bytes]
    body: bytes

    @property
    def member(self) -> str:
        return self.fields[MEMBER].decode()


class DBusPeer:
    """Listens at `path`."""

    def __init__(self, path: str, answer: Answer) -> None:
        context = multiprocessing.get_context("fork")
        self._calls: list[Call] = []
        self._pipe, theirs = context.Pipe()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        self._process = context.Process(target=_Peer(listener, theirs, answer).serve, daemon=True)
        self._process.start()
        listener.close()
        theirs.close()

    @property
    def calls(self) -> list[Call]:
        """All that came in so far."""
        while self._pipe.poll():
            self._calls.append(self._pipe.recv())
        return self._calls

    def hold(self) -> None:
        """Hang: what comes stays in the socket."""
        self._pipe.send(("hold",))

    def go_on(self) -> None:
        """No more."""
        self._pipe.send(("go_on",))

    def signal(self, path: bytes, interface: bytes, member: bytes, text: bytes | None) -> None:
        """Send a signal with a string, or with nothing."""
        self._pipe.send(("signal", path, interface, member, text))

    def end(self) -> None:
        """And hang up."""
        self._process.kill()
        self._process.join(10)
        self._pipe.close()


def take_apart(data: bytes) -> tuple[Call, bytes] | None:
    """The first message in `data`, and what follows it; None when it is not whole."""
    if len(data) < 16:
        return None
    order, kind, flags, version, size, serial, length = struct.unpack_from("<BBBBIII", data)
    assert (order, version) == (ord("l"), 1), data
    start = 16 + length + -length % 8
    if len(data) < start + size:
        return None
    call = Call(kind, flags, serial, _fields(data[16 : 16 + length]), data[start : start + size])
    return call, data[start + size :]


class _Peer:
    """What the process does. Orders are methods of it."""

    def __init__(self, listener: socket.socket, pipe: Any, answer: Answer) -> None:
        self._listener = listener
        self._pipe = pipe
        self._answer = answer
        self._held = False
        self._serial = 0

    def serve(self) -> None:
        self._connection, _ = self._listener.accept()
        data = self._let_in()
        while True:
            while (taken := take_apart(data)) is not None:
                call, data = taken
                self._pipe.send(call)
                if not call.flags & 1:
                    self._reply(call)
            wanted = [self._pipe] if self._held else [self._pipe, self._connection]
            ready, _, _ = select.select(wanted, [], [])
            if self._pipe in ready:
                name, *words = self._pipe.recv()
                getattr(self, name)(*words)
            elif self._connection in ready:
                more = self._connection.recv(65536)
                if not more:
                    return
                data += more

    def hold(self) -> None:
        self._held = True

    def go_on(self) -> None:
        self._held = False

    def signal(self, path: bytes, interface: bytes, member: bytes, text: bytes | None) -> None:
        fields = {PATH: (b"o", _string(path)), INTERFACE: (b"s", _string(interface))}
        self._send(SIGNAL, {**fields, MEMBER: (b"s", _string(member))}, text)

    def _let_in(self) -> bytes:
        """The handshake; what came behind it already."""
        data = b""
        while True:
            line, end, data = data.partition(b"\r\n")
            if not end:
                data = line + self._connection.recv(4096)
                continue
            words = line.strip(b"\0").split()
            if words == [b"AUTH", b"EXTERNAL"]:
                self._connection.sendall(b"DATA\r\n")
            elif words[:1] in ([b"DATA"], [b"AUTH"]):
                self._connection.sendall(b"OK " + GUID + b"\r\n")
            elif words == [b"NEGOTIATE_UNIX_FD"]:
                self._connection.sendall(b"AGREE_UNIX_FD\r\n")
            elif words == [b"BEGIN"]:
                return data

    def _reply(self, call: Call) -> None:
        answer = self._answer(call)
        fields = {REPLY_SERIAL: (b"u", struct.pack("<I", call.serial))}
        if isinstance(answer, tuple):
            name, text = answer
            self._send(ERROR, {**fields, ERROR_NAME: (b"s", _string(name))}, text)
        else:
            self._send(RETURN, fields, answer)

    def _send(self, kind: int, fields: dict[int, tuple[bytes, bytes]], text: bytes | None) -> None:
        self._serial += 1
        if text is not None:
            fields = {**fields, SIGNATURE: (b"g", b"\1s\0")}
        head = b""
        for number, (letter, value) in fields.items():
            head += bytes(-len(head) % 8) + bytes((number, 1)) + letter + b"\0" + value
        body = b"" if text is None else _string(text)
        fixed = struct.pack("<BBBBIII", ord("l"), kind, 1, 1, len(body), self._serial, len(head))
        self._connection.sendall(fixed + head + bytes(-len(head) % 8) + body)


def _string(text: bytes) -> bytes:
    return struct.pack("<I", len(text)) + text + b"\0"


def _fields(head: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at < len(head):
        at += -at % 8
        number, letter = head[at], head[at + 2 : at + 3]
        if letter == b"g":
            size, start = head[at + 4], at + 5
        else:
            (size,), start = struct.unpack_from("<I", head, at + 4), at + 8
        found[number] = head[start : start + size]
        at = start + size + 1
    return found
