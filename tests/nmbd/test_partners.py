# SPDX-License-Identifier: GPL-3.0-or-later
import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from pydaemons.engine.protocol import Now
from pydaemons.kit.log import Log
from pydaemons.kit.sockets import BindError
from pydaemons.netbios.node.events import (
    CloseLink,
    LinkClosed,
    LinkOpened,
    LinkProgressed,
    LinkReceived,
    OpenLink,
    SendLink,
)
from pydaemons.nmbd import partners as module
from pydaemons.nmbd.partners import LONGEST, PIECE, Partners

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


def test_a_message_may_come_byte_by_byte():
    async def body(partners, told, port):
        _, writer = await asyncio.open_connection(HERE, port)
        for byte in b"\0\0\0\5hello\0\0\0\1!":
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.001)
        await until(lambda: len(told) == 3)
        assert [each.data for each in told[1:]] == [b"hello", b"!"]

    run(body, HERE)


def test_of_a_long_message_the_pieces_are_told():
    async def body(partners, told, port):
        _, writer = await asyncio.open_connection(HERE, port)
        data = bytes(range(256)) * (PIECE // 256 * 3) + b"end"
        writer.write(len(data).to_bytes(4, "big") + data)
        await until(lambda: isinstance(told[-1], LinkReceived) if told else False)
        link = told[0].link
        assert told[1:] == [LinkProgressed(link)] * 3 + [LinkReceived(link, data)]

    run(body, HERE)


def test_who_stops_in_the_middle_of_a_message_is_hung_up_on_and_who_says_nothing_is_not(monkeypatch):
    monkeypatch.setattr(module, "STALLED", 0.2)

    async def body(partners, told, port):
        _, idle = await asyncio.open_connection(HERE, port)
        await until(lambda: len(told) == 1)
        reader, writer = await asyncio.open_connection(HERE, port)
        writer.write(b"\0\1\0\0half of it")
        assert await reader.read() == b""
        await until(lambda: len(told) == 3)
        assert told[-1] == LinkClosed(told[1].link, "it stopped in the middle of a message")
        idle.write(b"\0\0\0\1!")
        await until(lambda: len(told) == 4)

    run(body, HERE)


def test_who_vanishes_in_the_middle_of_a_message_is_told_gone():
    async def body(partners, told, port):
        _, writer = await asyncio.open_connection(HERE, port)
        writer.write(b"\0\1\0\0half of it")
        await writer.drain()
        writer.transport.abort()
        await until(lambda: len(told) == 2)
        assert isinstance(told[-1], LinkClosed)

    run(body, HERE)


@pytest.mark.parametrize("hung_up", [False, True])
def test_what_a_partner_never_reads_is_not_kept_for_ever(monkeypatch, hung_up):
    monkeypatch.setattr(module, "STALLED", 0.2)

    async def body(partners, told, port):
        reader, _ = await asyncio.open_connection(HERE, port)
        reader._transport.pause_reading()
        await until(lambda: len(told) == 1)
        link = told[0].link
        transport = partners._links[link].writer.transport
        partners.send(SendLink(link, bytes(32 << 20)), NOW)
        assert transport.get_write_buffer_size()
        if hung_up:
            partners.hang_up(CloseLink(link), NOW)
        await until(lambda: transport.get_write_buffer_size() == 0)
        if not hung_up:
            await until(lambda: len(told) == 2)

    run(body, HERE)


def test_who_reads_slowly_gets_everything(monkeypatch):
    monkeypatch.setattr(module, "STALLED", 1.0)

    async def body(partners, told, port):
        reader, _ = await asyncio.open_connection(HERE, port)
        await until(lambda: len(told) == 1)
        size = 40 << 20
        partners.send(SendLink(told[0].link, bytes(size)), NOW)
        partners.hang_up(CloseLink(told[0].link), NOW)
        left = size + 4
        while left:
            left -= len(await reader.readexactly(min(left, 2 << 20)))
            await asyncio.sleep(0.1)
        assert await reader.read() == b""

    run(body, HERE)


def test_nothing_more_is_read_from_who_does_not_read():
    async def body(partners, told, port):
        reader, writer = await asyncio.open_connection(HERE, port)
        reader._transport.pause_reading()
        await until(lambda: len(told) == 1)
        partners.send(SendLink(told[0].link, bytes(32 << 20)), NOW)
        writer.write(b"\0\0\0\1!" * 5)
        await until(lambda: len(told) == 2)
        await asyncio.sleep(0.1)
        assert len(told) == 2, "one was waited for already"
        reader._transport.resume_reading()
        await reader.readexactly(32 << 20)
        await until(lambda: len(told) == 6)

    run(body, HERE)
