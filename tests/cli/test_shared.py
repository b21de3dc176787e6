# SPDX-License-Identifier: GPL-3.0-or-later
"""Options before the verb or behind it; what is said when nobody answers."""

import argparse

import pytest

from pydaemons.cli import shared


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser()
    shared.socket_option(top, "/run/x/control")
    shared.json_option(top)
    verb = top.add_subparsers(required=True).add_parser("verb")
    shared.socket_option(verb, "/run/x/control", behind=True)
    shared.json_option(verb, behind=True)
    return top


@pytest.mark.parametrize(
    ("words", "socket", "json"),
    [
        (["verb"], "/run/x/control", False),
        (["--socket", "/a", "--json", "verb"], "/a", True),
        (["verb", "--json", "--socket=/b"], "/b", True),
        (["--socket", "/a", "verb", "--socket", "/b"], "/b", False),
    ],
)
def test_options_stand_before_the_verb_or_behind_it(parser, words, socket, json):
    found = parser.parse_args(words)
    assert (found.socket, found.json) == (socket, json)


def test_a_daemon_that_is_not_running_is_named_with_what_starts_it(monkeypatch, tmp_path):
    monkeypatch.setattr(shared, "SYSTEMD", str(tmp_path))
    said = shared.unanswered("pyxd", "/run/x/control: not running", "/run/x/control")
    assert said == "pyxd is not running (/run/x/control is not answered); start it: systemctl start pyxd"
    monkeypatch.setattr(shared, "SYSTEMD", str(tmp_path / "none"))
    assert shared.unanswered("pyxd", "/c: not running", "/c").endswith("start it: pyxd")


def test_a_socket_one_may_not_open_is_told_so():
    assert "ask as root" in shared.unanswered("pyxd", "/run/x/control: Permission denied", "/run/x/control")


def test_a_daemon_that_hangs_is_looked_up_in_the_journal():
    said = shared.unanswered("pyxd", "/c: no answer within 30 s", "/c")
    assert said == "/c: no answer within 30 s; see what it says: journalctl -u pyxd"
