# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine: all bnodes, what happens to them, and what the shell must do about it. Read handle() first.

Every event moves one process (machine), is remembered and counted (errorstop), and is followed by
`_settle`, which asks the bnode's kind what should run now and orders the difference. systemd does the
restarting: nothing here is in the way between a crash and the new process. Before the manager has told
what is there, and while it does not answer, nothing is ordered.

Requests are in `commands`; they use the public methods of Supervisor and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pydaemons.bnode import bosconfig, history, upkeep
from pydaemons.bnode.alarms import Alarms, Key
from pydaemons.bnode.bosconfig import BosConfig, Entry
from pydaemons.bnode.effects import (
    CheckBinaries,
    Remember,
    Unbar,
)
from pydaemons.bnode.events import (
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
from pydaemons.bnode.kinds import KINDS
from pydaemons.bnode.machine import Event, State
from pydaemons.bnode.model import Bnode, Code, Goal, Process, Status
from pydaemons.bnode.notifier import Occasion
from pydaemons.bnode.outbox import Outbox
from pydaemons.bnode.processes import Processes
from pydaemons.bnode.reload import reread
from pydaemons.bnode.tunables import BosTunables
from pydaemons.bnode.waiting import Waiter, Waiting
from pydaemons.engine.effects import Effect, Leave, Level, Persist
from pydaemons.engine.events import ClockStepped, Persisted, PersistFailed
from pydaemons.engine.protocol import Now, Origin
from pydaemons.tunables.declare import TunableChanged

RECOVERED = "a0f8a0f5c3b943d9a4f3f1c5b1d1b0e7"
"""MESSAGE_ID of a bnode that stayed up after one"""
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
        self.leaving: Effect | None = None
        """what to do when everything has stopped"""
        self.strangers = 0
        """reports about bos-* units of nobody (the seed's weirdPids)"""
        self.adopted = 0
        self.commands: Callable[[Supervisor, object, Now], None] | None = None
        """who handles requests"""
        self._bnodes: dict[str, Bnode] = {}
        self._units: dict[str, tuple[Bnode, Process]] = {}
        self.out = Outbox()
        self.waiting = Waiting(self, self.out)
        self._alarms = Alarms()
        self._processes = Processes(site, tunables, self._alarms, self.out)
        self._continued: set[str] = set()
        self._successors: dict[str, Entry] = {}
        self._met = False
        self._left = False
        for entry in config.entries:
            self._add(entry)
        tunables.bind(
            bnodes=lambda: len(self._bnodes),
            running=lambda: sum(process.state is State.UP for _, process in self._units.values()),
            error_stopped=lambda: sum(bnode.error_stop for bnode in self._bnodes.values()),
            adopted=lambda: self.adopted,
            unknown_units=lambda: self.strangers,
        )

    # -- the seam

    def receive(self, data: bytes, origin: Origin, now: Now) -> bytes | None:
        return None

    def deadline(self) -> float | None:
        return self._alarms.deadline()

    def tick(self, now: Now) -> None:
        for key in self._alarms.due(now):
            self._alarm(key, now)

    def drain(self) -> Iterator[Effect]:
        out = self.out
        if out.config_changed:
            out.config_changed = False
            out.put_first(Persist(self.site.config_name, self._config_text().encode()))
        for bnode in out.changed:
            if self._bnodes.get(bnode.name) is bnode:
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
                bnode = self._bnodes.get(event.bnode)
                if bnode is not None:
                    self.release(bnode, now)
            case CoresSeen():
                upkeep.note_cores(self._bnodes.values(), event.names)
            case BinariesSeen():
                self._restart_stale(event.times, now)
            case ConfigRead():
                reread(self, event.text, event.file, now)
            case Forgotten():
                self.waiting.forget(event.ticket, now)
            case ClockStepped():
                self._alarms.clock_stepped(now)
                for bnode in self._bnodes.values():
                    if bnode.kind.name == "cron" and bnode.idle:
                        bnode.next_run = None
                        self._schedule(bnode, now)
                self.schedule_restarts(now)
            case TunableChanged():
                for bnode in self._bnodes.values():
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
                self.out.log(Level.ERROR, f"{event.name} cannot be written: {event.error}; trying again")
            case Persisted():
                self.out.log(Level.NOTICE, f"{event.name} is written again")
            case HandOver():
                self.out.changed.update(self._bnodes.values())
                self.out.put(Leave(0, "handing over"))
            case _:
                if self.commands is not None:
                    self.commands(self, event, now)

    # -- for requests

    def bnodes(self) -> Iterator[Bnode]:
        """In the order of creation, the deactivated ones left out."""
        return (bnode for bnode in self._bnodes.values() if bnode.active)

    def find(self, name: str) -> Bnode | None:
        bnode = self._bnodes.get(name)
        return bnode if bnode is not None and bnode.active else None

    def everything(self) -> list[Bnode]:
        """The deactivated ones too."""
        return list(self._bnodes.values())

    def find_any(self, name: str) -> Bnode | None:
        """The deactivated ones too."""
        return self._bnodes.get(name)

    def config(self) -> BosConfig:
        """What BosConfig says now."""
        entries = tuple(_entry(bnode) for bnode in self._bnodes.values() if not bnode.doomed)
        return BosConfig(self.restricted, self.general, self.binaries, entries)

    def _config_text(self) -> str:
        """The same as text. A create among thousands must not make all their lines again."""
        head = bosconfig.format_head(BosConfig(self.restricted, self.general, self.binaries))
        blocks = [head]
        for bnode in self._bnodes.values():
            if not bnode.doomed:
                bnode.written = bnode.written or bosconfig.format_entry(_entry(bnode))
                blocks.append(bnode.written)
        return "".join(blocks)

    def create(self, entry: Entry, now: Now) -> Bnode:
        """A new bnode, checked by the caller; started when its file goal says so."""
        bnode = self._add(entry)
        self.out.config_changed = True
        self.set_stat(bnode, entry.goal, now)
        return bnode

    def exists(self, name: str) -> bool:
        """In the list or, deactivated, in the file."""
        return name in self._bnodes

    def delete(self, bnode: Bnode, now: Now) -> Code:
        """Remove a bnode that is down; one that is held goes when it is released."""
        if bnode.kind.status(bnode) is not Status.SHUTDOWN or not bnode.idle:
            return Code.BUSY
        if bnode.holds:
            bnode.doomed = True
            self.out.config_changed = True
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
        if bnode.doomed and not bnode.holds and bnode.idle and self._bnodes.get(bnode.name) is bnode:
            self._remove(bnode)
            successor = self._successors.pop(bnode.name, None)
            if successor is not None:
                self.create(successor, now)

    def set_file_goal(self, bnode: Bnode, goal: Goal) -> None:
        if bnode.file_goal is not goal:
            bnode.file_goal = goal
            bnode.written = ""
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
            bnode.doomed = False
            self.out.config_changed = True
        if bnode.error_stop:
            bnode.error_stop = False
            bnode.retry_at = None
            self._alarms.cancel(("retry", bnode.name))
            bnode.window.clear()
        bnode.flapping &= goal is Goal.NORMAL
        if goal is Goal.NORMAL and bnode.idle:
            bnode.manual_starts += 1
        self.out.changed.add(bnode)
        self._settle(bnode, now)

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
        for bnode in list(self._bnodes.values()):
            self.set_stat(bnode, Goal.SHUTDOWN, now)
        self._check_leaving()

    def schedule_restarts(self, now: Now) -> None:
        """After a restart time was set, or came."""
        for what, time in (("general", self.general), ("binaries", self.binaries)):
            self._alarms.set_wall((what, ""), None if time.now else time.after(now.wall), now)

    def replace(self, bnode: Bnode, entry: Entry | None, now: Now) -> None:
        """Stop a bnode for good; when it is gone `entry` takes its place."""
        if entry is not None:
            self._successors[bnode.name] = entry
        self.set_stat(bnode, Goal.SHUTDOWN, now)
        bnode.doomed = True
        self._bury(bnode, now)

    # -- the beginning

    def restore(self, records: Mapping[str, bytes], salvage: frozenset[str]) -> None:
        """Give the bnodes their past, by name, and those of fs type their pending salvage."""
        for name, data in records.items():
            bnode = self._bnodes.get(name)
            if bnode is not None and history.restore(bnode, history.unpack(data), boot=self.site.boot):
                self._continued.add(name)
        for name in salvage:
            bnode = self._bnodes.get(name)
            if bnode is not None and bnode.kind.name == "fs":
                bnode.salvage = True

    def known_units(self) -> frozenset[str]:
        return frozenset(self._units)

    def _add(self, entry: Entry) -> Bnode:
        bnode = Bnode(
            entry.name,
            KINDS[entry.kind],
            entry.commands,
            notifier=entry.notifier,
            file_goal=entry.goal,
        )
        self._bnodes[entry.name] = bnode
        for process in bnode.processes:
            self._units[process.unit] = (bnode, process)
        return bnode

    def _remove(self, bnode: Bnode) -> None:
        del self._bnodes[bnode.name]
        for process in bnode.processes:
            del self._units[process.unit]
            if self.tunables.pid_files:
                self.out.put(Remember(pid_file(bnode, process), None))
        for what in ("retry", "forget", "unbar", "cron"):
            self._alarms.cancel((what, bnode.name))
        if bnode.barred:
            self.out.put(Unbar(bnode.name))
        if bnode.kind.name == "fs":
            self.out.put(Persist(salvage_file(bnode), None))
        self.out.put(Remember(history.file_name(bnode.name), None))
        self.out.config_changed = True
        self._check_leaving()

    def _connected(self, units: Iterable[Found], now: Now) -> None:
        first, self._met = not self._met, True
        self.connected = True
        self.trouble = ""
        found = {unit.unit: unit for unit in units}
        for name, (bnode, process) in self._units.items():
            continued = bnode.name in self._continued
            there = self._processes.compare(
                bnode, process, found.pop(name, None), continued=continued, now=now
            )
            self.adopted += first and there
        self.strangers += len(found)
        if found:
            names = ", ".join(sorted(found))
            self.out.log(Level.WARNING, f"units of no bnode, left alone: {names}")
        if first and self.adopted:
            self.out.log(Level.NOTICE, f"Adopted {self.adopted} running processes")
        for bnode in list(self._bnodes.values()):
            if first and bnode.name not in self._continued:
                bnode.goal = bnode.file_goal
            if bnode.barred or bnode.error_stop:
                self._resume(bnode, now)
            self.out.changed.add(bnode)
            self._settle(bnode, now)
        if first:
            self.schedule_restarts(now)
        self._check_leaving()

    def _resume(self, bnode: Bnode, now: Now) -> None:
        """Set the timers again that the last daemon had for it."""
        if bnode.retry_at is not None:
            self._alarms.set_wall(("retry", bnode.name), bnode.retry_at, now)
        if bnode.barred:
            self._alarms.set(("unbar", bnode.name), bnode.window.ends(self.tunables))

    def _disconnected(self, reason: str) -> None:
        if self.connected:
            self.out.log(Level.ERROR, f"systemd does not answer: {reason}; nothing is known until it does")
        self.connected = False
        self.trouble = reason

    # -- reports

    def _report(self, unit: str, event: Event, cause: Any, now: Now) -> None:
        known = self._units.get(unit)
        if known is None:
            self.strangers += 1
            return
        bnode, process = known
        self._processes.move(bnode, process, event, cause, now)
        self.out.changed.add(bnode)
        self._settle(bnode, now)

    # -- timers

    def _alarm(self, key: Key, now: Now) -> None:
        what, name = key
        bnode = self._bnodes.get(name)
        match what:
            case "general":
                self.out.log(Level.NOTICE, "Restarting all at the time set by setrestart")
                self.schedule_restarts(now)
                self.restart(None, [b for b in self.bnodes() if b.goal is Goal.NORMAL], now)
            case "binaries":
                self.schedule_restarts(now)
                self.out.put(CheckBinaries(upkeep.programs(self.bnodes(), self.site, self.tunables)))
            case _ if bnode is None:
                pass
            case "retry":
                bnode.error_stop, bnode.retry_at, bnode.goal = False, None, Goal.NORMAL
                self.out.changed.add(bnode)
                self._settle(bnode, now)
            case "forget":
                bnode.window.trips = 0
                self.out.changed.add(bnode)
                self.out.log(
                    Level.NOTICE,
                    f"{bnode.name} stays up again",
                    message_id=RECOVERED,
                    BOS_BNODE=bnode.name,
                )
                if self.tunables.notify_on != "exit":
                    self._processes.notify(bnode, bnode.processes[0], Occasion.RECOVERED, now)
            case "unbar":
                self._processes.check_bar(bnode, now)
                self.out.changed.add(bnode)
                self._settle(bnode, now)
            case "calm":
                bnode.flapping = False
            case "cron":
                self._settle(bnode, now)

    def _schedule(self, bnode: Bnode, now: Now) -> None:
        self._alarms.set_wall(("cron", bnode.name), bnode.kind.schedule(bnode, now.wall), now)

    def _restart_stale(self, times: Mapping[str, float], now: Now) -> None:
        stale = upkeep.stale(self.bnodes(), times, self.site, self.tunables)
        for bnode in stale:
            self.out.log(Level.NOTICE, f"Restarting {bnode.name}: its binary is newer than its process")
        self.restart(None, stale, now)

    # -- after every event

    def _settle(self, bnode: Bnode, now: Now) -> None:
        """Order the difference between what runs and what should."""
        if not self.connected:
            return
        if bnode.kind.name == "cron":
            self._schedule(bnode, now)
        wanted = bnode.kind.wanted(bnode, now.wall)
        for part in wanted:
            process = bnode.process(part)
            if process.state is State.DOWN:
                self._processes.move(bnode, process, Event.START, None, now)
        for process in bnode.processes:
            if process.live and process.part.name not in wanted:
                self._processes.move(bnode, process, Event.STOP, None, now)
        if bnode.kind.name == "cron":
            self._schedule(bnode, now)
        self.waiting.wake(bnode, now)
        self._bury(bnode, now)
        if self.leaving is not None:
            self._check_leaving()

    def _check_leaving(self) -> None:
        if self.leaving is None or self._left or not all(bnode.idle for bnode in self._bnodes.values()):
            return
        self._left = True
        self.out.changed.update(self._bnodes.values())
        self.out.put(self.leaving)


def _entry(bnode: Bnode) -> Entry:
    """What the file says of it."""
    return Entry(bnode.kind.name, bnode.name, bnode.file_goal, bnode.commands, bnode.notifier)
