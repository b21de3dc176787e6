# SPDX-License-Identifier: GPL-3.0-or-later
import gc
import random
import sys

import pytest

from fakes.claims import wire
from fakes.datagrams import datagram, golden, write_in
from fakes.ether import Ether, Host, Station
from pydaemons.engine.protocol import Address
from pydaemons.netbios import dgram
from pydaemons.netbios.dgram import Datagram, Error, Kind
from pydaemons.netbios.mailslot import BROWSE, LANMAN, Write
from pydaemons.netbios.node.events import DATAGRAM_KIND, LocalPacket
from pydaemons.netbios.node.settings import Settings
from pydaemons.tunables.declare import TunableChanged
from pydaemons.wire.errors import WireError

ALPHA = Settings("ALPHA", workgroup="GRP")


@pytest.fixture
def ether() -> Ether:
    return Ether()


@pytest.fixture
def alpha(ether) -> Station:
    station = ether.add(ALPHA, "10.0.0.1")
    ether.run(2)
    return station


@pytest.fixture
def host(ether) -> Host:
    return ether.host("10.0.0.9", 138)


def heard(station: Station, slot: bytes = BROWSE) -> list:
    got: list = []
    station.node.mailslots.on(slot, lambda received, now: got.append(received))
    return got


def say(ether: Ether, host: Host, to: str = "10.0.0.255", **how) -> None:
    how = {"source": "NINE#00", "destination": "GRP#1e", "data": b"frame", "slot": BROWSE} | how
    host.send(datagram(how.pop("slot"), how.pop("data"), **how), to, 138)
    ether.run(0.1)


def test_a_write_to_a_name_of_ours_comes_to_its_mailslot(ether, alpha, host):
    got = heard(alpha)
    say(ether, host)
    (received,) = got
    assert (received.data, received.source, received.destination) == (
        b"frame",
        wire("NINE#00"),
        wire("GRP#1e"),
    )
    assert received.origin.peer == Address("10.0.0.9", 138)
    assert received.subnet.interface.address == "10.0.0.1"
    assert received.near
    assert alpha.node.mailslots.counts.received == 1


@pytest.mark.parametrize("to", ["GRP#00", "GRP#1e", "ALPHA#20", "alpha#00", "*#00", "grp#1e"])
def test_names_we_hold_are_heard_for_in_any_case(ether, alpha, host, to):
    got = heard(alpha)
    host.send(datagram(BROWSE, b"x", source="NINE#00", destination="ALPHA#20"), "10.0.0.1", 138)
    packet = Datagram(
        Kind.BROADCAST, 1, bytes(4), 138, wire("NINE#00"), lower_wire(to), Write(BROWSE, b"x").pack()
    )
    host.send(packet.pack(), "10.0.0.255", 138)
    ether.run(0.1)
    assert len(got) == 2


def lower_wire(text: str) -> bytes:
    """As `wire`, but keeping the case."""
    label, _, suffix = text.partition("#")
    if label == "*":
        return wire(text)
    raw = label.encode().ljust(15) + bytes([int(suffix, 16)])
    return b"\x20" + bytes(65 + half for byte in raw for half in divmod(byte, 16)) + b"\0"


@pytest.mark.parametrize("to", ["GRP#1d", "OTHER#00", "GRP#1b", "ALPHA#1e"])
def test_names_we_do_not_hold_are_not(ether, alpha, host, to):
    got = heard(alpha)
    say(ether, host, destination=to)
    assert not got
    assert alpha.node.mailslots.counts.not_for_us == 1
    data = datagram(BROWSE, b"frame", source="NINE#00", destination=to)
    assert alpha.other == [LocalPacket(DATAGRAM_KIND, 7, data, host.address, r"\MAILSLOT\BROWSE")]


