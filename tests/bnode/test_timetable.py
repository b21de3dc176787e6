# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes due by itself, in virtual time. Error stops and their retries are in test_errorstop."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from fakes.systemd_units import A, B, World, config, dies
from pydaemons.bnode.effects import CheckBinaries
from pydaemons.bnode.events import BinariesSeen
from pydaemons.bnode.ktime import KTime
from pydaemons.bnode.model import Goal
from pydaemons.engine.events import ClockStepped


def test_the_weekly_restart_restarts_what_runs():
    world = World(replace(config(("a", Goal.NORMAL), ("b", Goal.SHUTDOWN)), general=KTime(15, 0, 4)))
    world.run(8 * 86400)
    assert len(world.spawned(A)) in (2, 3) and not world.spawned(B)
    assert datetime.fromtimestamp(world.bnode("a").start_time).strftime("%w %H:%M") == "0 04:00"


def test_the_check_for_new_binaries_restarts_what_is_older_than_its_file():
    world = World(replace(config(("a", Goal.NORMAL), ("b", Goal.NORMAL)), binaries=KTime(7, 0, 5)))
    world.run(2 * 86400)
    asked = [effect for effect in world.other if isinstance(effect, CheckBinaries)]
    assert len(asked) == 2 and asked[0].programs == {"/bin/sleep"}
    world.feed(BinariesSeen({"/bin/sleep": world.wall - 10}))
    world.run(1)
    assert (len(world.spawned(A)), len(world.spawned(B))) == (2, 2)
    world.feed(BinariesSeen({"/bin/sleep": world.wall - 10}))
    world.run(1)
    assert (len(world.spawned(A)), len(world.spawned(B))) == (2, 2), "they are newer now"


def test_a_restart_time_set_to_never_does_not_come():
    world = World(replace(config(("a", Goal.NORMAL)), general=KTime(15, 0, 4), binaries=KTime(16)))
    world.run(1)
    world.ask("SetRestart", binaries=False, time=[16, 0, 0, 0, 0])
    world.run(8 * 86400)
    assert len(world.spawned(A)) == 1 and world.supervisor.deadline() is None


def test_cron_runs_at_the_time_of_day_although_the_clock_was_set():
    world = World()
    world.create("c", "/bin/true", "4:00", kind="cron")
    world.programs["bos-c.service"] = dies(0)
    world.run(1)
    at = datetime.fromtimestamp(world.bnode("c").next_run)
    world.step = world.bnode("c").next_run - world.wall - 60  # a minute before, suddenly
    world.feed(ClockStepped(world.step))
    assert datetime.fromtimestamp(world.bnode("c").next_run) == at
    world.run(70)
    assert len(world.spawned("bos-c.service")) == 1


def test_what_is_deleted_leaves_no_alarm():
    world = World(replace(config(), binaries=KTime(16)), error_stop_policy="backoff")
    world.programs[A] = dies()
    world.create("a", "/bin/false")
    world.create("c", "/bin/true", "4:00", kind="cron")
    world.run(0.5)
    for name in "ac":
        world.ask("SetTemporaryStatus", instance=name, goal=0)
        assert world.ask("Delete", instance=name).code == 0
    assert world.supervisor.deadline() is None
