# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon side of pylockctl, over a real control socket with a lock engine behind it."""

from __future__ import annotations

import json
import os
import pty
import sys

import pytest

from hosts import rpc
from hosts.nlmcalls import Alock, lock
from pydaemons.cli import lockctl_daemon
from pydaemons.cli.lockctl import main
from pydaemons.kit.varlink import Caller


@pytest.fixture
def busy(ctl, server):
    """Two locks and a share of 127.0.0.1, a lock of ::1."""
    ctl("lock", "127.0.0.1", "0a", "--svid", "1", "--name", "one", "--length", "10")
    ctl("lock", "127.0.0.1", "0b", "--svid", "2", "--name", "one", "--shared")
    ctl("share", "127.0.0.1", "0a", "--name", "one", "--access", "read", "--deny", "write")
    ctl("lock", "::1", "0c", "--name", "six")
    return server


def rows(text):
    return [line.split() for line in text.splitlines()]


def test_status_tells_how_it_is(ctl, busy):
    told = ctl("status")
    assert told.status == 0
    assert "pid 4711" in told.out
    assert f"udp 127.0.0.1:{busy.port}" in told.out
    assert f"tcp [::1]:{busy.port}" in told.out
    assert "3 on 3 files, 1 shares" in told.out
    assert "embedded, state 3, 2 clients monitored" in told.out
    assert "!" not in told.out


def test_status_says_how_to_go_on(ctl, server):
    server.do(lambda: server.engine.start_grace(server.now(), "test"))
    assert "pylockctl grace end" in ctl("status").out
    server.listening = False
    server.do(lambda: setattr(server.engine.server, "refuse", True))
    told = ctl("status").out
    assert "no sockets yet" in told
    assert "mode = refuse" in told
    assert ctl("status", "--json").json["grace"] is True


def test_locks_are_listed_as_lslocks_does(ctl, busy):
    assert rows(ctl("locks").out) == [
        ["CLIENT", "NAME", "SVID", "TYPE", "MODE", "START", "END", "OWNER", "FILE"],
        ["127.0.0.1", "one", "1", "LOCK", "WRITE", "0", "9", "1@one", "0a"],
        ["127.0.0.1", "one", "2", "LOCK", "READ", "0", "EOF", "2@one", "0b"],
        ["::1", "six", "1", "LOCK", "WRITE", "0", "EOF", "1@six", "0c"],
        ["127.0.0.1", "one", "-", "SHARE", "read/write", "-", "-", "1@one", "0a"],
    ]


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (["--client", "127.0.0.1"], 3),
        (["--client", "one"], 3),
        (["--client", "::1"], 1),
        (["--client", "[::1]"], 1),
        (["--client", "0:0::1"], 1),
        (["--file", "0A"], 2),
        (["--svid", "2"], 1),
        (["--client", "one", "--svid", "1"], 1),
        (["--client", "10.0.0.9"], 0),
    ],
)
def test_locks_can_be_chosen(ctl, busy, words, count):
    assert len(rows(ctl("locks", "-n", *words).out)) == count
    assert len(ctl("locks", "--json", *words).json) == count


def test_a_client_nobody_knows_is_an_error(ctl, busy):
    failed = ctl("locks", "--client", "nobody.invalid")
    assert (failed.status, failed.err) == (1, "pylockctl: locks: no client nobody.invalid is known\n")


def test_a_grant_not_acknowledged_yet_is_starred():
    row = {"kind": "lock", "mode": "write", "acknowledged": False}
    assert lockctl_daemon._mode(row) == "WRITE*"


def test_who_waits_is_listed_with_whom_it_waits_for(ctl, busy):
    with rpc.Udp("127.0.0.1", busy.port) as other:
        other.call(rpc.NLM, 4, 2, lock(4, Alock(fh=b"\x0a", svid=9, caller=b"two"), block=True)).result()
    busy.wait_blocked()
    _, row = rows(ctl("blocked").out)
    assert row[:6] == ["127.0.0.1", "two", "9", "WRITE", "0", "9"]
    assert row[7:] == ["127.0.0.1:1", "0a"]
    assert ctl("blocked", "--json").json[0]["holders"][0]["svid"] == 1


def test_clients_are_listed_with_what_they_hold(ctl, busy):
    listed = rows(ctl("clients").out)
    assert [row[:5] for row in listed] == [
        ["CLIENT", "NAME", "LOCKS", "SHARES", "BLOCKED"],
        ["127.0.0.1", "one", "2", "1", "0"],
        ["::1", "six", "1", "0", "0"],
    ]
    assert all(len(row) == len(listed[0]) for row in listed)


