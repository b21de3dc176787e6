# SPDX-License-Identifier: GPL-3.0-or-later
from dataclasses import replace

from fakes.claims import claim, wire
from fakes.ether import Ether
from fakes.wires import Wires
from pydaemons.netbios import nspacket
from pydaemons.netbios.node.events import LinkClosed, OpenLink, Reconfigured, StopRequested
from pydaemons.netbios.node.settings import Partner, Settings


def test_wins_can_be_switched_on_and_off_while_it_runs():
    ether = Ether()
    station = ether.add(Settings("ALPHA"), "10.0.0.1")
    ether.run(2)
    host = ether.host("10.0.0.9")
    assert nspacket.unpack(host.ask(claim("X#20", "10.0.0.9"), "10.0.0.1")[0]).rcode == 1
    ether.tell(station, Reconfigured(Settings("ALPHA", wins_support=True, dns_proxy=False)))
    assert nspacket.unpack(host.ask(claim("X#20", "10.0.0.9"), "10.0.0.1")[0]).rcode == 0
    ether.tell(station, Reconfigured(Settings("ALPHA")))
    assert nspacket.unpack(host.ask(claim("X#20", "10.0.0.9"), "10.0.0.1")[0]).rcode == 1


def test_partners_are_there_while_a_wins_server_has_some():
    ether = Ether()
    wires = Wires(ether)
    server = Settings("ALPHA", wins_support=True, partners=(Partner("10.0.1.1"),))
    station = ether.add(server, "10.0.0.1")
    ether.run(1)
    assert station.node.replication is not None
    for settings in (replace(server, partners=()), replace(server, wins_support=False)):
        ether.tell(station, Reconfigured(settings))
        assert station.node.replication is None
        wires.deliver(station, LinkClosed(-1, "too late to matter"))
        ether.run(1)
        ether.tell(station, Reconfigured(server))
        assert station.node.replication is not None


def test_a_server_that_stops_gives_its_own_names_up_and_leaves_its_partners():
    ether = Ether()
    Wires(ether)
    station = ether.add(Settings("ALPHA", wins_support=True, partners=(Partner("10.0.1.1"),)), "10.0.0.1")
    ether.run(5)
    assert station.node.db.find_live(wire("ALPHA#20"), ether.now.wall) is not None
    ether.tell(station, StopRequested())
    ether.run(5)
    assert station.left
    assert station.node.replication is None
    assert station.node.db.find_live(wire("ALPHA#20"), ether.now.wall) is None


def test_names_are_written_down_only_by_a_server():
    ether = Ether()
    station = ether.add(Settings("ALPHA", wins_support=True, dns_proxy=False), "10.0.0.1")
    ether.run(5)
    assert wire("ALPHA#20") in station.stored
    ether.tell(station, Reconfigured(Settings("ALPHA")))
    stored = dict(station.stored)
    ether.host("10.0.0.9").ask(claim("X#20", "10.0.0.9"), "10.0.0.1")
    assert station.stored == stored


def test_a_server_that_is_switched_off_gives_its_own_names_up():
    ether = Ether()
    station = ether.add(Settings("ALPHA", wins_support=True, dns_proxy=False), "10.0.0.1")
    ether.run(5)
    ether.tell(station, Reconfigured(Settings("BETA")))
    ether.tell(station, Reconfigured(Settings("BETA", wins_support=True, dns_proxy=False)))
    assert station.node.db.find_live(wire("ALPHA#20"), ether.now.wall) is None
    assert station.stored == station.node.db.records


def test_links_of_partners_that_came_back_are_not_taken_for_those_that_left():
    ether = Ether()
    Wires(ether)
    server = Settings("ALPHA", wins_support=True, partners=(Partner("10.0.1.1"),))
    station = ether.add(server, "10.0.0.1")
    ether.run(1)
    ether.tell(station, Reconfigured(replace(server, partners=())))
    ether.tell(station, Reconfigured(server))
    ether.run(1)
    opened = [effect.link for effect in station.other if isinstance(effect, OpenLink)]
    assert len(opened) == len(set(opened)) == 2
