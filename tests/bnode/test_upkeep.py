# SPDX-License-Identifier: GPL-3.0-or-later
"""Newer programs and core files."""

from __future__ import annotations

from fakes.systemd_units import SLEEP, A, World, config
from pydaemons.bnode import upkeep
from pydaemons.bnode.effects import CheckBinaries, KeepCore
from pydaemons.bnode.events import (
    BinariesSeen,
    CoresSeen,
)
from pydaemons.bnode.model import Goal


def test_a_core_is_asked_for_after_a_signal_and_shown_when_there():
    world = World()
    world.create("a", *SLEEP)
    world.run(1)
    world.kill(A, signal=11, core=True)
    (keep,) = [effect for effect in world.other if isinstance(effect, KeepCore)]
    assert keep.name == "corea"
    world.feed(CoresSeen(frozenset({"corea"})))
    assert world.bnode("a").has_core
    world.feed(CoresSeen(frozenset({"coreab", "corea.b"})))
    assert not world.bnode("a").has_core
    world.feed(CoresSeen(frozenset({"corea.20261121103011"})))
    assert world.bnode("a").has_core


def test_a_newer_binary_is_a_restart():
    world = World(config(("a", Goal.NORMAL), ("b", Goal.NORMAL)))
    world.run(86400 + 1)
    (check,) = [effect for effect in world.other if isinstance(effect, CheckBinaries)]
    assert check.programs == {"/bin/sleep"}
    world.feed(BinariesSeen({"/bin/sleep": world.bnode("a").start_time + 1}))
    world.run(1)
    assert len(world.spawned(A)) == 2
    world.feed(BinariesSeen({"/bin/sleep": world.wall - 3600}))
    world.run(1)
    assert len(world.spawned(A)) == 2


def test_the_time_of_a_cron_job_is_no_program():
    world = World()
    world.create("c", "/bin/job -x", "4:00", kind="cron")
    found = upkeep.programs(world.supervisor.bnodes(), world.supervisor.site, world.tunables)
    assert found == {"/bin/job"}
