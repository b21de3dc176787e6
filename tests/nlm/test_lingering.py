# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients are monitored while they have something to lose and some time beyond, and then forgotten."""

from __future__ import annotations

from fakes.locking import HOURS
from hosts import nlmcalls as nlm


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
