# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from fakes.claims import addresses, query, wire
from fakes.ether import Ether, Station, interface
from pydaemons.netbios import nspacket
from pydaemons.netbios.codes import Opcode, Rcode
from pydaemons.netbios.node import winsrecord
from pydaemons.netbios.node.events import InterfacesChanged, Reconfigured, StopRequested
from pydaemons.netbios.node.settings import Settings, WinsServer

ONE, TWO = "10.0.1.1", "10.0.2.1"


def client(*servers: str | tuple[str, str], **options: object) -> Settings:
    tagged = [server if isinstance(server, tuple) else ("*", server) for server in servers]
    return Settings("ALPHA", wins_servers=tuple(WinsServer(*pair) for pair in tagged), **options)


def server(ether: Ether, address: str) -> Station:
    return ether.add(Settings(f"WINS{address[5]}", wins_support=True, dns_proxy=False), address)


def registered(station: Station, text: str = "ALPHA#20") -> list[str]:
    record = station.node.db.find_live(wire(text), 0.0)
    if record is None or record.state != winsrecord.State.ACTIVE:
        return []
    return [".".join(map(str, member.address)) for member in record.members]


def test_our_names_are_registered_and_found_by_a_client_elsewhere():
    ether = Ether()
    server(ether, ONE)
    alpha = ether.add(client(ONE), "10.0.0.1")
    ether.run(3)
    tag = alpha.node.client.tags["*"]
    assert {name for name, _ in tag.registered} == {own.wire for own in alpha.node.settings.names()}
    elsewhere = ether.host("10.0.9.9")
    (answer,) = elsewhere.ask(query("ALPHA#20"), ONE)
    assert addresses(nspacket.unpack(answer)) == ["10.0.0.1"]


@pytest.mark.parametrize("seed", range(5))
def test_names_stay_registered_for_days_on_a_bad_network(seed):
    ether = Ether(seed, loss=0.15, twice=0.1, jitter=0.3)
    one = server(ether, ONE)
    ether.add(client(ONE), "10.0.0.1")
    for _ in range(3):
        ether.run(86400)
        assert registered(one) == ["10.0.0.1"]


def test_names_are_refreshed_every_twenty_minutes():
    ether = Ether()
    server(ether, ONE)
    ether.add(client(ONE), "10.0.0.1")
    ether.run(10)
    ether.seen.clear()
    ether.run(7200)
    refreshes = [data for _, to, data in ether.seen if to.host == ONE]
    sent = [p for data in refreshes if (p := nspacket.unpack(data)).questions[0].name == wire("ALPHA#20")]
    assert len(sent) == 6
    assert {packet.opcode for packet in sent} == {Opcode.REFRESH}


def test_a_host_with_two_addresses_registers_both():
    ether = Ether()
    one = server(ether, ONE)
    ether.add(client(ONE), "10.0.0.1", "10.0.3.1")
    ether.run(10)
    assert sorted(registered(one)) == ["10.0.0.1", "10.0.3.1"]
    assert registered(one, "WORKGROUP#00")


def test_a_dead_server_is_replaced_by_the_next_one_of_its_tag():
    ether = Ether()
    one, two = server(ether, ONE), server(ether, TWO)
    alpha = ether.add(client(ONE, TWO), "10.0.0.1")
    ether.run(10)
    assert registered(one) and not registered(two)
    ether.remove(one)
    ether.run(1300)
    assert registered(two) == ["10.0.0.1"]
    assert any(f"WINS server {ONE} does not answer; using {TWO}" in line for line in alpha.logs)


def test_a_server_dead_from_the_start_costs_five_seconds():
    ether = Ether()
    two = server(ether, TWO)
    ether.add(client(ONE, TWO), "10.0.0.1")
    ether.run(5)
    assert registered(two) == ["10.0.0.1"]


def test_the_only_server_is_tried_again_and_again():
    ether = Ether()
    ether.add(client(ONE), "10.0.0.1")
    ether.run(1000)
    one = server(ether, ONE)
    ether.run(70)
    assert registered(one) == ["10.0.0.1"]


def test_every_tag_gets_all_names():
    ether = Ether()
    one, two = server(ether, ONE), server(ether, TWO)
    ether.add(client(("east", ONE), ("west", TWO)), "10.0.0.1")
    ether.run(5)
    assert registered(one) == registered(two) == ["10.0.0.1"]


def test_a_server_that_lost_its_names_gets_them_again():
    ether = Ether()
    one = server(ether, ONE)
    ether.add(client(ONE), "10.0.0.1")
    ether.run(10)
    for text in ("ALPHA#20", "ALPHA#00"):
        one.node.wins.delete(wire(text), ether.now)
    ether.run(1300)
    assert registered(one) == ["10.0.0.1"]


def test_a_name_somebody_alive_has_is_refused_to_us_and_said():
    ether = Ether()
    server(ether, ONE)
    ether.add(client(ONE), "10.0.0.1")
    ether.run(10)
    second = ether.add(client(ONE), "10.0.5.1")
    ether.run(10)
    assert any(f"WINS server {ONE} refused ALPHA<20> (ACT_ERR)" in line for line in second.logs)


def test_a_name_of_a_host_that_died_is_ours_after_its_challenge():
    ether = Ether()
    one = server(ether, ONE)
    first = ether.add(client(ONE), "10.0.0.1")
    ether.run(10)
    ether.remove(first)
    ether.add(client(ONE), "10.0.5.1")
    ether.run(10)
    assert registered(one) == ["10.0.5.1"]


