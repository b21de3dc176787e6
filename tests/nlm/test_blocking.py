# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks that must be waited for, spoken to in bytes by clients in virtual time. test_grants.py has what may
go wrong with callbacks."""

from __future__ import annotations

import pytest

from fakes.locking import LockClient, World
from hosts import nlmcalls as nlm


def pair(version: int, **settings: int) -> tuple[World, LockClient, LockClient]:
    world = World(**settings)
    return world, world.client(2, version=version), world.client(3, version=version)


# ---------------------------------------------------------------------- blocking


@pytest.mark.parametrize("version", nlm.VERSIONS)
def test_a_blocking_lock_that_can_be_had_is_granted_at_once(version):
    world, one, _ = pair(version)
    assert one.wait() == nlm.OK
    world.run()
    assert one.grants == []


def test_waiters_go_in_the_order_they_came(world, one):
    one.lock()
    order: list[int] = []
    clients = [world.client(number) for number in range(10, 20)]
    for number, client in enumerate(clients):
        client.accepted = lambda lock, exclusive, number=number: order.append(number)
        client.wait()
    one.unlock()
    for client in clients:
        world.run(1)
        client.unlock()
    assert order == list(range(10))


def test_a_reader_that_waits_behind_a_writer_is_let_in_where_only_readers_hold(world, one, two):
    """As Linux: a waiting writer reserves nothing, or waits in no held lock could deadlock."""
    one.lock(exclusive=False)
    two.wait(exclusive=True)
    three = world.client(4)
    assert three.lock(exclusive=False) == nlm.OK
    one.unlock()
    world.run()
    assert two.grants == []
    three.unlock()
    world.run()
    assert [grant.answer for grant in two.grants] == [nlm.OK]


def test_readers_and_the_writer_behind_them_are_served_in_turn(world, one):
    one.lock()
    readers = [world.client(number) for number in (10, 11)]
    writer = world.client(12)
    readers[0].wait(exclusive=False)
    writer.wait()
    readers[1].wait(exclusive=False)
    one.unlock()
    world.run()
    assert [len(client.grants) for client in (*readers, writer)] == [1, 1, 0]
    for reader in readers:
        reader.unlock()
    world.run()
    assert len(writer.grants) == 1


def test_a_partial_unlock_serves_who_needs_only_that_part(world, one, two):
    three = world.client(4)
    one.lock(offset=0, length=100)
    two.wait(offset=0, length=10)
    three.wait(offset=5, length=20)
    one.unlock(offset=0, length=20)
    world.run()
    assert len(two.grants) == 1 and three.grants == []
    one.unlock(offset=20, length=80)
    two.unlock(offset=0, length=10)
    world.run()
    assert len(three.grants) == 1


def test_a_lock_request_that_does_not_block_does_not_wait(world, one, two):
    one.lock()
    assert two.lock() == nlm.DENIED
    one.unlock()
    world.run()
    assert two.grants == [] and one.lock() == nlm.OK


@pytest.mark.parametrize(
    "other",
    [
        {"svid": 2},
        {"offset": 1},
        {"length": 11},
        {"fh": b"other"},
        {"exclusive": False},
    ],
)
def test_cancel_takes_back_exactly_the_request_it_names(world, one, two, other):
    one.lock(length=0)
    two.wait()
    assert two.cancel(**other) == nlm.OK
    assert len(world.server.waiters) == 1
    assert two.cancel() == nlm.OK
    assert len(world.server.waiters) == 0
    one.unlock(length=0)
    world.run()
    assert two.grants == []


def test_a_cancelled_wait_leaves_the_others_their_turn(world, one, two):
    three = world.client(4)
    one.lock()
    two.wait()
    three.wait()
    two.cancel()
    one.unlock()
    world.run()
    assert two.grants == [] and len(three.grants) == 1


def test_cancel_of_nothing_succeeds(one):
    assert one.cancel() == nlm.OK
    one.lock()
    assert one.cancel() == nlm.OK


def test_a_repeated_wait_that_can_be_had_now_is_granted_and_leaves_the_queue(world, one, two):
    """A lock freed behind the queue's back (an administrator's release, say) does not leave the client in
    it."""
    one.lock()
    two.wait()
    world.server.table.drop(lambda owner: True)
    assert two.wait() == nlm.OK
    assert len(world.server.waiters) == 0


def test_one_owner_may_wait_for_several_locks(world, one, two):
    one.lock(offset=0)
    one.lock(offset=100)
    two.wait(offset=0)
    two.wait(offset=100)
    assert len(world.server.waiters) == 2
    one.unlock(offset=0, length=0)
    world.run()
    assert sorted(grant.lock.offset for grant in two.grants) == [0, 100]


# ---------------------------------------------------------------------- deadlock


def test_two_owners_that_wait_for_each_other_are_a_deadlock(world, one, two):
    one.lock(fh=b"a")
    two.lock(fh=b"b")
    assert one.wait(fh=b"b") == nlm.BLOCKED
    assert two.wait(fh=b"a") == nlm.DEADLOCK
    assert len(world.server.waiters) == 1, "who was told DEADLCK does not wait"
    two.unlock(fh=b"b")
    world.run()
    assert [grant.answer for grant in one.grants] == [nlm.OK]


def test_three_owners_in_a_circle_are_a_deadlock(world, one, two):
    three = world.client(4)
    for client, fh in ((one, b"a"), (two, b"b"), (three, b"c")):
        client.lock(fh=fh)
    assert one.wait(fh=b"b") == nlm.BLOCKED
    assert two.wait(fh=b"c") == nlm.BLOCKED
    assert three.wait(fh=b"a") == nlm.DEADLOCK
    assert three.lock(fh=b"a") == nlm.DENIED


def test_two_readers_that_both_want_to_write_are_a_deadlock(one, two):
    one.lock(exclusive=False)
    two.lock(exclusive=False)
    assert one.wait() == nlm.BLOCKED
    assert two.wait() == nlm.DEADLOCK


def test_processes_of_one_client_can_be_in_a_deadlock(one):
    one.lock(fh=b"a", svid=1)
    one.lock(fh=b"b", svid=2)
    assert one.wait(fh=b"b", svid=1) == nlm.BLOCKED
    assert one.wait(fh=b"a", svid=2) == nlm.DEADLOCK


def test_a_long_queue_is_no_deadlock(world, one):
    one.lock()
    assert {world.client(number).wait() for number in range(10, 60)} == {nlm.BLOCKED}


def test_a_repeated_wait_is_no_deadlock_with_itself(one, two):
    one.lock()
    assert [two.wait(), two.wait(), two.wait()] == [nlm.BLOCKED] * 3


# ---------------------------------------------------------------------- limits


def test_one_wait_too_many_is_refused_for_want_of_locks():
    world, one, two = pair(4, nlm_max_blocked=2)
    one.lock()
    assert [two.wait(svid=n) for n in (1, 2, 3)] == [nlm.BLOCKED, nlm.BLOCKED, nlm.NOLOCKS]
    assert two.wait(svid=1) == nlm.BLOCKED, "a repetition is not one more"
    two.cancel(svid=1)
    assert two.wait(svid=3) == nlm.BLOCKED
    world.tune("nlm_max_blocked", 3)
    assert two.wait(svid=4) == nlm.BLOCKED


def test_a_client_at_its_limit_of_waiting_requests_leaves_room_for_others():
    world, one, two = pair(4, nlm_max_blocked_per_client=1)
    three = world.client(4)
    one.lock()
    assert [two.wait(svid=1), two.wait(svid=2), two.wait(svid=1)] == [nlm.BLOCKED, nlm.NOLOCKS, nlm.BLOCKED]
    assert three.wait() == nlm.BLOCKED
    two.cancel(svid=1)
    assert two.wait(svid=2) == nlm.BLOCKED
