# SPDX-License-Identifier: GPL-3.0-or-later
import json
from typing import Any

import pytest

from fakes.claims import claim, query, wire
from fakes.datagrams import write_in
from fakes.ether import Ether, Station
from pydaemons.netbios.node.asked import PAGE
from pydaemons.netbios.node.events import Asked
from pydaemons.netbios.node.settings import Settings, WinsServer
from pydaemons.netbios.node.views import VERBS


def ask(ether: Ether, station: Station, verb: str, **arguments: object) -> dict[str, Any]:
    answers: list[dict[str, Any]] = []
    ether.tell(station, Asked(verb, arguments, answers.append))
    (answer,) = answers
    return json.loads(json.dumps(answer))


def server() -> tuple[Ether, Station]:
    ether = Ether()
    station = ether.add(Settings("WINS", wins_support=True, dns_proxy=False), "10.0.0.1")
    ether.run(2)
    return ether, station


def test_every_request_has_an_answer_that_json_can_hold():
    ether, station = server()
    for verb in VERBS:
        assert ask(ether, station, verb)
    assert ask(ether, station, "nonsense") == {"error": "unknown request 'nonsense'"}


def test_the_names_are_shown_with_state_and_servers():
    ether, _ = server()
    station = ether.add(Settings("ALPHA", wins_servers=(WinsServer("*", "10.0.0.1"),)), "10.0.5.1")
    ether.run(3)
    shown = {entry["name"]: entry for entry in ask(ether, station, "names")["names"]}
    assert shown["ALPHA#20"] == {
        "name": "ALPHA#20",
        "meaning": "file server",
        "group": False,
        "interface": "net0",
        "address": "10.0.5.1",
        "state": "owned",
        "rival": "",
        "wins": ["10.0.0.1"],
    }
    assert ask(ether, station, "status")["wins_servers"][0]["registered"] == 5


def test_wins_names_are_added_listed_and_deleted():
    ether, station = server()
    assert ask(ether, station, "wins-add", name="printer#20", addresses=["10.0.7.1"]) == {
        "added": "PRINTER#20"
    }
    (entry,) = ask(ether, station, "wins-list", pattern="print*")["names"]
    assert (entry["state"], entry["addresses"], entry["group"]) == ("active", ["10.0.7.1"], False)
    host = ether.host("10.0.0.9")
    assert len(host.ask(query("PRINTER#20"), "10.0.0.1")) == 1
    assert ask(ether, station, "wins-delete", name="printer#20") == {"deleted": "PRINTER#20"}
    assert ask(ether, station, "wins-delete", name="printer#20") == {"error": "there is no PRINTER#20"}
    assert station.stored == station.node.db.records


def test_what_makes_no_sense_is_refused_with_the_reason():
    ether, station = server()
    assert "no name given" in ask(ether, station, "wins-add")["error"]
    assert "IPv4" in ask(ether, station, "wins-add", name="A#20", addresses=["x"])["error"]
    plain = ether.add(Settings("ALPHA"), "10.0.1.1")
    assert "no WINS server" in ask(ether, plain, "wins-add", name="A#20", addresses=["10.0.0.1"])["error"]


def test_a_long_list_comes_in_pages():
    ether, station = server()
    host = ether.host("10.0.0.9", 137)
    for i in range(PAGE + 10):
        host.send(claim(f"N{i}#20", "10.0.0.9"), "10.0.0.1")
    ether.run(1)
    names, after = [], 0
    while after is not None:
        page = ask(ether, station, "wins-list", after=after)
        assert len(page["names"]) <= PAGE
        names += [entry["name"] for entry in page["names"]]
        after = page["next"]
    assert len(names) == len(set(names)) == PAGE + 10 + 5


def test_the_counters_count():
    ether, station = server()
    host = ether.host("10.0.0.9")
    before = ask(ether, station, "stats")
    host.ask(query("WINS#20"), "10.0.0.1", 0.01)
    host.ask(b"", "10.0.0.1", 0.01)
    after = ask(ether, station, "stats")
    assert after["packets"] - before["packets"] == 2
    assert after["answers"] - before["answers"] == 1
    assert after["bad"] - before["bad"] == 1


def test_a_mailslot_is_written_to_on_all_networks_or_at_one_host():
    ether = Ether()
    station = ether.add(Settings("ALPHA"), "10.0.0.1", "10.0.1.1")
    ether.run(2)
    ether.seen.clear()
    told = {"destination": "GRP#1e", "mailslot": r"\MAILSLOT\BROWSE", "data": "0102"}
    assert ask(ether, station, "send-mailslot", **told) == {"sent": 2, "to": ["10.0.0.255", "10.0.1.255"]}
    assert ask(ether, station, "send-mailslot", **told, to="10.0.1.9")["to"] == ["10.0.1.9"]
    assert ask(ether, station, "send-mailslot", **told, to="192.0.2.9")["to"] == ["192.0.2.9"]
    sent = [(source.host, to.host, *write_in(data)) for source, to, data in ether.seen if to.port == 138]
    assert [entry[:2] for entry in sent] == [
        ("10.0.0.1", "10.0.0.255"),
        ("10.0.1.1", "10.0.1.255"),
        ("10.0.1.1", "10.0.1.9"),
        ("10.0.0.1", "192.0.2.9"),
    ]
    _, _, packet, write = sent[0]
    assert (packet.source, packet.destination) == (wire("ALPHA#00"), wire("GRP#1e"))
    assert (write.mailslot, write.data) == (rb"\MAILSLOT\BROWSE", b"\1\2")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"mailslot": r"\PIPE\X"}, "no mailslot"),
        ({"mailslot": "\\MAILSLOT\\Ä"}, "no mailslot"),
        ({"data": "zz"}, "hexadecimal"),
        ({"data": "00" * 70000}, "too many"),
        ({"to": "somewhere"}, "somewhere"),
        ({"destination": ""}, "name"),
    ],
)
def test_a_write_that_cannot_be_sent_is_refused_with_the_reason(wrong, said):
    ether = Ether()
    station = ether.add(Settings("ALPHA"), "10.0.0.1")
    ether.seen.clear()
    told = {"destination": "GRP#1e", "mailslot": r"\MAILSLOT\BROWSE", "data": "0102"} | wrong
    assert said in ask(ether, station, "send-mailslot", **told)["error"]


@pytest.mark.parametrize("after", [-1, 1 << 70])
@pytest.mark.parametrize("verb", ["wins-list", "browse"])
def test_a_page_that_cannot_be_is_refused(verb, after):
    ether, station = server()
    assert "page" in ask(ether, station, verb, after=after)["error"]


@pytest.mark.parametrize("ttl", [-1, -(10**12), 0])
def test_a_name_with_no_time_left_is_not_added(ttl):
    ether, station = server()
    answer = ask(ether, station, "wins-add", name="NEW#20", addresses=["10.0.0.8"], ttl=ttl)
    assert "at least a second" in answer["error"]
    assert station.node.db.find(wire("NEW#20")) is None
