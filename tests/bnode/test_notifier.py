# SPDX-License-Identifier: GPL-3.0-or-later
"""What a notifier reads, against a recording of bosserver 1.8.9."""

from __future__ import annotations

import re

from fakes.systemd_units import World, dies
from pydaemons.bnode.events import Released

RECORDED = (
    b"BEGIN bnode_proc\ncomLine: /bin/sleep 30023\ncoreName: (null)\npid: 1333\nlastExit: 0\nflags: 1\n"
    b"END bnode_proc\nBEGIN bnode\nname: a\nrsTime: 1795257844\nrsCount: 0\nprocStartTime: 1795257844\n"
    b"procStarts: 1\nlastAnyExit: 1795257844\nlastErrorExit: 0\nerrorCode: 0\nerrorSignal: 0\ngoal: 1\n"
    b"END bnode\n"
)
UNIT = "bos-a.service"


def killed(**tunables):
    world = World(**tunables)
    world.create("a", "/bin/sleep 30023", notifier="/bin/note")
    world.run(0.0)
    return world


def test_the_recorded_bytes():
    world = killed()
    world.kill(UNIT, signal=15)
    assert re.sub(rb"pid: \d+", b"pid: 1333", world.notices[0].data) == RECORDED
    assert world.notices[0].program == "/bin/note"


def test_the_count_is_the_one_before_this_exit_and_the_window_is_open_already():
    world = killed()
    for _ in range(3):
        world.kill(UNIT, signal=9)
        world.run(1)
    counts = [re.search(rb"rsCount: (\d+)", notice.data)[1] for notice in world.notices]
    assert counts == [b"0", b"1", b"2"]


def test_parts_are_named_and_errors_told():
    world = World()
    world.create("fs", "/bin/f", "/bin/v", "/bin/s", kind="fs", notifier="/bin/note")
    world.run(0)
    world.kill("bos-fs-vol.service", code=3, signal=0)
    lines = world.notices[0].data.splitlines()
    assert b"coreName: vol" in lines and b"lastExit: 3" in lines and b"errorCode: 3" in lines


def test_a_signal_line_is_written_on_request_only():
    world = killed(notify_signal=True)
    world.kill(UNIT, signal=11)
    assert b"lastExit: 0\nlastSignal: 11\nflags: 1\n" in world.notices[0].data


def test_it_is_run_for_requested_stops_too():
    world = killed()
    world.ask("SetStatus", instance="a", goal=0)
    world.run(1)
    assert len(world.notices) == 1 and b"goal: 0" in world.notices[0].data


def test_it_can_be_asked_for_at_error_stops_only_and_not_too_often():
    world = World(notify_on="errorstop")
    world.programs[UNIT] = dies()
    world.create("a", "/bin/false", notifier="/bin/note")
    world.run(5)
    assert [notice.occasion.value for notice in world.notices] == ["errorstop"]
    world.feed(Released("a"))
    world.ask("SetStatus", instance="a", goal=1)
    world.run(5)
    assert len(world.notices) == 1


def test_canonical_paths_mean_our_folders():
    world = World()
    world.create("a", "/bin/sleep 1", notifier="/usr/afs/bin/note")
    world.run(0)
    world.kill(UNIT)
    assert world.notices[0].program == "/usr/lib/openafs/note"
