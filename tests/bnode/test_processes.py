# SPDX-License-Identifier: GPL-3.0-or-later
"""The acts on one process, each alone. Their interplay is in test_supervisor and test_errorstop."""

from __future__ import annotations

import pytest

from pydaemons.bnode.alarms import Alarms
from pydaemons.bnode.effects import Bar, BosLog, KeepCore, Remember, RunNotifier, StartUnit, StopUnit, Unbar
from pydaemons.bnode.events import Exited, Found, Started
from pydaemons.bnode.folders import Folders, Site
from pydaemons.bnode.kinds import KINDS
from pydaemons.bnode.machine import Event, State
from pydaemons.bnode.model import Bnode, Goal, Restart
from pydaemons.bnode.outbox import Outbox
from pydaemons.bnode.processes import Processes
from pydaemons.bnode.tunables import BosTunables
from pydaemons.engine.effects import Level, Persist
from pydaemons.engine.protocol import Now

NOW = Now(100.0, 1000.0)


class Desk:
    """One bnode and its acts."""

    def __init__(self, kind="simple", *, notifier=None, goal=Goal.NORMAL, **tunables):
        self.tunables = BosTunables()
        for name, value in tunables.items():
            self.tunables.put(name, value, "test")
        self.alarms, self.out = Alarms(), Outbox()
        site = Site(Folders("/b", "/l", "/e", "/o"), "boot")
        self.processes = Processes(site, self.tunables, self.alarms, self.out)
        commands = tuple(f"prog{number} -x" for number, _ in enumerate(KINDS[kind].parameters))
        self.bnode = Bnode("a", KINDS[kind], commands, notifier=notifier, file_goal=Goal.NORMAL)
        self.bnode.goal = goal

    def move(self, event, cause=None, *, part=0, state=None):
        process = self.bnode.processes[part]
        process.state = state or process.state
        self.processes.move(self.bnode, process, event, cause, NOW)
        return [effect for effect in self.out.drain() if not isinstance(effect, BosLog)]


def exited(*, code=0, signal=0, core=False):
    return Exited("u", 42, code, signal, core, 100.0, 1000.0)


def test_a_spawn_asks_for_the_unit_with_the_tunables_of_now():
    (start,) = Desk(error_stop_limit=4, error_stop_window=9, stop_timeout=7).move(Event.START)
    assert start == StartUnit("bos-a.service", "a", ("/b/prog0", "-x"), Restart.ALWAYS, 15, 7, 5, 9)


def test_the_file_part_is_marked_before_it_starts_and_may_take_its_time():
    mark, start = Desk("fs").move(Event.START)
    assert mark == Persist("local/SALVAGE.a", b"") and start.stop_timeout == 1800


def test_the_start_that_must_not_be_repeated_is_without_a_restart():
    desk = Desk()
    desk.bnode.window.open_for(100.0, 1000.0, desk.tunables)
    desk.bnode.window.count, desk.bnode.barred = 11, True
    (start,) = desk.move(Event.START)
    assert start.restart is Restart.NO and desk.bnode.barred


def test_a_start_in_a_new_window_takes_the_bar_away_first():
    desk = Desk()
    desk.bnode.barred = True
    assert [type(effect) for effect in desk.move(Event.START)] == [Unbar, StartUnit]


def test_a_beginning_is_timed_counted_and_its_pid_kept_on_request():
    desk = Desk(pid_files=True)
    (remember,) = desk.move(Event.STARTED, Started("u", 42, 999.0, 0), state=State.STARTING)
    assert remember == Remember("local/a.pid", b"42\n")
    assert (desk.bnode.start_time, desk.bnode.starts) == (999, 1)


@pytest.mark.parametrize("asked", [True, False])
def test_only_ends_that_were_not_asked_for_count(asked):
    desk = Desk()
    desk.move(Event.EXITED, exited(code=3), state=State.STOPPING if asked else State.UP)
    assert desk.bnode.window.count == (0 if asked else 1)
    assert desk.bnode.error_code == 3, "remembered either way"


@pytest.mark.parametrize(
    ("asked", "signal", "level", "text"),
    [
        (True, 15, Level.INFO, "a exited on signal 15 (stopped)"),
        (True, 9, Level.WARNING, "a exited on signal 9"),
        (False, 15, Level.WARNING, "a exited on signal 15"),
    ],
)
def test_a_death_by_our_own_sigterm_is_no_warning(asked, signal, level, text):
    desk = Desk()
    process = desk.bnode.processes[0]
    process.state = State.STOPPING if asked else State.UP
    desk.processes.move(desk.bnode, process, Event.EXITED, exited(signal=signal), NOW)
    said = next(effect for effect in desk.out.drain() if isinstance(effect, BosLog))
    assert (said.level, said.message) == (level, text)


def test_an_end_while_it_is_to_be_down_does_not_count():
    desk = Desk(goal=Goal.SHUTDOWN)
    desk.move(Event.EXITED, exited(code=3), state=State.UP)
    assert desk.bnode.window.count == 0


def test_a_notifier_holds_its_bnode_and_a_dumped_core_is_looked_for():
    desk = Desk(notifier="/n")
    keep, notify = desk.move(Event.EXITED, exited(signal=11, core=True), state=State.UP)
    assert keep == KeepCore("a", "corea", 42, "bos-a.service", False)
    assert isinstance(notify, RunNotifier) and desk.bnode.holds == 1


def test_cores_can_be_left_where_they_are():
    assert Desk(keep_cores=False).move(Event.EXITED, exited(signal=11, core=True), state=State.UP) == []


def test_the_last_exit_before_a_trip_bars_and_the_trip_takes_the_goal():
    desk = Desk(error_stop_limit=2)
    assert desk.move(Event.EXITED, exited(code=1), state=State.UP) == []
    assert desk.move(Event.EXITED, exited(code=1), state=State.UP) == [Bar("a")]
    assert desk.move(Event.EXITED, exited(code=1), state=State.UP) == []
    assert desk.bnode.error_stop and desk.bnode.goal is Goal.SHUTDOWN


def test_giving_up_a_restart_is_silent_and_a_stop_is_told():
    desk = Desk()
    assert desk.move(Event.STOP, state=State.RESPAWNING) == [StopUnit("bos-a.service")]
    desk.bnode.processes[0].state = State.UP
    desk.processes.move(desk.bnode, desk.bnode.processes[0], Event.STOP, None, NOW)
    stop, line = desk.out.drain()
    assert stop == StopUnit("bos-a.service") and line.message == "a stopping: prog0 -x"


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (Found("u", 42, 5.0, 0, ""), State.UP),
        (Found("u", 42, 5.0, 0, "", stopping=True), State.STOPPING),
        (Found("u", 0, 5.0, 0, ""), State.RESPAWNING),
        (Found("u", 0, 5.0, 0, "signal"), State.DOWN),
        (None, State.DOWN),
    ],
)
def test_what_the_manager_has_becomes_what_we_think(found, state):
    desk = Desk()
    process = desk.bnode.processes[0]
    there = desk.processes.compare(desk.bnode, process, found, continued=False, now=NOW)
    assert process.state is state and there is (state is not State.DOWN)


def test_a_file_part_that_runs_is_not_to_be_salvaged():
    desk = Desk("fs")
    desk.bnode.salvage = True
    found = Found("u", 42, 5.0, 0, "")
    desk.processes.compare(desk.bnode, desk.bnode.processes[0], found, continued=True, now=NOW)
    assert not desk.bnode.salvage
