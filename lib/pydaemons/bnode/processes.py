# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to one process, done: spawned, begun, ended, counted, stopped for too many errors, adopted.

`move` takes an event through the table of `machine` and carries out its act; everything else here is one of
these acts. Nothing here decides what should run: that is the kinds' and the supervisor's.
"""

from __future__ import annotations

from typing import Any

from pydaemons.bnode import notifier
from pydaemons.bnode.alarms import Alarms
from pydaemons.bnode.effects import Bar, KeepCore, Remember, RunNotifier, StartUnit, StopUnit, Unbar
from pydaemons.bnode.errorstop import Verdict
from pydaemons.bnode.events import Exited, Found, Refused, Started
from pydaemons.bnode.folders import Site, pid_file, salvage_file
from pydaemons.bnode.kinds import words_of
from pydaemons.bnode.machine import TABLE, Act, Event, State
from pydaemons.bnode.model import ASKED_FOR, Bnode, Goal, Process, Restart, Signal, core_name, label
from pydaemons.bnode.notifier import Occasion
from pydaemons.bnode.outbox import Outbox
from pydaemons.bnode.tunables import BosTunables
from pydaemons.engine.effects import Level, Persist
from pydaemons.engine.protocol import Now

START_LIMIT_HIT = "start-limit-hit"
ERROR_STOPPED = "2c7d1c3f1b0a4f0e9a8a3f6f1a7f52d1"
"""MESSAGE_ID of an error stop"""


class Processes:
    """The acts of all processes of one supervisor."""

    def __init__(self, site: Site, tunables: BosTunables, alarms: Alarms, out: Outbox) -> None:
        self._site = site
        self._tunables = tunables
        self._alarms = alarms
        self._out = out

    def set_goal(self, bnode: Bnode, goal: Goal, now: Now) -> None:
        """Only the goal: no process is touched (the seed's SetGoal)."""
        bnode.goal = goal
        for process in bnode.processes:
            self.move(bnode, process, Event.GOAL, None, now)
        self._out.changed.add(bnode)

    def move(self, bnode: Bnode, process: Process, event: Event, cause: Any, now: Now) -> None:
        before = process.state
        process.state, act = TABLE[before][event]
        match act:
            case Act.NOTHING:
                pass
            case Act.SPAWN:
                self._spawn(bnode, process, now)
            case Act.HALT:
                self._out.put(StopUnit(process.unit))
                command = bnode.commands[process.part.command]
                self._out.log(
                    Level.INFO, f"{label(bnode, process)} stopping: {command}", BOS_EVENT="StopProc"
                )
            case Act.CANCEL:
                self._out.put(StopUnit(process.unit))
            case Act.BEGIN:
                self._begin(bnode, process, cause, before, now)
            case Act.END:
                self._end(bnode, process, cause, asked=False, now=now)
            case Act.LEAVE:
                self._end(bnode, process, cause, asked=True, now=now)
            case Act.FAIL:
                reason = cause.reason if isinstance(cause, Refused) else cause.result
                self._out.log(Level.ERROR, f"Failed to spawn process for bnode '{bnode.name}': {reason}")
                bnode.window.open_for(now.mono, now.wall, self._tunables)
                self._count(bnode, process, now)

    def _spawn(self, bnode: Bnode, process: Process, now: Now) -> None:
        part, tunables = process.part, self._tunables
        argv = words_of(bnode.commands[part.command], quoting=tunables.quoting)
        argv[0] = self._site.folders.program(argv[0])
        # while the next exit would be one too many systemd must not answer it
        last = bnode.window.last_chance(now.mono, tunables)
        if bnode.barred and not last:
            bnode.barred = False
            self._out.put(Unbar(bnode.name))
        if part.name == "file" and bnode.kind.name == "fs":
            self._out.put(Persist(salvage_file(bnode), b""))
        process.begun = process.restarts = 0
        self._out.put(
            StartUnit(
                process.unit,
                bnode.name,
                tuple(argv),
                restart=Restart.NO if last else part.restart,
                signal=part.signal,
                stop_timeout=getattr(tunables, part.patience.value),
                limit_burst=tunables.error_stop_limit + 1,
                limit_interval=tunables.error_stop_window,
            )
        )

    def _begin(self, bnode: Bnode, process: Process, event: Started, before: State, now: Now) -> None:
        if before is State.UP and event.pid == process.pid:
            return
        if before is State.UP and event.restarts > process.restarts:
            # an exit whose report was lost; how it ended nobody knows
            bnode.last_any_exit = int(event.wall)
            bnode.window.open_for(now.mono, now.wall, self._tunables)
            self._count(bnode, process, now)
        process.pid = event.pid
        process.begun = process.restarts = event.restarts
        bnode.start_time = int(event.wall)
        bnode.starts += 1
        command = bnode.commands[process.part.command]
        message = f"{bnode.name} started pid {event.pid}: {command}"
        fields = {"BOS_EVENT": "SpawnProc", "BOS_COMMAND": command, "BOS_BNODE": bnode.name}
        self._out.log(Level.INFO, message, **fields, BOS_PID=str(event.pid))
        if self._tunables.pid_files and bnode.kind.name != "cron":
            self._out.put(Remember(pid_file(bnode, process), f"{event.pid}\n".encode()))
        if bnode.window.trips:
            self._alarms.set(("forget", bnode.name), now.mono + self._tunables.backoff_forget)

    def _end(self, bnode: Bnode, process: Process, event: Exited, *, asked: bool, now: Now) -> None:
        bnode.window.open_for(event.mono, event.wall, self._tunables)
        process.pid = event.pid
        process.restarts += 1
        process.last_exit, process.last_signal = event.code, event.signal
        bnode.last_any_exit = int(event.wall)
        error = event.code != 0 or (event.signal != 0 and event.signal not in ASKED_FOR)
        if error:
            bnode.error_code, bnode.error_signal = event.code, event.signal
            bnode.last_error_exit = int(event.wall)
            bnode.last_error_name = process.part.name or None
        self._tell_end(bnode, process, event, asked=asked)
        if event.core and self._tunables.keep_cores:
            name = core_name(bnode.name, process.part.name)
            stamp = self._tunables.core_stamp
            self._out.put(KeepCore(bnode.name, name, event.pid, process.unit, stamp))
        if self._tunables.notify_on != "errorstop":
            self.notify(bnode, process, Occasion.EXIT, now)
        bnode.kind.exited(bnode, process, asked=asked, wall=now.wall)
        self._alarms.cancel(("forget", bnode.name))
        if bnode.kind.name == "fs" and process.part.name in ("file", "salv") and not bnode.salvage:
            self._out.put(Persist(salvage_file(bnode), None))
        if self._tunables.pid_files and bnode.kind.name != "cron":
            self._out.put(Remember(pid_file(bnode, process), None))
        if not asked and bnode.goal is Goal.NORMAL:
            self._count(bnode, process, now)

    def _tell_end(self, bnode: Bnode, process: Process, event: Exited, *, asked: bool) -> None:
        who = label(bnode, process)
        level = Level.WARNING
        if asked and event.signal == Signal.TERM:  # our own: most programs leave it to do its work
            level = Level.INFO
            message = f"{who} exited on signal {event.signal} (stopped)"
        elif event.signal:
            dumped = " (core dumped)" if event.core else ""
            message = f"{who} exited on signal {event.signal}{dumped}"
        elif bnode.kind.name == "cron" and event.code:
            message = f"cron job {who} exited with non-zero code {event.code}"
        else:
            level = Level.WARNING if event.code else Level.INFO
            message = f"{who} exited with code {event.code}"
        self._out.log(level, message, BOS_EVENT="Exit", BOS_BNODE=bnode.name, BOS_PID=str(event.pid))

    def notify(self, bnode: Bnode, process: Process, occasion: Occasion, now: Now) -> None:
        if bnode.notifier is None:
            return
        if occasion is not Occasion.EXIT:
            if now.wall < bnode.notified + self._tunables.notify_interval:
                return
            bnode.notified = now.wall
        program = self._site.folders.local_path(bnode.notifier)
        data = notifier.describe(
            bnode,
            process,
            command=bnode.commands[process.part.command],
            with_signal=self._tunables.notify_signal,
        )
        self._out.log(Level.INFO, f"BNODE: Notifier {program} will be called")
        bnode.holds += 1  # until Released
        self._out.put(RunNotifier(bnode.name, program, data, occasion))

    # -- too many errors

    def _count(self, bnode: Bnode, process: Process, now: Now) -> None:
        verdict = bnode.window.add(self._tunables)
        if not bnode.flapping and bnode.window.count >= self._tunables.flapping_exits:
            bnode.flapping = True
        if bnode.flapping:
            self._alarms.set(("calm", bnode.name), bnode.window.ends(self._tunables))
        match verdict:
            case Verdict.GO_ON:
                pass
            case Verdict.LAST:
                self.check_bar(bnode, now)
            case Verdict.TRIP:
                self.error_stop(bnode, process, now)

    def check_bar(self, bnode: Bnode, now: Now) -> None:
        """Bar the units exactly while the next exit in this window trips."""
        wanted = bnode.window.last_chance(now.mono, self._tunables) or bnode.error_stop
        if wanted and not bnode.barred:
            bnode.barred = True
            self._out.put(Bar(bnode.name))
        elif bnode.barred and not wanted:
            bnode.barred = False
            self._out.put(Unbar(bnode.name))
        if bnode.barred and not bnode.error_stop:
            self._alarms.set(("unbar", bnode.name), bnode.window.ends(self._tunables))

    def error_stop(self, bnode: Bnode, process: Process, now: Now) -> None:
        bnode.error_stop, bnode.flapping = True, False
        self.check_bar(bnode, now)
        self._out.log(
            Level.ERROR,
            f"BNODE '{bnode.name}' repeatedly failed to start, perhaps missing executable.",
            message_id=ERROR_STOPPED,
            BOS_BNODE=bnode.name,
        )
        if self._tunables.error_stop_policy == "backoff":
            pause = bnode.window.retry_after(self._tunables)
            if pause is not None:
                self._out.log(Level.NOTICE, f"{bnode.name} will retry start in {pause:.0f} seconds")
                bnode.retry_at = now.wall + pause
                self._alarms.set(("retry", bnode.name), now.mono + pause)
        if self._tunables.notify_on != "exit":
            self.notify(bnode, process, Occasion.ERRORSTOP, now)
        # settling stops the parts still running, and whatever systemd is about to do with this one
        self.set_goal(bnode, Goal.SHUTDOWN, now)

    def compare(
        self, bnode: Bnode, process: Process, found: Found | None, *, continued: bool, now: Now
    ) -> bool:
        """Bring what we think of a process to what the manager says; whether it has one. `continued`: we know
        the bnode from a daemon of this boot."""
        if found is None or (not found.pid and found.result):
            if process.state is not State.DOWN:
                self._out.log(Level.WARNING, f"{label(bnode, process)} ended while systemd did not answer")
            process.state = State.DOWN
            if found is not None and found.result == START_LIMIT_HIT and continued:
                bnode.last_any_exit = int(now.wall)
                if not bnode.error_stop:
                    self.error_stop(bnode, process, now)
            return False
        if not bnode.starts:
            bnode.starts, bnode.start_time = 1, int(found.wall)
        if continued:
            self._catch_up(bnode, process, found, now)
        process.restarts = found.restarts
        process.begun = found.restarts if found.pid else found.restarts - 1
        process.pid = found.pid or process.pid
        process.state = State.STOPPING if found.stopping else State.UP if found.pid else State.RESPAWNING
        if process.part.name == "file" and bnode.kind.name == "fs":
            bnode.salvage = False  # it runs, so the mark on the disk is about this very process
        return True

    def _catch_up(self, bnode: Bnode, process: Process, found: Found, now: Now) -> None:
        """Starts and exits that nobody watched; systemd has counted them. A restart that is still to come has
        been counted too."""
        starts = found.restarts - process.begun - (0 if found.pid else 1)
        exits = found.restarts - process.restarts
        if starts > 0:
            bnode.starts += starts
            bnode.start_time = int(found.wall)
        if exits > 0:
            self._out.log(Level.NOTICE, f"{label(bnode, process)} exited {exits} times meanwhile")
            bnode.last_any_exit = int(found.wall)
            bnode.window.open_for(now.mono, now.wall, self._tunables)
            bnode.window.count = min(bnode.window.count + exits, self._tunables.error_stop_limit)
            self.check_bar(bnode, now)
