# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from fakes.browsing import Net, frames, place, serve_lists, station
from fakes.claims import wire
from fakes.ether import Station
from pydaemons.netbios import name, nspacket
from pydaemons.netbios.browse import MasterAnnouncement
from pydaemons.netbios.node.browsesync import Wanted
from pydaemons.netbios.node.domainmaster import GRACE, ONE_OTHER_EVERY
from pydaemons.netbios.node.events import StopRequested
from pydaemons.netbios.node.settings import WinsServer

WINS = {"wins_servers": (WinsServer("*", "10.0.9.1"),)}


def listed(of: Station, group: str = "GRP") -> set[str]:
    return {line.name for line in of.node.browser.lines() if line.group == group and line.name != group}


def domain(seed: int = 1, **how) -> tuple[Net, Station, Station, list]:
    """A domain master that is WINS server, a local master on another network, and what is fetched."""
    net = Net(seed, **how)
    asked = serve_lists(net)
    dmb = station(
        net, "DMB", "10.0.9.1", wins_support=True, domain_master=True, preferred_master=True, level=65
    )
    lmb = station(net, "LMB", "10.0.1.1", **WINS)
    station(net, "HOST", "10.0.1.2", local_master=False, **WINS)
    return net, dmb, lmb, asked


def test_lists_of_two_networks_become_one_on_both_sides():
    net, dmb, lmb, asked = domain()
    net.run(60)
    assert dmb.node.browser.domain.is_held
    assert listed(dmb) == {"DMB", "LMB", "HOST"}
    assert {each.servers for each in asked if each.host == "10.0.1.1"} == {Wanted.LOCAL.servers}
    net.run(900)
    assert listed(lmb) == {"LMB", "HOST", "DMB"}
    assert lmb.node.browser.domain.known == "DMB (10.0.9.1)"
    (report,) = {str(each.destination) for each in frames(net, MasterAnnouncement)}
    assert report == "DMB<00>"


def test_lists_of_a_network_reach_another_through_the_domain_master():
    net, dmb, lmb, _ = domain()
    third = station(net, "THIRD", "10.0.2.1", **WINS)
    net.run(2000)
    assert listed(third) == listed(lmb) == listed(dmb) == {"DMB", "LMB", "HOST", "THIRD"}


def test_a_network_that_vanished_is_forgotten():
    net, dmb, _, _ = domain()
    net.run(100)
    assert "LMB" in dmb.node.browser.domain.masters["10.0.1.1"].name
    for gone in [each for each in net.stations if each is not dmb]:
        net.remove(gone)
    net.run(900 + GRACE + 1)
    assert dmb.node.browser.domain.masters == {}
    net.run(3 * 900)
    assert listed(dmb) == {"DMB"}


def test_a_host_that_left_its_network_leaves_the_whole_domain():
    net, dmb, lmb, _ = domain()
    net.run(1000)
    (host,) = [each for each in net.stations if each.node.settings.netbios_name == "HOST"]
    net.tell(host, StopRequested())
    net.run(1)
    net.remove(host)
    net.run(2 * 900)
    assert "HOST" not in listed(dmb) | listed(lmb)


def test_the_office_is_wins_and_the_networks_to_give():
    net = Net()
    serve_lists(net)
    station(net, "WINS", "10.0.9.1", wins_support=True, local_master=False)
    first = station(net, "FIRST", "10.0.1.1", domain_master=True, **WINS)
    net.run(30)
    assert first.node.browser.domain.is_held
    second = station(net, "SECOND", "10.0.2.1", domain_master=True, **WINS)
    net.run(600)
    assert first.node.browser.domain.is_held
    assert not second.node.browser.domain.is_held
    assert not frames(net, MasterAnnouncement, "10.0.1.1")
    assert frames(net, MasterAnnouncement, "10.0.2.1")
    net.tell(first, StopRequested())
    net.run(1)
    net.remove(first)
    net.run(2 * 1200)
    assert second.node.browser.domain.is_held


def test_without_wins_the_domain_is_one_network():
    net = Net()
    serve_lists(net)
    dmb = station(net, "DMB", "10.0.1.1", domain_master=True, local_master=False)
    lmb = station(net, "LMB", "10.0.1.2")
    net.run(60)
    assert dmb.node.browser.domain.is_held
    assert lmb.node.browser.domain.known == "DMB (10.0.1.1)"
    assert dmb.node.browser.domain.masters["10.0.1.2"].name == "LMB"


def test_a_domain_master_that_is_not_there_is_looked_for_ever_more_seldom():
    net = Net()
    station(net, "LMB", "10.0.1.1")
    net.run(7200)
    asked = [
        packet
        for _, to, data in net.seen
        if to.port == 137
        and (packet := nspacket.unpack(data)).opcode == 0
        and packet.questions[0].name == wire("GRP#1b")
    ]
    assert 3 * 8 <= len(asked) <= 3 * 14


def test_domain_masters_exchange_the_groups_they_know():
    net, dmb, _, asked = domain()
    other = station(
        net, "ODM", "10.0.3.1", workgroup="OTHER", domain_master=True, preferred_master=True, **WINS
    )
    net.run(900 + ONE_OTHER_EVERY)
    assert dmb.node.browser.domain.others == {"10.0.3.1": "ODM"}
    assert other.node.browser.domain.others == {"10.0.9.1": "DMB"}
    groups = {line.name: line.comment for line in dmb.node.browser.lines() if line.type & 0x80000000}
    assert groups == {"GRP": "DMB", "OTHER": "ODM"}
    assert {each.servers for each in asked if each.host == "10.0.3.1"} == {None}