def test_what_nobody_reads_is_for_local_programs(ether, alpha, host):
    heard(alpha)
    say(ether, host, slot=rb"\MAILSLOT\NET\GETDC7")
    host.send(Error(1, bytes(4), 138, 0x82).pack(), "10.0.0.1", 138)
    ether.run(0.1)
    assert [packet.mailslot for packet in alpha.other] == [r"\MAILSLOT\NET\GETDC7", ""]
    assert alpha.node.mailslots.counts.unhandled == 2


def test_our_own_broadcast_does_not_come_back_to_us(ether, alpha):
    got = heard(alpha)
    subnet = alpha.node.subnets.all[0]
    alpha.node.mailslots.send(subnet, BROWSE, b"x", source=wire("ALPHA#00"), destination=wire("GRP#1e"))
    ether.tell(alpha, None)
    ether.run(1)
    assert not got


def test_another_host_in_our_name_is_dropped(ether, alpha, host):
    got = heard(alpha)
    say(ether, host, source="ALPHA#00")
    assert not got
    assert alpha.node.mailslots.counts.ours == 1
    local = ether.host("10.0.0.1", 5000)  # a program on our own host
    say(ether, local, to="10.0.0.1", source="ALPHA#00")
    assert len(got) == 1


def test_fragments_are_put_together_before_they_are_read(ether, alpha, host):
    got = heard(alpha)
    packed = Write(BROWSE, bytes(range(256)) * 4).pack()
    whole = Datagram(Kind.DIRECT_UNIQUE, 9, bytes(4), 138, wire("NINE#00"), wire("ALPHA#20"), packed)
    for piece in dgram.split(whole):
        host.send(piece.pack(), "10.0.0.1", 138)
    ether.run(0.1)
    assert [received.data for received in got] == [bytes(range(256)) * 4]


def test_bad_packets_and_frames_are_counted(ether, alpha, host):
    def refuse(received, now):
        raise WireError("no frame", 0)

    alpha.node.mailslots.on(LANMAN, refuse)
    for data in (b"", b"garbage", golden()["election"][:60]):
        host.send(data, "10.0.0.1", 138)
    say(ether, host, slot=LANMAN)
    assert alpha.node.mailslots.counts.bad == 4
    assert int(alpha.node.tunables.text("bad_datagrams")) == 4


def test_a_write_goes_to_the_network_or_to_one_host(ether, alpha, host):
    subnet = alpha.node.subnets.all[0]
    slots = alpha.node.mailslots
    ether.seen.clear()
    slots.send(subnet, BROWSE, b"all", source=wire("ALPHA#00"), destination=wire("GRP#1d"))
    slots.send(
        *(subnet, BROWSE, b"one"),
        source=wire("ALPHA#00"),
        destination=wire("NINE#20"),
        to="10.0.0.9",
        unique=True,
    )
    ether.tell(alpha, None)
    sent = [(to, *write_in(data)) for source, to, data in ether.seen if source.port == 138]
    assert [to for to, _, _ in sent] == [Address("10.0.0.255", 138), Address("10.0.0.9", 138)]
    (_, first, write), (_, second, _) = sent
    assert (first.kind, second.kind) == (Kind.DIRECT_GROUP, Kind.DIRECT_UNIQUE)
    assert (first.address, first.port) == (bytes([10, 0, 0, 1]), 138)
    assert (first.source, first.destination) == (wire("ALPHA#00"), wire("GRP#1d"))
    assert write == Write(BROWSE, b"all")
    assert second.id == first.id + 1 & 0xFFFF


def answering(station: Station, size: int) -> None:
    slots = station.node.mailslots
    slots.on(
        BROWSE, lambda received, now: slots.answer(received, BROWSE, bytes(size), source=wire("ALPHA#00"))
    )


def test_an_answer_goes_to_where_the_packet_came_from(ether, alpha):
    asker = ether.host("10.0.0.9", 4321)
    answering(alpha, 300)
    say(ether, asker, address="192.0.2.99")  # the header lies
    ((origin, data),) = asker.got
    assert origin == Address("10.0.0.1", 138)
    packet, write = write_in(data)
    assert (packet.destination, packet.source) == (wire("NINE#00"), wire("ALPHA#00"))
    assert len(write.data) == 300


