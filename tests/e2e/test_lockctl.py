# SPDX-License-Identifier: GPL-3.0-or-later
"""pylockctl from two hosts against pylockd on a third, and against nfs-ganesha: who waits is called back."""

from __future__ import annotations

import json
import signal

import pytest

from hosts import peers, rpc

PYLOCKCTL = peers.CHECKOUT / "bin" / "pylockctl"
PORT = 4045
FIXED = (f"fs.nfs.nlm_udpport={PORT}", f"fs.nfs.nlm_tcpport={PORT}", "rpcbind.mode=off", "nsm.mode=off")
AT = ("--port", str(PORT))


@pytest.fixture
def lab(make_lab):
    """h1 runs pylockd on fixed ports and no rpcbind."""
    lab = make_lab(3)
    peers.start_pylockd(lab.h1, settings=FIXED)
    return lab


def wait_and_hand_over(lab, name, *options):
    """h2 holds, h3 waits, h2 unlocks; what h3's command reported."""
    lab.h2.run(PYLOCKCTL, "lock", name, "file:x", *options, check=True)
    waiting = lab.h3.start(PYLOCKCTL, "lock", name, "file:x", "--wait=60", "--json", *options)
    waiting.wait_for_log("blocked: held by svid 1 of h2")
    lab.h2.run(PYLOCKCTL, "unlock", name, "file:x", *options, check=True)
    assert waiting.wait() == 0, waiting.log
    report = json.loads(waiting.log.splitlines()[-1])
    lab.h3.run(PYLOCKCTL, "unlock", name, "file:x", *options, check=True)
    return report


@pytest.mark.parametrize("host", ["h1", "h1-6"])
def test_the_second_host_is_called_back_where_no_rpcbind_runs(lab, host):
    for version in ("--v3", "--v4"):
        for way in ("--udp", "--tcp"):
            report = wait_and_hand_over(lab, host, version, way, *AT)
            assert report["status"] == "GRANTED"
            assert (report["by"], report["callback"]) == ("GRANTED", "embedded"), (version, way)
    assert json.loads(lab.h1.run(PYLOCKCTL, "locks", "--json", check=True).stdout) == []


@pytest.mark.needs("rpcbind")
def test_the_second_host_is_called_back_by_its_rpcbind_and_leaves_no_rows_there(lab):
    peers.start_rpcbind(lab.h3)
    before = rpc.dump("127.0.0.1", place=lab.h3.network)
    for options in (("--v4", "--tcp"), ("--v3", "--udp")):
        report = wait_and_hand_over(lab, "h1", *options, *AT)
        assert (report["by"], report["callback"]) == ("GRANTED", "rpcbind")
    assert rpc.dump("127.0.0.1", place=lab.h3.network) == before


@pytest.mark.needs("rpcbind")
def test_the_rows_of_a_killed_command_are_replaced_by_the_next(lab):
    peers.start_rpcbind(lab.h3)
    lab.h2.run(PYLOCKCTL, "lock", "h1", "file:x", *AT, check=True)
    killed = lab.h3.start(PYLOCKCTL, "lock", "h1", "file:x", "--wait", *AT)
    killed.wait_for_log("blocked")
    assert rpc.getport("127.0.0.1", rpc.NLM, 4, place=lab.h3.network)
    killed.stop(signal.SIGKILL)
    lab.h2.run(PYLOCKCTL, "unlock", "h1", "file:x", *AT, check=True)
    lab.h3.run(PYLOCKCTL, "free-all", "h1", *AT, check=True)
    assert wait_and_hand_over(lab, "h1", *AT)["callback"] == "rpcbind"


def test_a_command_that_is_interrupted_leaves_nothing_behind(lab):
    lab.h2.run(PYLOCKCTL, "lock", "h1", "file:x", *AT, check=True)
    waiting = lab.h3.start(PYLOCKCTL, "lock", "h1", "file:x", "--wait", *AT)
    waiting.wait_for_log("blocked")
    assert len(lab.h1.run(PYLOCKCTL, "blocked", "-n", check=True).stdout.splitlines()) == 1
    assert waiting.stop(signal.SIGINT) == 130
    assert lab.h1.run(PYLOCKCTL, "blocked", "-n", check=True).stdout == ""
    assert len(lab.h1.run(PYLOCKCTL, "locks", "-n", check=True).stdout.splitlines()) == 1


def test_an_administrator_frees_what_a_client_left(lab):
    lab.h2.run(PYLOCKCTL, "lock", "h1", "file:x", *AT, check=True)
    assert lab.h1.run(PYLOCKCTL, "release", "--client", "h2", check=True).stdout == "freed: 1\n"
    lab.h3.run(PYLOCKCTL, "lock", "h1", "file:x", *AT, check=True)


@pytest.mark.needs("rpcbind", "rpc.statd", "ganesha.nfsd")
def test_it_tries_a_lock_manager_none_of_us_wrote(make_lab, tmp_path):
    tmp_path.chmod(0o755)
    lab = make_lab(3)
    for host in lab.hosts.values():
        peers.start_rpcbind(host)
    peers.start_statd(lab.h1)
    ganesha = peers.start_ganesha(lab.h1, tmp_path, nlm=True)
    handle = ganesha.handles(lab.h2, "file")[0].hex()
    assert "answers NLM version 4" in lab.h2.run(PYLOCKCTL, "null", "h1", check=True).stdout
    lab.h2.run(PYLOCKCTL, "lock", "h1", handle, "--length", "10", check=True)
    denied = lab.h3.run(PYLOCKCTL, "lock", "h1", handle, "--offset", "5")
    assert (denied.returncode, denied.stdout.startswith("denied: held by svid 1")) == (1, True)
    waiting = lab.h3.start(PYLOCKCTL, "lock", "h1", handle, "--wait=60", "--json")
    waiting.wait_for_log("blocked")
    lab.h2.run(PYLOCKCTL, "unlock", "h1", handle, check=True)
    assert waiting.wait(70) == 0, waiting.log
    assert json.loads(waiting.log.splitlines()[-1])["by"].startswith("GRANTED")
