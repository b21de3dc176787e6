# SPDX-License-Identifier: GPL-3.0-or-later
"""Deadlines of two clocks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pydaemons.bnode.alarms import Alarms
from pydaemons.engine.protocol import Now

KEY, OTHER = ("cron", "a"), ("retry", "a")


def due(alarms, mono, wall):
    return list(alarms.due(Now(mono, wall)))


def test_a_monotonic_one_does_not_care_for_the_wall_clock():
    alarms = Alarms()
    alarms.set(KEY, 100.0)
    assert alarms.deadline() == 100.0
    assert due(alarms, 99.0, 1e9) == [] and due(alarms, 100.0, 0.0) == [KEY]
    assert alarms.deadline() is None


def test_a_wall_clock_one_comes_when_the_wall_says_so():
    alarms = Alarms()
    alarms.set_wall(KEY, 1010.0, Now(100.0, 1000.0))
    assert alarms.deadline() == 110.0
    assert due(alarms, 110.0, 1010.0) == [KEY]


def test_a_clock_set_back_meanwhile_arms_it_anew():
    alarms = Alarms()
    alarms.set_wall(KEY, 1010.0, Now(100.0, 1000.0))
    assert due(alarms, 110.0, 1005.0) == []
    assert alarms.deadline() == 115.0
    assert due(alarms, 115.0, 1010.0) == [KEY]


def test_a_step_moves_wall_clock_ones_only():
    alarms = Alarms()
    alarms.set_wall(KEY, 1010.0, Now(100.0, 1000.0))
    alarms.set(OTHER, 200.0)
    alarms.clock_stepped(Now(101.0, 1009.0))
    assert due(alarms, 102.0, 1010.0) == [KEY]
    assert alarms.deadline() == 200.0


def test_none_cancels_and_so_does_cancel():
    alarms = Alarms()
    alarms.set_wall(KEY, 5.0, Now(0.0, 0.0))
    alarms.set_wall(KEY, None, Now(0.0, 0.0))
    alarms.set(OTHER, 5.0)
    alarms.cancel(OTHER)
    assert alarms.deadline() is None


def test_setting_it_as_a_monotonic_one_forgets_its_wall_time():
    alarms = Alarms()
    alarms.set_wall(KEY, 1e9, Now(0.0, 0.0))
    alarms.set(KEY, 1.0)
    assert due(alarms, 1.0, 0.0) == [KEY]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0, 1000)), max_size=20))
def test_with_a_steady_clock_every_alarm_comes_once_and_in_order(settings):
    alarms, wanted = Alarms(), {}
    for name, at in settings:
        alarms.set_wall(("cron", name), at, Now(0.0, 0.0))
        wanted[name] = at
    seen = []
    while (at := alarms.deadline()) is not None:
        seen += [name for _, name in alarms.due(Now(at, at))]
    assert seen == sorted(wanted, key=lambda name: wanted[name]) or sorted(seen) == sorted(wanted)
    assert [wanted[name] for name in seen] == sorted(wanted.values())
