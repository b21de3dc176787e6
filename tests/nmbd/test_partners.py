# SPDX-License-Identifier: GPL-3.0-or-later
import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from pydaemons.engine.protocol import Now
from pydaemons.kit.log import Log
from pydaemons.kit.sockets import BindError
from pydaemons.netbios.node.events import CloseLink, LinkClosed, LinkOpened, LinkReceived, OpenLink, SendLink
from pydaemons.nmbd.partners import LONGEST, Partners

NOW = Now(1.0, 2.0)
HERE = "127.0.0.1"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind((HERE, 0))
        return sock.getsockname()[1]


def run(body: Callable[[Partners, list[object], int], Awaitable[None]], *hosts: str) -> None:
    async def inside() -> None:
        told: list[object] = []
        partners = Partners(Log("test"), told.append)
        port = free_port()
        await partners.serve(hosts, HERE, port)
        try:
            async with asyncio.timeout(20):
                await body(partners, told, port)
        finally:
            partners.close()

    asyncio.run(inside())


async def until(fact: Callable[[], bool]) -> None:
    while not fact():
        await asyncio.sleep(0.005)


def test_messages_go_both_ways_behind_their_length():
    async def body(partners, told, port):
        reader, writer = await asyncio.open_connection(HERE, port)
        writer.write(b"\0\0\0\5hello\0\0\0\0\0\0\0")
        await until(lambda: len(told) == 3)
        writer.write(b"\3you")
        await until(lambda: len(told) == 4)
        link = told[0].link
        assert told == [
            LinkOpened(link, HERE, ours=False),
            LinkReceived(link, b"hello"),
            LinkReceived(link, b""),
            LinkReceived(link, b"you"),
        ]
        partners.send(SendLink(link, b"good day"), NOW)
        assert await reader.readexactly(12) == b"\0\0\0\x08good day"
        partners.hang_up(CloseLink(link), NOW)
        assert await reader.read() == b""
        assert len(told) == 4, "who hangs up need not be told"

    run(body, HERE)


def test_a_partner_is_called_and_its_end_is_told():
    async def body(partners, told, port):
        partners.open(OpenLink(-1, HERE, HERE), NOW)
        await until(lambda: len(told) == 2)
        assert LinkOpened(-1, HERE, ours=True) in told
        (theirs,) = [each.link for each in told if each.link > 0]
        partners.hang_up(CloseLink(theirs), NOW)
        await until(lambda: len(told) == 3)
        assert told[-1] == LinkClosed(-1, "it closed the connection")

    run(body, HERE)


def test_a_partner_that_is_not_there_is_told_with_the_reason():
    async def body(partners, told, port):
        await partners.serve([], HERE, port)
        partners.open(OpenLink(-1, HERE, HERE), NOW)
        await until(lambda: bool(told))
        assert told == [LinkClosed(-1, "Connection refused")]

    run(body, HERE)


def test_who_is_no_partner_is_hung_up_on_unheard():
    async def body(partners, told, port):
        reader, writer = await asyncio.open_connection(HERE, port)
        writer.write(b"\0\0\0\5hello")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        assert told == []

    run(body, "10.0.0.9")


def test_a_message_beyond_reason_ends_the_link():
    async def body(partners, told, port):
        reader, writer = await asyncio.open_connection(HERE, port)
        writer.write((LONGEST + 1).to_bytes(4, "big"))
        assert await reader.read() == b""
        await until(lambda: len(told) == 2)
        assert "announced" in told[-1].reason

    run(body, HERE)


def test_without_partners_nobody_listens():
    async def body(partners, told, port):
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HERE, port)
        await partners.serve([HERE], HERE, port)
        _, writer = await asyncio.open_connection(HERE, port)
        writer.close()
        await partners.serve([], HERE, port)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HERE, port)

    run(body)


def test_a_port_that_is_taken_is_said():
    async def body(partners, told, port):
        with socket.create_server((HERE, 0)) as taken, pytest.raises(BindError, match="is held by"):
            await partners.serve([HERE], HERE, taken.getsockname()[1])

    run(body)
