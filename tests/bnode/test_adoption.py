# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs already, and what was, when the daemon comes: against a fake service manager."""

from __future__ import annotations

import pytest

from fakes.systemd_units import SLEEP, A, World, config, dies, status
from pydaemons.bnode.events import Connected, Exited, Found, Gone, ShutdownAsked, Started
from pydaemons.bnode.model import Goal
from pydaemons.engine.effects import Leave


def test_a_crash_of_the_daemon_restarts_nothing_and_keeps_the_history():
    world = World()
    world.create("a", *SLEEP)
    world.run(5)
    world.kill(A, signal=0, code=3)
    world.run(5)
    before = (world.bnode("a").start_time, world.bnode("a").last_error_exit, world.bnode("a").starts)
    world.crash()
    world.run(100)
    bnode = world.bnode("a")
    assert len(world.spawned(A)) == 2 and world.supervisor.adopted == 1
    assert (bnode.start_time, bnode.last_error_exit, bnode.starts) == before
    assert bnode.error_code == 3 and status(world, "a") == 1


def test_goals_in_memory_survive_a_crash_and_not_an_orderly_stop():
    world = World(config(("a", Goal.NORMAL)))
    world.run(1)
    world.ask("SetTemporaryStatus", instance="a", goal=0)
    world.run(1)
    world.crash()
    world.run(1)
    assert (world.bnode("a").goal, world.bnode("a").file_goal) == (0, 1)
    world.feed(ShutdownAsked("signal 15"))
    assert isinstance(world.left[0], Leave)
    world.crash()
    world.run(1)
    assert world.bnode("a").goal == 1


def test_the_count_of_exits_goes_on_under_a_new_daemon():
    world = World()
    world.programs[A] = dies(every=1.0)
    world.create("a", "/bin/false")
    world.run(8.5)
    world.crash()
    world.run(100)
    assert len(world.spawned(A)) == 12 and world.bnode("a").error_stop


def test_an_error_stop_survives_a_crash():
    world = World()
    world.programs[A] = dies()
    world.create("a", "/bin/false")
    world.run(1)
    world.crash()
    world.run(100)
    assert world.bnode("a").error_stop and len(world.spawned(A)) == 12


def test_a_pending_retry_survives_a_crash():
    world = World(error_stop_policy="backoff")
    world.programs[A] = dies()
    world.create("a", "/bin/false")
    world.run(8)
    before = len(world.spawned(A))
    world.crash()
    world.run(6)
    assert len(world.spawned(A)) == before
    world.run(4)
    assert len(world.spawned(A)) == before + 1


def test_restarts_while_away_are_counted_from_systemds_counter():
    world = World()
    world.create("a", *SLEEP)
    world.run(1)
    world.units[A].restarts = 4
    world.units[A].pid = 4711
    world.crash()
    bnode = world.bnode("a")
    assert bnode.starts == 5 and bnode.window.count == 4 and bnode.processes[0].pid == 4711


@pytest.mark.parametrize("seen", ["nothing", "the exit"])
@pytest.mark.parametrize("begun", [True, False])
def test_an_exit_around_a_crash_of_the_daemon_is_counted_once(seen, begun):
    """The daemon dies before or after it has seen an exit, and the next comes before or after the restart."""
    world = World()
    world.create("a", *SLEEP)
    world.run(1)
    unit = world.units[A]
    if seen == "the exit":
        world.feed(Exited(A, unit.pid, 1, 0, False, world.mono, world.wall))
    unit.restarts, unit.pid = 1, 4711 if begun else 0
    world.crash()
    if not begun:
        unit.pid = 4711
        world.feed(Started(A, 4711, world.wall, 1))
    assert (world.bnode("a").starts, world.bnode("a").window.count) == (2, 1)


def test_a_unit_that_ran_into_systemds_limit_while_away_is_an_error_stop():
    world = World()
    world.create("a", *SLEEP)
    world.run(1)
    world.units[A].pid, world.units[A].failed = 0, "start-limit-hit"
    world.crash()
    assert world.bnode("a").error_stop


def test_what_died_for_good_while_away_is_started():
    world = World()
    world.create("a", *SLEEP)
    world.run(1)
    world.units.clear()
    world.crash()
    world.run(1)
    assert len(world.spawned(A)) == 2


def test_a_unit_found_stopping_is_waited_for():
    world = World(config(("a", Goal.NORMAL)), connect=False)
    world.feed(Connected([Found(A, 7, world.wall, 0, "", stopping=True)]))
    assert not world.spawns
    world.feed(Gone(A, "success"))
    world.run(1)
    assert world.spawned(A)


def test_strangers_units_are_named_and_left_alone():
    world = World(connect=False)
    world.feed(Connected([Found("bos-old.service", 7, world.wall, 0, "")]))
    assert world.boslog("units of no bnode, left alone: bos-old.service") and not world.stops


def test_one_whose_history_is_of_another_boot_goes_by_the_file():
    world = World(config(("a", Goal.NORMAL)))
    world.run(1)
    world.ask("SetTemporaryStatus", instance="a", goal=0)
    world.run(1)
    world.files["history/a"] = world.files["history/a"].replace(b'"boot":"b"', b'"boot":"other"')
    world.crash()
    world.run(1)
    assert world.bnode("a").goal == 1 and len(world.spawned(A)) == 2


def test_what_runs_without_a_history_is_one_start_and_what_systemd_has_counted():
    world = World()
    world.create("a", *SLEEP)
    world.run(1)
    assert "history/a" not in world.files, "nothing that the file and systemd do not say"
    world.units[A].restarts = 3
    world.crash()
    bnode = world.bnode("a")
    assert (bnode.starts, bnode.window.count, bnode.goal) == (4, 3, 1)
    assert bnode.start_time == int(world.wall) - 1 and len(world.spawned(A)) == 1
