# SPDX-License-Identifier: GPL-3.0-or-later
"""At a limit of locks: what adds none goes through, and no way leads beyond it."""

from __future__ import annotations

import pytest

from fakes.locking import World
from hosts import nlmcalls as nlm

LIMITS = pytest.mark.parametrize("limit", ["nlm_max_locks", "nlm_max_locks_per_client"])


def full(limit: str):
    """A world where one has all the locks it may have: bytes 0-9 of two files."""
    world = World()
    one, two = world.client(2), world.client(3)
    assert one.lock(fh=b"a") == one.lock(fh=b"b") == nlm.OK
    world.tune(limit, 2)
    assert one.lock(fh=b"c") == nlm.NOLOCKS
    return world, one, two


@LIMITS
def test_a_lock_that_is_held_is_granted_again(limit):
    world, one, _ = full(limit)
    assert one.lock(fh=b"a") == nlm.OK
    assert one.lock(fh=b"a", offset=3, length=2) == nlm.OK
    assert one.lock(fh=b"a", exclusive=False) == nlm.OK, "it only changes its mode"
    assert one.lock(fh=b"a", offset=3, length=2) == nlm.NOLOCKS, "of one lock it would make three"
    assert one.lock(fh=b"a", svid=9, exclusive=False) == nlm.NOLOCKS
    assert len(world.server.table) == 2


@LIMITS
def test_who_waits_already_may_ask_again(limit):
    world = World()
    one, two = world.client(2), world.client(3)
    two.lock(fh=b"a")
    one.lock(fh=b"b")
    assert one.wait(fh=b"a") == nlm.BLOCKED
    world.tune(limit, 1)
    assert one.wait(fh=b"a") == nlm.BLOCKED
    assert one.wait(fh=b"a", svid=2) == nlm.NOLOCKS
    two.unlock(fh=b"a")
    world.run()
    assert one.wait(fh=b"a") == nlm.OK, "its grant may have been lost on the way"


@LIMITS
def test_holes_lead_to_no_more_locks_than_may_be_had(limit):
    world, one, _ = full(limit)
    assert one.unlock(fh=b"a", offset=4, length=1) == nlm.NOLOCKS
    assert one.unlock(fh=b"a", offset=8, length=2) == nlm.OK
    assert one.unlock(fh=b"none", offset=4, length=1) == nlm.OK
    assert len(world.server.table) == 2
    one.unlock(fh=b"b")
    assert one.unlock(fh=b"a", offset=4, length=1) == nlm.OK
    assert len(world.server.table) == 2
    assert one.unlock(fh=b"a", offset=0, length=0) == nlm.OK
    assert len(world.server.table) == 0
