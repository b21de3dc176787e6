# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes due by itself: retries, ends of windows, cron's runs, the restart times of the whole server.

Read Timetable.tick. Processes set some of the alarms themselves (retry, forget, unbar, calm).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from pydaemons.bnode import upkeep
from pydaemons.bnode.alarms import Alarms
from pydaemons.bnode.effects import CheckBinaries
from pydaemons.bnode.folders import Site
from pydaemons.bnode.ktime import KTime
from pydaemons.bnode.model import Bnode, Goal
from pydaemons.bnode.notifier import Occasion
from pydaemons.bnode.outbox import Outbox
from pydaemons.bnode.processes import Processes
from pydaemons.bnode.roster import Roster
from pydaemons.bnode.tunables import BosTunables
from pydaemons.engine.effects import Level
from pydaemons.engine.protocol import Now

RECOVERED = "a0f8a0f5c3b943d9a4f3f1c5b1d1b0e7"
"""MESSAGE_ID of a bnode that stayed up after an error stop"""
OF_A_BNODE = ("retry", "forget", "unbar", "calm", "cron")


class Owner(Protocol):
    """What is needed of the supervisor."""

    site: Site
    tunables: BosTunables
    general: KTime
    binaries: KTime

    def bnodes(self) -> Iterator[Bnode]: ...
    def restart(self, ticket: object, bnodes: Iterable[Bnode], now: Now) -> None: ...
    def settle(self, bnode: Bnode, now: Now) -> None: ...


class Timetable:
    """All alarms of one supervisor."""

    __slots__ = ("_alarms", "_out", "_owner", "_processes", "_roster")

    def __init__(
        self, owner: Owner, roster: Roster, processes: Processes, alarms: Alarms, out: Outbox
    ) -> None:
        self._owner = owner
        self._roster = roster
        self._processes = processes
        self._alarms = alarms
        self._out = out

    def deadline(self) -> float | None:
        return self._alarms.deadline()

    def tick(self, now: Now) -> None:
        for what, name in self._alarms.due(now):
            bnode = self._roster.find(name)
            if bnode is not None:
                self._due(what, bnode, now)
            elif what in ("general", "binaries"):
                self._restart_time(what, now)

    def schedule(self, bnode: Bnode, now: Now) -> None:
        """cron: when it is to be asked again."""
        if bnode.kind.name == "cron":
            self._alarms.set_wall(("cron", bnode.name), bnode.kind.schedule(bnode, now.wall), now)

    def schedule_restarts(self, now: Now) -> None:
        """After a restart time was set, or came."""
        for what, time in (("general", self._owner.general), ("binaries", self._owner.binaries)):
            self._alarms.set_wall((what, ""), None if time.now else time.after(now.wall), now)

    def clock_stepped(self, now: Now) -> None:
        """Times of day are elsewhere on the monotonic clock now, and the next of them may be another."""
        self._alarms.clock_stepped(now)
        for bnode in self._roster:
            if bnode.kind.name == "cron" and bnode.idle:
                bnode.next_run = None
                self.schedule(bnode, now)
        self.schedule_restarts(now)

    def forget(self, bnode: Bnode) -> None:
        """It is deleted."""
        for what in OF_A_BNODE:
            self._alarms.cancel((what, bnode.name))

    def restart_stale(self, times: Mapping[str, float], now: Now) -> None:
        """The binaries have been looked at."""
        owner = self._owner
        stale = upkeep.stale(owner.bnodes(), times, owner.site, owner.tunables)
        for bnode in stale:
            self._out.log(Level.NOTICE, f"Restarting {bnode.name}: its binary is newer than its process")
        owner.restart(None, stale, now)

    def _restart_time(self, what: str, now: Now) -> None:
        owner = self._owner
        if what == "general":
            self._out.log(Level.NOTICE, "Restarting all at the time set by setrestart")
            self.schedule_restarts(now)
            owner.restart(None, [b for b in owner.bnodes() if b.goal is Goal.NORMAL], now)
        else:
            self.schedule_restarts(now)
            self._out.put(CheckBinaries(upkeep.programs(owner.bnodes(), owner.site, owner.tunables)))

    def _due(self, what: str, bnode: Bnode, now: Now) -> None:
        match what:
            case "retry":
                bnode.error_stop, bnode.retry_at, bnode.goal = False, None, Goal.NORMAL
                self._out.changed.add(bnode)
                self._owner.settle(bnode, now)
            case "forget":
                bnode.window.trips = 0
                self._out.changed.add(bnode)
                line = f"{bnode.name} stays up again"
                self._out.log(Level.NOTICE, line, message_id=RECOVERED, BOS_BNODE=bnode.name)
                if self._owner.tunables.notify_on != "exit":
                    self._processes.notify(bnode, bnode.processes[0], Occasion.RECOVERED, now)
            case "unbar":
                self._processes.check_bar(bnode, now)
                self._out.changed.add(bnode)
                self._owner.settle(bnode, now)
            case "calm":
                bnode.flapping = False
            case "cron":
                self._owner.settle(bnode, now)
