# SPDX-License-Identifier: GPL-3.0-or-later
"""The bnodes there are: in the order of creation, by name, by unit, and as lines of BosConfig."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pydaemons.bnode import bosconfig
from pydaemons.bnode.bosconfig import Entry
from pydaemons.bnode.kinds import KINDS
from pydaemons.bnode.model import Bnode, Process


class Roster:
    """All bnodes, the deactivated ones too."""

    __slots__ = ("_bnodes", "_lines", "_stale", "_units")

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._bnodes: dict[str, Bnode] = {}
        self._units: dict[str, tuple[Bnode, Process]] = {}
        # a create among thousands must not make the lines of all the others again
        self._lines: dict[str, str] = {}
        self._stale: set[str] = set()
        for entry in entries:
            self.add(entry)

    def __len__(self) -> int:
        return len(self._bnodes)

    def __iter__(self) -> Iterator[Bnode]:
        """A copy is gone through: whoever looks at bnodes may remove them."""
        return iter(list(self._bnodes.values()))

    def __contains__(self, name: str) -> bool:
        return name in self._bnodes

    def active(self) -> Iterator[Bnode]:
        """The ones in the list, in the order of creation."""
        return (bnode for bnode in self._bnodes.values() if bnode.active)

    def find(self, name: str) -> Bnode | None:
        return self._bnodes.get(name)

    @property
    def units(self) -> Mapping[str, tuple[Bnode, Process]]:
        """All processes, by unit."""
        return self._units

    def add(self, entry: Entry) -> Bnode:
        bnode = Bnode(
            entry.name,
            KINDS[entry.kind],
            entry.commands,
            notifier=entry.notifier,
            file_goal=entry.goal,
        )
        self._bnodes[entry.name] = bnode
        self._lines[entry.name] = bosconfig.format_entry(entry)
        for process in bnode.processes:
            self._units[process.unit] = (bnode, process)
        return bnode

    def remove(self, bnode: Bnode) -> None:
        del self._bnodes[bnode.name], self._lines[bnode.name]
        self._stale.discard(bnode.name)
        for process in bnode.processes:
            del self._units[process.unit]

    # -- as the file has them: what is to be deleted is no longer in it

    def changed(self, bnode: Bnode) -> None:
        """Something about it that is in the file."""
        self._stale.add(bnode.name)

    def entries(self) -> tuple[Entry, ...]:
        return tuple(_entry(bnode) for bnode in self._bnodes.values() if not bnode.doomed)

    def lines(self) -> str:
        """The same as text."""
        for name in self._stale:
            bnode = self._bnodes[name]
            self._lines[name] = "" if bnode.doomed else bosconfig.format_entry(_entry(bnode))
        self._stale.clear()
        return "".join(self._lines.values())


def _entry(bnode: Bnode) -> Entry:
    return Entry(bnode.kind.name, bnode.name, bnode.file_goal, bnode.commands, bnode.notifier)
