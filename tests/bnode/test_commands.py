# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests: who may, what restricted mode forbids, what is checked in which order, what is logged."""

from __future__ import annotations

import pytest

from fakes.systemd_units import World
from pydaemons.bnode import commands
from pydaemons.bnode.commands import TABLE
from pydaemons.bnode.events import Caller, Performed
from pydaemons.bnode.model import Code

NOBODY = Caller("nobody", False)
ARGUMENTS = {
    "instance": "a", "type": "simple", "commands": ["/bin/x"], "goal": 1, "instances": [], "long": False,
    "user": "u", "kvno": 1, "key": "0123456789abcdef", "name": "cell", "host": "h", "required": True,
    "file": "f", "mode": False, "mtime": 1, "data": "", "command": "true", "old": True, "bak": True,
    "core": True, "binaries": False, "time": [16, 0, 0, 0, 0],
}  # fmt: skip


def arguments(verb):
    given = {name: ARGUMENTS[name] for name in TABLE[verb].parameters}
    if verb == "Install":
        given["mode"] = 0o755
    return given


@pytest.mark.parametrize("verb", TABLE)
def test_only_administrators_may_what_changes_something(verb):
    world = World()
    answer = world.ask(verb, caller=NOBODY, **arguments(verb))
    if TABLE[verb].who == "admin":
        assert answer.code == 39430 and not world.performed and not world.supervisor.find("a")
    else:
        assert answer is None or answer.code != 39430


@pytest.mark.parametrize("verb", TABLE)
def test_restricted_mode_forbids_what_the_peers_forbids(verb):
    world = World()
    world.supervisor.restricted = True
    answer = world.ask(verb, **arguments(verb))
    denied = {"Create", "Delete", "Install", "Uninstall", "Exec", "Prune"}
    if verb in denied:
        assert answer.code == 39430 and not world.performed
    elif verb == "SetRestricted":
        assert answer.code == 39430, "there is no way back by a request"
    else:
        assert answer is None or answer.code != 39430


def test_in_restricted_mode_logs_with_a_slash_are_out_of_reach():
    world = World()
    world.supervisor.restricted = True
    assert world.ask("GetLog", file="/etc/passwd").code == 39430
    assert world.ask("GetLog", file="BosLog") is None and world.performed


def test_userlist_and_noauth_make_administrators():
    world = World()
    world.ask("AddUser", user="nobody")
    assert world.ask("AddUser", user="x", caller=NOBODY).code == 0
    assert world.files["local/UserList"] == b"nobody\nx\n"
    assert world.ask("AddUser", user="x").code == Code.EXISTS
    world.ask("RemoveUser", user="nobody")
    assert world.ask("AddUser", user="y", caller=NOBODY).code == Code.ACCESS
    world.ask("SetAuth", required=False)
    assert world.ask("AddUser", user="y", caller=NOBODY).code == 0
    assert world.files["local/NoAuth"] == b""
    world.ask("SetAuth", required=True)
    assert "local/NoAuth" not in world.files


@pytest.mark.parametrize("verb", TABLE)
@pytest.mark.parametrize("value", [None, 7, True, "x" * 300, ["x" * 300], [7], {"a": 1}, "\0"])
def test_arguments_of_a_wrong_shape_are_an_answer_and_never_a_traceback(verb, value):
    for name in TABLE[verb].parameters:
        world = World()
        answer = world.ask(verb, **{**arguments(verb), name: value})
        assert answer is None or answer.code in list(Code)


@pytest.mark.parametrize("verb", [name for name, verb in TABLE.items() if verb.parameters])
def test_a_missing_argument_is_named(verb):
    answer = World().ask(verb)
    assert answer.code == Code.SYNTAX and next(iter(TABLE[verb].parameters)) in answer.reason


def test_an_unknown_request_is_refused():
    assert World().ask("Frobnicate").code == Code.DOM


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


def test_refused_actions_are_in_the_log_with_their_code_and_secrets_are_not():
    world = World()
    world.ask("AddKey", caller=NOBODY, kvno=1, key="0123456789abcdef")
    world.ask("AddKey", kvno=1, key="0123456789abcdef")
    one, two = [entry for entry in world.entries if entry.fields.get("BOS_EVENT") == "AddKey"]
    assert one.fields["BOS_CODE"] == "39430" and two.fields["BOS_CODE"] == "0"
    assert not any("0123456789abcdef" in str(entry) for entry in world.entries)


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


def test_hosts_and_cell_are_kept_in_the_peers_files():
    world = World()
    world.ask("SetCell", name="example.org")
    world.ask("AddHost", host="db1")
    world.ask("AddHost", host="[db2]")
    assert world.ask("AddHost", host="db2").code == Code.EXISTS
    assert world.ask("GetCell").result == {"cell": "example.org", "hosts": ["db1", "[db2]"]}
    assert world.files["etc/ThisCell"] == b"example.org\n"
    assert world.files["etc/CellServDB"].startswith(b">example.org\t#Cell name\ndb1")
    world.ask("RemoveHost", host="db2")
    assert world.ask("RemoveHost", host="db2").code == Code.NOENT


def test_keys_are_listed_by_checksum():
    world = World()
    world.ask("AddKey", kvno=3, key="0123456789abcdef")
    (key,) = world.ask("ListKeys").result["keys"]
    assert key["kvno"] == 3 and isinstance(key["checksum"], int)
    assert world.ask("AddKey", kvno=4, key="secret").code == Code.SYNTAX
    world.ask("RemoveKey", kvno=3)
    assert world.ask("RemoveKey", kvno=3).code == Code.NOENT


def test_restart_times_are_kept_and_impossible_ones_refused():
    world = World()
    assert world.ask("SetRestart", binaries=False, time=[15, 6, 3, 30, 0]).code == 0
    assert b"restarttime 15 6 3 30 0\n" in world.files["BosConfig"]
    assert world.ask("SetRestart", binaries=True, time=[7, 0, 24, 0, 0]).code == Code.SYNTAX
    assert world.ask("GetRestart").result == {"general": [15, 6, 3, 30, 0], "binaries": [3, 0, 5, 0, 0]}


def test_what_touches_files_is_handed_to_the_shell_once_allowed():
    world = World()
    assert world.ask("Exec", command="exit 3") is None
    (perform,) = world.performed
    world.feed(Performed(perform.ticket, 768))
    assert world.answers[perform.ticket].code == 768
    (entry,) = [entry for entry in world.entries if entry.fields.get("BOS_EVENT") == "Exec"]
    assert entry.fields["BOS_CODE"] == "768"


def test_numbers_are_the_peers_and_each_only_once():
    numbers = [verb.number for verb in TABLE.values() if verb.number]
    assert len(numbers) == len(set(numbers)) and set(numbers) <= set(range(80, 117))
    assert commands.TABLE["Create"].number == 80 and TABLE["SetRestricted"].number == 116


def test_an_event_nobody_knows_is_a_bug():
    with pytest.raises(TypeError):
        World().feed(object())
