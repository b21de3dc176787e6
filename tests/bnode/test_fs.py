# SPDX-License-Identifier: GPL-3.0-or-later
"""fs: who is started, stopped and salvaged when."""

from __future__ import annotations

from fakes.systemd_units import End, World, lives

FILE, VOL, SALV = "bos-fs-file.service", "bos-fs-vol.service", "bos-fs-salv.service"


def running(**programs):
    world = World()
    world.programs[FILE] = lives()
    world.programs[SALV] = lambda _: End(after=10.0)
    world.programs.update(programs)
    world.create("fs", "/bin/fileserver", "/bin/volserver", "/bin/salvager", kind="fs")
    world.run(1)
    return world


def units(world):
    return {name for name, unit in world.units.items() if unit.pid}


def test_file_is_started_first_and_vol_at_once():
    world = running()
    assert [unit for _, unit in world.spawns] == [FILE, VOL]
    assert units(world) == {FILE, VOL}


def test_vol_alone_is_started_again():
    world = running()
    world.kill(VOL)
    world.run(1)
    assert len(world.spawned(VOL)) == 2 and len(world.spawned(FILE)) == 1 and not world.spawned(SALV)


def test_a_clean_end_of_file_needs_no_salvage():
    world = running()
    world.kill(FILE, signal=0, code=0)
    world.run(1)
    assert len(world.spawned(FILE)) == 2 and len(world.spawned(VOL)) == 1 and not world.spawned(SALV)


def test_a_hard_death_of_file_stops_vol_salvages_and_starts_both():
    world = running()
    world.kill(FILE, signal=9)
    world.run(1)
    assert world.boslog("stopping") == ["fs:vol stopping: /bin/volserver"] and units(world) == {SALV}
    assert world.bnode("fs").kind.detail(world.bnode("fs")) == "salvaging file system."
    world.run(10)
    assert units(world) == {FILE, VOL}
    assert [unit for _, unit in world.spawns] == [FILE, VOL, SALV, FILE, VOL]


def test_a_salvager_that_fails_is_run_again_and_the_servers_wait():
    world = running(**{SALV: lambda number: End(1.0, code=2 if number == 0 else 0)})
    world.kill(FILE, signal=11)
    world.run(1.5)
    assert units(world) == {SALV} and len(world.spawned(SALV)) == 2
    world.run(1)
    assert units(world) == {FILE, VOL}


def test_stop_asks_both_at_once_and_file_may_take_half_an_hour():
    world = running(**{FILE: lives(deaf=900)})
    world.ask("SetStatus", instance="fs", goal=0)
    assert world.stops == [FILE, VOL]
    start = world.units[FILE].effect
    assert (start.signal, start.stop_timeout) == (3, 1800)
    world.run(899)
    assert world.bnode("fs").kind.status(world.bnode("fs")) == 2
    world.run(2)
    assert world.bnode("fs").idle and not world.bnode("fs").salvage


def test_a_stop_during_a_salvage_stops_the_salvager_and_start_salvages_again():
    world = running()
    world.kill(FILE, signal=9)
    world.run(1)
    world.ask("SetStatus", instance="fs", goal=0)
    world.run(1)
    assert units(world) == set()
    world.ask("SetStatus", instance="fs", goal=1)
    world.run(1)
    assert units(world) == {SALV}


def test_that_a_salvage_is_due_is_on_the_disk_before_file_starts_until_its_clean_end():
    world = running()
    assert "local/SALVAGE.fs" in world.files
    world.ask("SetStatus", instance="fs", goal=0)
    world.run(1)
    assert "local/SALVAGE.fs" not in world.files


def test_after_a_power_cut_the_salvager_goes_first():
    world = running()
    world.units.clear()
    world.spawns.clear()
    world.crash()
    world.run(1)
    assert [unit for _, unit in world.spawns] == [SALV]


def test_a_file_server_that_runs_on_under_a_new_daemon_is_not_salvaged():
    world = running()
    world.crash()
    world.run(60)
    assert not world.spawned(SALV) and len(world.spawned(FILE)) == 1
