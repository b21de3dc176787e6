# SPDX-License-Identifier: GPL-3.0-or-later
from fakes.claims import claim, query, wire
from fakes.ether import Ether
from pydaemons.engine.protocol import Address, Origin, Transport
from pydaemons.netbios import nspacket
from pydaemons.netbios.node.settings import Settings, WinsServer
from pydaemons.netbios.node.sources import MOST
from pydaemons.tunables.declare import TunableChanged

REQUESTS = [
    query("ALPHA#20"),
    query("ALPHA#20", recursion=False),
    query("ALPHA#20", broadcast=True),
    nspacket.status_request(1),
    claim("ALPHA#20", "203.0.113.5"),
    claim("OTHER#20", "203.0.113.5"),
    b"",
    b"\0" * 12,
]


def answers_to(settings: Settings, host: str, port: int = 4000, **tunables: str) -> int:
    ether = Ether()
    station = ether.add(settings, "10.0.0.1")
    for key, text in tunables.items():
        station.node.tunables.set(key, text, "test")
    ether.tell(station, TunableChanged("net.netbios.allow", (), ()))
    ether.run(2)
    before = len(ether.seen)
    origin = Origin(Transport.UDP, Address(host, port), Address("10.0.0.1", 137))
    return sum(station.node.receive(data, origin, ether.now) is not None for data in REQUESTS) + (
        len(ether.seen) - before
    )


def test_a_host_of_our_network_is_answered():
    assert answers_to(Settings("ALPHA"), "10.0.0.9") > 0


def test_nobody_beyond_our_networks_gets_a_single_byte():
    for host in ("203.0.113.5", "10.1.0.9", "8.8.8.8"):
        assert answers_to(Settings("ALPHA"), host) == 0


def test_sources_that_cannot_be_hosts_get_nothing():
    for host in ("10.0.0.255", "255.255.255.255", "224.0.0.1", "0.0.0.0", "0.1.2.3"):
        assert answers_to(Settings("ALPHA", wins_support=True), host) == 0
    assert answers_to(Settings("ALPHA"), "10.0.0.9", 0) == 0
    assert answers_to(Settings("ALPHA"), "10.0.0.1", 137) == 0, "our own packet that came back"
    assert answers_to(Settings("ALPHA"), "10.0.0.1", 4000) > 0, "a program on our own host"


def test_an_allowed_network_is_answered_like_our_own():
    assert answers_to(Settings("ALPHA"), "203.0.113.5", allow="203.0.113.0/24") > 0


def test_a_wins_server_serves_private_networks_behind_routers_and_no_others():
    wins = Settings("ALPHA", wins_support=True, dns_proxy=False)
    assert answers_to(wins, "192.168.7.5") > 0
    assert answers_to(wins, "203.0.113.5") == 0
    assert answers_to(wins, "192.168.7.5", wins_allow="") == 0


def test_node_status_is_not_for_the_clients_of_a_wins_server_elsewhere():
    ether = Ether()
    station = ether.add(Settings("ALPHA", wins_support=True), "10.0.0.1")
    ether.run(2)
    origin = Origin(Transport.UDP, Address("192.168.7.5", 4000), Address("10.0.0.1", 137))
    assert station.node.receive(nspacket.status_request(1), origin, ether.now) is None


def test_a_source_that_asks_too_often_is_not_answered_for_a_while():
    ether = Ether()
    station = ether.add(Settings("ALPHA"), "10.0.0.1")
    station.node.tunables.set("query_burst", "10", "test")
    station.node.tunables.set("query_rate", "5", "test")
    ether.tell(station, TunableChanged("net.netbios.query_rate", 0, 5))
    ether.run(2)
    asker, other = ether.host("10.0.0.9"), ether.host("10.0.0.8")
    for _ in range(100):
        asker.send(query("ALPHA#20"), "10.0.0.1")
    ether.run(0.1)
    assert len(asker.got) == 10
    assert len(other.ask(query("ALPHA#20"), "10.0.0.1", 0.1)) == 1, "others are not affected"
    asker.got.clear()
    ether.run(1)
    for _ in range(100):
        asker.send(query("ALPHA#20"), "10.0.0.1")
    ether.run(0.1)
    assert 5 <= len(asker.got) <= 7
    assert station.node.counts.refused >= 180


def test_a_wins_server_of_ours_may_answer_from_anywhere():
    ether = Ether()
    station = ether.add(Settings("ALPHA", wins_servers=(WinsServer("*", "203.0.113.1"),)), "10.0.0.1")
    server = ether.host("203.0.113.1", 137)
    ether.run(0.1)
    ours = [data for _, data in server.got if nspacket.unpack(data).questions[0].name == wire("ALPHA#20")]
    request = nspacket.unpack(ours[0])
    data = request.additionals[0].data
    server.send(nspacket.answer(5, request.id, wire("ALPHA#20"), data, ttl=3600), "10.0.0.1")
    ether.run(0.1)
    assert [key[0] for key in station.node.client.tags["*"].registered] == [wire("ALPHA#20")]


def test_sources_in_great_number_do_not_make_it_grow():
    ether = Ether()
    station = ether.add(Settings("ALPHA"), "10.0.0.1")
    data = query("ALPHA#20")
    for i in range(MOST * 2):
        origin = Origin(
            Transport.UDP,
            Address(f"203.0.{i >> 8 & 255}.{i & 255}", 1000 + (i >> 16)),
            Address("10.0.0.1", 137),
        )
        assert station.node.receive(data, origin, ether.now) is None
    assert len(station.node._sources.met) <= MOST


def test_our_own_broadcasts_that_come_back_are_not_counted_as_refused():
    ether = Ether()
    station = ether.add(Settings("ALPHA"), "10.0.0.1")
    ether.run(2)
    assert station.node.counts.ours > 0
    assert station.node.counts.refused == 0
    ether.host("203.0.113.9").ask(query("ALPHA#20"), "10.0.0.1")
    assert station.node.counts.refused == 1
