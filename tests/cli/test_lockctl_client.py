# SPDX-License-Identifier: GPL-3.0-or-later
"""The client side of pylockctl against a real lock engine on loopback: by every version and way."""

from __future__ import annotations

import signal
import subprocess

import pytest

from house.tree import ROOT

PYLOCKCTL = ROOT / "bin" / "pylockctl"
WAYS = [(version, way) for version in ("--v1", "--v3", "--v4") for way in ("--udp", "--tcp")]
HOLDER = ("--svid", "7", "--name", "holder")


@pytest.mark.parametrize(("version", "way"), WAYS)
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_lock_is_granted_seen_denied_and_released(ctl, server, version, way, host):
    how = (version, way)
    span = ("--offset", "100", "--length", "50")
    assert ctl("lock", host, "file:x", *how, *span, *HOLDER).out == (
        "granted: write lock on bytes 100-149, svid 7\n"
    )
    assert server.locks() == 1
    denied = ctl("lock", host, "file:x", *how, "--offset", "120")
    assert denied.status == 1
    assert denied.out == "denied: held by svid 7 of holder (owner 7@holder): write lock on bytes 100-149\n"
    probed = ctl("test", host, "file:x", *how, "--length", "101", "--json")
    assert probed.status == 1
    assert probed.json["holder"] == {
        "client": "holder",
        "svid": 7,
        "oh": "7@holder",
        "mode": "write",
        "offset": 100,
        "length": 50,
    }
    assert ctl("test", host, "file:x", *how, "--length", "100").status == 0
    assert ctl("unlock", host, "file:x", *how, *span, *HOLDER).status == 0
    assert server.locks() == 0


@pytest.mark.parametrize(("version", "way"), WAYS)
def test_a_server_that_answers_null_is_there(ctl, version, way):
    answer = ctl("null", "localhost", version, way)
    assert answer.status == 0
    assert f"answers NLM version {version[3:]} over {way[2:]}" in answer.out


def test_shared_locks_go_together_and_exclusive_ones_do_not(ctl):
    assert ctl("lock", "127.0.0.1", "00", "--shared", "--svid", "1").status == 0
    assert ctl("lock", "127.0.0.1", "00", "--shared", "--svid", "2").status == 0
    assert ctl("lock", "127.0.0.1", "00", "--svid", "3").status == 1
    assert ctl("test", "127.0.0.1", "00", "--svid", "3").status == 1
    assert ctl("test", "127.0.0.1", "00", "--svid", "3", "--shared").status == 0


@pytest.mark.parametrize("version", ["--v3", "--v4"])
def test_shares_exclude_each_other_and_are_taken_back(ctl, version):
    mine = ("--access", "read", "--deny", "write", "--oh", "me", version)
    assert ctl("share", "127.0.0.1", "00", *mine).status == 0
    assert ctl("share", "127.0.0.1", "00", "--access", "write", version).out == "denied\n"
    assert ctl("share", "127.0.0.1", "00", "--access", "read", version).status == 0
    assert ctl("unshare", "127.0.0.1", "00", *mine).status == 0
    assert ctl("share", "127.0.0.1", "00", "--access", "write", "--oh", "third", version).status == 0


@pytest.mark.parametrize("version", ["--v3", "--v4"])
def test_free_all_leaves_nothing_of_this_host(ctl, server, version):
    ctl("lock", "127.0.0.1", "00")
    ctl("share", "127.0.0.1", "00")
    assert ctl("free-all", "127.0.0.1", version).status == 0
    assert server.locks() == 0
    assert server.do(lambda: len(server.engine.server.shares)) == 0


def test_in_grace_only_reclaims_are_granted(ctl, server):
    server.do(lambda: server.engine.start_grace(server.now(), "test"))
    denied = ctl("lock", "127.0.0.1", "00")
    assert (denied.status, "grace period" in denied.out) == (1, True)
    assert ctl("lock", "127.0.0.1", "00", "--reclaim").status == 0


def test_a_range_the_server_cannot_lock_is_told_as_such(ctl):
    denied = ctl("lock", "127.0.0.1", "00", "--offset", str(2**63), "--length", "2")
    assert denied.status == 1
    assert "beyond what the server can lock" in denied.out


def test_json_has_the_same_names_whatever_the_answer(ctl):
    granted = ctl("lock", "127.0.0.1", "0a", "--svid", "1", "--json").json
    denied = ctl("lock", "127.0.0.1", "0a", "--svid", "2", "--json").json
    assert granted.keys() == denied.keys()
    assert (granted["status"], granted["by"], granted["holder"]) == ("GRANTED", "reply", None)
    assert (denied["status"], denied["by"], denied["holder"]["svid"]) == ("DENIED", "", 1)
    assert granted["file"] == "0a"


def test_a_lock_is_held_and_then_released(ctl, server):
    held = ctl("lock", "127.0.0.1", "00", "--hold", "0.1")
    assert held.status == 0
    assert held.out.startswith("granted")
    assert "released" in held.err
    assert server.locks() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_lock_held_is_released_when_the_command_is_told_to_end(server, number):
    command = [PYLOCKCTL, "lock", "127.0.0.1", "00", "--hold", "inf", "--port", str(server.port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout.readline().startswith("granted")
        assert server.locks() == 1
        running.send_signal(number)
        _, err = running.communicate(timeout=30)
    assert (running.returncode, "released" in err) == (0, True)
    assert server.locks() == 0


def test_a_denied_lock_is_not_held(ctl, server):
    ctl("lock", "127.0.0.1", "00", *HOLDER)
    assert ctl("lock", "127.0.0.1", "00", "--hold", "inf").status == 1
    assert server.locks() == 1


def test_a_call_leaves_from_the_address_asked_for(ctl, server):
    ctl("lock", "127.0.0.1", "00", "--source", "127.0.0.9")
    ctl("lock", "127.0.0.1", "01", "--source", "127.0.0.8", "--udp")
    assert server.do(lambda: {host.address for host in server.engine.server.hosts}) == {
        "127.0.0.9",
        "127.0.0.8",
    }
