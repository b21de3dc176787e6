# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from fakes.claims import claim, query, release, sent, states, wire
from fakes.ether import Ether, interface
from pydaemons.netbios import nspacket
from pydaemons.netbios.codes import BROADCAST, GROUP, RECURSION_DESIRED, Opcode, Rcode
from pydaemons.netbios.node.events import InterfacesChanged
from pydaemons.netbios.node.names import CLAIM_AGAIN, NEXT, Event, State
from pydaemons.netbios.node.settings import Settings


def test_every_state_knows_every_event():
    assert set(NEXT) == {(state, event) for state in State for event in Event}


def test_a_name_is_claimed_three_times_and_then_demanded():
    ether = Ether()
    alpha = ether.add(Settings("ALPHA"), "10.0.0.1")
    ether.run(0.7)
    assert [packet.flags for _, packet in sent(ether, Opcode.REGISTRATION, "ALPHA#20")] == [0x2910] * 3
    assert states(alpha)["ALPHA<20>"] == "CLAIMING"
    ether.run(0.1)
    to, demand = sent(ether, Opcode.REGISTRATION, "ALPHA#20")[-1]
    assert to == ("10.0.0.255", 137)
    assert demand.flags & BROADCAST
    assert not demand.flags & RECURSION_DESIRED
    assert states(alpha) == dict.fromkeys(
        ["ALPHA<00>", "ALPHA<03>", "ALPHA<20>", "WORKGROUP<00>", "WORKGROUP<1e>"], "OWNED"
    )


def test_a_name_is_answered_for_from_its_first_claim_on():
    ether = Ether()
    ether.add(Settings("ALPHA"), "10.0.0.1")
    asker = ether.host("10.0.0.9")
    assert len(asker.ask(query("ALPHA#20", broadcast=True), "10.0.0.255", 0.01)) == 1


def test_the_second_to_claim_a_name_does_not_get_it():
    ether = Ether()
    first = ether.add(Settings("ALPHA"), "10.0.0.1")
    ether.run(2)
    second = ether.add(Settings("ALPHA", aliases=("OTHER",)), "10.0.0.2")
    ether.run(2)
    assert states(first)["ALPHA<20>"] == "OWNED"
    assert states(second)["ALPHA<20>"] == "CONFLICT"
    assert states(second)["OTHER<20>"] == "OWNED"
    assert states(second)["WORKGROUP<00>"] == "OWNED"
    assert any("10.0.0.1 has the name ALPHA<20> already" in line for line in second.logs)
    asker = ether.host("10.0.0.9")
    (answer,) = asker.ask(query("ALPHA#20", broadcast=True), "10.0.0.255")
    assert nspacket.unpack_nb(nspacket.unpack(answer).answers[0].data)[0].address == bytes([10, 0, 0, 1])


def test_a_name_lost_to_a_rival_is_claimed_again_when_the_rival_may_be_gone():
    ether = Ether()
    first = ether.add(Settings("ALPHA"), "10.0.0.1")
    ether.run(2)
    second = ether.add(Settings("ALPHA"), "10.0.0.2")
    ether.run(2)
    ether.remove(first)
    ether.run(CLAIM_AGAIN + 2)
    assert states(second)["ALPHA<20>"] == "OWNED"


@pytest.mark.parametrize("seed", range(8))
def test_a_name_is_defended_on_a_bad_network(seed):
    ether = Ether(seed, loss=0.2, twice=0.2, jitter=0.2)
    first = ether.add(Settings("ALPHA"), "10.0.0.1")
    ether.run(3)
    assert states(first)["ALPHA<20>"] == "OWNED"
    others = [ether.add(Settings(f"HOST{i}"), f"10.0.0.{i}") for i in range(10, 14)]
    ether.run(3)
    for station in (first, *others):
        assert set(states(station).values()) == {"OWNED"}


@pytest.mark.parametrize("demand", [False, True])
@pytest.mark.parametrize("broadcast", [False, True])
@pytest.mark.parametrize("opcode", [Opcode.REGISTRATION, Opcode.MULTIHOMED])
def test_our_name_is_defended_against_every_kind_of_registration(opcode, broadcast, demand):
    ether = Ether()
    ether.add(Settings("ALPHA"), "10.0.0.1")
    ether.run(2)
    rival = ether.host("10.0.0.9")
    (answer,) = rival.ask(
        claim("ALPHA#00", "10.0.0.9", opcode=opcode, broadcast=broadcast, demand=demand), "10.0.0.1"
    )
    packet = nspacket.unpack(answer)
    assert packet.rcode == Rcode.ACT_ERR
    assert packet.answers[0].name == wire("ALPHA#00")
    assert packet.answers[0].ttl == 0


