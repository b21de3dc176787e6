# SPDX-License-Identifier: GPL-3.0-or-later
"""A grace period ends early when all that was lost was reclaimed, and not a lock sooner."""

from __future__ import annotations

from fakes.locking import World
from hosts import nlmcalls as nlm


def lost() -> World:
    """Two clients with locks and a share, and all of it dropped."""
    world = World()
    one, two = world.client(2), world.client(3)
    assert one.lock(offset=0, length=20) == nlm.OK
    assert one.lock(fh=b"other", svid=7, exclusive=False) == nlm.OK
    assert two.lock(offset=100) == nlm.OK
    assert two.share(fh=b"opened") == nlm.OK
    world.engine.drop_all(world.now)
    world.carry()
    return world


def in_grace(world: World) -> bool:
    world.run(0.01)
    return world.server.grace.active


def reclaim_all(world: World) -> None:
    one, two = world.clients["10.0.0.2"], world.clients["10.0.0.3"]
    steps = [
        lambda: one.lock(offset=0, length=10, reclaim=True),
        lambda: one.lock(offset=10, length=10, reclaim=True),
        lambda: two.lock(offset=100, reclaim=True),
        lambda: one.lock(fh=b"other", svid=7, exclusive=False, reclaim=True),
        lambda: two.share(fh=b"opened", reclaim=True),
    ]
    for step in steps:
        assert in_grace(world)
        assert step() == nlm.OK


def test_it_ends_with_the_last_reclaim():
    world = lost()
    reclaim_all(world)
    assert not in_grace(world)
    assert world.logs[-1] == "grace period over"
    assert world.client(4).lock(offset=500) == nlm.OK


def test_a_lock_of_another_process_of_the_client_does_not_count():
    world = lost()
    one, two = world.clients["10.0.0.2"], world.clients["10.0.0.3"]
    for lock in ({"offset": 0, "length": 20}, {"fh": b"other", "svid": 8}):
        assert one.lock(reclaim=True, **lock) == nlm.OK
    assert two.lock(offset=100, reclaim=True) == nlm.OK
    assert two.share(fh=b"opened", reclaim=True) == nlm.OK
    assert in_grace(world)
    world.run(60.0)
    assert not world.server.grace.active, "its timer ends it all the same"


def test_a_client_that_restarted_has_nothing_to_reclaim():
    world = lost()
    one = world.clients["10.0.0.2"]
    assert one.lock(offset=0, length=20, reclaim=True) == nlm.OK
    assert one.lock(fh=b"other", svid=7, exclusive=False, reclaim=True) == nlm.OK
    assert in_grace(world)
    world.engine.client_restarted("10.0.0.3", 9, world.now)
    assert not in_grace(world)


def test_when_nobody_knows_what_was_lost_it_takes_its_time():
    world = World()
    world.engine.start_grace(world.now, "test")
    one = world.client(2)
    assert one.lock(reclaim=True) == nlm.OK
    assert in_grace(world)
    world.run(60.0)
    assert not in_grace(world)
