# SPDX-License-Identifier: GPL-3.0-or-later
"""Rubbish of every kind at a node, as a client, as a WINS server: it answers what it should and goes on."""

import random

import pytest

from fakes.claims import claim, query, release, sent, states, wire
from fakes.ether import Ether, Station
from pydaemons.engine.effects import Log
from pydaemons.engine.protocol import Address, Origin, Transport
from pydaemons.netbios import name, nspacket
from pydaemons.netbios.codes import CLASS_IN, Opcode, Rcode, RecordType
from pydaemons.netbios.node.settings import Settings
from pydaemons.netbios.nspacket import Packet, Question, Resource

ROLES = {"plain": {}, "wins": {"wins_support": True, "dns_proxy": False}}


@pytest.fixture(params=ROLES)
def network(request) -> tuple[Ether, Station]:
    ether = Ether()
    station = ether.add(Settings("ALPHA", **ROLES[request.param]), "10.0.0.1")
    ether.run(2)
    return ether, station


def mutants(dice: random.Random, count: int) -> list[bytes]:
    seeds = [
        query("ALPHA#20"),
        query("OTHER#20", broadcast=True),
        nspacket.status_request(5),
        claim("OTHER#20", "10.0.0.9"),
        claim("ALPHA#20", "10.0.0.9", opcode=Opcode.MULTIHOMED),
        claim("GROUP#1c", "10.0.0.9", opcode=Opcode.REFRESH, flags=0xE000),
        release("OTHER#20", "10.0.0.9"),
        nspacket.answer(Opcode.REGISTRATION, 7, wire("ALPHA#20"), bytes(6), ttl=0, rcode=6),
        nspacket.wait(7, wire("ALPHA#20"), 0x2900, 60),
    ]
    made = []
    for _ in range(count):
        data = bytearray(dice.choice(seeds))
        for _ in range(dice.randint(1, 5)):
            data[dice.randrange(len(data))] = dice.choice((0, 1, 0x20, 0x41, 0xC0, 0xFF, dice.randrange(256)))
        del data[dice.randint(0, len(data)) if dice.random() < 0.25 else len(data) :]
        made.append(bytes(data))
    return made


def test_a_hundred_thousand_mutants_neither_break_it_nor_make_it_grow(network):
    ether, station = network
    origin = Origin(Transport.UDP, Address("10.0.0.9", 4000), Address("10.0.0.1", 137))
    dice = random.Random(137)
    for data in mutants(dice, 50_000):
        answer = station.node.receive(data, origin, ether.now)
        assert answer is None or len(answer) <= 576 + 255
        if dice.random() < 0.01:
            list(station.node.drain())
    list(station.node.drain())
    assert station.node.counts.bad > 5000
    assert len(station.node.exchanges) < 1100
    for kept in station.node.db.records:
        assert name.pack(name.unpack(kept)) == kept
    asker = ether.host("10.0.0.8")
    ether.run(10)
    assert len(asker.ask(query("ALPHA#20", recursion=False), "10.0.0.1")) == 1


@pytest.mark.parametrize("opcode", range(16))
def test_every_opcode_survives_missing_and_surplus_records(network, opcode):
    ether, station = network
    asker = ether.host("10.0.0.9")
    question = Question(wire("OTHER#20"), RecordType.NB, CLASS_IN)
    record = Resource(wire("OTHER#20"), RecordType.NB, CLASS_IN, 300000, bytes.fromhex("60000a000009"))
    for questions in ((), (question,), (question,) * 2):
        for sections in range(8):
            given = [(record,) if sections >> i & 1 else () for i in range(3)]
            for flags in (0, 0x0100, 0x0010, 0x8000):
                packet = Packet(1, opcode << 11 | flags, questions, *given)
                asker.ask(nspacket.pack(packet), "10.0.0.1", 0.01)
    assert len(asker.ask(query("ALPHA#20", recursion=False), "10.0.0.1", 0.1)) == 1
    assert not [line for line in station.logs if "bug" in line]


@pytest.mark.parametrize("data", [b"", b"\0", b"\0" * 12, b"\xff" * 12, b"\xff" * 576, b"\0" * 1400])
def test_datagrams_that_are_no_packets_are_counted_and_dropped(network, data):
    ether, station = network
    before = station.node.counts.bad
    assert ether.host("10.0.0.9").ask(data, "10.0.0.1") == []
    assert station.node.counts.bad == before + 1


def test_registration_with_a_host_that_is_no_wins_server_is_refused():
    ether = Ether()
    ether.add(Settings("ALPHA"), "10.0.0.1")
    ether.run(2)
    asker = ether.host("10.0.0.9")
    for data in (
        claim("OTHER#20", "10.0.0.9"),
        claim("OTHER#20", "10.0.0.9", opcode=Opcode.REFRESH),
        release("OTHER#20", "10.0.0.9"),
    ):
        (answer,) = asker.ask(data, "10.0.0.1")
        assert nspacket.unpack(answer).rcode == Rcode.FMT_ERR
    assert asker.ask(claim("OTHER#20", "10.0.0.9", broadcast=True), "10.0.0.255") == []


def test_what_strangers_can_make_it_log_carries_an_id_that_bounds_it():
    ether = Ether()
    messages = []
    ether.on_effect = lambda station, effect: messages.append(effect) if isinstance(effect, Log) else None
    ether.add(Settings("ALPHA", wins_support=True, wins_hook=("/bin/hook",)), "10.0.0.1")
    ether.run(2)
    messages.clear()
    asker = ether.host("10.0.0.9", 137)
    demand = nspacket.answer(5, 7, wire("ALPHA#20"), bytes(6), ttl=0, rcode=7)
    requests = (
        claim("ALPHA#20", "10.0.0.9", broadcast=True),
        claim("WPAD#00", "10.0.0.9"),
        claim("A B#00", "10.0.0.9"),
    )
    for data in (*requests, demand, claim("A B#00", "10.0.0.8")):
        asker.ask(data, "10.0.0.1")
    assert len(messages) >= 5
    assert all(message.message_id for message in messages)


def test_a_far_host_cannot_object_to_what_was_asked_of_a_network():
    ether = Ether()
    hosts = [ether.host(each, 137) for each in ("10.9.9.9", "10.0.0.9")]  # a WINS server hears both
    station = ether.add(Settings("WINS", wins_support=True, dns_proxy=False), "10.0.0.1")
    for host, state in zip(hosts, ("CLAIMING", "CONFLICT"), strict=True):
        (_, request), *_ = sent(ether, Opcode.REGISTRATION, "WINS#20")
        data = nspacket.pack_nb((nspacket.Nb(0, b"\n\0\0\x09"),))
        refusal = nspacket.answer(Opcode.REGISTRATION, request.id, wire("WINS#20"), data, ttl=0, rcode=6)
        host.send(refusal, "10.0.0.1")
        ether.run(0.1)
        assert states(station)["WINS<20>"] == state