@pytest.mark.parametrize(("size", "answers"), [(5, 1), (6, 0)])
def test_beyond_our_networks_no_answer_is_longer_than_what_was_asked(ether, alpha, size, answers):
    asker = ether.host("10.9.9.9", 138)
    answering(alpha, size)
    say(ether, asker, to="10.0.0.1")
    assert len(asker.got) == answers
    assert alpha.node.mailslots.counts.too_long == 1 - answers


def test_public_addresses_are_heard_only_when_they_are_allowed(ether, alpha):
    got = heard(alpha)
    asker = ether.host("203.0.113.5", 138)
    say(ether, asker, to="10.0.0.1")
    assert not got
    alpha.node.tunables.set("dgram_allow", "203.0.113.0/24", "test")
    ether.tell(alpha, TunableChanged("net.netbios.dgram_allow", (), ()))
    say(ether, asker, to="10.0.0.1")
    assert [received.near for received in got] == [False]


def test_one_source_has_its_rate_here_too(ether, alpha, host):
    alpha.node.tunables.set("query_rate", "1", "test")
    alpha.node.tunables.set("query_burst", "5", "test")
    ether.tell(alpha, TunableChanged("net.netbios.query_rate", 1, 1))
    got = heard(alpha)
    for _ in range(20):
        host.send(datagram(BROWSE, b"x", source="NINE#00", destination="GRP#1e"), "10.0.0.255", 138)
    ether.run(0.5)
    assert len(got) == 5


def test_a_hundred_thousand_mutants_do_no_harm_and_leave_nothing_behind(ether, alpha):
    dice = random.Random(138)
    node = alpha.node
    originals = [
        packet.replace(wire("TESTGRP#1d")[:31], wire("GRP#1d")[:31]).replace(
            wire("SUT#00")[:31], wire("NINE#00")[:31]
        )
        for packet in golden().values()
    ]
    answering(alpha, 50)
    asker = ether.host("10.0.0.9", 138)
    asker.send(originals[0], "10.0.0.1", 138)
    ether.run(0.1)
    origin = next(each for key, each in alpha.origins.items() if key[0] == asker.address)

    def storm(count: int) -> None:
        for _ in range(count):
            packet = bytearray(dice.choice(originals))
            for _ in range(dice.randrange(1, 6)):
                packet[dice.randrange(len(packet))] = dice.randrange(256)
            if dice.random() < 0.2:
                del packet[dice.randrange(len(packet)) :]
            assert node.receive(bytes(packet), origin, ether.now) is None
            for effect in node.drain():
                assert isinstance(effect, LocalPacket) or len(effect.data) <= 250
            ether.mono += 0.0001

    storm(5_000)
    gc.collect()
    before = sys.getallocatedblocks()
    storm(100_000)
    gc.collect()
    assert sys.getallocatedblocks() - before < 5000
    assert node.mailslots.counts.received >= 100_000
    assert node.mailslots.counts.bad > 1000


@pytest.mark.parametrize(("jitter", "twice"), [(0.0, 0.0), (0.5, 0.0), (0.5, 0.5)])
def test_what_is_too_long_for_a_packet_arrives_in_pieces(jitter, twice):
    ether = Ether(jitter=jitter, twice=twice)
    stations = [
        ether.add(Settings(text, workgroup="GRP"), address)
        for text, address in (("ALPHA", "10.0.0.1"), ("BETA", "10.0.0.2"))
    ]
    ether.run(5)
    slot = rb"\MAILSLOT\PIECES"
    got = heard(stations[1], slot)
    data = bytes(range(250)) * 8
    stations[0].node.mailslots.send(
        *(stations[0].node.subnets.all[0], slot, data), source=wire("ALPHA#00"), destination=wire("GRP#1e")
    )
    ether.tell(stations[0], None)
    ether.run(2)
    assert {received.data for received in got} == {data}
    assert max(len(packet) for _, to, packet in ether.seen if to.port == 138) <= 576
