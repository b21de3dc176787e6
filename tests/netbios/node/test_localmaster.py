# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from fakes.browsing import Net, frames, masters, place, say, station
from fakes.claims import query
from fakes.ether import interface
from pydaemons.netbios import nspacket
from pydaemons.netbios.browse import (
    Election,
    HostAnnouncement,
    LocalMasterAnnouncement,
    Reset,
    ResetState,
    ServerType,
)
from pydaemons.netbios.node.election import NOBODY
from pydaemons.netbios.node.events import InterfacesChanged, Reconfigured, StopRequested
from pydaemons.netbios.node.office import Role
from pydaemons.netbios.node.settings import Browsing, Settings


def announced(text: str, *, type_: int = 0x849A03) -> LocalMasterAnnouncement:
    return LocalMasterAnnouncement(0, 60_000, text.encode(), 6, 1, type_, 0x10F, 0xAA55, b"")


def owner(net: Net, text: str = "GRP#1d") -> list[str]:
    """Who answers for a name."""
    host = net.host("10.0.0.99")
    answers = [nspacket.unpack(data) for data in host.ask(query(text, broadcast=True), "10.0.0.255", 0.5)]
    net.hosts.remove(host)
    return [".".join(map(str, nspacket.unpack_nb(each.answers[0].data)[0].address)) for each in answers]


def test_a_preferred_master_stands_at_its_start_and_takes_over():
    net = Net()
    old = station(net, "OLD", "10.0.0.1")
    net.run(60)
    assert masters(net) == [old]
    new = station(net, "NEW", "10.0.0.2", preferred_master=True)
    net.run(30)
    assert masters(net) == [new]
    assert owner(net) == ["10.0.0.2"]
    assert place(old).master == "NEW"


def test_who_is_not_preferred_leaves_a_lesser_master_alone():
    net = Net()
    old = station(net, "OLD", "10.0.0.1", level=1)
    net.run(60)
    station(net, "NEW", "10.0.0.2", level=200)
    net.run(600)
    assert masters(net) == [old]


def test_local_master_no_never_stands_but_calls_for_others():
    net = Net()
    shy = station(net, "SHY", "10.0.0.1", local_master=False)
    net.run(300)
    assert masters(net) == []
    assert {each.frame for each in frames(net, Election)} == {NOBODY}
    assert 2 <= len(frames(net, Election)) <= 6
    bold = station(net, "BOLD", "10.0.0.2")
    net.run(60)
    assert masters(net) == [bold]
    assert place(shy).master == "BOLD"


@pytest.mark.parametrize("loss", [0.0, 0.1])
@pytest.mark.parametrize("seed", range(4))
def test_after_the_masters_orderly_stop_there_is_a_new_one_within_half_a_minute(seed, loss):
    net = Net(seed, loss=loss)
    for number in range(5):
        station(net, f"H{number}", f"10.0.0.{number + 1}")
    net.run(300)
    (master,) = masters(net)
    net.tell(master, StopRequested())
    net.run(1)
    net.remove(master)
    net.run(29)
    assert len(masters(net)) == 1


@pytest.mark.parametrize("seed", range(6))
def test_after_the_masters_crash_there_is_a_new_one_once_it_is_missed(seed):
    net = Net(seed, loss=0.05)
    for number in range(5):
        station(net, f"H{number}", f"10.0.0.{number + 1}")
    net.run(300)
    (master,) = masters(net)
    net.remove(master)
    net.run(20 * 1.1 + 3 + 3 + 4 + 3 + 2)  # missed, two questions, one election, the names
    (new,) = masters(net)
    assert new is not master


def test_a_second_masters_announcement_leads_to_one_master():
    net = Net()
    alpha = station(net, "ALPHA", "10.0.0.1", level=40)
    net.run(30)
    other = net.host("10.0.0.66", 138)
    say(net, other, announced("RIVAL"), source="RIVAL#00")
    assert place(alpha).office.role is Role.POTENTIAL
    assert "RIVAL (10.0.0.66) is master too" in "".join(alpha.logs)
    net.run(20)
    assert masters(net) == [alpha]


def test_a_flood_of_rivals_does_not_keep_the_office_empty():
    net = Net()
    alpha = station(net, "ALPHA", "10.0.0.1")
    net.run(30)
    empty = 0
    for minute in range(60):
        evil = net.host(f"10.0.0.{100 + minute}", 138)
        for _ in range(10):
            say(net, evil, announced(f"EVIL{minute}"), source=f"EVIL{minute}#00")
            net.run(5.9)
            empty += place(alpha).office.role is not Role.MASTER
    assert empty <= 250  # of 600 looks; without damping it would be nearly all


