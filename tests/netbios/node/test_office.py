# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from fakes.browsing import Net, masters, place, station
from fakes.claims import query
from pydaemons.netbios import nspacket
from pydaemons.netbios.node import names
from pydaemons.netbios.node.names import Holding
from pydaemons.netbios.node.office import CLAIM_AGAIN, CLAIMS, NEXT, Event, Office, Role
from pydaemons.netbios.node.settings import OwnName


def owner(net: Net, text: str = "GRP#1d") -> list[str]:
    """Who answers for a name."""
    host = net.host("10.0.0.99")
    answers = [nspacket.unpack(data) for data in host.ask(query(text, broadcast=True), "10.0.0.255", 0.5)]
    net.hosts.remove(host)
    return [".".join(map(str, nspacket.unpack_nb(each.answers[0].data)[0].address)) for each in answers]


def test_every_role_knows_every_event():
    assert set(NEXT) == {(role, event) for role in Role for event in Event}


def test_a_lonely_host_becomes_master_and_has_both_names():
    net = Net()
    alpha = station(net, "ALPHA", "10.0.0.1")
    net.run(15)
    assert masters(net) == [alpha]
    assert owner(net) == ["10.0.0.1"]
    assert [each.own.group for each in alpha.node.names if each.own.wire[1:7] == b"ABACFP"] == [True]


class Desk:
    """An office whose names the test answers for."""

    def __init__(self) -> None:
        self.net = Net()
        alpha = station(self.net, "ALPHA", "10.0.0.1")
        self.ground = alpha.node.browser.ground
        self.subnet = place(alpha).subnet
        self.moves: list[Role] = []
        self.office = Office(self.ground, self.subnet, moved=lambda before, now: self.moves.append(before))

    def answered(self, state: names.State, *, wire: bytes | None = None, known: str = "") -> str:
        own = OwnName(wire or self.ground.master_wire, group=False)
        holding = Holding(own, self.subnet)
        holding.state, holding.rival = state, "10.0.0.66"
        return self.office.named(holding, known, self.net.now)

    def waits(self) -> float | None:
        at = self.office.deadline()
        return None if at is None else at - self.net.mono


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_the_names_are_wanted_from_the_election_on(desk):
    assert desk.office.wanted() == ()
    desk.office.step(Event.WON, desk.net.now)
    assert {own.wire for own in desk.office.wanted()} == {desk.ground.masters_wire, desk.ground.master_wire}
    assert desk.answered(names.State.OWNED, wire=desk.ground.masters_wire) == ""
    assert desk.office.role is Role.TAKING, "__MSBROWSE__ alone is no office"
    desk.answered(names.State.OWNED)
    assert desk.office.role is Role.MASTER
    assert desk.moves == [Role.POTENTIAL, Role.TAKING]


def test_a_master_that_is_about_to_leave_has_time_to_give_the_name_up(desk):
    desk.office.step(Event.WON, desk.net.now)
    for _ in range(CLAIMS - 1):
        assert desk.answered(names.State.CONFLICT) == ""
        assert desk.waits() == pytest.approx(CLAIM_AGAIN)
        desk.net.mono += CLAIM_AGAIN
        desk.office.tick(desk.net.now)
        assert desk.ground.names.find(desk.subnet, desk.ground.master_wire).state is names.State.CLAIMING
        assert desk.office.role is Role.TAKING
    assert desk.answered(names.State.CONFLICT) == "10.0.0.66"
    assert (desk.office.role, desk.waits()) == (Role.POTENTIAL, None)


def test_a_master_that_has_announced_itself_keeps_the_name_at_once(desk):
    desk.office.step(Event.WON, desk.net.now)
    assert desk.answered(names.State.CONFLICT, known="10.0.0.66") == "10.0.0.66"
    assert desk.office.role is Role.POTENTIAL


def test_what_becomes_of_the_name_when_we_do_not_stand_is_nothing_to_the_office(desk):
    assert desk.answered(names.State.CONFLICT) == desk.answered(names.State.OWNED) == ""
    assert (desk.office.role, desk.moves) == (Role.POTENTIAL, [])


def test_who_leaves_claims_nothing_any_more(desk):
    desk.office.step(Event.WON, desk.net.now)
    desk.answered(names.State.CONFLICT)
    desk.office.leave()
    assert desk.waits() is None


def test_an_inherited_office_is_there_at_once(desk):
    desk.office.inherit(desk.net.now)
    assert (desk.office.role, desk.office.since) == (Role.MASTER, desk.net.now.wall)
