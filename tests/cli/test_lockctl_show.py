# SPDX-License-Identifier: GPL-3.0-or-later
"""The looking verbs of pylockctl, over a real control socket with a lock engine behind it."""

from __future__ import annotations

import json

import pytest

from hosts import rpc
from hosts.nlmcalls import Alock, lock


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
    assert [row[:6] for row in listed] == [
        ["CLIENT", "NAME", "SERVER", "LOCKS", "SHARES", "BLOCKED"],
        ["127.0.0.1", "one", "127.0.0.1", "2", "1", "0"],
        ["::1", "six", "::1", "1", "0", "0"],
    ]
    assert all(len(row) == len(listed[0]) for row in listed)


def test_stats_are_a_table_json_or_prometheus(ctl, busy):
    assert ["nlm4", "LOCK", "3"] in rows(ctl("stats").out)
    shown = ctl("stats", "--json").json
    assert shown["statuses"]["LOCK"] == {"GRANTED": 3}
    assert shown["shell"]["records_in"] > 0
    assert "pylockd_locks 3\n" in ctl("stats", "--prometheus").out


def test_json_of_tables_is_a_list_of_rows_with_the_names_of_the_views(ctl, busy):
    assert json.loads(ctl("locks", "--json").out)[0].keys() == {
        "kind",
        "file",
        "mode",
        "offset",
        "length",
        "client",
        "name",
        "server",
        "svid",
        "oh",
        "acknowledged",
    }
