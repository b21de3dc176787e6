# SPDX-License-Identifier: GPL-3.0-or-later
from dataclasses import replace

import pytest

from fakes.claims import claim, query, wire
from fakes.ether import Ether
from pydaemons.netbios import nspacket
from pydaemons.netbios.codes import Opcode
from pydaemons.netbios.node.events import Reconfigured, Resolved, RunHook
from pydaemons.netbios.node.settings import Settings, WinsServer
from pydaemons.tunables.declare import TunableChanged


def test_a_changed_lifetime_is_in_the_next_answer():
    ether = Ether()
    station = ether.add(Settings("ALPHA"), "10.0.0.1")
    ether.run(2)
    asker = ether.host("10.0.0.9")
    assert len(asker.ask(query("ALPHA#20"), "10.0.0.1")) == 1
    station.node.tunables.set("max_ttl", "4711", "test")
    ether.tell(station, TunableChanged("net.netbios.max_ttl", 259200, 4711))
    (answer,) = asker.ask(query("ALPHA#20"), "10.0.0.1")
    assert nspacket.unpack(answer).answers[0].ttl == 4711


@pytest.mark.parametrize("opcode", [Opcode.REGISTRATION, Opcode.REFRESH, Opcode.REFRESH_9])
def test_the_short_way_and_the_long_way_of_a_registration_give_the_same_answer(opcode):
    """A surplus byte makes a packet take the long way."""
    answers = []
    for surplus in (b"", b"\0"):
        ether = Ether()
        station = ether.add(Settings("ALPHA", wins_support=True), "10.0.0.1")
        ether.run(2)
        host = ether.host("10.0.0.9")
        for seconds in (0.1, 1000.0, 0.1):
            answers.append(host.ask(claim("X#20", "10.0.0.9", opcode=opcode) + surplus, "10.0.0.1", seconds))
        answers.append(sorted(station.stored.items()))
    assert answers[:4] == answers[4:]


def test_an_idle_node_is_woken_for_nothing():
    ether = Ether()
    station = ether.add(Settings("ALPHA"), "10.0.0.1")
    ether.run(7200)
    began, wakes = ether.mono, 0
    while ether.mono < began + 3600:
        ether.run(max(station.node.deadline() - ether.mono, 0.001))
        wakes += 1
    assert wakes <= 40  # as the master it is, it announces itself and its group


def test_the_short_way_and_the_long_way_of_a_denial_give_the_same_answer():
    ether = Ether()
    ether.add(Settings("ALPHA", wins_support=True, dns_proxy=False), "10.0.0.1")
    ether.run(2)
    host = ether.host("10.0.0.9")
    for text in ("NOBODY#20", "NOBODY#1b.scope", "*#1b"):
        (short,) = host.ask(query(text), "10.0.0.1")
        (long,) = host.ask(query(text) + b"\0", "10.0.0.1")
        assert short == long
        assert nspacket.unpack(short).rcode == 3


def test_a_new_port_waits_for_a_restart_as_the_socket_does():
    ether = Ether()
    station = ether.add(Settings("ALPHA"), "10.0.0.1")
    station.node.tunables.set("nmb_port", "5137", "test")
    ether.tell(station, TunableChanged("net.netbios.nmb_port", 137, 5137))
    ether.run(2)
    assert {to.port for _, to, _ in ether.seen} - {138} == {137}


HOST = Settings("ALPHA")
RELOADS = [
    (HOST, replace(HOST, netbios_name="BETA"), query("BETA#20"), 0),
    (replace(HOST, netbios_name="BETA"), HOST, query("BETA#20", recursion=False), 3),
    (HOST, replace(HOST, aliases=("OTHER",)), query("OTHER#03"), 0),
    (HOST, replace(HOST, workgroup="OFFICE"), query("OFFICE#1e"), 0),
    (HOST, replace(HOST, scope="here"), query("ALPHA#20.here"), 0),
    (HOST, replace(HOST, wins_support=True, dns_proxy=False), query("NOBODY#20"), 3),
    (
        replace(HOST, wins_support=True),
        replace(HOST, wins_support=True, dns_proxy=False),
        query("NOBODY#20"),
        3,
    ),
]


@pytest.mark.parametrize(("before", "after", "asked", "rcode"), RELOADS)
def test_what_a_reload_changes_is_in_the_next_answer(before, after, asked, rcode):
    ether = Ether()
    station = ether.add(before, "10.0.0.1")
    ether.run(5)
    asker = ether.host("10.0.0.9")
    first = asker.ask(asked, "10.0.0.1", 0.1)
    assert [nspacket.unpack(data).rcode for data in first] != [rcode]
    ether.tell(station, Reconfigured(after))
    ether.run(5)
    assert [nspacket.unpack(data).rcode for data in asker.ask(asked, "10.0.0.1")] == [rcode]


def test_a_reload_changes_servers_hook_and_proxy():
    ether = Ether()
    server = ether.add(Settings("WINS", wins_support=True, dns_proxy=False), "10.0.1.1")
    station = ether.add(HOST, "10.0.0.1")
    ether.run(5)
    ether.tell(
        station, Reconfigured(replace(HOST, wins_servers=(WinsServer("*", "10.0.1.1"),), wins_proxy=True))
    )
    ether.run(5)
    assert server.node.db.find_live(wire("ALPHA#20"), ether.now.wall) is not None
    ether.host("10.0.1.9").ask(claim("FAR#20", "10.0.1.9"), "10.0.1.1")
    asked = query("FAR#20", broadcast=True)
    assert len(ether.host("10.0.0.9").ask(asked, "10.0.0.255")) == 1, "the proxy answers"
    ether.tell(station, Reconfigured(HOST))
    ether.run(5)
    assert server.node.db.find_live(wire("ALPHA#20"), ether.now.wall) is None, "released there"
    assert ether.host("10.0.0.8").ask(asked, "10.0.0.255") == []
    ether.tell(server, Reconfigured(replace(server.node.settings, wins_hook=("/bin/hook",))))
    ether.host("10.0.1.9").ask(claim("HOOKED#20", "10.0.1.9"), "10.0.1.1")
    assert [effect.arguments[:3] for effect in server.other if isinstance(effect, RunHook)] == [
        ("/bin/hook", "add", "HOOKED")
    ]


def test_answers_that_come_later_count_too():
    ether = Ether()
    station = ether.add(Settings("WINS", wins_support=True), "10.0.0.1")
    ether.run(2)
    asker = ether.host("10.0.0.9")
    before = station.node.counts.answered
    assert asker.ask(query("WWW#20"), "10.0.0.1", 0.1) == []
    assert station.node.counts.answered == before
    ether.tell(station, Resolved(wire("WWW#20"), (b"\n\0\0\x50",)))
    ether.run(0.1)
    assert len(asker.got) == 1
    assert station.node.counts.answered == before + 1
