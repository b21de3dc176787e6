# SPDX-License-Identifier: GPL-3.0-or-later
from fakes.browsing import Net, frames, station
from fakes.claims import wire
from fakes.ether import Station
from pydaemons.netbios import name
from pydaemons.netbios.browse import LONGEST_COMMENT, HostAnnouncement, MasterAnnouncement
from pydaemons.netbios.node.settings import WinsServer


def asked(net: Net, of: Station, how: str, *words: object) -> list[tuple]:
    """What a question of the ground brings, in the end."""
    got: list[tuple] = []
    getattr(of.node.browser.ground, how)(
        *words[:2], net.now, *words[2:], lambda found, now: got.append(found)
    )
    net.tell(of, None)
    net.run(10)
    return got


def pair() -> tuple[Net, Station, Station]:
    net = Net()
    alpha, beta = (
        station(net, "ALPHA", "10.0.0.1", local_master=False),
        station(net, "BETA", "10.0.0.2", local_master=False),
    )
    net.run(5)
    return net, alpha, beta


def test_a_network_is_asked_for_a_name_and_silence_is_no_address():
    net, alpha, _ = pair()
    (subnet,) = alpha.node.subnets.all
    assert asked(net, alpha, "ask_network", subnet, wire("BETA#20")) == [("10.0.0.2",)]
    assert asked(net, alpha, "ask_network", subnet, wire("NOBODY#20")) == [()]


def test_one_host_is_asked_for_a_name():
    net, alpha, _ = pair()
    assert asked(net, alpha, "ask_host", "10.0.0.2", wire("BETA#20")) == [("10.0.0.2",)]
    assert asked(net, alpha, "ask_host", "10.0.0.2", wire("NOBODY#20")) == [()]
    assert asked(net, alpha, "ask_host", "10.0.0.77", wire("BETA#20")) == [()]


def test_a_hosts_names_are_asked_for():
    net, alpha, _ = pair()
    (names,) = asked(net, alpha, "ask_status", "10.0.0.2", name.ANY)
    assert name.make("BETA", 0x20).label in {entry.label for entry in names}
    assert asked(net, alpha, "ask_status", "10.0.0.77", name.ANY) == [()]


def test_wins_is_our_own_database_or_our_servers():
    net = Net()
    server = station(net, "WINS", "10.0.9.1", wins_support=True, local_master=False)
    client = station(
        net, "ALPHA", "10.0.1.1", wins_servers=(WinsServer("*", "10.0.9.1"),), local_master=False
    )
    net.run(5)
    for each in (server, client):
        got: list[tuple] = []
        ground = each.node.browser.ground
        assert ground.uses_wins
        ground.ask_wins(wire("ALPHA#20"), net.now, lambda found, now, got=got: got.append(found))
        ground.ask_wins(wire("NOBODY#20"), net.now, lambda found, now, got=got: got.append(found))
        net.tell(each, None)
        net.run(5)
        assert sorted(got) == [(), ("10.0.1.1",)]
    assert client.node.browser.ground.is_registered(wire("ALPHA#20"))
    assert not client.node.browser.ground.is_registered(wire("OTHER#20"))


def test_frames_leave_by_the_network_they_are_for():
    net = Net()
    alpha = station(net, "ALPHA", "10.0.0.1", "10.0.1.1", local_master=False)
    net.run(2)
    net.seen.clear()
    ground = alpha.node.browser.ground
    for host in ("10.0.1.77", "192.0.2.1"):
        ground.send_to(host, MasterAnnouncement(ground.label), wire("THERE#00"), unique=True)
    net.tell(alpha, None)
    assert [(each.host, each.to) for each in frames(net, MasterAnnouncement)] == [
        ("10.0.1.1", "10.0.1.77"),
        ("10.0.0.1", "192.0.2.1"),
    ]


def test_names_and_comments_fit_their_fields_in_the_code_page():
    net = Net()
    alpha = station(net, "GRÖSSE", "10.0.0.1", comment="ü" * 100, local_master=False)
    net.run(1)
    (sent,) = frames(net, HostAnnouncement)
    assert sent.frame.name == "GRÖSSE".encode("cp850")
    assert sent.frame.comment == "ü".encode("cp850") * LONGEST_COMMENT
    assert alpha.node.browser.own_lines()[0].comment == "ü" * LONGEST_COMMENT


def test_uptime_counts_from_the_first_network():
    net, alpha, _ = pair()
    assert alpha.node.browser.ground.uptime_ms(net.now) == 5000
    net.mono += 0x200000000
    assert alpha.node.browser.ground.uptime_ms(net.now) == 0xFFFFFFFF
