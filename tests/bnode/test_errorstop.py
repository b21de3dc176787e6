# SPDX-License-Identifier: GPL-3.0-or-later
"""The rule alone, and the whole supervisor under it, to the exit and the second."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.systemd_units import End, World, dies
from pydaemons.bnode.errorstop import Verdict, Window

RULES = SimpleNamespace(error_stop_limit=11, error_stop_window=30, backoff_max=60, backoff_trips=16)
UNIT = "bos-x.service"


def exits(times, rules=RULES):
    """The number of the exit that trips, or None."""
    window = Window()
    for number, at in enumerate(times, 1):
        window.open_for(at, at + 1e9, rules)
        if window.add(rules) is Verdict.TRIP:
            return number
    return None


def test_eleven_exits_within_30_seconds_do_not_stop():
    assert exits([i * 30 / 10 for i in range(11)]) is None


def test_the_twelfth_exit_within_30_seconds_stops():
    assert exits([0.0] * 10 + [30.9, 30.99]) == 12


def test_twelve_exits_in_31_seconds_do_not_stop():
    assert exits([0.0] * 11 + [31.0]) is None


def test_seconds_are_whole_seconds_as_the_peer_counts_them():
    assert exits([0.9] * 11 + [30.95]) == 12
    assert exits([0.9] * 11 + [31.0]) is None


def test_one_exit_each_2_6_seconds_stops_and_each_3_2_never():
    assert exits([i * 2.6 for i in range(40)]) == 12
    assert exits([i * 3.2 for i in range(400)]) is None


def test_22_quiet_seconds_then_one_exit_a_second_stops_at_exit_12():
    assert exits([0.0] + [22.0 + i for i in range(20)]) is None or exits([22.0 + i for i in range(20)]) == 12
    # the window opened by the first exit ends at second 30; the count goes on in the next
    assert exits([0.0, *[22.0 + i for i in range(9)]]) is None


@given(st.lists(st.floats(0, 40), min_size=1, max_size=60))
def test_the_count_is_the_naive_one(times):
    times.sort()
    opened, count, expected = None, 0, None
    for number, at in enumerate(times, 1):
        if opened is None or int(at) - opened > 30:
            opened, count = int(at), 0
        if count > 10:
            expected = number
            break
        count += 1
    assert exits(times) == expected


@given(st.integers(1, 50), st.integers(1, 100))
def test_limit_n_is_tripped_by_exit_n_plus_one(limit, window):
    rules = SimpleNamespace(**{**vars(RULES), "error_stop_limit": limit, "error_stop_window": window})
    assert exits([5.0] * (limit + 3), rules) == limit + 1


def test_the_exit_before_the_one_that_trips_is_announced():
    window, verdicts = Window(), []
    for _ in range(12):
        window.open_for(3.0, 3.0, RULES)
        verdicts.append(window.add(RULES))
    assert verdicts == [Verdict.GO_ON] * 10 + [Verdict.LAST, Verdict.TRIP]


def test_retries_wait_1_2_4_to_60_seconds_and_the_17th_trip_is_final():
    window = Window()
    assert [window.retry_after(RULES) for _ in range(17)] == [1, 2, 4, 8, 16, 32] + [60] * 10 + [None]


# -- the whole supervisor, against a service manager that restarts by itself


def test_a_process_that_fails_at_once_is_started_12_times():
    world = World()
    world.programs[UNIT] = dies()
    world.create("x", "/bin/false")
    world.run(600)
    assert len(world.spawned(UNIT)) == 12
    bnode = world.bnode("x")
    assert bnode.error_stop and bnode.goal == 0 and bnode.file_goal == 1
    assert world.boslog("repeatedly failed to start") == [
        "BNODE 'x' repeatedly failed to start, perhaps missing executable."
    ]


@pytest.mark.parametrize(("every", "starts"), [(2.6, 12), (3.2, None)])
def test_slow_failures_stop_at_the_twelfth_exit_or_never(every, starts):
    world = World()
    world.programs[UNIT] = dies(every=every)
    world.create("x", "/bin/false")
    world.run(900)
    if starts is None:
        assert len(world.spawned(UNIT)) > 200 and not world.bnode("x").error_stop
    else:
        assert len(world.spawned(UNIT)) == starts and world.bnode("x").error_stop


def test_the_window_does_not_begin_at_a_start():
    """systemd's own limiter counts from a start; 22 s of life before the first exit are not in our window."""
    world = World()
    world.programs[UNIT] = lambda number: End(22.0 if number == 0 else 1.0, 1)
    world.create("x", "/bin/false")
    world.run(300)
    assert len(world.spawned(UNIT)) == 12
    assert world.spawned(UNIT)[-1] == pytest.approx(22 + 10)