@pytest.mark.parametrize(
    ("words", "freed", "left"),
    [
        (["--client", "one"], 3, 1),
        (["--owner", "127.0.0.1:1"], 1, 2),
        (["--owner", "::1:1"], 1, 2),
        (["--file", "0a"], 2, 2),
        (["--all"], 4, 0),
        (["--client", "10.0.0.9"], 0, 3),
    ],
)
def test_release_frees_what_is_named_and_nothing_else(ctl, busy, words, freed, left):
    assert ctl("release", "--json", *words).json == {"freed": freed}
    assert busy.locks() == left


def test_release_says_what_it_did(ctl, busy):
    assert ctl("release", "--file", "0a").out == "freed: 2\n"
    assert ctl("release", "--file", "0a").out == "nothing to free\n"


def test_drop_all_begins_a_grace_period(ctl, busy):
    assert ctl("drop-all", "--json").json == {"freed": 4}
    assert busy.locks() == 0
    assert ctl("grace", "--json").json["grace"] is True


@pytest.mark.parametrize(("typed", "left"), [("n", 3), ("", 3), ("y", 0), ("Yes", 0)])
def test_on_a_terminal_drop_all_asks(ctl, busy, monkeypatch, typed, left):
    master, slave = pty.openpty()
    os.write(master, f"{typed}\n".encode())
    with open(slave) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        done = ctl("drop-all")
    os.close(master)
    assert "voids all 3 locks and 1 shares of 2 clients" in done.err
    assert done.status == (1 if left else 0)
    assert busy.locks() == left


def test_yes_spares_the_question(ctl, busy, monkeypatch):
    master, slave = pty.openpty()
    with open(slave) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        assert ctl("drop-all", "--yes").err == ""
    os.close(master)
    assert busy.locks() == 0


def test_the_grace_period_is_started_and_ended(ctl):
    assert ctl("grace").out == "no grace period\n"
    assert ctl("grace", "start").out == "grace period: 50 s left\n"
    assert ctl("grace", "end").out == "no grace period\n"


def test_notify_tells_whom_it_told(ctl, server):
    server.notified = ["127.0.0.1", "10.0.0.2"]
    assert ctl("notify").out == "127.0.0.1\n10.0.0.2\n"
    assert ctl("notify", "--client", "10.0.0.2", "--json").json == {"notified": ["10.0.0.2"]}
    failed = ctl("notify", "--client", "10.0.0.3")
    assert (failed.status, failed.err) == (1, "pylockctl: notify: 10.0.0.3 is not monitored\n")


def test_stats_are_a_table_json_or_prometheus(ctl, busy):
    assert ["nlm4", "LOCK", "3"] in rows(ctl("stats").out)
    assert ctl("stats", "--json").json["statuses"]["LOCK"] == {"GRANTED": 3}
    assert "pylockd_locks 3\n" in ctl("stats", "--prometheus").out


def test_reload_passes_on_what_is_wrong(ctl, server):
    assert ctl("reload").status == 0
    server.problems = ["/etc/pylockd.conf:3: nlm_timeout: 99 is out of range, want 3..20"]
    failed = ctl("reload")
    assert failed.status == 1
    assert failed.err == f"pylockctl: {server.problems[0]}\n"


def test_a_daemon_that_is_not_running_is_one_line_and_says_what_to_start(tmp_path, capsys):
    assert main(["status", "--socket", str(tmp_path / "control")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "pylockd is not running" in line
    assert "start it:" in line


def test_those_who_may_not_are_told_so(ctl, server, monkeypatch):
    monkeypatch.setattr(Caller, "trusted", property(lambda caller: False))
    for words in (["release", "--all"], ["drop-all"], ["grace", "end"], ["notify"], ["reload"]):
        refused = ctl(*words)
        assert refused.status == 1
        assert refused.err == (
            f"pylockctl: {words[0]}: permission denied: only root and pylockd's own user may do that\n"
        )
    assert ctl("locks").status == 0


def test_a_socket_one_may_not_open_is_told_so():
    assert "ask as root" in lockctl_daemon._not_running("/run/pylockd/control: Permission denied", "")


def test_json_of_tables_is_a_list_of_rows_with_the_names_of_the_views(ctl, busy):
    assert json.loads(ctl("locks", "--json").out)[0].keys() == {
        "kind",
        "file",
        "mode",
        "offset",
        "length",
        "client",
        "name",
        "svid",
        "oh",
        "acknowledged",
    }


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0.0s"), (59.94, "59.9s"), (60, "1m00s"), (3725, "1h02m"), (200000, "2d07h")]
)
def test_a_duration_has_two_units_at_most(seconds, shown):
    assert lockctl_daemon._duration(seconds) == shown
