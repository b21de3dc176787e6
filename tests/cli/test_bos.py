# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line around the operations: help, versions, hosts, exit codes."""

from __future__ import annotations

import pytest

from pydaemons.cli import bos
from pydaemons.cli.bos_link import Refused


class Recorder:
    """A link that notes how it was made and what was asked."""

    made: tuple = ()

    def __init__(self, path, host):
        Recorder.made = (path, host)

    def call(self, verb, **arguments):
        if verb == "RestartAll":
            raise Refused({"code": 39430, "text": "you are not authorized for this operation"})
        return {"instances": [], "unknown": [], "trouble": ""}


@pytest.fixture(autouse=True)
def link(monkeypatch):
    monkeypatch.setattr(bos, "Link", Recorder)
    monkeypatch.delenv("PYBOS_SOCKET", raising=False)
    return Recorder


def test_the_machine_is_this_one_unless_named():
    assert bos.main(["pybos", "status"]) == 0
    assert Recorder.made == ("/run/pybosd/control", None)
    bos.main(["pybos", "status", "-server", "db1"])
    assert Recorder.made == ("/run/pybosd/control", "db1")
    bos.main(["pybos", "status", "-server", "localhost"])
    assert Recorder.made[1] is None


def test_called_as_bos_the_first_operand_is_the_machine():
    bos.main(["/usr/bin/bos", "status", "db1"])
    assert Recorder.made[1] == "db1"
    bos.main(["bos", "status", "localhost", "a"])
    assert Recorder.made[1] is None


@pytest.mark.parametrize("words", [["pybos", "stop", "a", "-server", ""], ["bos", "stop", "", "a"]])
def test_a_machine_without_a_name_is_not_this_one(words, capsys, monkeypatch):
    monkeypatch.setattr(Recorder, "made", None)
    assert bos.main(words) == 1
    assert capsys.readouterr().err == f"{words[0]}: can't find address for host ''\n"
    assert Recorder.made is None


def test_called_as_pybos_localhost_is_skipped(monkeypatch):
    asked = []
    monkeypatch.setattr(
        Recorder,
        "call",
        lambda self, verb, **a: asked.append(a) or {"instances": [], "unknown": [], "trouble": ""},
    )
    bos.main(["pybos", "status", "localhost", "a"])
    assert asked[0]["instances"] == ["a"]


@pytest.mark.parametrize("words", [["--socket", "/s", "status"], ["status", "--socket=/s"]])
def test_the_socket_can_be_given_anywhere(words):
    bos.main(["pybos", *words])
    assert Recorder.made[0] == "/s"


def test_the_socket_can_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("PYBOS_SOCKET", "/e")
    bos.main(["pybos", "status"])
    assert Recorder.made[0] == "/e"


def test_help_lists_every_operation_and_explains_one(capsys):
    assert bos.main(["pybos", "help"]) == 0
    out = capsys.readouterr().out
    assert "status          show server instance status" in out and "version         show version" in out
    assert bos.main(["pybos", "help", "stop"]) == 0
    assert capsys.readouterr().out.startswith("pybos stop: halt a server instance")
    assert bos.main(["pybos", "stop", "-help"]) == 0


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        (["h"], "Usage: pybos "),
        (["hel", "creat"], "pybos create: create a new server instance"),
        (["help", "vers"], "pybos version: show version"),
        (["vers"], "pybos "),
        (["ap", "restart"], "getrestart: get restart times"),
    ],
)
def test_what_asks_no_server_goes_by_unique_prefix_too(words, begins, capsys):
    assert bos.main(["pybos", *words]) == 0
    assert capsys.readouterr().out.startswith(begins)


def test_help_about_nothing_is_an_error_as_the_peers_and_the_others_are_explained(capsys):
    assert bos.main(["pybos", "help", "frob", "st", "delete"]) == 5
    out, err = capsys.readouterr()
    assert err == "pybos: Unknown topic 'frob'\npybos: Ambiguous topic 'st'; use 'apropos' to list\n"
    assert out.startswith("pybos delete: ")


def test_versions_and_apropos(capsys):
    assert bos.main(["pybos", "version"]) == 0 and bos.main(["pybos", "apropos", "restart"]) == 0
    out = capsys.readouterr().out
    assert "getrestart: get restart times\n" in out and "setrestart: set restart times\n" in out


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["frob"], 5, "Unrecognized operation 'frob'"),
        (["s"], 5, "Ambiguous operation 's'"),
        (["status", "-foo"], 6, "Unrecognized or ambiguous switch"),
        (["create"], 8, "Missing required parameter '-instance'"),
        (["--socket"], 8, "--socket needs a path"),
        (["restart", "-all"], 6, "failed to restart servers (you are not authorized for this operation)"),
    ],
)
def test_wrong_usage_and_refusals_exit_as_the_peer(words, status, text, capsys):
    assert bos.main(["pybos", *words]) == status
    assert text in capsys.readouterr().err


def test_nobody_at_the_socket_is_the_peers_exit_code(monkeypatch, tmp_path, capsys):
    monkeypatch.undo()
    assert bos.main(["pybos", "--socket", f"{tmp_path}/nope", "status"]) == 255
    assert "pybosd is not running" in capsys.readouterr().err
    assert bos.main(["pybos", "--socket", f"{tmp_path}/nope", "relay"]) == 255
    assert "pybosd is not running" in capsys.readouterr().err