def test_without_enhanced_browsing_they_do_not():
    net, _, _, asked = domain()
    station(net, "ODM", "10.0.3.1", workgroup="OTHER", domain_master=True, enhanced=False, **WINS)
    net.run(3000)
    assert not [each for each in asked if each.host == "10.0.9.1" and each.servers is None]


def test_reports_are_for_the_domain_master_or_a_partner_only():
    net = Net()
    asked = serve_lists(net)
    lonely = station(net, "LONELY", "10.0.1.1")
    partner = station(net, "PARTNER", "10.0.2.1", remote_sync=("10.0.3.1",))
    far = station(net, "FAR", "10.0.3.1", remote_sync=("10.0.1.1", "10.0.2.1"))
    net.run(300)
    assert lonely.node.browser.domain.masters == {}
    assert place(partner).office.role.name == place(far).office.role.name == "MASTER"
    assert "FAR" in listed(partner)
    assert {each.host for each in asked} == {"10.0.3.1", "10.0.2.1"}


@pytest.mark.parametrize("asked", ["GRP#1b", "*#00"])
def test_a_far_master_is_told_who_the_domain_master_is_but_seldom(asked):
    net, _, _, _ = domain()
    net.run(30)
    far = net.host("10.0.7.7", 137)
    (answer,) = far.ask(nspacket.status_request(1, wire(asked) if "1b" in asked else name.ANY), "10.0.9.1", 1)
    status = nspacket.unpack_status(nspacket.unpack(answer).answers[0].data)
    assert [str(name.Name(entry.label)) for entry in status.names] == ["DMB<00>", "DMB<20>", "GRP<1b>"]
    assert len(answer) < 170
    for _ in range(1000):
        far.send(nspacket.status_request(1), "10.0.9.1")
    far.got.clear()
    net.run(1)
    assert len(far.got) <= 41
    assert far.ask(nspacket.status_request(1, wire("DMB#20")), "10.0.9.1", 1) == []


def test_nobody_else_tells_far_hosts_anything():
    net = Net()
    station(net, "ALPHA", "10.0.1.1")
    station(net, "NOWINS", "10.0.2.1", domain_master=True)
    net.run(30)
    far = net.host("10.0.7.7", 137)
    for request in (nspacket.status_request(1), nspacket.query(1, wire("GRP#1b"), broadcast=False)):
        assert far.ask(request, "10.0.1.1", 1) == []
    assert far.ask(nspacket.query(1, wire("GRP#1b"), broadcast=False), "10.0.2.1", 1) == []
    assert far.ask(nspacket.status_request(1), "10.0.2.1", 1)


def groups(of: Station) -> dict[str, str]:
    return {line.name: line.comment for line in of.node.browser.lines() if line.type & 0x80000000}


def test_a_group_whose_domain_master_gives_no_list_is_listed_as_long_as_wins_knows_it():
    net, dmb, _, _ = domain()
    serve_lists(net, silent=frozenset({"10.0.3.1"}))
    net.run(100)
    other = station(
        net, "ODM", "10.0.3.1", workgroup="OTHER", domain_master=True, preferred_master=True, **WINS
    )
    net.run(200)
    assert groups(dmb) == {"GRP": "DMB", "OTHER": "ODM"}, "it came later, and is found within minutes"
    net.run(4 * 3600)
    assert groups(dmb) == {"GRP": "DMB", "OTHER": "ODM"}
    net.tell(other, StopRequested())
    net.run(2 * 3600)
    assert groups(dmb) == {"GRP": "DMB"}


def test_a_domain_master_is_asked_for_its_names_by_the_name_every_node_has():
    """nmbd does not answer far hosts for its <1b> unless it is the WINS server too."""
    net, *_ = domain()
    net.run(120)
    asked = [
        packet.questions[0].name
        for source, to, data in net.seen
        if (source.host, to.host, to.port) == ("10.0.1.1", "10.0.9.1", 137)
        and not (packet := nspacket.unpack(data)).response
        and packet.questions[0].kind == 33
    ]
    assert asked
    assert set(asked) == {name.ANY}


def test_a_domain_master_far_away_is_found_when_wins_is_a_third_host():
    net = Net()
    serve_lists(net)
    station(net, "WINS", "10.0.9.1", workgroup="ELSEWHERE", wins_support=True)
    dmb = station(net, "DMB", "10.0.3.1", domain_master=True, preferred_master=True, **WINS)
    lmb = station(net, "LMB", "10.0.1.1", **WINS)
    net.run(300)
    assert lmb.node.browser.domain.known == "DMB (10.0.3.1)"
    assert listed(dmb) == listed(lmb) == {"DMB", "LMB"}
    forger = net.host("10.0.3.1", 137)
    refused = lmb.node.counts.refused
    assert forger.ask(nspacket.answer(0, 4711, wire("GRP#1b"), bytes(6), ttl=1), "10.0.1.1") == []
    assert lmb.node.counts.refused == refused + 1, "an answer nobody asked for"


def test_shorter_intervals_hold_from_the_moment_they_are_set():
    net, dmb, lmb, asked = domain()
    net.run(300)
    del asked[:]
    for each in (dmb, lmb):
        net.tune(each, "browse_sync_interval", "60")
    net.run(62)
    assert {each.host for each in asked} == {"10.0.1.1", "10.0.9.1"}


def test_masters_that_report_at_the_usual_pace_are_kept_by_a_domain_master_with_a_faster_one():
    net, dmb, _, _ = domain()
    net.tune(dmb, "browse_sync_interval", "30")
    net.run(60)
    for _ in range(20):
        net.run(90)
        assert [each.name for each in dmb.node.browser.domain.masters.values()] == ["LMB"]
