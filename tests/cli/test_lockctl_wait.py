# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a lock: granted by a callback, given up, cancelled. The server asks an embedded portmapper for
the way to the command, as on a host without rpcbind."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from fakes.lockserver import free_port
from hosts import rpc
from hosts.nlmcalls import Alock, lock
from hosts.waiting import wait_for
from pydaemons.cli import lockctl_wait
from pydaemons.kit.sockets import bind_udp
from pydaemons.nlm.types import Status

HOLDER = ("--svid", "7", "--name", "holder")
WAYS = [(version, way) for version in ("--v1", "--v3", "--v4") for way in ("--udp", "--tcp")]


@pytest.fixture
def when_blocked(server):
    """`when_blocked(action)`: does it when a request waits and its client has asked for whom (by TEST)."""
    threads = []

    def start(action):
        def run():
            server.wait_blocked()
            wait_for(lambda: server.do(lambda: sum(server.engine.server.counts["TEST"])), what="a TEST")
            action()

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


@pytest.mark.parametrize(("version", "way"), WAYS)
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_lock_that_is_held_is_granted_by_a_callback(ctl, server, when_blocked, version, way, host):
    ctl("lock", host, "file:x", *HOLDER)
    when_blocked(server.release)
    granted = ctl("lock", host, "file:x", "--wait", version, way, "--svid", "9", "--json")
    assert granted.status == 0
    assert granted.err == (
        "pylockctl: blocked: held by svid 7 of holder (owner 7@holder): write lock on the whole file\n"
    )
    answer = granted.json
    assert (answer["by"], answer["callback"], answer["holder"]) == ("GRANTED", "embedded", None)
    assert server.locks() == 1
    assert server.do(lambda: len(server.engine.server.grants)) == 0  # acknowledged


def test_a_free_lock_is_granted_without_waiting(ctl):
    answer = ctl("lock", "127.0.0.1", "00", "--wait", "--json").json
    assert (answer["status"], answer["by"]) == ("GRANTED", "reply")


def test_who_waits_too_long_cancels_and_leaves_with_3(ctl, server):
    ctl("lock", "127.0.0.1", "00", *HOLDER)
    late = ctl("lock", "127.0.0.1", "00", "--wait=0.1", "--json")
    assert late.status == 3
    assert late.json["status"] == "TIMED_OUT"
    assert late.json["holder"]["svid"] == 7
    assert "not granted within 0.1 s" in late.err
    assert server.do(lambda: len(server.engine.server.waiters)) == 0
    assert server.locks() == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_is_interrupted_cancels(ctl, server, when_blocked, number):
    ctl("lock", "127.0.0.1", "00", *HOLDER)
    when_blocked(lambda: os.kill(os.getpid(), number))
    ended = ctl("lock", "127.0.0.1", "00", "--wait", "--json")
    assert (ended.status, "interrupted" in ended.err) == (128 + number, False)
    assert ended.json["status"] == "INTERRUPTED"
    assert server.do(lambda: len(server.engine.server.waiters)) == 0
    assert server.locks() == 1


def test_a_lock_granted_while_it_is_being_cancelled_is_released(ctl, server, monkeypatch):
    ctl("lock", "127.0.0.1", "00", *HOLDER)
    give_up = lockctl_wait.Waiting._give_up

    async def lose_the_race(waiting):
        # the holder goes just before the CANCEL, and no GRANTED comes through
        server.do(lambda: server.driver.engine.rpc.forget_host("127.0.0.1"))
        server.release()
        await give_up(waiting)

    monkeypatch.setattr(lockctl_wait.Waiting, "_give_up", lose_the_race)
    assert ctl("lock", "127.0.0.1", "00", "--wait=0.1").status == 3
    assert server.locks() == 0


def test_a_deadlock_is_told_at_once(ctl, server):
    ctl("lock", "127.0.0.1", "0a", "--svid", "1")
    ctl("lock", "127.0.0.1", "0b", "--svid", "2")
    with rpc.Udp("127.0.0.1", server.port) as other:
        waits = lock(4, Alock(fh=b"\x0a", svid=2, length=0), block=True)
        other.call(rpc.NLM, 4, 2, waits).result()
        server.wait_blocked()
        ended = ctl("lock", "127.0.0.1", "0b", "--svid", "1", "--wait")
    assert ended.status == 1
    assert ended.out == "denied: waiting would be a deadlock\n"


def test_the_end_of_a_grace_period_is_waited_for(ctl, server, monkeypatch):
    monkeypatch.setattr(lockctl_wait, "REPEAT_GRACE", 0.05)
    server.do(lambda: server.engine.start_grace(server.now(), "test"))
    said = server.engine.server.counts["LOCK"]

    def end_it() -> None:
        wait_for(lambda: said[Status.DENIED_GRACE_PERIOD], what="the command to have asked once")
        server.do(server.engine.end_grace)

    ends = threading.Thread(target=end_it)
    ends.start()
    granted = ctl("lock", "127.0.0.1", "00", "--wait")
    ends.join(30)
    assert granted.status == 0
    assert "grace period" in granted.err


def test_where_no_callback_can_come_the_lock_is_asked_for_again(ctl, server, when_blocked, monkeypatch):
    monkeypatch.setattr(lockctl_wait, "REPEAT_UNCALLED", 0.05)
    ctl("lock", "127.0.0.1", "00", *HOLDER)
    when_blocked(server.release)
    with bind_udp("0.0.0.0", server.rpcbind_port):
        granted = ctl("lock", "127.0.0.1", "00", "--wait", "--json")
    assert granted.status == 0
    assert granted.json["callback"] == ""
    assert granted.json["by"] == "reply"
    assert "callbacks cannot reach this command" in granted.err


def test_a_server_that_is_not_there_is_not_waited_for(ctl, server):
    server.port = free_port()
    failed = ctl("lock", "127.0.0.1", "00", "--wait")
    assert failed.status == 1
    assert "Connection refused" in failed.err
    assert "still wait" not in failed.err
