# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from fakes.claims import query, wire
from fakes.ether import Ether, Station
from pydaemons.engine.effects import Send
from pydaemons.engine.protocol import Address
from pydaemons.netbios import nspacket
from pydaemons.netbios.node.events import DATAGRAM_KIND, NAME_KIND, Awaited, LocalPacket
from pydaemons.netbios.node.settings import Settings
from pydaemons.netbios.nspacket import Nb

ANSWER = nspacket.answer(0, 4711, wire("OLD#20"), nspacket.pack_nb((Nb(0, b"\x0a\0\0\x07"),)), ttl=60)


def node() -> tuple[Ether, Station]:
    ether = Ether()
    station = ether.add(Settings("ALPHA"), "10.0.0.1", "10.0.1.1")
    ether.run(5)
    return ether, station


def passed_on(station: Station) -> list[LocalPacket]:
    return [effect for effect in station.other if isinstance(effect, LocalPacket)]


@pytest.mark.parametrize("host", ["10.0.0.7", "203.0.113.7"])
def test_an_answer_goes_to_the_program_that_waits_for_its_id(host):
    ether, station = node()
    ether.host(host, 137).send(ANSWER, "10.0.0.1")
    ether.run(1)
    assert passed_on(station) == [], "nobody waits"
    ether.tell(station, Awaited(frozenset({4711})))
    ether.host(host, 137).send(ANSWER, "10.0.0.1")
    ether.run(1)
    assert passed_on(station) == [LocalPacket(NAME_KIND, 4711, ANSWER, Address(host, 137))]
    ether.tell(station, Awaited(frozenset({4712})))
    ether.host(host, 137).send(ANSWER, "10.0.0.1")
    ether.run(1)
    assert len(passed_on(station)) == 1


def test_a_request_with_an_awaited_id_is_answered_and_not_passed_on():
    ether, station = node()
    ether.tell(station, Awaited(frozenset({4711})))
    assert len(ether.host("10.0.0.7").ask(query("ALPHA#20", id_=4711), "10.0.0.1")) == 1
    assert ether.host("203.0.113.7").ask(query("ALPHA#20", id_=4711), "10.0.0.1") == []
    assert passed_on(station) == []


def test_an_answer_to_a_request_of_ours_stays_with_us():
    ether, station = node()
    got = []
    id_ = station.node.exchanges.start(
        lambda id_: query("OLD#20", id_=id_),
        Address("10.0.0.7", 137),
        ether.now,
        source=None,
        tries=1,
        interval=9.0,
        on_answer=lambda packet, host, now: got.append(host) or True,
        on_silence=lambda now: None,
    )
    ether.tell(station, Awaited(frozenset({id_})))
    ether.host("10.0.0.7", 137).send(id_.to_bytes(2, "big") + ANSWER[2:], "10.0.0.1")
    ether.run(1)
    assert got == ["10.0.0.7"]
    assert passed_on(station) == []


def sent(station: Station, kind: int, data: bytes, to: str) -> Send:
    station.node.local.send(kind, data, Address(to, 137), source_port=137 + kind)
    (effect,) = (effect for effect in station.node.drain() if isinstance(effect, Send))
    return effect


def test_a_packet_leaves_from_the_interface_next_to_where_it_goes():
    _, station = node()
    for to, source in (
        ("10.0.1.9", "10.0.1.1"),
        ("10.0.1.255", "10.0.1.1"),
        ("10.0.0.9", "10.0.0.1"),
        ("198.51.100.1", "10.0.0.1"),
        ("255.255.255.255", "10.0.0.1"),
    ):
        effect = sent(station, NAME_KIND, query("X#20"), to)
        assert (effect.source, effect.source_port, effect.to.host) == (source, 137, to)


def test_a_datagrams_source_becomes_ours():
    _, station = node()
    data = bytes.fromhex("1102 4711 c6336401 0089 0010 0000") + b"rest"
    effect = sent(station, DATAGRAM_KIND, data, "10.0.1.255")
    assert effect.data == bytes.fromhex("1102 4711 0a000101 008a 0010 0000") + b"rest"
    assert effect.source_port == 138


@pytest.mark.parametrize(
    ("kind", "data", "to"),
    [
        (NAME_KIND, b"rubbish", "10.0.0.9"),
        (NAME_KIND, query("X#20") + bytes(600), "10.0.0.9"),
        (DATAGRAM_KIND, b"\x10" + bytes(12), "10.0.0.9"),
        (DATAGRAM_KIND, b"\x09" + bytes(30), "10.0.0.9"),
        (7, query("X#20"), "10.0.0.9"),
        (NAME_KIND, query("X#20"), "0.0.0.0"),
        (NAME_KIND, query("X#20"), "224.0.0.1"),
    ],
)
def test_what_makes_no_sense_is_not_sent(kind, data, to):
    _, station = node()
    with pytest.raises(ValueError, match=r"."):
        station.node.local.send(kind, data, Address(to, 137), source_port=137 + kind)
    assert list(station.node.drain()) == []


def test_without_a_network_nothing_can_be_sent():
    ether = Ether()
    station = ether.add(Settings("ALPHA"))
    with pytest.raises(ValueError, match="no network"):
        station.node.local.send(NAME_KIND, query("X#20"), Address("10.0.0.9", 137), source_port=137)
