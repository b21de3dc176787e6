# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests: who may, what restricted mode forbids, what is checked, what is logged."""

from __future__ import annotations

import pytest

from fakes.systemd_units import World
from pydaemons.bnode.events import Caller, Performed
from pydaemons.bnode.model import Code
from pydaemons.bnode.verb import Who
from pydaemons.bnode.verbs import TABLE

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
    if TABLE[verb].who is Who.ADMIN:
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


def test_refused_actions_are_in_the_log_with_their_code_and_secrets_are_not():
    world = World()
    world.ask("AddKey", caller=NOBODY, kvno=1, key="0123456789abcdef")
    world.ask("AddKey", kvno=1, key="0123456789abcdef")
    one, two = [entry for entry in world.entries if entry.fields.get("BOS_EVENT") == "AddKey"]
    assert one.fields["BOS_CODE"] == "39430" and two.fields["BOS_CODE"] == "0"
    assert not any("0123456789abcdef" in str(entry) for entry in world.entries)


def test_what_touches_files_is_handed_to_the_shell_once_allowed():
    world = World()
    assert world.ask("Exec", command="exit 3") is None
    (perform,) = world.performed
    world.feed(Performed(perform.ticket, 768))
    assert world.answers[perform.ticket].code == 768
    (entry,) = [entry for entry in world.entries if entry.fields.get("BOS_EVENT") == "Exec"]
    assert entry.fields["BOS_CODE"] == "768"


def test_an_event_nobody_knows_is_a_bug():
    with pytest.raises(TypeError):
        World().feed(object())
