# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine: all bnodes, what happens to them, and what the shell must do about it. Read handle() first.

Every event moves one process (machine), is remembered and counted (errorstop), and is followed by
`settle`, which asks the bnode's kind what should run now and orders the difference. systemd does the
restarting: nothing here is in the way between a crash and the new process. Before the manager has told
what is there, and while it does not answer, nothing is ordered.

Requests are in `commands`; they use the public methods of Supervisor and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydaemons.bnode import bosconfig, history, upkeep
from pydaemons.bnode.adoption import Adoption
from pydaemons.bnode.alarms import Alarms
from pydaemons.bnode.bosconfig import BosConfig, Entry
from pydaemons.bnode.effects import Remember, Unbar
from pydaemons.bnode.events import (
    AccessSeen,
    BinariesSeen,
    ConfigRead,
    Connected,
    CoresSeen,
    Disconnected,
    Exited,
    Forgotten,
    Found,
    Gone,
    HandOver,
    Refused,
    Released,
    RestrictionLifted,
    ShutdownAsked,
    Started,
)
from pydaemons.bnode.folders import Site, pid_file, salvage_file
from pydaemons.bnode.machine import Event, State
from pydaemons.bnode.model import Bnode, Code, Goal, Status
from pydaemons.bnode.outbox import Outbox
from pydaemons.bnode.processes import Processes
from pydaemons.bnode.reload import reread
from pydaemons.bnode.roster import Roster
from pydaemons.bnode.timetable import Timetable
from pydaemons.bnode.tunables import BosTunables
from pydaemons.bnode.waiting import Waiter, Waiting
from pydaemons.engine.effects import Effect, Leave, Level, Persist
from pydaemons.engine.events import ClockStepped, Persisted, PersistFailed
from pydaemons.engine.protocol import Now, Origin
from pydaemons.tunables.declare import TunableChanged

ADMINISTERED = "5f6d24c7f4bb4a0b8b2be14e0a0f7c33"
"""MESSAGE_ID of an administrative action"""