def test_our_group_is_defended_against_whoever_wants_it_alone():
    ether = Ether()
    ether.add(Settings("ALPHA"), "10.0.0.1")
    ether.run(2)
    rival = ether.host("10.0.0.9")
    (answer,) = rival.ask(claim("WORKGROUP#00", "10.0.0.9", broadcast=True), "10.0.0.255")
    assert nspacket.unpack(answer).rcode == Rcode.ACT_ERR
    assert rival.ask(claim("WORKGROUP#00", "10.0.0.9", broadcast=True, flags=GROUP), "10.0.0.255") == []


def test_a_refresh_of_our_name_is_refused_and_a_broadcast_one_ignored():
    ether = Ether()
    ether.add(Settings("ALPHA"), "10.0.0.1")
    ether.run(2)
    rival = ether.host("10.0.0.9")
    for opcode in (Opcode.REFRESH, Opcode.REFRESH_9):
        (answer,) = rival.ask(claim("ALPHA#00", "10.0.0.9", opcode=opcode), "10.0.0.1")
        assert nspacket.unpack(answer).rcode == Rcode.ACT_ERR
        assert rival.ask(claim("ALPHA#00", "10.0.0.9", opcode=opcode, broadcast=True), "10.0.0.255") == []


def test_somebody_elses_release_does_not_take_our_name():
    ether = Ether()
    alpha = ether.add(Settings("ALPHA"), "10.0.0.1")
    ether.run(2)
    rival = ether.host("10.0.0.9")
    (answer,) = rival.ask(release("ALPHA#00", "10.0.0.9", broadcast=True), "10.0.0.255")
    assert nspacket.unpack(answer).rcode == Rcode.ACT_ERR
    assert states(alpha)["ALPHA<00>"] == "OWNED"


def test_a_conflict_demand_is_logged_and_changes_nothing():
    ether = Ether()
    alpha = ether.add(Settings("ALPHA"), "10.0.0.1")
    ether.run(2)
    forger = ether.host("10.0.0.9")
    demand = nspacket.answer(Opcode.REGISTRATION, 9, wire("ALPHA#00"), bytes(6), ttl=0, rcode=Rcode.CFT_ERR)
    forger.ask(demand, "10.0.0.1")
    assert states(alpha)["ALPHA<00>"] == "OWNED"
    assert any("10.0.0.9 demands that ALPHA<00> be given up" in line for line in alpha.logs)


def test_an_objection_nobody_asked_for_is_ignored():
    ether = Ether()
    alpha = ether.add(Settings("ALPHA"), "10.0.0.1")
    forger = ether.host("10.0.0.9")
    for id_ in range(64):
        forger.send(
            nspacket.answer(Opcode.REGISTRATION, id_, wire("ALPHA#00"), bytes(6), ttl=0, rcode=6),
            "10.0.0.1",
        )
    ether.run(2)
    assert states(alpha)["ALPHA<00>"] == "OWNED"


def test_names_are_claimed_on_a_network_that_comes_and_forgotten_on_one_that_goes():
    ether = Ether()
    alpha = ether.add(Settings("ALPHA"), "10.0.0.1", "10.0.1.1")
    ether.run(2)
    assert len(alpha.node.names) == 10
    asker = ether.host("10.0.1.9")
    (answer,) = asker.ask(query("ALPHA#20", broadcast=True), "10.0.1.255")
    found = nspacket.unpack_nb(nspacket.unpack(answer).answers[0].data)
    assert [nb.address for nb in found] == [bytes([10, 0, 1, 1]), bytes([10, 0, 0, 1])]
    alpha.addresses = ["10.0.1.1"]
    ether.tell(alpha, InterfacesChanged((interface("10.0.1.1"),)))
    ether.run(2)
    (answer,) = asker.ask(query("ALPHA#20", broadcast=True), "10.0.1.255")
    found = nspacket.unpack_nb(nspacket.unpack(answer).answers[0].data)
    assert [nb.address for nb in found] == [bytes([10, 0, 1, 1])]
