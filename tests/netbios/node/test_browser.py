# SPDX-License-Identifier: GPL-3.0-or-later
import random

from fakes.browsing import Net, frames, masters, place, station
from fakes.claims import wire
from fakes.ether import Station, interface
from pydaemons.netbios.browse import AnnouncementRequest, Election, HostAnnouncement
from pydaemons.netbios.node.browser import EXPIRE_EVERY, REFILLED
from pydaemons.netbios.node.events import InterfacesChanged, Reconfigured, StopRequested
from pydaemons.netbios.node.handover import parse
from pydaemons.netbios.node.names import State
from pydaemons.netbios.node.node import Node
from pydaemons.netbios.node.office import Role
from pydaemons.netbios.node.tunables import NetbiosTunables


def restarted(net: Net, old: Station) -> Station:
    """Another process takes its place."""
    told = parse(old.node.hand_over(net.now).format())
    net.remove(old)
    node = Node(old.node.settings, NetbiosTunables(), entropy=random.Random(2), before=told)
    fresh = Station(node, old.addresses)
    net.stations.append(fresh)
    net.tell(fresh, InterfacesChanged(tuple(map(interface, old.addresses))))
    return fresh


def test_the_list_is_written_when_it_changes_and_not_more_often_than_every_few_seconds():
    net = Net()
    alpha = station(net, "ALPHA", "10.0.0.1", comment="me")
    net.run(60)
    written = len(alpha.lists)
    assert written <= 4
    assert alpha.lists[-1].splitlines() == [
        '"GRP"                     c0001000 "ALPHA"                       "GRP"',
        '"ALPHA"                   40849a03 "me"                          "GRP"',
    ]
    for number in range(2, 40):
        station(net, f"H{number}", f"10.0.0.{number}", local_master=False)
    began = net.mono
    net.run(60)
    assert 1 <= len(alpha.lists) - written <= (net.mono - began) / EXPIRE_EVERY + 1
    assert len(alpha.lists[-1].splitlines()) == 40
    written = len(alpha.lists)
    net.run(600)
    assert len(alpha.lists) == written


def test_a_reload_writes_it_whatever_it_was():
    net = Net()
    alpha = station(net, "ALPHA", "10.0.0.1")
    net.run(60)
    alpha.lists.clear()
    alpha.node.browser.rewrite()
    net.tell(alpha, None)
    assert len(alpha.lists) == 1


def test_hosts_come_and_go_over_a_day_and_the_list_follows():
    net = Net(3, loss=0.02)
    alpha = station(net, "ALPHA", "10.0.0.1", level=200)
    net.run(30)
    dice = random.Random(4)
    away = {f"H{number}": f"10.0.0.{number}" for number in range(2, 12)}
    here: dict[str, Station] = {}
    for _ in range(48):
        net.run(1800)
        if away and dice.random() < 0.6:
            name, address = away.popitem()
            here[name] = station(net, name, address, local_master=False)
        elif here:
            name, gone = here.popitem()
            away[name] = gone.addresses[0]
            if dice.random() < 0.5:
                net.tell(gone, StopRequested())
                net.run(1)
            net.remove(gone)
    net.run(3 * 720 + 60)
    listed = {line.name for line in alpha.node.browser.lines()} - {"GRP", "ALPHA"}
    assert listed == set(here)
    assert masters(net) == [alpha]


def test_the_next_process_goes_on_as_master_without_an_election():
    net = Net()
    alpha = station(net, "ALPHA", "10.0.0.1")
    for number in range(2, 5):
        station(net, f"H{number}", f"10.0.0.{number}", local_master=False)
    net.run(60)
    net.seen.clear()
    fresh = restarted(net, alpha)
    assert place(fresh).office.role is Role.MASTER
    assert fresh.lists == []  # browse.dat of the last process is better than an empty one
    net.run(REFILLED + EXPIRE_EVERY)
    assert not frames(net, Election)
    assert frames(net, AnnouncementRequest)
    assert {line.name for line in fresh.node.browser.lines()} == {"GRP", "ALPHA", "H2", "H3", "H4"}
    assert len(fresh.lists[0].splitlines()) >= 5


def test_an_office_lost_right_after_a_restart_is_claimed_anew_and_not_inherited_again():
    net = Net()
    alpha = station(net, "ALPHA", "10.0.0.1")
    net.run(60)
    fresh = restarted(net, alpha)
    better = station(net, "BETTER", "10.0.0.2", level=200, preferred_master=True)
    net.run(20)
    assert masters(net) == [better]
    net.remove(better)
    place(fresh).force(net.now)
    while place(fresh).office.role is not Role.TAKING:
        net.run(0.1)
    net.tell(fresh, Reconfigured(fresh.node.settings))
    (holding,) = [each for each in fresh.node.names if each.own.wire == wire("GRP#1d")]
    assert holding.state is State.CLAIMING
    net.run(3)
    assert masters(net) == [fresh]


def test_who_leaves_says_and_hears_no_more():
    net = Net()
    alpha = station(net, "ALPHA", "10.0.0.1")
    net.run(30)
    net.tell(alpha, StopRequested())
    net.seen.clear()
    station(net, "BETA", "10.0.0.2")
    net.run(5)
    assert not frames(net, HostAnnouncement, "10.0.0.1")
    assert not frames(net, Election, "10.0.0.1")


def test_a_host_without_networks_keeps_still_until_one_comes():
    net = Net()
    alpha = station(net, "ALPHA", "10.0.0.1")
    net.run(30)
    net.tell(alpha, InterfacesChanged(()))
    net.seen.clear()
    net.run(3600)
    assert net.seen == []
    net.tell(alpha, InterfacesChanged((interface("10.0.0.1"),)))
    net.run(30)
    assert masters(net) == [alpha]
