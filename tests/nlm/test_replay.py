# SPDX-License-Identifier: GPL-3.0-or-later
"""Killed at any moment, the next process knows what the last one had committed: any calls, any time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.locking import World
from fakes.locksteps import STEPS, step
from fakes.succession import known, restart, successor
from hosts import nlmcalls as nlm
from pydaemons.nlm import records
from pydaemons.wire.errors import WireError


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_after_any_calls_the_successor_knows_what_was_known(steps):
    world = World()
    for each in steps:
        step(world, *each)
    assert known(successor(world).server) == known(world.server)


@settings(max_examples=100, deadline=None)
@given(STEPS, st.data())
def test_killed_between_any_two_batches_it_knows_what_the_last_one_committed(steps, data):
    world = World()
    states = [(list(world.journal), known(world.server))]
    for each in steps:
        step(world, *each)
        states.append((list(world.journal), known(world.server)))
    parts, then = data.draw(st.sampled_from(states))
    assert known(successor(world, parts).server) == then


@settings(max_examples=60, deadline=None)
@given(STEPS, STEPS)
def test_a_life_interrupted_is_as_one_that_was_not(before, after):
    """Killed in the middle, with clients none the wiser: the rules hold and the journal is still complete."""
    world = World()
    for each in before:
        step(world, *each)
    then = known(world.server)
    restart(world)
    assert known(world.server) == then
    for each in after:
        step(world, *each)
    world.run(0.1)
    world.check()
    assert known(successor(world).server) == known(world.server)


# ---------------------------------------------------------------------- what a client sees of it


def test_a_lock_is_held_by_its_owner_and_nobody_else_after_a_kill():
    world = World()
    one, two = world.client(2), world.client(3)
    assert one.lock() == nlm.OK
    restart(world)
    assert two.lock() == nlm.DENIED
    assert one.lock() == nlm.OK
    assert one.unlock() == nlm.OK
    assert two.lock() == nlm.OK


def test_a_waiter_is_still_called_back_after_a_kill():
    world = World()
    one, two = world.client(2), world.client(3)
    assert one.lock() == nlm.OK
    assert two.wait() == nlm.BLOCKED
    restart(world)
    assert one.unlock() == nlm.OK
    world.run(1.0)
    assert [grant.answer for grant in two.grants] == [nlm.OK]
    assert not world.server.grants


def test_a_grant_whose_acknowledgement_was_lost_is_not_taken_back():
    """The client has it and, told again by the next process, says DENIED: it no longer waits."""
    world = World()
    one, two = world.client(2), world.client(3)
    assert one.lock() == nlm.OK
    assert two.wait() == nlm.BLOCKED
    world.lose = lambda packet: isinstance(packet, bytes) and packet[4:8] == b"\0\0\0\1" and bool(two.grants)
    one.unlock()
    world.run(1.0)
    assert [grant.answer for grant in two.grants] == [nlm.OK]
    assert len(world.server.grants) == 1
    world.lose = lambda packet: False
    restart(world)
    world.run(1.0)
    assert [grant.answer for grant in two.grants] == [nlm.OK, nlm.DENIED]
    assert not world.server.grants
    assert one.lock() == nlm.DENIED, "it is the other's"


def test_a_client_at_two_addresses_of_ours_is_two_after_a_kill_as_well():
    world = World()
    one, other = world.client(2), "10.0.0.99"
    assert one.lock(svid=0) == nlm.OK
    assert one.lock(svid=0, offset=100, local=other) == nlm.OK
    assert one.share(mode=3) == nlm.OK
    before = known(world.server)
    for _ in range(2):
        restart(world)
        assert known(world.server) == before
        assert one.lock(svid=0, offset=100) == one.lock(svid=0, local=other) == nlm.DENIED
        assert one.lock(svid=0) == one.lock(svid=0, offset=100, local=other) == nlm.OK


def test_a_call_repeated_after_a_kill_gets_the_answer_it_had():
    """LOCK, UNLOCK, and then the network brings the LOCK once more: it is not taken again."""
    world = World()
    one, two = world.client(2), world.client(3)
    arguments = nlm.lock(4, one.alock())
    first = one.call(nlm.LOCK, arguments, xid=77)
    assert one.unlock() == nlm.OK
    restart(world)
    assert one.call(nlm.LOCK, arguments, xid=77).body == first.body
    assert world.engine.cache.hits == 1
    assert two.lock() == nlm.OK
    restart(world)
    restart(world)
    assert one.call(nlm.LOCK, arguments, xid=77).body == first.body
    world.run(130.0)
    assert one.call(nlm.LOCK, arguments, xid=77).body != first.body, "after two minutes it is a new call"


def test_answers_to_a_client_that_restarted_are_forgotten_over_a_kill():
    world = World()
    one = world.client(2)
    one.lock()
    one.unlock(xid=5)
    world.engine.client_restarted(one.address, 9, world.now)
    world.carry()
    restart(world)
    one.unlock(xid=5)
    assert world.engine.cache.hits == 0


def test_a_grace_period_goes_on_to_its_end_and_is_not_begun_anew():
    world = World()
    world.engine.start_grace(world.now, "test")
    world.carry()
    until = world.server.grace.until
    world.run(10.0)
    restart(world)
    assert world.server.grace.until == until
    assert world.client(2).lock() == nlm.GRACE
    world.run(60.0)
    assert world.client(2).lock() == nlm.OK


def test_who_was_monitored_is_monitored_on_and_forgotten_when_idle():
    world = World()
    one = world.client(2)
    one.lock()
    one.unlock()
    world.monitor.watched.clear()
    restart(world)
    assert list(world.monitor.watched) == [one.address]
    world.run(1000.0)
    assert not world.monitor.watched
    assert not len(world.server.hosts)


# ---------------------------------------------------------------------- what cannot be believed


def test_files_known_by_other_keys_are_refused():
    world = World()
    world.client(2).lock()
    world.settings.handles.codec = "unfs3"
    with pytest.raises(WireError, match="found by opaque"):
        successor(world)


@given(st.binary(max_size=60))
def test_any_records_are_understood_or_refused(data):
    world = World()
    world.client(2).lock()
    try:
        successor(world, [*world.journal, data])
    except WireError:
        pass


def test_a_share_of_no_kind_is_refused():
    world = World()
    world.client(2).lock()
    number = next(iter(world.server.hosts)).number
    with pytest.raises(WireError, match="makes no sense"):
        successor(world, [*world.journal, records.SHARE.pack(records.Op.SHARE, number, 200, 1, 0) + b"f"])


def test_two_locks_that_exclude_each_other_are_refused():
    world, other = World(), World()
    world.client(2).lock()
    other.client(9).lock(offset=100)
    other.client(3).lock()
    with pytest.raises(WireError):
        successor(world, [*world.journal, world.journal[-1], *other.journal[1:]])
