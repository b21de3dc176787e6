# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import ctypes
import errno
import os
import time

from pydaemons.engine.events import ClockStepped
from pydaemons.kit import clock
from pydaemons.kit.clock import TOLERANCE, StepWatch


def test_the_time_of_a_batch_is_both_clocks():
    before = time.monotonic(), time.time()
    now = clock.now()
    assert before[0] <= now.mono <= time.monotonic()
    assert abs(now.wall - before[1]) < 60


def test_a_clock_that_just_runs_is_no_step():
    events = []
    watch = StepWatch(events.append)
    assert watch.fileno() >= 0
    for _ in range(3):
        watch.look()
    watch.close()
    watch.close()
    assert events == []
    assert watch.fileno() == -1


def test_a_step_is_seen_by_comparison_where_there_is_no_timer(monkeypatch):
    real, offset = time.time, [0.0]
    monkeypatch.setattr(clock, "time", lambda: real() + offset[0])
    events = []
    watch = StepWatch(events.append)
    watch.close()
    watch.look()
    offset[0] = 3600.0
    watch.look()
    watch.look()
    offset[0] = 3600.0 + TOLERANCE / 2  # slewing
    watch.look()
    offset[0] = 0.0
    watch.look()
    assert [round(event.by) for event in events] == [3600, -3600]
    assert all(isinstance(event, ClockStepped) for event in events)


def test_the_kernel_cancels_the_timer_when_the_clock_is_set(monkeypatch):
    """What the kernel then says (ECANCELED) is taken as a step even if the clocks look alike; setting the
    real clock is not for a test."""
    events = []
    watch = StepWatch(events.append)
    real = os.read

    def read(descriptor, size):
        if descriptor == watch.fileno():
            raise OSError(errno.ECANCELED, "Operation canceled")
        return real(descriptor, size)

    monkeypatch.setattr(clock.os, "read", read)
    watch.look()
    assert len(events) == 1
    assert abs(events[0].by) < TOLERANCE
    watch.close()


def test_the_timer_is_one_that_a_step_cancels():
    watch = StepWatch(lambda event: None)
    with open(f"/proc/self/fdinfo/{watch.fileno()}") as info:
        lines = dict(line.split(":", 1) for line in info if ":" in line)
    assert lines["clockid"].strip() == "0"
    assert int(lines["settime flags"].strip(), 8) == 0o3  # TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET
    watch.close()


def test_without_timerfd_there_is_still_a_watch(monkeypatch):
    def no_library(*arguments, **options):
        raise OSError("no C library of that kind")

    monkeypatch.setattr(ctypes, "CDLL", no_library)
    watch = StepWatch(lambda event: None)
    assert watch.fileno() == -1
    watch.look()


def test_the_dice_fall_differently():
    dice = clock.entropy()
    assert len({dice.getrandbits(64) for _ in range(10)}) == 10
    assert all(1.0 <= dice.uniform(1.0, 2.0) <= 2.0 for _ in range(10))
