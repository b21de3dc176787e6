# SPDX-License-Identifier: GPL-3.0-or-later
"""The command language, with the peer's exit codes."""

from __future__ import annotations

import pytest

from pydaemons.cli.bos_syntax import UsageError, find_verb, parse
from pydaemons.cli.bos_table import VERBS


def values(line):
    verb, *words = line
    return parse(find_verb(VERBS, verb), words)


def test_operands_fill_parameters_in_their_order_and_the_last_takes_the_rest():
    found = values(["create", "fs", "fs", "/f -x", "/v", "/s", "-notifier", "/n"])
    assert (found["instance"], found["type"], found["cmd"]) == ("fs", "fs", ["/f -x", "/v", "/s"])
    assert found["notifier"] == "/n" and found["server"] is None


def test_switches_by_unique_prefix_in_any_order():
    found = values(["create", "-ty", "simple", "-cmd", "/x", "-i", "a", "-noauth", "-ser", "h"])
    assert (found["instance"], found["type"], found["cmd"], found["server"]) == ("a", "simple", ["/x"], "h")


@pytest.mark.parametrize(
    "line",
    [
        ["status", "a", "-long", "b"],
        ["status", "-long", "a", "b"],
        ["status", "-i", "a", "-lon", "b", "-lon"],
    ],
)
def test_operands_may_stand_behind_flags_and_flags_be_repeated(line):
    found = values(line)
    assert found["instance"] == ["a", "b"] and found["long"] is True


def test_operations_by_unique_prefix_name_or_alias():
    assert find_verb(VERBS, "cr").name == "create"
    assert find_verb(VERBS, "setr").name == "setrestart"
    assert find_verb(VERBS, "start").name == "start"
    assert find_verb(VERBS, "getcell").name == "listhosts"


PEERS = """
    addhost addkey adduser create delete exec getdate getlog getrestart getrestricted install
    listhosts listkeys listusers prune removehost removekey removeuser restart salvage setauth
    setcellname setrestart setrestricted shutdown start startup status stop uninstall
"""
"""What `bos help` of OpenAFS 1.8.9 lists and asks a server."""


def test_a_prefix_that_is_unique_among_the_peers_operations_is_so_beside_ours():
    peers = PEERS.split()
    assert {verb.name for verb in VERBS.values() if not verb.ours} == set(peers)
    for name in peers:
        for end in range(1, len(name)):
            prefix = name[:end]
            if sum(peer.startswith(prefix) for peer in peers) == 1:
                assert find_verb(VERBS, prefix).name == name, prefix
    assert find_verb(VERBS, "stat").name == "status" and find_verb(VERBS, "stati").name == "statistics"


@pytest.mark.parametrize(
    ("line", "status", "text"),
    [
        (["s"], 5, "Ambiguous operation 's'"),
        (["frob"], 5, "Unrecognized operation 'frob'"),
        (["status", "-foo"], 6, "Unrecognized or ambiguous switch '-foo'"),
        (["create"], 8, "Missing required parameter '-instance'"),
        (["install"], 8, "Missing required parameter '-file'"),
        (["exec", "a", "b"], 7, "Too many arguments: 'b'"),
        (["getrestart", "-noauth", "x"], 7, "Too many arguments: 'x'"),
        (["create", "-instance"], 8, " The field '-instance' isn't completed properly"),
        (["stop", "a", "-instance", "b"], 7, "-instance was given already"),
    ],
)
def test_wrong_lines_have_the_peers_exit_codes(line, status, text):
    with pytest.raises(UsageError) as caught:
        values(line)
    assert caught.value.status == status and str(caught.value).startswith(text)


@pytest.mark.parametrize("name", VERBS)
def test_every_operation_explains_itself_within_80_columns(name):
    text = VERBS[name].usage("bos")
    assert text.startswith(f"bos {name}: ") and all(len(line) <= 80 for line in text.splitlines())


def test_the_peers_usage_of_stop_but_for_the_machine():
    said = VERBS["stop"].usage("bos").splitlines()
    assert said[0] == "bos stop: halt a server instance "
    assert said[1] == "Usage: bos stop -instance <server process name>+ [-wait]"
