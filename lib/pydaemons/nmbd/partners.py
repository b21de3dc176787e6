# SPDX-License-Identifier: GPL-3.0-or-later
"""The TCP connections of WINS replication: partners' and ours to them. Read Partners.

There is a listener only while there are partners, and whoever is none is hung up on before a byte is read.
What the messages mean is netbios.node.replication's business.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Collection
from itertools import count

from pydaemons.engine.protocol import Now
from pydaemons.kit.log import Log
from pydaemons.kit.sockets import bind_tcp
from pydaemons.netbios.node.events import (
    CloseLink,
    LinkClosed,
    LinkOpened,
    LinkProgressed,
    LinkReceived,
    OpenLink,
    SendLink,
)

LONGEST = 64 << 20
"""Bytes of one message: about a million names."""
PIECE = 64 << 10
"""Bytes of a long message after which the engine hears that more has come."""
STALLED = 60.0
"""Seconds a partner may be silent in the middle of a message, or read nothing of what waits for it."""
UNREAD = 128 << 20
"""Bytes a partner may leave unread. Before it has read them, no more of its requests are."""
CONNECT = 10.0
LINKS = 256
"""Connections of all partners together; the engine keeps far fewer."""


class Outgoing:
    """What is written to a partner. One that reads nothing of it for long is given up, also after the link
    ended: what it was told is not kept for it for ever."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self._written = 0
        self._watch: asyncio.TimerHandle | None = None

    def write(self, data: bytes) -> None:
        """Send this."""
        transport = self.writer.transport
        self.writer.write(data)
        self._written += len(data)
        unread = transport.get_write_buffer_size()
        if unread > UNREAD:
            transport.abort()
        elif unread and self._watch is None:
            self._look(self._written - unread)

    def _look(self, read: int) -> None:
        loop = asyncio.get_running_loop()
        self._watch = loop.call_later(STALLED, self._look_again, read)

    def _look_again(self, before: int) -> None:
        self._watch = None
        unread = self.writer.transport.get_write_buffer_size()
        if not unread:
            return
        if self._written - unread > before:
            self._look(self._written - unread)
        else:
            self.writer.transport.abort()


class Partners:
    """All links. `tell` takes the events."""

    def __init__(self, log: Log, tell: Callable[[object], None]) -> None:
        self._log = log
        self._tell = tell
        self._allowed: frozenset[str] = frozenset()
        self._server: asyncio.Server | None = None
        self._place: tuple[str, int] | None = None
        self._port = 0
        self._links: dict[int, Outgoing] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = count(1)

    async def serve(self, hosts: Collection[str], place: str, port: int) -> None:
        """These are the partners now; listen for them on `place`. BindError: they cannot come to us, we still
        go to them."""
        self._allowed = frozenset(hosts)
        self._port = port
        wanted = (place, port) if hosts else None
        if wanted == self._place:
            return
        if self._server is not None:
            self._server.close()
            self._server = None
        self._place = None
        if wanted is not None:
            self._server = await asyncio.start_server(self._accepted, sock=bind_tcp(place, port))
            self._place = wanted

    def close(self) -> None:
        """Hang up on everybody."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for outgoing in self._links.values():
            outgoing.writer.close()
        self._links.clear()
        for task in self._tasks:
            task.cancel()

    # ---- effects of the node

    def open(self, effect: OpenLink, now: Now) -> None:
        """Call a partner."""
        task = asyncio.ensure_future(self._call(effect))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def send(self, effect: SendLink, now: Now) -> None:
        """Send a message behind its length."""
        outgoing = self._links.get(effect.link)
        if outgoing is not None:
            outgoing.write(len(effect.data).to_bytes(4, "big") + effect.data)

    def hang_up(self, effect: CloseLink, now: Now) -> None:
        """End a link when all is sent."""
        outgoing = self._links.pop(effect.link, None)
        if outgoing is not None:
            outgoing.writer.close()

    # ---- links

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = writer.get_extra_info("peername")
        host = str(name[0]) if name else ""
        if host not in self._allowed or len(self._links) >= LINKS:
            writer.transport.abort()
            return
        await self._follow(next(self._numbers), host, reader, writer, ours=False)

    async def _call(self, effect: OpenLink) -> None:
        try:
            async with asyncio.timeout(CONNECT):
                reader, writer = await asyncio.open_connection(
                    effect.host, self._port, local_addr=(effect.source, 0)
                )
        except (OSError, TimeoutError) as error:
            self._tell(LinkClosed(effect.link, _reason(error)))
            return
        await self._follow(effect.link, effect.host, reader, writer, ours=True)

    async def _follow(
        self,
        link: int,
        host: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        ours: bool,
    ) -> None:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._links[link] = Outgoing(writer)
        self._tell(LinkOpened(link, host, ours))
        reason = "it closed the connection"
        try:
            while True:
                await writer.drain()
                size = int.from_bytes(await reader.readexactly(4), "big")
                if size > LONGEST:
                    reason = f"it announced a message of {size} bytes"
                    break
                self._tell(LinkReceived(link, await self._read(reader, size, link)))
        except asyncio.IncompleteReadError:
            pass
        except TimeoutError:
            reason = "it stopped in the middle of a message"
        except OSError as error:
            reason = _reason(error)
        finally:
            writer.close()
            if self._links.pop(link, None) is not None:
                self._tell(LinkClosed(link, reason))

    async def _read(self, reader: asyncio.StreamReader, size: int, link: int) -> bytes:
        """The rest of a message, piece by piece: it takes no more memory than has come."""
        pieces = []
        while size:
            async with asyncio.timeout(STALLED):
                piece = await reader.readexactly(min(size, PIECE))
            pieces.append(piece)
            size -= len(piece)
            if size:
                self._tell(LinkProgressed(link))
        return b"".join(pieces)


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error)
