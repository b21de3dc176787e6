# SPDX-License-Identifier: GPL-3.0-or-later
"""cron: at a time, once, never; no restarts."""

from __future__ import annotations

from datetime import datetime

from fakes.systemd_units import End, World
from pydaemons.engine.events import ClockStepped

UNIT = "bos-c.service"


def with_time(time, program=None):
    world = World()
    world.programs[UNIT] = program or (lambda _: End(5.0))
    assert world.create("c", "/bin/job", time, kind="cron").code == 0
    return world


def seconds_to(world, hour, minute=0):
    here = datetime.fromtimestamp(world.wall)
    at = here.replace(hour=hour, minute=minute, second=0, microsecond=0).timestamp()
    return at - world.wall if at > world.wall else at + 86400 - world.wall


def test_it_runs_at_its_time_each_day_and_is_not_restarted():
    world = with_time("4:00")
    ahead = seconds_to(world, 4)
    world.run(ahead - 1)
    assert not world.spawned(UNIT)
    world.run(2)
    assert len(world.spawned(UNIT)) == 1
    assert world.bnode("c").kind.detail(world.bnode("c")) == "running now."
    world.run(86400 * 2)
    assert len(world.spawned(UNIT)) == 3


def test_now_runs_once_and_is_deleted():
    world = with_time("now")
    world.run(1)
    assert world.bnode("c")
    world.run(10)
    assert len(world.spawned(UNIT)) == 1 and world.supervisor.find("c") is None
    assert b"bnode" not in world.files["BosConfig"]


def test_never_never_runs():
    world = with_time("never")
    world.run(86400 * 30)
    assert not world.spawned(UNIT)
    assert world.bnode("c").kind.detail(world.bnode("c")) == "never run."


def test_a_failure_is_told_in_the_log():
    world = with_time("now", lambda _: End(1.0, code=7))
    world.run(5)
    assert world.boslog("cron job c exited with non-zero code 7")


def test_a_bad_time_is_refused_with_the_reason():
    answer = World().create("c", "/bin/job", "25:00", kind="cron")
    assert answer.code == 39428 and "25:00" in answer.reason


def test_idle_between_runs_is_running_normally_and_stop_is_shutdown():
    world = with_time("4:00")
    assert world.bnode("c").kind.status(world.bnode("c")) == 1
    assert world.ask("Delete", instance="c").code == 39426
    world.ask("SetStatus", instance="c", goal=0)
    assert world.bnode("c").kind.status(world.bnode("c")) == 0
    world.run(86400 * 2)
    assert not world.spawned(UNIT)


def test_when_the_clock_is_set_the_next_run_is_found_anew():
    world = with_time("4:00")
    ahead = seconds_to(world, 4)
    world.step = ahead - 60
    world.feed(ClockStepped(0.0))
    world.run(61)
    assert len(world.spawned(UNIT)) == 1


def test_a_clock_set_back_delays_the_run():
    world = with_time("4:00")
    ahead = seconds_to(world, 4)
    world.run(ahead - 10)
    world.step = -3600.0
    world.feed(ClockStepped(0.0))
    world.run(60)
    assert not world.spawned(UNIT)
    world.run(3600)
    assert len(world.spawned(UNIT)) == 1
