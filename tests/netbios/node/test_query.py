# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from fakes.claims import addresses, query, wire
from fakes.ether import Ether, Station
from pydaemons.netbios import name, nspacket
from pydaemons.netbios.codes import ACTIVE, CONFLICT, GROUP, LONGEST_DATAGRAM, Rcode
from pydaemons.netbios.node.query import MOST_NAMES, Answers, Prepared
from pydaemons.netbios.node.settings import Settings


@pytest.fixture
def network() -> tuple[Ether, Station]:
    ether = Ether()
    station = ether.add(Settings("ALPHA"), "10.0.0.1")
    ether.run(2)
    return ether, station


def test_a_query_for_our_name_is_answered(network):
    ether, _ = network
    asker = ether.host("10.0.0.9")
    for request in (
        query("ALPHA#20", broadcast=True),
        query("ALPHA#20", recursion=False),
        query("ALPHA#20"),
    ):
        (answer,) = asker.ask(request, "10.0.0.1")
        packet = nspacket.unpack(answer)
        assert packet.id == 78
        assert packet.flags == 0x8580
        assert packet.answers[0].ttl == 259200
        assert addresses(packet) == ["10.0.0.1"]


def test_the_name_is_given_back_as_it_was_spelled(network):
    ether, _ = network
    asker = ether.host("10.0.0.9")
    lower = name.pack(name.Name(b"alpha          \x20"))
    (answer,) = asker.ask(nspacket.query(1, lower, broadcast=True), "10.0.0.255")
    assert nspacket.unpack(answer).answers[0].name == lower


def test_an_unknown_name_is_denied_to_one_asker_and_passed_over_in_a_broadcast(network):
    ether, _ = network
    asker = ether.host("10.0.0.9")
    assert asker.ask(query("NOBODY#20", broadcast=True), "10.0.0.255") == []
    (answer,) = asker.ask(query("NOBODY#20", recursion=False), "10.0.0.1")
    assert nspacket.unpack(answer).rcode == Rcode.NAM_ERR
    assert asker.ask(query("NOBODY#20"), "10.0.0.1") == [], "we are no WINS server"


def test_a_name_in_another_scope_is_another_name(network):
    ether, _ = network
    asker = ether.host("10.0.0.9")
    assert asker.ask(query("ALPHA#20.elsewhere", broadcast=True), "10.0.0.255") == []


@pytest.mark.parametrize("text", ["*#00", "*#20", "__SAMBA__#00", "__SAMBA__#20"])
def test_silent_names_are_answered_for_but_not_shown(network, text):
    ether, _ = network
    asker = ether.host("10.0.0.9")
    (answer,) = asker.ask(query(text, broadcast=True), "10.0.0.255")
    assert addresses(nspacket.unpack(answer)) == ["10.0.0.1"]
    (answer,) = asker.ask(nspacket.status_request(3), "10.0.0.1")
    shown = nspacket.unpack_status(nspacket.unpack(answer).answers[0].data).names
    assert name.unpack(wire(text)).label not in {entry.label for entry in shown}


def test_node_status_shows_the_own_name_first_and_the_rest_in_order():
    ether = Ether()
    ether.add(Settings("MIDDLE", aliases=("ZULU", "ABLE")), "10.0.0.1")
    ether.run(2)
    asker = ether.host("10.0.0.9")
    (answer,) = asker.ask(nspacket.status_request(3), "10.0.0.1")
    packet = nspacket.unpack(answer)
    assert packet.flags == 0x8400
    status = nspacket.unpack_status(packet.answers[0].data)
    shown = [str(name.Name(entry.label)) for entry in status.names]
    assert shown == [
        *("MIDDLE<00>", "MIDDLE<03>", "MIDDLE<20>", "ABLE<00>", "ABLE<03>", "ABLE<20>"),
        *("WORKGROUP<00>", "WORKGROUP<1e>", "ZULU<00>", "ZULU<03>", "ZULU<20>"),
    ]
    flags = {entry.label[:15].rstrip(): entry.flags for entry in status.names}
    assert flags[b"WORKGROUP"] == GROUP | ACTIVE
    assert flags[b"ABLE"] == ACTIVE
    assert status.statistics.unit_id == bytes(6)


def test_node_status_of_our_name_is_answered_and_of_another_is_not(network):
    ether, _ = network
    asker = ether.host("10.0.0.9")
    assert len(asker.ask(nspacket.status_request(3, wire("ALPHA#20")), "10.0.0.1")) == 1
    assert asker.ask(nspacket.status_request(3, wire("BETA#20")), "10.0.0.1") == []


def test_node_status_fits_one_datagram_however_many_names_there_are():
    ether = Ether()
    ether.add(Settings("ALPHA", aliases=tuple(f"ALIAS{i}" for i in range(40))), "10.0.0.1")
    ether.run(2)
    asker = ether.host("10.0.0.9")
    (answer,) = asker.ask(nspacket.status_request(3), "10.0.0.1")
    assert len(answer) <= LONGEST_DATAGRAM
    assert len(nspacket.unpack_status(nspacket.unpack(answer).answers[0].data).names) == MOST_NAMES


def test_a_name_in_conflict_is_shown_as_such_and_not_answered_for():
    ether = Ether()
    first = ether.add(Settings("ALPHA"), "10.0.0.1")
    ether.run(2)
    ether.add(Settings("ALPHA"), "10.0.0.2")
    ether.run(2)
    ether.remove(first)
    asker = ether.host("10.0.0.9")
    assert asker.ask(query("ALPHA#20", broadcast=True), "10.0.0.255") == []
    (answer,) = asker.ask(nspacket.status_request(3), "10.0.0.2")
    names = nspacket.unpack_status(nspacket.unpack(answer).answers[0].data).names
    assert {entry.flags & CONFLICT for entry in names if entry.label.startswith(b"ALPHA")} == {CONFLICT}


def test_prepared_answers_and_answers_made_on_demand_are_the_same(network):
    ether, _ = network
    asker = ether.host("10.0.0.9")
    for request in (query("ALPHA#20", broadcast=True), nspacket.status_request(78), query("WORKGROUP#00")):
        (prepared,) = asker.ask(request, "10.0.0.1")
        (made,) = asker.ask(request + b"\0", "10.0.0.1")
        assert prepared == made


def test_answers_that_a_source_keeps_are_made_anew_in_place():
    ether = Ether()
    station = ether.add(Settings("ALPHA"), "10.0.0.1")
    ether.run(2)
    (subnet,) = station.node.subnets.all
    prepared = Prepared(Answers(station.node.names, station.node.settings))
    kept = prepared.of(subnet)
    before = dict(kept)
    assert before
    station.node.names.release(subnet, wire("ALPHA#20"))
    prepared.freshen([subnet])
    assert prepared.of(subnet) is kept
    assert kept.keys() < before.keys()
    prepared.freshen([])
    assert not kept, "a network that is gone has no answers"
