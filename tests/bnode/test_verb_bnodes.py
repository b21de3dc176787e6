# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests about bnodes, each body."""

from __future__ import annotations

import pytest

from fakes.systemd_units import World
from pydaemons.bnode.model import Code


def test_create_checks_in_the_peers_order():
    world = World()
    world.create("a", "/bin/x")
    wrong = {"notifier": "/no", "found": False}
    assert world.create("a", kind="what", **wrong).code == Code.EXISTS
    assert world.create("b", kind="what", **wrong).code == Code.BADTYPE
    answer = world.create("b", kind="simple", **wrong)
    assert answer.code == Code.NOCREATE and "'/no' not found" in answer.reason
    assert world.create("b").code == Code.NOCREATE


@pytest.mark.parametrize("name", ["a b", "x" * 64, "a/b", ""])
def test_names_the_peer_dies_of_are_refused_at_create(name):
    assert World().create(name, "/bin/x").code == Code.NOCREATE


@pytest.mark.parametrize("command", ["", " ", "/bin/x " + "w" * 256, " ".join("w" * 128), "/bin/x\nparm y"])
def test_commands_that_cannot_be_kept_are_refused_at_create(command):
    assert World().create("a", command).code == Code.NOCREATE


def test_create_starts_and_writes_the_file_and_logs_who_did_it():
    world = World()
    assert world.create("a", "/bin/x  -y", notifier="/bin/n").code == 0
    assert world.files["BosConfig"].endswith(b"bnode simple a 1 /bin/n\nparm /bin/x  -y\nend\n")
    (entry,) = [entry for entry in world.entries if entry.fields.get("BOS_EVENT") == "Create"]
    assert entry.fields["BOS_USER"] == "root" and entry.fields["BOS_CODE"] == "0"
    world.run(1)
    assert [e.fields["BOS_COMMAND"] for e in world.entries if e.fields.get("BOS_EVENT") == "SpawnProc"]


def test_the_peers_word_for_no_notifier_is_none():
    world = World()
    world.create("a", "/bin/x", notifier="__NONOTIFIER__")
    assert world.bnode("a").notifier is None


def test_start_of_a_name_nobody_knows_is_no_such_entity():
    for verb in ("SetStatus", "SetTemporaryStatus", "WaitStatus"):
        assert World().ask(verb, instance="nope", goal=1).code == Code.NOENT
    for verb in ("Restart", "Delete"):
        assert World().ask(verb, instance="nope").code == Code.NOENT


def test_status_lists_what_it_does_not_know():
    world = World()
    world.create("a", "/bin/x")
    result = world.ask("Status", instances=["a", "nope"], long=True).result
    assert [view["name"] for view in result["instances"]] == ["a"] and result["unknown"] == ["nope"]


def test_restart_times_are_kept_and_impossible_ones_refused():
    world = World()
    assert world.ask("SetRestart", binaries=False, time=[15, 6, 3, 30, 0]).code == 0
    assert b"restarttime 15 6 3 30 0\n" in world.files["BosConfig"]
    assert world.ask("SetRestart", binaries=True, time=[7, 0, 24, 0, 0]).code == Code.SYNTAX
    assert world.ask("GetRestart").result == {"general": [15, 6, 3, 30, 0], "binaries": [3, 0, 5, 0, 0]}
