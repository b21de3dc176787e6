# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of pylockctl: what it takes, and what it refuses with status 2 before anything is sent."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess

import pytest

from house.tree import ROOT
from pydaemons.cli import lockctl
from pydaemons.cli.lockctl import CLIENT_VERBS, _request, _unambiguous, main, parser


def parse(*words):
    return parser().parse_args(_unambiguous(words))


@pytest.fixture
def ran(monkeypatch):
    """The arguments of the command that would have run, instead of its run."""
    seen = []
    monkeypatch.setattr(lockctl, "_carry_out", lambda arguments: seen.append(arguments) or 0)
    return seen


def test_a_file_handle_is_hexadecimal():
    assert parse("test", "h1", "0a0B").fh == b"\x0a\x0b"
    assert parse("test", "h1", "0x0a0b").fh == b"\x0a\x0b"


def test_a_name_stands_for_the_same_32_bytes_everywhere():
    handle = parse("test", "h1", "file:x").fh
    assert handle == hashlib.sha256(b"pylockctl file:x").digest()
    assert handle != parse("test", "h1", "file:y").fh


@pytest.mark.parametrize("text", ["", "0", "xyz", "file:", "00" * 65, "path:x"])
def test_what_is_no_file_handle_is_a_usage_error(text, capsys):
    with pytest.raises(SystemExit) as left:
        main(["lock", "h1", text])
    assert left.value.code == 2
    assert "FH" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["locke"],
        ["lock", "h1"],
        ["lock", "h1", "00", "--offset", "-1"],
        ["lock", "h1", "00", "--length", "ten"],
        ["lock", "h1", "00", "--wait=never"],
        ["lock", "h1", "00", "--wait=-1"],
        ["lock", "h1", "00", "--wait=nan"],
        ["lock", "h1", "00", "--timeout", "0"],
        ["lock", "h1", "00", "--timeout", "inf"],
        ["lock", "h1", "00", "--v3", "--v4"],
        ["lock", "h1", "00", "--udp", "--tcp"],
        ["lock", "h1", "00", "--port", "0"],
        ["lock", "h1", "00", "--source", "h2"],
        ["lock", "h1", "00", "surplus"],
        ["lock", "h1", "00", "--v3", "--offset", "0x100000000"],
        ["lock", "h1", "00", "--v1", "--length", str(2**32)],
        ["lock", "h1", "00", "--offset", str(2**64)],
        ["share", "h1", "00", "--v1"],
        ["free-all", "h1", "--v1"],
        ["share", "h1", "00", "--access", "all"],
        ["release"],
        ["release", "--server", "web1"],
        ["release", "--server", "10.0.0.1", "--all"],
        ["release", "--server", "10.0.0.1", "--file", "00"],
        ["notify", "--server", "10.0.0"],
        ["release", "--all", "--client", "10.0.0.1"],
        ["release", "--owner", "10.0.0.1"],
        ["release", "--owner", "10.0.0.1:x"],
        ["grace", "stop"],
        ["locks", "--svid", "x"],
    ],
    ids=" ".join,
)
def test_a_usage_error_ends_with_2(words, capsys, ran):
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith("usage: pylockctl")
    assert not ran


def test_the_client_verbs_share_their_options():
    for verb in CLIENT_VERBS:
        arguments = parse(verb, "h1", "00", "--udp", "--v3", "--port", "7", "--source", "::1", "--json")
        request = _request(arguments)
        assert (request.verb, request.version, request.transport.value) == (verb, 3, "udp")
        assert (request.port, request.source) == (7, "::1")


@pytest.mark.parametrize("verb", ["null", "free-all"])
def test_what_needs_no_file_handle_takes_none(verb):
    assert _request(parse(verb, "h1")).fh == b""


def test_an_owner_is_named_after_its_number_and_host():
    assert _request(parse("lock", "h1", "00", "--svid", "7", "--name", "h2")).oh == b"7@h2"
    assert _request(parse("lock", "h1", "00", "--oh", "me")).oh == b"me"
    assert _request(parse("lock", "h1", "00", "--oh", "")).oh == b""


def test_a_large_owner_number_is_sent_as_the_32_bits_it_is():
    assert _request(parse("lock", "h1", "00", "--svid", "0xffffffff")).svid == -1


@pytest.mark.parametrize(
    ("words", "wait"),
    [
        (["--wait", "h1", "00"], float("inf")),
        (["h1", "00", "--wait"], float("inf")),
        (["h1", "00", "--wait=2.5"], 2.5),
        (["h1", "00", "--wait", "2.5"], 2.5),
        (["h1", "00"], None),
    ],
)
def test_waiting_takes_its_seconds_or_leaves_them_out(words, wait, ran):
    assert main(["lock", *words]) == 0
    assert ran[0].wait == wait
    assert (ran[0].host, ran[0].fh) == ("h1", b"\0")


def test_an_owner_may_have_an_ipv6_address():
    assert parse("release", "--owner", "fd00::1:7").owner == ("fd00::1", 7)
    assert parse("release", "--owner", "[fd00::1]:7").owner == ("[fd00::1]", 7)


def test_every_verb_has_help_and_exits_with_0(capsys):
    for verb in (*CLIENT_VERBS, "status", "locks", "blocked", "clients", "release", "drop-all"):
        with pytest.raises(SystemExit) as left:
            main([verb, "--help"])
        assert left.value.code == 0
        assert "--json" in capsys.readouterr().out


def options():
    """Every verb, and every long option of a verb."""
    (verbs,) = (action for action in parser()._actions if action.dest == "verb")
    for verb, sub in verbs.choices.items():
        yield verb
        for action in sub._actions:
            yield from (word for word in action.option_strings if word.startswith("--") and word != "--help")


@pytest.mark.parametrize("page", ["docs/man/pylockctl.8", "docs/completion/pylockctl"])
def test_manual_and_completion_know_every_verb_and_option(page):
    text = (ROOT / page).read_text().replace("\\-", "-")
    missing = {word for word in options() if not re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text)}
    assert not missing


@pytest.mark.needs("man")
def test_the_manual_has_no_fault():
    page = str(ROOT / "docs/man/pylockctl.8")
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page],
        capture_output=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANROFFSEQ": ""},
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_instance_is_asked_at_its_own_socket():
    assert parse("locks").socket == "/run/pylockd/control"
    assert parse("locks", "--instance", "blue").socket == "/run/pylockd@blue/control"
    with pytest.raises(SystemExit):
        parse("locks", "--instance", "blue", "--socket", "/run/x")


def test_the_socket_may_be_named_before_the_verb_or_behind_it():
    parse = lockctl.parser().parse_args
    assert parse(["--socket", "/a", "status"]).socket == "/a"
    assert parse(["status", "--socket", "/b"]).socket == "/b"
    assert parse(["--socket", "/a", "status", "--socket", "/b"]).socket == "/b"
    assert parse(["status"]).socket == "/run/pylockd/control"


def test_a_reader_that_leaves_early_ends_it_without_a_word():
    reading, writing = os.pipe()
    os.close(reading)
    command = [ROOT / "bin" / "pylockctl", "--help"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"")


def test_called_within_another_program_it_leaves_that_one_s_signals_alone(ran):
    before = [signal.getsignal(number) for number in signal.valid_signals()]
    assert main(["status"]) == 0
    assert [signal.getsignal(number) for number in signal.valid_signals()] == before
