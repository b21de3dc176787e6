# SPDX-License-Identifier: GPL-3.0-or-later
import json

from fakes.browsing import Net, serve_lists, station
from fakes.ether import Station
from pydaemons.netbios.node import views
from pydaemons.netbios.node.asked import PAGE
from pydaemons.netbios.node.browseviews import VERBS, roles
from pydaemons.netbios.node.settings import WinsServer


def ask(net: Net, of: Station, verb: str, **arguments):
    answer = views.answer(of.node, verb, arguments, net.now)
    net.tell(of, None)
    return json.loads(json.dumps(answer))


def site() -> tuple[Net, Station, Station]:
    net = Net()
    serve_lists(net)
    dmb = station(net, "DMB", "10.0.9.1", wins_support=True, domain_master=True, comment="all", level=65)
    lmb = station(net, "LMB", "10.0.1.1", wins_servers=(WinsServer("*", "10.0.9.1"),))
    station(net, "OTHER", "10.0.9.2", workgroup="OGRP")
    net.run(100)
    return net, dmb, lmb


def test_the_verbs_are_among_all():
    assert VERBS.items() <= views.VERBS.items()


def test_groups_and_servers_are_shown_with_where_they_are_known_from():
    net, dmb, _ = site()
    shown = ask(net, dmb, "browse")
    assert [(each["name"], each["master"], each["source"]) for each in shown["groups"]] == [
        ("GRP", "DMB", "10.0.9.1"),
        ("OGRP", "OTHER", "10.0.9.2"),
    ]
    assert [(each["name"], each["source"], each["network"]) for each in shown["servers"]] == [
        ("DMB", "self", ""),
        ("LMB", "10.0.1.1", ""),
    ]
    assert shown["servers"][0]["roles"][:2] == ["domain master", "master"]
    assert shown["servers"][1]["age"] < 100 < shown["servers"][1]["expires"]
    assert shown["next"] is None
    only = ask(net, dmb, "browse", group="ogrp")
    assert ([each["name"] for each in only["groups"]], only["servers"]) == (["OGRP"], [])


def test_a_long_list_comes_in_pages():
    net = Net()
    alpha = station(net, "ALPHA", "10.0.0.1")
    net.run(20)
    servers = next(iter(alpha.node.browser.places.values())).servers
    for number in range(PAGE + 500):
        servers.hear_server(
            "GRP", f"H{number}", type_=3, comment="", version=(6, 1), period=60, source="x", mono=net.mono
        )
    first = ask(net, alpha, "browse")
    second = ask(net, alpha, "browse", after=first["next"])
    names = {each["name"] for page in (first, second) for each in page["servers"]}
    assert len(names) == PAGE + 501
    assert (first["next"], second["next"], second["groups"]) == (PAGE, None, [])


def test_who_is_master_and_why_is_shown():
    net, dmb, lmb = site()
    shown = ask(net, dmb, "elections")
    (network,) = shown["networks"]
    assert (network["role"], network["master"], network["criterion"]) == ("master", "DMB", "41010f82")
    assert shown["domain_master"]["held"]
    assert [each["name"] for each in shown["domain_master"]["masters"]] == ["LMB"]
    assert ask(net, lmb, "elections")["domain_master"]["known"] == "DMB (10.0.9.1)"
    status = ask(net, dmb, "status")
    assert (status["master_of"], status["domain_master"]) == (["net0"], True)


def test_an_election_is_forced_and_counted():
    net, dmb, _ = site()
    before = ask(net, dmb, "stats")["elections"]
    assert ask(net, dmb, "force-election") == {"networks": 1}
    net.run(10)
    assert ask(net, dmb, "stats")["elections"] == before + 1


def test_type_bits_have_words():
    assert roles(0x8D9A03) == ["domain master", "master", "print", "unix", "dfs"]
    assert roles(0) == []
