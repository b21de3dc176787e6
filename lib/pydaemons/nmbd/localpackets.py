# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket `unexpected`: programs of this machine hear of packets that come to ports 137 and 138, as
Samba's library asks for them (seen on the wire of nmbd 4.17). Read Wish, then LocalPackets.

A program connects and sends one wish: what kind of packet, which transaction id (or any), for which mailslot;
a byte comes back when it is noted. From then on it gets what fits, each packet behind a header. All numbers
are the C structures of this machine. Whoever says another word, or does not read, is let go.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from struct import Struct
from typing import NamedTuple

from pydaemons.engine.protocol import Now
from pydaemons.kit.log import Log
from pydaemons.netbios.node.events import NAME_KIND, Awaited, LocalPacket

SOCKET = "unexpected"
CLIENTS = 200
"""nmbd's limit; beyond it, who waits longest has to go."""
PATIENCE = 10.0
"""Seconds a program has to say its wish."""
LONGEST_MAILSLOT = 1024
UNREAD = 65536
"""Bytes a program may leave unread."""

_WISH = Struct("@iNi4x")
"""Kind, length of the mailslot's name, transaction id (-1: any)."""
_HEADER = Struct("@Niq4si")
"""Length, kind, when it came, source address and port."""


class Wish(NamedTuple):
    """What a program waits for."""

    kind: int
    id: int
    mailslot: str

    def fits(self, packet: LocalPacket) -> bool:
        """Is the packet for it?"""
        if self.kind != packet.kind or self.id not in (-1, packet.id):
            return False
        if self.kind == NAME_KIND:
            return self.id >= 0  # no program gets everybody's answers
        return not self.mailslot or self.mailslot.upper() == packet.mailslot.upper()


def pack_wish(wish: Wish) -> bytes:
    """What a program sends."""
    named = wish.mailslot.encode()
    return _WISH.pack(wish.kind, len(named), wish.id) + named


def pack_packet(packet: LocalPacket, stamp: float) -> bytes:
    """What a program gets."""
    host = bytes(map(int, packet.peer.host.split(".")))
    return _HEADER.pack(len(packet.data), packet.kind, int(stamp), host, packet.peer.port) + packet.data


def unpack_packet(data: bytes) -> tuple[int, str, int, bytes]:
    """Kind, source address and port, and the packet."""
    size, kind, _, host, port = _HEADER.unpack_from(data)
    return kind, ".".join(map(str, host)), port, data[_HEADER.size : _HEADER.size + size]


class LocalPackets:
    """The socket and the programs at it. `tell` takes Awaited for the node."""

    def __init__(self, path: str, log: Log, tell: Callable[[Awaited], None]) -> None:
        self._path = path
        self._log = log
        self._tell = tell
        self.limit = CLIENTS
        self._wishes: dict[asyncio.StreamWriter, Wish | None] = {}
        """None: it has not said it yet."""
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Have the socket, in the place of one a dead process left. OSError when that cannot be."""
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass
        self._server = await asyncio.start_unix_server(self._serve, self._path)
        os.chmod(self._path, 0o666)

    async def close(self) -> None:
        """Let everybody go."""
        if self._server is None:
            return
        self._server.close()
        for writer in list(self._wishes):
            writer.close()
        self._wishes.clear()
        try:
            os.unlink(self._path)
        except OSError:
            pass

    def pass_on(self, packet: LocalPacket, now: Now) -> None:
        """Give a packet to whom it fits."""
        data = b""
        for writer, wish in list(self._wishes.items()):
            if wish is None or not wish.fits(packet):
                continue
            if writer.transport.get_write_buffer_size() > UNREAD:
                writer.transport.abort()
                continue
            data = data or pack_packet(packet, now.wall)
            writer.write(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while len(self._wishes) >= self.limit:
            oldest = next(iter(self._wishes))
            del self._wishes[oldest]
            oldest.transport.abort()
        self._wishes[writer] = None
        try:
            async with asyncio.timeout(PATIENCE):
                wish = await _read_wish(reader)
            if writer not in self._wishes:
                return  # it had to make room meanwhile
            self._wishes[writer] = wish
            self._told()
            writer.write(b"\0")
            await reader.read(1)
        except (ValueError, OSError, EOFError, TimeoutError):
            pass
        finally:
            self._wishes.pop(writer, None)
            self._told()
            writer.close()

    def _told(self) -> None:
        wishes = [wish for wish in self._wishes.values() if wish is not None]
        self._tell(Awaited(frozenset(wish.id for wish in wishes if wish.kind == NAME_KIND)))


async def _read_wish(reader: asyncio.StreamReader) -> Wish:
    kind, size, id_ = _WISH.unpack(await reader.readexactly(_WISH.size))
    if size > LONGEST_MAILSLOT or kind not in (0, 1):
        raise ValueError("no wish")
    mailslot = (await reader.readexactly(size)).rstrip(b"\0").decode("latin-1")
    return Wish(kind, id_, mailslot)
