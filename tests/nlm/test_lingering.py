# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients are monitored while they have something to lose and some time beyond, and then forgotten."""

from __future__ import annotations

import pytest

from fakes.locking import HOURS
from fakes.succession import known, successor
from hosts import nlmcalls as nlm
from pydaemons.nlm.hosts import ROOM


def test_a_client_of_nm_lock_is_forgotten_when_it_is_idle(world, one):
    one.lock(procedure=nlm.NM_LOCK)
    one.unlock()
    world.run(HOURS)
    assert len(world.server.hosts) == 0
    assert world.engine.deadline() is None


# ---------------------------------------------------------------------- hours


def test_a_day_of_ten_clients_leaves_nothing_behind(world):
    clients = [world.client(number) for number in range(10, 20)]
    for hour in range(24):
        for client in clients:
            client.wait(fh=b"%d" % (hour % 3))
        for _ in clients:
            for client in clients:
                client.unlock(fh=b"%d" % (hour % 3))
            world.run(HOURS / 12)
        world.check()
    world.run(HOURS)
    assert world.locks() == set()
    assert (len(world.server.waiters), len(world.server.grants), len(world.server.hosts)) == (0, 0, 0)
    assert world.monitor.watched == {}


def test_a_client_that_locks_and_unlocks_is_monitored_once(world, one):
    for _ in range(9):
        one.lock()
        one.unlock()
        world.run(HOURS / 60)
    assert world.monitor.calls == [("watch", one.address)]
    world.run(HOURS)
    assert world.monitor.calls == [("watch", one.address), ("unwatch", one.address)]


def test_a_client_that_holds_waits_or_shares_is_kept(world, one, two):
    three = world.client(4)
    one.lock()
    two.wait()
    three.share()
    world.run(3 * HOURS)
    assert set(world.monitor.watched) == {one.address, two.address, three.address}


def test_processes_that_hold_nothing_are_forgotten_before_their_client(world, one):
    for svid in range(10):
        one.lock(svid=svid, offset=svid * 10)
    for svid in range(1, 10):
        one.unlock(svid=svid, offset=svid * 10)
    world.run(HOURS)
    (host,) = world.server.hosts
    assert set(host.owners) == {0}
    assert one.lock(svid=5, offset=50) == nlm.OK


# ---------------------------------------------------------------------- what hostile clients leave behind


def test_a_program_under_ever_new_numbers_fills_no_memory(world, one, two):
    two.lock(fh=b"theirs")
    one.lock(fh=b"mine", svid=3)
    assert one.wait(fh=b"theirs", svid=4) == nlm.BLOCKED
    (host,) = [host for host in world.server.hosts if host.address == one.address]
    for svid in range(100, 3 * ROOM):
        assert one.lock(svid=svid) == nlm.OK
        one.unlock(svid=svid)
        assert len(host.owners) <= ROOM
    assert {3, 4} <= set(host.owners)
    two.unlock(fh=b"theirs")
    world.run()
    assert {(svid, file) for address, svid, file, *_ in world.locks() if address == one.address} == {
        (3, b"mine"),
        (4, b"theirs"),
    }


def test_owners_that_have_something_are_kept_however_many_there_are(world, one):
    for svid in range(ROOM + 100):
        assert one.lock(svid=svid, offset=svid, length=1) == nlm.OK
    (host,) = world.server.hosts
    assert len(host.owners) == ROOM + 100
    assert known(successor(world).server) == known(world.server)


def test_who_forgot_an_owner_introduces_it_again(world, one):
    for svid in range(ROOM + 1):
        one.lock(svid=svid)
        one.unlock(svid=svid)
    one.lock(svid=1)
    assert known(successor(world).server) == known(world.server)


@pytest.mark.parametrize("how", ["denied", "full", "share"])
def test_a_host_that_is_refused_everything_leaves_nothing(world, one, how):
    one.lock(fh=b"a", length=0)
    one.share(access=3, mode=3)
    if how == "full":
        world.tune("nlm_max_blocked", 1)
        world.client(3).wait(fh=b"a")
    before = len(world.server.hosts)
    for number in range(20, 40):
        stranger = world.client(number)
        match how:
            case "denied":
                assert stranger.lock(fh=b"a") == nlm.DENIED
            case "full":
                assert stranger.lock(fh=b"a", block=True) == nlm.NOLOCKS
            case _:
                assert stranger.share(access=3, mode=3) == nlm.DENIED
    assert len(world.server.hosts) == before
