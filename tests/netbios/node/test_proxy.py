# SPDX-License-Identifier: GPL-3.0-or-later
from fakes.claims import addresses, claim, query, wire
from fakes.ether import Ether
from pydaemons.netbios import nspacket
from pydaemons.netbios.codes import Rcode
from pydaemons.netbios.node.events import Resolve, Resolved
from pydaemons.netbios.node.proxy import FOUND_FOR, KNOWN_FOR, MOST_AWAITED
from pydaemons.netbios.node.settings import Settings, WinsServer


class Dns:
    """A WINS server with a resolver behind it, and a client."""

    def __init__(self) -> None:
        self.ether = Ether()
        self.server = self.ether.add(Settings("WINS", wins_support=True), "10.0.0.1")
        self.client = self.ether.host("10.0.0.9")
        self.ether.run(2)
        self.server.other.clear()

    def asked(self) -> list[str]:
        return [effect.host for effect in self.server.other if isinstance(effect, Resolve)]

    def resolve(self, text: str, *found: bytes) -> None:
        self.ether.tell(self.server, Resolved(wire(text), found))
        self.ether.run(0.1)


def test_a_name_wins_does_not_know_is_looked_up_in_the_dns():
    dns = Dns()
    assert dns.client.ask(query("Www-1#20", id_=3), "10.0.0.1", 0.1) == []
    assert dns.asked() == ["www-1"]
    dns.resolve("WWW-1#20", b"\n\0\0\x50")
    packet = nspacket.unpack(dns.client.got[0][1])
    assert (packet.id, packet.flags, addresses(packet)) == (3, 0x8580, ["10.0.0.80"])
    assert len(dns.client.ask(query("WWW-1#20"), "10.0.0.1", 0.1)) == 1
    assert dns.asked() == ["www-1"], "an answer is believed for two hours"
    dns.ether.run(7300)
    dns.client.ask(query("WWW-1#20"), "10.0.0.1", 0.1)
    assert dns.asked() == ["www-1", "www-1"]


def test_a_name_the_dns_does_not_know_is_denied_for_an_hour():
    dns = Dns()
    dns.client.ask(query("NONE#00"), "10.0.0.1", 0.1)
    dns.resolve("NONE#00")
    assert nspacket.unpack(dns.client.got[0][1]).rcode == Rcode.NAM_ERR
    assert nspacket.unpack(dns.client.ask(query("NONE#00"), "10.0.0.1")[0]).rcode == Rcode.NAM_ERR
    assert dns.asked() == ["none"]


def test_only_hosts_are_looked_up_and_only_by_names_the_dns_could_have():
    dns = Dns()
    for text in ("GROUP#1b", "GROUP#1c", "A B#20", "-X#20", "A;B#00"):
        (answer,) = dns.client.ask(query(text), "10.0.0.1")
        assert nspacket.unpack(answer).rcode == Rcode.NAM_ERR
    assert dns.asked() == []


def test_many_askers_of_one_name_cost_one_lookup():
    dns = Dns()
    others = [dns.ether.host(f"10.0.0.{i}") for i in range(20, 30)]
    for host in (*others, others[0]):
        host.send(query("WWW#20"), "10.0.0.1")
    dns.ether.run(0.1)
    assert dns.asked() == ["www"]
    dns.resolve("WWW#20", b"\n\0\0\x50")
    assert [len(host.got) for host in others] == [1] * 10


def test_lookups_under_way_are_bounded():
    dns = Dns()
    for i in range(MOST_AWAITED + 50):
        dns.client.send(query(f"N{i}#20"), "10.0.0.1")
    dns.ether.run(1)
    assert len(dns.asked()) == MOST_AWAITED


def test_a_wins_proxy_answers_broadcasts_for_names_of_other_networks():
    ether = Ether()
    ether.add(Settings("WINS", wins_support=True, dns_proxy=False), "10.0.1.1")
    ether.add(Settings("PROXY", wins_proxy=True, wins_servers=(WinsServer("*", "10.0.1.1"),)), "10.0.0.1")
    far, near = ether.host("10.0.7.7", 137), ether.host("10.0.0.7", 137)
    far.ask(claim("FAR#20", "10.0.7.7"), "10.0.1.1")
    near.ask(claim("NEAR#20", "10.0.0.7"), "10.0.1.1")
    asker = ether.host("10.0.0.9")
    (answer,) = asker.ask(query("FAR#20", broadcast=True, id_=4), "10.0.0.255")
    packet = nspacket.unpack(answer)
    assert (packet.id, addresses(packet)) == (4, ["10.0.7.7"])
    assert len(asker.ask(query("FAR#20", broadcast=True), "10.0.0.255", 0.1)) == 1
    assert asker.ask(query("NEAR#20", broadcast=True), "10.0.0.255") == [], "it answers for itself"
    assert asker.ask(query("NOBODY#20", broadcast=True), "10.0.0.255") == []


def test_a_wins_server_is_its_own_proxy():
    ether = Ether()
    ether.add(Settings("WINS", wins_support=True, wins_proxy=True), "10.0.0.1")
    far = ether.host("10.0.7.7", 137)
    far.ask(claim("FAR#20", "10.0.7.7"), "10.0.0.1")
    asker = ether.host("10.0.0.9")
    (answer,) = asker.ask(query("FAR#20", broadcast=True), "10.0.0.255")
    assert addresses(nspacket.unpack(answer)) == ["10.0.7.7"]


def test_a_proxy_answers_for_hosts_alone_and_for_addresses_they_still_have():
    ether = Ether()
    server = ether.add(Settings("WINS", wins_support=True, wins_proxy=True), "10.0.0.1")
    far = ether.host("10.0.7.7", 137)
    for text in ("FAR#1b", "FAR#20"):
        far.ask(claim(text, "10.0.7.7"), "10.0.0.1")
    asker = ether.host("10.0.0.9")
    assert asker.ask(query("FAR#1b", broadcast=True), "10.0.0.255") == []
    record = server.node.db.find(wire("FAR#20"))
    (member,) = record.members
    gone = member._replace(address=b"\n\0\7\6", expires=int(ether.now.wall) - 1)
    server.node.db.keep(wire("FAR#20"), record._replace(members=(gone, member)))
    (answer,) = asker.ask(query("FAR#20", broadcast=True), "10.0.0.255")
    assert addresses(nspacket.unpack(answer)) == ["10.0.7.7"]


def test_what_is_told_of_others_lasts_no_longer_than_it_is_believed_here():
    dns = Dns()
    dns.client.ask(query("WWW#20"), "10.0.0.1", 0.1)
    dns.resolve("WWW#20", b"\n\0\0\x50")
    assert nspacket.unpack(dns.client.got[0][1]).answers[0].ttl == KNOWN_FOR
    ether = Ether()
    ether.add(Settings("WINS", wins_support=True, dns_proxy=False), "10.0.1.1")
    ether.add(Settings("PROXY", wins_proxy=True, wins_servers=(WinsServer("*", "10.0.1.1"),)), "10.0.0.1")
    ether.host("10.0.7.7", 137).ask(claim("FAR#20", "10.0.7.7"), "10.0.1.1")
    (answer,) = ether.host("10.0.0.9").ask(query("FAR#20", broadcast=True), "10.0.0.255")
    assert nspacket.unpack(answer).answers[0].ttl == FOUND_FOR
