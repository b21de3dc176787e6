# SPDX-License-Identifier: GPL-3.0-or-later
"""The grace period: how long, what passes in it, how it ends."""

from __future__ import annotations

import pytest

from fakes.locking import World
from hosts import nlmcalls as nlm
from pydaemons.nlm.grace import Grace
from pydaemons.nlm.tunables import NlmTunables


@pytest.mark.parametrize(
    ("asked", "timeout", "lasts"),
    [
        (0, 10, 50),
        (0, 3, 15),
        (0, 20, 100),
        (1, 10, 10),
        (10, 10, 10),
        (11, 10, 20),
        (45, 10, 50),
        (240, 7, 245),
        (240, 20, 240),
        (1, 3, 3),
    ],
)
def test_the_period_is_rounded_up_to_multiples_of_nlm_timeout_and_five_of_them_by_default(
    asked, timeout, lasts
):
    settings = NlmTunables()
    settings.nlm_grace_period, settings.nlm_timeout = asked, timeout
    assert Grace(settings).period() == lasts


def test_it_ends_at_its_time_once():
    grace = Grace(NlmTunables())
    assert not grace.active and grace.until is None and grace.left(0.0) == 0.0
    assert not grace.tick(10.0**9)
    grace.start(100.0)
    assert grace.left(110.0) == 40.0
    assert not grace.tick(149.9)
    assert grace.tick(150.0)
    assert not grace.active and not grace.tick(151.0) and grace.left(151.0) == 0.0


def test_a_second_start_begins_anew_and_an_early_end_is_told_once():
    grace = Grace(NlmTunables())
    grace.start(100.0)
    grace.start(120.0)
    assert not grace.tick(160.0)
    assert grace.end() and not grace.end()
    assert not grace.tick(200.0)


@pytest.fixture(params=nlm.VERSIONS)
def version(request) -> int:
    return request.param


@pytest.fixture
def world() -> World:
    world = World()
    world.engine.start_grace(world.now, "a test")
    return world


def test_in_grace_nothing_new_is_granted_and_nothing_given_back(world, version):
    one = world.client(2, version=version)
    assert one.lock() == one.lock(block=True) == nlm.GRACE
    assert one.test().status == nlm.GRACE
    assert one.unlock() == one.cancel() == nlm.GRACE
    if version > 1:
        assert one.lock(procedure=nlm.NM_LOCK) == nlm.GRACE
        assert one.share() == one.unshare() == nlm.GRACE
    assert len(world.server.waiters) == len(world.server.shares) == len(world.server.table) == 0


def test_in_grace_locks_and_shares_are_reclaimed(world, version):
    one, two = world.client(2, version=version), world.client(3, version=version)
    assert one.lock(reclaim=True, state=0) == nlm.OK
    assert two.lock(reclaim=True) == nlm.DENIED
    if version > 1:
        assert one.share(mode=3, access=3, reclaim=True) == nlm.OK
        assert two.share(mode=0, access=1, reclaim=True) == nlm.DENIED
    world.engine.end_grace()
    assert two.test().holder.svid == 1


def test_a_lock_in_grace_is_kept_by_its_reclaimer_alone_afterwards(world):
    one, two = world.client(2), world.client(3)
    one.lock(reclaim=True)
    world.run(50)
    assert two.lock() == nlm.DENIED
    assert one.unlock() == nlm.OK
    assert two.lock() == nlm.OK


def test_after_grace_a_reclaim_of_a_lock_comes_too_late_and_of_a_share_is_an_open(world, version):
    one = world.client(2, version=version)
    world.run(50)
    assert one.lock(reclaim=True) == nlm.GRACE
    assert one.lock() == nlm.OK
    if version > 1:
        assert one.share(reclaim=True) == nlm.OK


def test_no_reclaim_without_a_grace_period():
    assert World().client().lock(reclaim=True) == nlm.GRACE


@pytest.mark.parametrize(("period", "timeout", "lasts"), [(0, 10, 50), (0, 3, 15), (45, 20, 60), (4, 3, 6)])
def test_it_lasts_as_long_as_the_tunables_say(period, timeout, lasts):
    world = World(nlm_grace_period=period, nlm_timeout=timeout)
    one = world.client()
    world.engine.start_grace(world.now, "a test")
    world.run(lasts - 0.1)
    assert one.lock() == nlm.GRACE
    world.run(0.1)
    assert one.lock() == nlm.OK
    assert world.logs == [f"grace period of {lasts} s: a test", "grace period over"]


def test_a_period_under_way_keeps_its_length_when_tunables_change(world):
    world.tune("nlm_timeout", 3)
    world.run(20)
    assert world.client().lock() == nlm.GRACE
    world.run(30)
    assert world.client().lock() == nlm.OK


def test_y_written_to_nlm_end_grace_ends_it(world):
    settings = world.settings.tunables
    assert settings.text("nlm_end_grace") == "N"
    world.tune("nlm_end_grace", "N")
    assert world.server.grace.active
    world.tune("nlm_end_grace", "Y")
    assert not world.server.grace.active
    assert settings.text("nlm_end_grace") == "Y"
    assert world.client().lock() == nlm.OK
    # and a second time
    world.engine.start_grace(world.now, "again")
    assert settings.text("nlm_end_grace") == "N"
    world.tune("nlm_end_grace", "Y")
    assert not world.server.grace.active


def test_whoever_waits_through_a_grace_period_is_served_after_it():
    """A grace period begun by an administrator, nothing dropped."""
    world = World()
    one, two = world.client(2), world.client(3)
    one.lock()
    two.wait()
    world.engine.start_grace(world.now, "a test")
    assert one.unlock() == nlm.GRACE
    world.run(50)
    assert one.unlock() == nlm.OK
    world.run()
    assert [grant.answer for grant in two.grants] == [nlm.OK]
