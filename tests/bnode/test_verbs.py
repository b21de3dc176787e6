# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of requests."""

from __future__ import annotations

import pytest

from fakes.systemd_units import World
from pydaemons.bnode.folders import CELL, CONFIG, KEYS, NO_AUTH, USERS
from pydaemons.bnode.verbs import TABLE


def test_numbers_are_the_peers_and_each_only_once():
    numbers = [verb.number for verb in TABLE.values() if verb.number]
    assert len(numbers) == len(set(numbers)) and set(numbers) <= set(range(80, 117))
    assert TABLE["Create"].number == 80 and TABLE["SetRestricted"].number == 116


def test_every_request_explains_itself_and_takes_known_types():
    for verb in TABLE.values():
        assert verb.doc.endswith(".")
        assert set(verb.parameters.values()) | set(verb.optional.values()) <= {str, int, bool, list}
        assert not set(verb.parameters) & set(verb.optional)


def test_what_the_shell_does_has_no_body_and_nothing_else():
    without = {name for name, verb in TABLE.items() if verb.body is None}
    assert without == {"Install", "Uninstall", "GetDate", "Exec", "Prune", "GetLog"}


CHANGES = {
    "Create": {"instance": "b", "type": "simple", "commands": ["/bin/x"]},
    "Delete": {"instance": "down"},
    "SetStatus": {"instance": "up", "goal": 0},
    "SetRestart": {"binaries": False, "time": [7, 0, 5, 0, 0]},
    "SetRestricted": {"mode": True},
    "AddUser": {"user": "carol"},
    "RemoveUser": {"user": "bob"},
    "AddKey": {"kvno": 3, "key": "0123456789abcdef"},
    "RemoveKey": {"kvno": 1},
    "SetCell": {"name": "example.org"},
    "AddHost": {"host": "db2"},
    "RemoveHost": {"host": "db1"},
    "SetAuth": {"required": False},
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_yes_promises_the_very_files_that_the_request_writes(name):
    world = World()
    world.create("up", "/bin/x")
    world.create("down", "/bin/x")
    world.run(1)
    world.ask("SetStatus", instance="down", goal=0)
    world.ask("AddUser", user="bob")
    world.ask("AddKey", kvno=1, key="0123456789abcdef")
    world.ask("AddHost", host="db1")
    world.run(1)
    world.writes.clear()
    answer = world.ask(name, **CHANGES[name])
    assert answer.code == 0 and answer.keeps == TABLE[name].keeps
    files = {CONFIG, USERS, KEYS, NO_AUTH, *CELL}
    assert {written for written in world.writes if written in files} == set(TABLE[name].keeps)


def test_requests_that_promise_nothing_write_nothing_of_the_kind():
    assert {name for name, verb in TABLE.items() if verb.keeps} == set(CHANGES)