def test_names_are_released_at_the_server_when_we_stop_or_leave_it():
    ether = Ether()
    one, two = server(ether, ONE), server(ether, TWO)
    alpha = ether.add(client(ONE), "10.0.0.1")
    ether.run(5)
    ether.tell(alpha, Reconfigured(client(TWO)))
    ether.run(5)
    assert not registered(one)
    assert registered(two) == ["10.0.0.1"]
    ether.tell(alpha, StopRequested())
    ether.run(5)
    assert alpha.left
    assert not registered(two)


def test_we_answer_the_challenge_of_our_server():
    ether = Ether()
    one = server(ether, ONE)
    ether.add(client(ONE), "10.0.0.1")
    ether.run(5)
    thief = ether.host("10.0.0.66", 137)
    claim = nspacket.claim(
        5,
        9,
        wire("ALPHA#20"),
        nspacket.Nb(0x6000, b"\n\0\0\x42"),
        ttl=0,
        broadcast=False,
        recursion_desired=True,
    )
    answers = [nspacket.unpack(data) for data in thief.ask(claim, ONE)]
    assert [packet.opcode for packet in answers] == [Opcode.WACK, Opcode.REGISTRATION]
    assert answers[1].rcode == Rcode.ACT_ERR
    assert registered(one) == ["10.0.0.1"]


def test_an_address_that_went_away_while_the_server_was_dead_is_never_registered():
    ether = Ether()
    alpha = ether.add(client(ONE), "10.0.0.1")
    ether.run(20)
    alpha.addresses[:] = ["10.0.3.1"]
    ether.tell(alpha, InterfacesChanged((interface("10.0.3.1"),)))
    one = server(ether, ONE)
    ether.run(3000)
    assert registered(one) == ["10.0.3.1"]
    assert {address for _, address in alpha.node.client.tags["*"].registered} == {b"\x0a\0\3\1"}


def test_a_name_that_was_being_registered_when_it_was_given_up_is_released():
    ether = Ether()
    one = server(ether, ONE)
    ether.run(5)
    alpha = ether.add(client(ONE, aliases=("GAMMA",)), "10.0.0.1")  # the requests are under way, no more
    ether.tell(alpha, Reconfigured(client(ONE)))
    ether.run(30)
    assert (registered(one), registered(one, "GAMMA#20")) == (["10.0.0.1"], [])


def test_a_dead_server_is_said_once_and_so_is_its_return():
    ether = Ether()
    alpha = ether.add(client(ONE), "10.0.0.1")
    ether.run(3600)
    (line,) = [line for line in alpha.logs if "does not answer" in line]
    assert ONE in line
    server(ether, ONE)
    ether.run(300)
    assert [line for line in alpha.logs if "answers again" in line] == [f"WINS server {ONE} answers again"]
    assert len([line for line in alpha.logs if "does not answer" in line]) == 1


def test_who_stops_registers_nothing_any_more_whatever_happens_meanwhile():
    ether = Ether()
    one = server(ether, ONE)
    other = ether.add(Settings("BETA", wins_servers=(WinsServer("*", ONE),)), "10.0.5.1")
    alpha = ether.add(client(ONE, aliases=("BETA",)), "10.0.0.1")  # refused: it is tried again later
    ether.run(10)
    ether.remove(other)
    due = alpha.node.client.tags["*"].due
    for key in [(wire("BETA#20"), b"\x0a\0\0\1"), (wire("BETA#00"), b"\x0a\0\0\1")]:
        assert due.at(key) is not None
        due.set(key, ether.mono + 0.3)
    ether.tell(alpha, StopRequested())
    ether.run(0.1)
    ether.tell(alpha, InterfacesChanged((interface("10.0.0.1"), interface("10.0.3.1", "net1"))))
    ether.tell(alpha, Reconfigured(client(ONE, aliases=("GAMMA",))))
    ether.run(20)
    assert alpha.left
    assert [registered(one, text) for text in ("ALPHA#20", "GAMMA#20")] == [[], []]
    assert registered(one, "BETA#20") == ["10.0.5.1"]
    assert not list(alpha.node.names)


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_release_that_is_lost_when_we_stop_is_sent_again(lost, monkeypatch):
    ether = Ether()
    one = server(ether, ONE)
    alpha = ether.add(client(ONE), "10.0.0.1")
    ether.run(5)
    gone: list[bytes] = []
    carry = ether.carry

    def losing(data, source, to):
        released = to.host == ONE and nspacket.unpack(data).opcode == Opcode.RELEASE
        if released and gone.count(data[12:]) < lost:
            gone.append(data[12:])
        else:
            carry(data, source, to)

    monkeypatch.setattr(ether, "carry", losing)
    ether.tell(alpha, StopRequested())
    ether.run(3)
    assert alpha.left
    texts = [own.wire for own in alpha.node.settings.names() if not own.group]
    states = [one.node.db.find(each).state for each in texts]
    assert states == [winsrecord.State.RELEASED] * len(texts)


def test_what_was_being_registered_when_we_stop_is_released():
    ether = Ether()
    one = server(ether, ONE)
    ether.run(5)
    alpha = ether.add(client(ONE), "10.0.0.1")
    ether.tell(alpha, StopRequested())
    ether.run(5)
    assert alpha.left
    assert not registered(one)
