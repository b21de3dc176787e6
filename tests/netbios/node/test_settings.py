# SPDX-License-Identifier: GPL-3.0-or-later
from fakes.claims import wire
from pydaemons.netbios.codes import ACTIVE, GROUP, NODE_B, NODE_H
from pydaemons.netbios.node.settings import OwnName, Settings, WinsServer


def test_the_names_of_a_node_are_its_own_its_aliases_and_its_groups():
    wires = [own.wire for own in Settings("ALPHA", aliases=("BETA",), workgroup="OFFICE").names()]
    suffixed = [f"{text}#{suffix}" for text in ("ALPHA", "BETA") for suffix in ("00", "03", "20")]
    assert wires == [wire(text) for text in (*suffixed, "OFFICE#00", "OFFICE#1e")]


def test_an_alias_that_repeats_the_name_is_claimed_once():
    names = Settings("ALPHA", aliases=("ALPHA",)).names()
    assert len(names) == len({own.wire for own in names}) == 5


def test_names_carry_the_scope_and_the_code_page():
    settings = Settings("Zürich", scope="site.example", charset="cp850")
    assert settings.names()[0].wire == wire("ZÜRICH#00.site.example")


def test_flags_say_group_and_node_type():
    group = OwnName(wire("OFFICE#00"), group=True)
    assert Settings("A").nb_flags(group) == GROUP | NODE_B
    assert Settings("A", wins_support=True).nb_flags(group) == GROUP | NODE_H
    client = Settings("A", wins_servers=(WinsServer("*", "10.0.0.1"),))
    assert client.status_flags(group) == GROUP | NODE_H | ACTIVE


def test_silent_names_are_not_among_the_claimed():
    settings = Settings("ALPHA")
    assert not settings.silent_names() & {own.wire for own in settings.names()}
    assert wire("*#00") in settings.silent_names()
