# SPDX-License-Identifier: GPL-3.0-or-later
"""dafs: three processes, each on its own."""

from __future__ import annotations

import pytest

from fakes.systemd_units import World

FILE, VOL, SALSRV = "bos-d-file.service", "bos-d-vol.service", "bos-d-salsrv.service"


def running():
    world = World()
    world.create("d", "/bin/f", "/bin/v", "/bin/ss", "/bin/s", kind="dafs")
    world.run(1)
    return world


def test_three_are_started_and_no_salvager():
    assert [unit for _, unit in running().spawns] == [FILE, VOL, SALSRV]


@pytest.mark.parametrize("unit", [FILE, VOL, SALSRV])
def test_each_is_restarted_alone_even_after_kill_9(unit):
    world = running()
    world.kill(unit, signal=9)
    world.run(1)
    assert len(world.spawned(unit)) == 2 and len(world.spawns) == 4 and world.stops == []


def test_file_is_asked_by_quit_and_the_others_by_term():
    world = running()
    assert {name: unit.effect.signal for name, unit in world.units.items()} == {FILE: 3, VOL: 15, SALSRV: 15}


def test_cores_and_errors_carry_the_part():
    world = running()
    world.kill(SALSRV, signal=11, core=True)
    (keep,) = world.other
    assert keep.name == "coresalsrv.d"
    assert world.bnode("d").last_error_name == "salsrv"
    assert world.boslog("d:salsrv exited on signal 11 (core dumped)")
