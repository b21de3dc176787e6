# SPDX-License-Identifier: GPL-3.0-or-later
"""Meeting the service manager: what runs already is taken over, when it answers first and when it does again.

A bnode whose history is from a daemon of this boot is *continued*: its goals, error stop and counts go on,
and exits that nobody watched are taken from systemd's own counter (processes.compare). So is one that has no
history at all (see history.worth_keeping). For the others the goals of BosConfig hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydaemons.bnode import history
from pydaemons.bnode.alarms import Alarms
from pydaemons.bnode.events import Found
from pydaemons.bnode.model import Bnode
from pydaemons.bnode.outbox import Outbox
from pydaemons.bnode.processes import Processes
from pydaemons.bnode.roster import Roster
from pydaemons.bnode.tunables import BosTunables
from pydaemons.engine.effects import Level
from pydaemons.engine.protocol import Now


class Adoption:
    """What one supervisor has taken over."""

    __slots__ = ("_alarms", "_continued", "_met", "_out", "_processes", "_roster", "_tunables", "adopted")

    def __init__(
        self, roster: Roster, processes: Processes, alarms: Alarms, tunables: BosTunables, out: Outbox
    ) -> None:
        self._roster = roster
        self._processes = processes
        self._alarms = alarms
        self._tunables = tunables
        self._out = out
        self._continued: set[str] = set()
        self._met = False
        self.adopted = 0
        """processes that ran when we came"""

    def restore(self, records: Mapping[str, bytes], salvage: frozenset[str], *, boot: str) -> None:
        """Give the bnodes their past, by name, and those of fs type their pending salvage."""
        self._continued.update(bnode.name for bnode in self._roster if bnode.name not in records)
        for name, data in records.items():
            bnode = self._roster.find(name)
            if bnode is not None and history.restore(bnode, history.unpack(data), boot=boot):
                self._continued.add(name)
        for name in salvage:
            bnode = self._roster.find(name)
            if bnode is not None and bnode.kind.name == "fs":
                bnode.salvage = True

    def meet(self, units: Iterable[Found], now: Now) -> tuple[bool, int]:
        """These units are there: whether that was the first time, and how many are nobody's."""
        first, self._met = not self._met, True
        found = {unit.unit: unit for unit in units}
        for bnode in self._roster if first else ():
            if bnode.name not in self._continued or not bnode.remembered:
                bnode.goal = bnode.file_goal
        for name, (bnode, process) in self._roster.units.items():
            continued = bnode.name in self._continued
            there = self._processes.compare(
                bnode, process, found.pop(name, None), continued=continued, now=now
            )
            self.adopted += first and there
        if found:
            names = ", ".join(sorted(found))
            self._out.log(Level.WARNING, f"units of no bnode, left alone: {names}")
        if first and self.adopted:
            self._out.log(Level.NOTICE, f"Adopted {self.adopted} running processes")
        for bnode in self._roster:
            self._resume(bnode, now)
        return first, len(found)

    def _resume(self, bnode: Bnode, now: Now) -> None:
        """Set the timers again that the last daemon had for it."""
        if bnode.error_stop and bnode.retry_at is not None:
            self._alarms.set_wall(("retry", bnode.name), bnode.retry_at, now)
        if bnode.barred:
            self._alarms.set(("unbar", bnode.name), bnode.window.ends(self._tunables))
