# SPDX-License-Identifier: GPL-3.0-or-later
"""BosConfig read again."""

from __future__ import annotations

from fakes.systemd_units import SLEEP, A, World, config, lives, status
from pydaemons.bnode import bosconfig
from pydaemons.bnode.bosconfig import BosConfig, Entry
from pydaemons.bnode.events import (
    ConfigRead,
)
from pydaemons.bnode.model import Goal


def test_a_bad_file_at_reload_leaves_the_old_one_in_force():
    world = World(config(("a", Goal.NORMAL)))
    world.run(1)
    world.feed(ConfigRead("bnode simple a 1\nparm x\n", "/etc/BosConfig"))
    assert world.boslog("/etc/BosConfig:1: bnode a has no end")
    assert world.boslog("the last good one stays in force")
    world.feed(ConfigRead("bnode what a 1\nparm x\nend\n", "/etc/BosConfig"))
    assert world.boslog("/etc/BosConfig:1: bnode a: 'what' is no bnode type")
    assert status(world, "a") == 1


def test_reload_takes_goals_new_bnodes_changes_and_removals():
    world = World(config(("a", Goal.NORMAL), ("b", Goal.NORMAL), ("c", Goal.NORMAL), ("d", Goal.NORMAL)))
    world.run(1)
    new = BosConfig(
        entries=(
            Entry("simple", "a", Goal.NORMAL, SLEEP),
            Entry("simple", "b", Goal.SHUTDOWN, SLEEP),
            Entry("simple", "c", Goal.NORMAL, ("/bin/other",)),
            Entry("simple", "e", Goal.NORMAL, SLEEP),
        )
    )
    world.feed(ConfigRead(bosconfig.format(new), "f"))
    world.run(1)
    assert len(world.spawned(A)) == 1
    assert status(world, "b") == 0
    assert world.units["bos-c.service"].effect.argv == ("/bin/other",)
    assert world.supervisor.find("d") is None and "bos-d.service" not in world.units
    assert status(world, "e") == 1


def test_a_change_waits_until_the_old_process_has_gone():
    world = World(config(("a", Goal.NORMAL)))
    world.programs[A] = lives(deaf=30)
    world.run(1)
    new = BosConfig(entries=(Entry("simple", "a", Goal.NORMAL, ("/bin/other",)),))
    world.feed(ConfigRead(bosconfig.format(new), "f"))
    world.run(29)
    assert len(world.spawned(A)) == 1
    world.run(2)
    assert world.units[A].effect.argv == ("/bin/other",)


def test_restart_times_of_the_file_count():
    world = World()
    world.feed(ConfigRead("restarttime 15 6 3 30 0\n", "f"))
    assert world.ask("GetRestart").result["general"] == [15, 6, 3, 30, 0]