def test_reset_makes_the_master_step_down_and_a_second_one_forgets_lists():
    net = Net()
    alpha = station(net, "ALPHA", "10.0.0.1")
    net.run(30)
    tool = net.host("10.0.0.9", 138)
    host = HostAnnouncement(0, 60_000, b"NINE", 6, 1, 3, 0x10F, 0xAA55, b"")
    say(net, tool, host, source="NINE#00", to="GRP#1d")
    assert place(alpha).servers.find("GRP", "NINE")
    say(net, tool, ResetState(Reset.FORGET_LISTS), source="NINE#00", to="GRP#1d")
    assert not place(alpha).servers.find("GRP", "NINE")
    say(net, tool, ResetState(Reset.STOP_BROWSING), source="NINE#00", to="GRP#1d")
    assert place(alpha).office.role is Role.MASTER
    say(net, tool, ResetState(Reset.STEP_DOWN), source="NINE#00", to="GRP#1d")
    assert place(alpha).office.role is Role.POTENTIAL
    net.run(30)
    assert masters(net) == [alpha]  # nobody else is there


def test_a_reload_puts_comment_level_and_the_wish_in_force():
    net = Net()
    alpha, beta = (station(net, each, f"10.0.0.{n}") for n, each in enumerate(("ALPHA", "BETA"), 1))
    net.run(60)
    (master,) = masters(net)
    other = beta if master is alpha else alpha
    name = master.node.settings.netbios_name
    net.seen.clear()
    net.tell(master, Reconfigured(Settings(name, workgroup="GRP", browsing=Browsing(comment="new"))))
    net.run(2)
    (said,) = frames(net, LocalMasterAnnouncement)
    assert said.frame.comment == b"new"
    quiet = Browsing(comment="new", local_master=False)
    net.tell(master, Reconfigured(Settings(name, workgroup="GRP", browsing=quiet)))
    net.run(20)
    assert masters(net) == [other]
    said = frames(net, HostAnnouncement, place(master).subnet.interface.address)[-1]
    assert not said.frame.type & (ServerType.MASTER_BROWSER | ServerType.POTENTIAL_BROWSER)


def test_a_new_workgroup_is_a_new_life():
    net = Net()
    alpha = station(net, "ALPHA", "10.0.0.1")
    net.run(30)
    net.tell(alpha, Reconfigured(Settings("ALPHA", workgroup="NEWGRP")))
    assert [each.frame.type for each in frames(net, LocalMasterAnnouncement)][-1] == 0
    net.run(30)
    assert owner(net, "NEWGRP#1d") == ["10.0.0.1"]
    assert owner(net, "GRP#1d") == []


def test_each_network_has_its_own_master():
    net = Net()
    both = station(net, "BOTH", "10.0.0.1", "10.0.1.1")
    station(net, "BEST", "10.0.1.2", level=200, preferred_master=True)
    net.run(60)
    assert place(both, 0).office.role is Role.MASTER
    assert place(both, 1).office.role is Role.POTENTIAL
    assert place(both, 1).master == "BEST"
    net.tell(both, InterfacesChanged((interface("10.0.0.1"),)))
    assert len(both.node.browser.places) == 1


def test_a_forced_election_confirms_the_best():
    net = Net()
    alpha = station(net, "ALPHA", "10.0.0.1", level=40)
    station(net, "BETA", "10.0.0.2")
    net.run(60)
    (master,) = masters(net)
    net.seen.clear()
    assert master.node.browser.force_election(net.now) == 1
    net.run(30)
    assert frames(net, Election)
    assert masters(net) == [alpha]


@pytest.mark.parametrize("pause", [1.0, 5.0, 9.0])
def test_a_host_that_stands_for_ever_and_never_takes_office_does_not_keep_it_empty(pause):
    net = Net()
    alpha = station(net, "ALPHA", "10.0.0.1")
    net.run(30)
    evil = net.host("10.0.0.66", 138)
    frame = Election(1, 0xFFFFFFFF, 0xFFFFFFFF, 0, b"EVIL")
    while net.mono < 1000 + 30 + 240:
        say(net, evil, frame, source="EVIL#00")
        net.run(pause)
    assert masters(net) == [alpha]
    assert "10.0.0.66 wins elections and never becomes master" in "".join(alpha.logs)
