# SPDX-License-Identifier: GPL-3.0-or-later
"""The wire form was seen between nmblookup and nmbd 4.17.12; tests/e2e asks real tools."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from pydaemons.engine.protocol import Address, Now
from pydaemons.kit.log import Log
from pydaemons.netbios.node.events import DATAGRAM_KIND, NAME_KIND, Awaited, LocalPacket
from pydaemons.nmbd import localpackets
from pydaemons.nmbd.localpackets import LocalPackets, Wish, pack_packet, pack_wish, unpack_packet

NOW = Now(1.0, 1_700_000_000.0)
PEER = Address("10.0.0.7", 137)


def packet(id_: int = 580, kind: int = NAME_KIND, mailslot: str = "") -> LocalPacket:
    return LocalPacket(kind, id_, b"the packet", PEER, mailslot)


def test_a_wish_is_the_structure_samba_sends():
    assert pack_wish(Wish(NAME_KIND, 0x4402, "")).hex() == "0" * 32 + "0244000000000000"


def test_a_packet_has_a_header_of_32_bytes():
    data = pack_packet(packet(), NOW.wall)
    assert len(data) == 32 + 10
    assert unpack_packet(data) == (NAME_KIND, "10.0.0.7", 137, b"the packet")


@pytest.mark.parametrize(
    ("wish", "fitting"),
    [
        (Wish(NAME_KIND, 580, ""), packet(580)),
        (Wish(DATAGRAM_KIND, -1, "\\MAILSLOT\\A"), packet(1, DATAGRAM_KIND, "\\mailslot\\a")),
        (Wish(DATAGRAM_KIND, 1, ""), packet(1, DATAGRAM_KIND, "\\mailslot\\a")),
    ],
)
def test_a_wish_is_met_by_what_fits(wish, fitting):
    assert wish.fits(fitting)


@pytest.mark.parametrize(
    ("wish", "other"),
    [
        (Wish(NAME_KIND, 580, ""), packet(581)),
        (Wish(NAME_KIND, -1, ""), packet(580)),
        (Wish(NAME_KIND, 580, ""), packet(580, DATAGRAM_KIND)),
        (Wish(DATAGRAM_KIND, -1, "\\MAILSLOT\\A"), packet(1, DATAGRAM_KIND, "\\MAILSLOT\\B")),
        (Wish(DATAGRAM_KIND, 2, "\\MAILSLOT\\A"), packet(1, DATAGRAM_KIND, "\\MAILSLOT\\A")),
    ],
)
def test_a_wish_is_not_met_by_anything_else(wish, other):
    assert not wish.fits(other)


def serving(tmp_path: Path, body: Callable[[LocalPackets, str, list[Awaited]], Awaitable[None]]) -> None:
    async def run() -> None:
        told: list[Awaited] = []
        path = str(tmp_path / "unexpected")
        packets = LocalPackets(path, Log("test"), told.append)
        await packets.open()
        try:
            async with asyncio.timeout(20):
                await body(packets, path, told)
        finally:
            await packets.close()

    asyncio.run(run())
    assert list(tmp_path.iterdir()) == []


async def connect(path: str, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(data)
    return reader, writer


async def until(fact: Callable[[], bool]) -> None:
    while not fact():
        await asyncio.sleep(0.005)


def test_a_program_gets_what_it_wished_for_and_the_node_knows_of_it(tmp_path):
    (tmp_path / "unexpected").touch()  # what a dead process left

    async def body(packets, path, told):
        reader, writer = await connect(path, pack_wish(Wish(NAME_KIND, 580, "")))
        assert await reader.readexactly(1) == b"\0"
        assert told[-1] == Awaited(frozenset({580}))
        packets.pass_on(packet(581), NOW)
        packets.pass_on(packet(580), NOW)
        assert unpack_packet(await reader.readexactly(42))[3] == b"the packet"
        writer.close()
        await until(lambda: told[-1] == Awaited(frozenset()))

    serving(tmp_path, body)


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\xff" * 24,
        b"\1" * 24,
        pack_wish(Wish(NAME_KIND, 1, "x" * 2000)),
        pack_wish(Wish(NAME_KIND, 1, "")) + b"x",
    ],
)
def test_who_talks_nonsense_or_too_much_is_let_go(tmp_path, rubbish):
    async def body(packets, path, told):
        reader, _ = await connect(path, rubbish)
        assert await reader.read() in (b"", b"\0")
        assert not told or told[-1] == Awaited(frozenset())

    serving(tmp_path, body)


def test_who_does_not_read_is_let_go(tmp_path):
    async def body(packets, path, told):
        reader, _ = await connect(path, pack_wish(Wish(DATAGRAM_KIND, -1, "")))
        await reader.readexactly(1)
        big = LocalPacket(DATAGRAM_KIND, 1, bytes(60000), PEER, "\\MAILSLOT\\X")
        for _ in range(40):
            packets.pass_on(big, NOW)
            await asyncio.sleep(0)
        await until(lambda: not packets._wishes)

    serving(tmp_path, body)


def test_beyond_the_limit_who_waits_longest_goes(tmp_path):
    async def body(packets, path, told):
        packets.limit = 2
        readers = []
        for number in range(3):
            reader, writer = await connect(path, pack_wish(Wish(NAME_KIND, number, "")))
            readers.append((reader, writer))
            await reader.readexactly(1)
        assert await readers[0][0].read() == b""
        await until(lambda: told[-1] == Awaited(frozenset({1, 2})))

    serving(tmp_path, body)


def test_programs_that_say_nothing_count_too(tmp_path, monkeypatch):
    monkeypatch.setattr(localpackets, "PATIENCE", 1000.0)

    async def body(packets, path, told):
        packets.limit = 3
        silent = [await connect(path, b"") for _ in range(5)]
        for reader, _ in silent[:2]:
            assert await reader.read() == b""
        reader, _ = await connect(path, pack_wish(Wish(NAME_KIND, 7, "")))
        assert await reader.readexactly(1) == b"\0"
        assert await silent[2][0].read() == b""

    serving(tmp_path, body)
