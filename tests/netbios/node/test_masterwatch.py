# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from fakes.browsing import Net, frames, masters, place, station
from fakes.claims import sent, wire
from fakes.ether import Station
from pydaemons.netbios import nspacket
from pydaemons.netbios.browse import LocalMasterAnnouncement
from pydaemons.netbios.codes import Opcode

PAUSE = 20.0
"""The default of master_check."""


@pytest.fixture
def site() -> tuple[Net, Station, Station]:
    """ALPHA is master, BETA looks after it."""
    net = Net()
    alpha = station(net, "ALPHA", "10.0.0.1", level=40)
    beta = station(net, "BETA", "10.0.0.2")
    net.run(60)
    assert masters(net) == [alpha]
    net.seen.clear()
    return net, alpha, beta


def asked(net: Net) -> list[str]:
    """Who was asked for the office."""
    return [to.host for to, _ in sent(net, Opcode.QUERY, "GRP#1d")]


def test_a_master_that_answers_is_all_that_is_asked(site):
    net, _, _ = site
    net.run(600)
    hosts = asked(net)
    assert set(hosts) == {"10.0.0.1"}
    assert 600 / PAUSE - 4 <= len(hosts) <= 600 / PAUSE + 4


def test_a_master_that_is_silent_is_asked_for_on_the_whole_network_before_anybody_stands(site):
    net, alpha, beta = site
    net.remove(alpha)
    net.run(PAUSE * 1.2 + 4)
    hosts = asked(net)
    assert hosts[:3] == ["10.0.0.1"] * 3
    assert hosts[3:] == ["10.0.0.255"] * 3
    net.run(20)
    assert masters(net) == [beta]


def test_a_master_that_moved_to_another_host_is_found_there_without_an_election(site):
    net, alpha, beta = site
    held = place(beta).candidacy.held
    net.remove(alpha)
    gamma = net.host("10.0.0.3", 137)

    # somebody answers for the name whom we never heard of
    def answer() -> None:
        for to, packet in sent(net, Opcode.QUERY, "GRP#1d"):
            if to.host == "10.0.0.255":
                data = b"\0\0\x0a\0\0\x03"
                gamma.send(nspacket.answer(0, packet.id, wire("GRP#1d"), data, ttl=60), "10.0.0.2")
                return
        net.later(0.1, answer)

    net.later(0.1, answer)
    net.run(PAUSE * 1.2 + 4)
    assert place(beta).master_host == "10.0.0.3"
    assert place(beta).candidacy.held == held


def test_a_master_does_not_look_for_itself(site):
    net, _, beta = site
    net.remove(beta)
    net.run(600)
    assert asked(net) == []


def test_a_shorter_pause_holds_from_the_moment_it_is_set(site):
    net, _, beta = site
    net.tune(beta, "master_check", "3600")
    net.run(60)
    net.seen.clear()
    net.run(600)
    assert asked(net) == []
    net.tune(beta, "master_check", "10")
    net.run(12)
    assert asked(net) == ["10.0.0.1"]


def test_a_master_whose_announcements_got_lost_is_asked_for_its_name(site):
    net, _, beta = site
    net.run(3 * 3600)
    net.seen.clear()
    net.run(PAUSE * 1.2)
    while not frames(net, LocalMasterAnnouncement):
        net.run(1)
    place(beta).master = ""  # the next one comes in twelve minutes
    net.run(PAUSE * 1.2 + 12)
    assert place(beta).master == "ALPHA"
    assert place(beta).master_host == "10.0.0.1"
