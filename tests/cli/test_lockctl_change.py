# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of pylockctl that change something, over a real control socket with a lock engine behind it."""

from __future__ import annotations

import os
import pty
import sys

import pytest


@pytest.mark.parametrize(
    ("words", "freed", "left"),
    [
        (["--client", "one"], 3, 1),
        (["--owner", "127.0.0.1:1"], 1, 2),
        (["--owner", "::1:1"], 1, 2),
        (["--file", "0a"], 2, 2),
        (["--all"], 4, 0),
        (["--client", "10.0.0.9"], 0, 3),
        (["--server", "127.0.0.1"], 3, 1),
        (["--server", "0:0::1"], 1, 2),
        (["--server", "::1", "--client", "127.0.0.1"], 0, 3),
        (["--server", "127.0.0.1", "--owner", "127.0.0.1:2"], 1, 2),
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


def test_nobody_to_notify_is_said(ctl, server):
    server.notified = []
    failed = ctl("notify")
    assert (failed.status, failed.err) == (1, "pylockctl: notify: no client is monitored\n")


def test_notify_tells_who_called_a_service_address_elsewhere(ctl, server):
    assert ctl("notify", "--client", "10.0.0.3", "--server", "10.0.0.99").out == "10.0.0.3\n"


def test_reload_passes_on_what_is_wrong(ctl, server):
    assert ctl("reload").status == 0
    server.problems = ["/etc/pylockd.conf:3: nlm_timeout: 99 is out of range, want 3..20"]
    failed = ctl("reload")
    assert failed.status == 1
    assert failed.err == f"pylockctl: {server.problems[0]}\n"