def test_the_eleventh_exit_bars_the_units_until_the_window_ends():
    world = World()
    world.programs[UNIT] = lambda number: End(0.01, 1) if number < 11 else End()
    world.create("x", "/bin/sometimes")
    world.run(5)
    assert world.barred == {"x"} and world.bnode("x").processes[0].state.value == "up"
    world.run(30)
    assert world.barred == set()
    world.kill(UNIT)
    world.run(1)
    assert not world.bnode("x").error_stop and len(world.spawned(UNIT)) == 13


def test_parts_of_fs_are_summed():
    world = World()
    world.create("fs", "/bin/f", "/bin/v", "/bin/s", kind="fs")
    world.run(1)
    for _ in range(11):
        world.kill("bos-fs-vol.service")
        world.run(0.1)
    assert not world.bnode("fs").error_stop
    world.programs["bos-fs-file.service"] = lambda _: End(at_stop=(0, 0))
    world.kill("bos-fs-file.service", signal=0, code=0)
    world.run(1)
    assert world.bnode("fs").error_stop


def test_requested_stops_and_restarts_never_count():
    world = World()
    world.create("x", "/bin/sleep 100")
    for _ in range(40):
        world.run(0.1)
        world.ask("Restart", instance="x")
    world.run(1)
    assert world.bnode("x").window.count == 0 and not world.bnode("x").error_stop
    assert len(world.spawned(UNIT)) == 41


def test_a_start_by_hand_after_an_error_stop_gives_a_full_allowance():
    world = World()
    world.programs[UNIT] = dies()
    world.create("x", "/bin/false")
    world.run(1)
    world.ask("SetStatus", instance="x", goal=1)
    world.run(1)
    assert len(world.spawned(UNIT)) == 24 and world.bnode("x").error_stop


def test_backoff_follows_the_peers_schedule_to_its_final_stop():
    world = World(error_stop_policy="backoff")
    world.programs[UNIT] = dies(every=0.0005)
    world.create("x", "/bin/false")
    world.run(2000)
    starts = world.spawned(UNIT)
    # 12 at once; in the same window every retry trips; then 12 a trip; 17 trips in all
    assert len(starts) == 160
    bursts = sorted({round(at) for at in starts})
    assert bursts == [0, 1, 3, 7, 15, 31, 63] + [63 + 60 * i for i in range(1, 11)]
    assert 660 < starts[-1] < 666
    assert world.bnode("x").error_stop and world.bnode("x").retry_at is None
    assert len(world.boslog("will retry start in")) == 16


def test_under_backoff_uptime_makes_earlier_stops_forgotten():
    world = World(error_stop_policy="backoff", notify_on="all")
    world.programs[UNIT] = lambda number: End(0.01, 1)
    world.create("x", "/bin/false", notifier="/bin/n")
    world.run(0.5)
    assert world.bnode("x").window.trips == 1
    world.programs[UNIT] = lambda number: End()
    world.run(70)
    assert world.bnode("x").window.trips == 0
    assert [notice.occasion.value for notice in world.notices][-1] == "recovered"


def test_under_backoff_it_says_starting_up_until_the_final_stop():
    world = World(error_stop_policy="backoff", backoff_trips=2)
    world.programs[UNIT] = dies()
    world.create("x", "/bin/false")
    world.run(0.5)
    assert world.bnode("x").kind.status(world.bnode("x")) == 3
    world.run(100)
    assert world.bnode("x").kind.status(world.bnode("x")) == 0


def test_a_stop_by_hand_wins_over_a_pending_retry():
    world = World(error_stop_policy="backoff")
    world.programs[UNIT] = dies()
    world.create("x", "/bin/false")
    world.run(0.5)
    world.ask("SetStatus", instance="x", goal=0)
    before = len(world.spawned(UNIT))
    world.run(200)
    assert len(world.spawned(UNIT)) == before


def test_limits_are_live():
    world = World()
    world.programs[UNIT] = dies(every=1.0)
    world.create("x", "/bin/false")
    world.run(3.5)
    world.tunables.put("error_stop_limit", 4, "test")
    world.run(10)
    assert len(world.spawned(UNIT)) == 5


def test_a_limit_above_the_one_the_unit_was_made_with_is_obeyed_too():
    world = World()
    world.programs[UNIT] = dies(every=0.5)
    world.create("x", "/bin/false")
    world.run(0.1)
    world.tunables.put("error_stop_limit", 20, "test")
    world.run(29)
    assert len(world.spawned(UNIT)) == 21


def test_flapping_is_seen_and_passes():
    world = World()
    world.programs[UNIT] = lambda number: End(0.01, 1) if number < 4 else End()
    world.create("x", "/bin/false")
    world.run(1)
    assert world.bnode("x").flapping
    world.run(60)
    assert not world.bnode("x").flapping