class Supervisor:
    """An engine (engine.protocol) without packets."""

    def __init__(self, site: Site, tunables: BosTunables, config: BosConfig) -> None:
        self.site = site
        self.tunables = tunables
        self.restricted = config.restricted
        self.general = config.general
        self.binaries = config.binaries
        self.connected = False
        self.trouble = "systemd has not answered yet"
        """why we are not connected"""
        self.unwritten: dict[str, str] = {}
        """state files that the disk refuses, and why; what they should say is in force"""
        self.too_open: tuple[str, ...] = ()
        """folders and files of the server that others may do too much with"""
        self.leaving: Effect | None = None
        """what to do when everything has stopped"""
        self.strangers = 0
        """reports about bos-* units of nobody (the seed's weirdPids)"""
        self.commands: Callable[[Supervisor, object, Now], None] | None = None
        """who handles requests"""
        self.out = Outbox()
        self.waiting = Waiting(self, self.out)
        self._roster = roster = Roster(config.entries)
        self._alarms = Alarms()
        self._processes = Processes(site, tunables, self._alarms, self.out)
        self._timetable = Timetable(self, roster, self._processes, self._alarms, self.out)
        self._adoption = Adoption(roster, self._processes, self._alarms, tunables, self.out)
        self._successors: dict[str, Entry] = {}
        self._left = False
        tunables.bind(
            bnodes=lambda: len(roster),
            running=lambda: sum(process.state is State.UP for _, process in roster.units.values()),
            error_stopped=lambda: sum(bnode.error_stop for bnode in roster),
            adopted=lambda: self.adopted,
            unknown_units=lambda: self.strangers,
        )

    # -- the seam

    def receive(self, data: bytes, origin: Origin, now: Now) -> bytes | None:
        return None

    def deadline(self) -> float | None:
        return self._timetable.deadline()

    def tick(self, now: Now) -> None:
        self._timetable.tick(now)

    def drain(self) -> Iterator[Effect]:
        out = self.out
        if out.config_changed:
            out.config_changed = False
            text = bosconfig.format_head(self._head()) + self._roster.lines()
            out.put_first(Persist(self.site.config_name, text.encode()))
        for bnode in out.changed:
            if self._roster.find(bnode.name) is bnode and (bnode.remembered or history.worth_keeping(bnode)):
                bnode.remembered = True
                data = history.pack(bnode, boot=self.site.boot, ending=self.leaving is not None)
                out.put(Remember(history.file_name(bnode.name), data))
        out.changed.clear()
        yield from out.drain()

    def handle(self, event: object, now: Now) -> None:
        match event:
            case Exited():
                self._report(event.unit, Event.EXITED, event, now)
            case Started():
                self._report(event.unit, Event.STARTED, event, now)
            case Gone():
                self._report(event.unit, Event.GONE, event, now)
            case Refused():
                self._report(event.unit, Event.REFUSED, event, now)
            case Connected():
                self._connected(event.units, now)
            case Disconnected():
                self._disconnected(event.reason)
            case Released():
                bnode = self._roster.find(event.bnode)
                if bnode is not None:
                    self.release(bnode, now)
            case AccessSeen():
                self.too_open = tuple(event.too_open)
                upkeep.tell_access(self.too_open, self.out)
            case CoresSeen():
                upkeep.note_cores(self._roster, event.names)
            case BinariesSeen():
                self._timetable.restart_stale(event.times, now)
            case ConfigRead():
                reread(self, event.text, event.file, now)
            case Forgotten():
                self.waiting.forget(event.ticket, now)
            case ClockStepped():
                self._timetable.clock_stepped(now)
            case TunableChanged():
                for bnode in self._roster:
                    self._processes.check_bar(bnode, now)
            case ShutdownAsked():
                self.out.log(
                    Level.NOTICE, f"Shutdown of BOS server and processes in response to {event.cause}"
                )
                self.leave_when_down(Leave(0, event.cause), now)
            case RestrictionLifted():
                self.restricted = False
                self.out.config_changed = True
                self.out.log(Level.NOTICE, "Restricted mode is off")
            case PersistFailed():
                self.unwritten[event.name] = event.error
                self.out.log(Level.ERROR, f"{event.name} cannot be written: {event.error}; trying again")
            case Persisted():
                self.unwritten.pop(event.name, None)
                self.out.log(Level.NOTICE, f"{event.name} is written again")
            case HandOver():
                self.out.changed.update(self._roster)
                self.out.put(Leave(0, "handing over"))
            case _:
                if self.commands is not None:
                    self.commands(self, event, now)

    # -- for requests

    def bnodes(self) -> Iterator[Bnode]:
        """In the order of creation, the deactivated ones left out."""
        return self._roster.active()

    def find(self, name: str) -> Bnode | None:
        bnode = self._roster.find(name)
        return bnode if bnode is not None and bnode.active else None

    def everything(self) -> list[Bnode]:
        """The deactivated ones too."""
        return list(self._roster)

    def find_any(self, name: str) -> Bnode | None:
        """The deactivated ones too."""
        return self._roster.find(name)

    @property
    def adopted(self) -> int:
        """Processes that ran when we came."""
        return self._adoption.adopted

    def config(self) -> BosConfig:
        """What BosConfig says now."""
        return replace(self._head(), entries=self._roster.entries())

    def _head(self) -> BosConfig:
        return BosConfig(self.restricted, self.general, self.binaries)

    def create(self, entry: Entry, now: Now) -> Bnode:
        """A new bnode, checked by the caller; started when its file goal says so."""
        bnode = self._roster.add(entry)
        self.out.config_changed = True
        self.set_stat(bnode, entry.goal, now)
        return bnode

    def exists(self, name: str) -> bool:
        """In the list or, deactivated, in the file."""
        return name in self._roster

    def delete(self, bnode: Bnode, now: Now) -> Code:
        """Remove a bnode that is down; one that is held goes when it is released."""
        if bnode.kind.status(bnode) is not Status.SHUTDOWN or not bnode.idle:
            return Code.BUSY
        if bnode.holds:
            self._doom(bnode, True)
            return Code.OK
        self._remove(bnode)
        return Code.OK

    def deactivate(self, bnode: Bnode) -> Code:
        """Take a bnode out of the list, not out of the file."""
        if not bnode.active:
            return Code.NOTACTIVE
        bnode.active = False
        return Code.OK

    def hold(self, bnode: Bnode) -> None:
        bnode.holds += 1

    def release(self, bnode: Bnode, now: Now) -> None:
        bnode.holds -= 1
        self._bury(bnode, now)

    def _bury(self, bnode: Bnode, now: Now) -> None:
        """Delete what was to be deleted and has come to rest."""
        if bnode.doomed and not bnode.holds and bnode.idle and self._roster.find(bnode.name) is bnode:
            self._remove(bnode)
            successor = self._successors.pop(bnode.name, None)
            if successor is not None:
                self.create(successor, now)

    def set_file_goal(self, bnode: Bnode, goal: Goal) -> None:
        if bnode.file_goal is not goal:
            bnode.file_goal = goal
            self._roster.changed(bnode)
            self.out.config_changed = True

    def set_goal(self, bnode: Bnode, goal: Goal, now: Now) -> None:
        """Only the goal: no process is touched (the seed's SetGoal)."""
        self._processes.set_goal(bnode, goal, now)
        self.waiting.wake(bnode, now)

    def set_stat(self, bnode: Bnode, goal: Goal, now: Now) -> None:
        """The goal, and what follows from it; ends an error stop (the seed's SetStat)."""
        if goal is Goal.NORMAL and self.leaving is not None:
            return  # nothing is started any more
        bnode.goal = goal
        if goal is Goal.NORMAL and bnode.doomed:
            self._doom(bnode, False)
        if bnode.error_stop:
            bnode.error_stop = False
            bnode.retry_at = None
            self._alarms.cancel(("retry", bnode.name))
            bnode.window.clear()
        bnode.flapping &= goal is Goal.NORMAL
        if goal is Goal.NORMAL and bnode.idle:
            bnode.manual_starts += 1
        self.out.changed.add(bnode)
        self.settle(bnode, now)

    def _doom(self, bnode: Bnode, doomed: bool) -> None:
        bnode.doomed = doomed
        self._roster.changed(bnode)
        self.out.config_changed = True

    def wait(self, ticket: object, bnodes: Iterable[Bnode], now: Now, *, goal: Goal | None = None) -> None:
        """Answer `ticket` when all of them have reached `goal` (None: each its own)."""
        self.waiting.add(Waiter(ticket, goal=goal, start=False), list(bnodes), now)

    def restart(self, ticket: object, bnodes: Iterable[Bnode], now: Now) -> None:
        """Stop them, start each as soon as it is down, answer when the last was."""
        chosen = list(bnodes)
        for bnode in chosen:
            self.set_stat(bnode, Goal.SHUTDOWN, now)
        self.waiting.add(Waiter(ticket, goal=Goal.SHUTDOWN, start=True), chosen, now)

    def leave_when_down(self, how: Effect, now: Now) -> None:
        """Stop everything, then do `how`."""
        if self.leaving is not None:
            return
        self.leaving = how
        for bnode in self._roster:
            self.set_stat(bnode, Goal.SHUTDOWN, now)
        self._check_leaving()

    def schedule_restarts(self, now: Now) -> None:
        """After a restart time was set, or came."""
        self._timetable.schedule_restarts(now)

    def replace(self, bnode: Bnode, entry: Entry | None, now: Now) -> None:
        """Stop a bnode for good; when it is gone `entry` takes its place."""
        if entry is not None:
            self._successors[bnode.name] = entry
        self.set_stat(bnode, Goal.SHUTDOWN, now)
        self._doom(bnode, True)
        self._bury(bnode, now)

    # -- the beginning

    def restore(self, records: Mapping[str, bytes], salvage: frozenset[str]) -> None:
        """Give the bnodes their past, by name, and those of fs type their pending salvage."""
        self._adoption.restore(records, salvage, boot=self.site.boot)

    def known_units(self) -> frozenset[str]:
        return frozenset(self._roster.units)

    def _remove(self, bnode: Bnode) -> None:
        self._roster.remove(bnode)
        self._timetable.forget(bnode)
        if self.tunables.pid_files:
            for process in bnode.processes:
                self.out.put(Remember(pid_file(bnode, process), None))
        if bnode.barred:
            self.out.put(Unbar(bnode.name))
        if bnode.kind.name == "fs":
            self.out.put(Persist(salvage_file(bnode), None))
        self.out.put(Remember(history.file_name(bnode.name), None))
        self.out.config_changed = True
        self._check_leaving()

    def _connected(self, units: Iterable[Found], now: Now) -> None:
        self.connected = True
        self.trouble = ""
        first, strangers = self._adoption.meet(units, now)
        self.strangers += strangers
        for bnode in self._roster:
            self.out.changed.add(bnode)
            self.settle(bnode, now)
        if first:
            self.schedule_restarts(now)
        self._check_leaving()

    def _disconnected(self, reason: str) -> None:
        if self.connected:
            self.out.log(Level.ERROR, f"systemd does not answer: {reason}; nothing is known until it does")
        self.connected = False
        self.trouble = reason

    # -- reports

    def _report(self, unit: str, event: Event, cause: Any, now: Now) -> None:
        known = self._roster.units.get(unit)
        if known is None:
            self.strangers += 1
            return
        bnode, process = known
        self._processes.move(bnode, process, event, cause, now)
        if bnode.doomed:
            self._doom(bnode, True)  # cron: this was its only run
        self.out.changed.add(bnode)
        self.settle(bnode, now)

    # -- after every event

    def settle(self, bnode: Bnode, now: Now) -> None:
        """Order the difference between what runs and what should."""
        if not self.connected:
            return
        self._timetable.schedule(bnode, now)
        wanted = bnode.kind.wanted(bnode, now.wall)
        for part in wanted:
            process = bnode.process(part)
            if process.state is State.DOWN:
                self._processes.move(bnode, process, Event.START, None, now)
        for process in bnode.processes:
            if process.live and process.part.name not in wanted:
                self._processes.move(bnode, process, Event.STOP, None, now)
        self._timetable.schedule(bnode, now)
        self.waiting.wake(bnode, now)
        self._bury(bnode, now)
        if self.leaving is not None:
            self._check_leaving()

    def _check_leaving(self) -> None:
        if self.leaving is None or self._left or not all(bnode.idle for bnode in self._roster):
            return
        self._left = True
        self.out.changed.update(self._roster)
        self.out.put(self.leaving)
