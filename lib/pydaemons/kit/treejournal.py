# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tunables tree has to tell: a value changed, put back, a folder that cannot be written.

One line each, with the fields KEY, OLD, NEW or REFUSED, RANGE for who searches the journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from pydaemons.engine.effects import Level
from pydaemons.tunables.declare import Access, TunableChanged, Tunables
from pydaemons.tunables.kinds import Refused
from pydaemons.tunables.layers import RUNTIME

REFUSED_ID = "5c1d0b6e0f4b4b0c9a4f6d1f3f1f7a01"
"""MESSAGE_ID of a value that was put back"""
CHANGED_ID = "5c1d0b6e0f4b4b0c9a4f6d1f3f1f7a02"
"""MESSAGE_ID of a value that was changed"""

_SAID = 256  # characters of a refused value


class TreeLog(Protocol):
    """Where it is told; `kit.log.Log` is one."""

    def log(
        self, level: Level, message: str, fields: Mapping[str, str] = ..., message_id: str | None = ...
    ) -> None: ...


class TreeJournal:
    """The lines of one daemon's folder."""

    def __init__(self, tunables: Tunables, log: TreeLog, path: str) -> None:
        self._tunables = tunables
        self._log = log
        self._path = path
        self._complained = ""

    def changed(self, name: str, before: str, change: TunableChanged) -> None:
        """A value was written and is in force."""
        entry, key = self._tunables.entries[name], change.key
        new = entry.kind.format(change.new)
        fields = {"KEY": key, "OLD": before, "NEW": new, "ORIGIN": RUNTIME}
        said = f"{new} written" if entry.access is Access.LIVE else f"{before} -> {new}"
        self._log.log(Level.NOTICE, f"{key}: {said}", fields, CHANGED_ID)

    def refused(self, name: str, before: str, text: str, refused: Refused) -> None:
        """A value was written and put back."""
        key = self._tunables.key(name)
        message = f"{key}: {refused.wrong}, refused; {refused.right}; {before} stays"
        self._log.log(Level.WARNING, message, self._fields(name, before, text[:_SAID]), REFUSED_ID)

    def replaced(self, name: str, what: str) -> None:
        """Something else than a file had the name of one."""
        key, value = self._tunables.key(name), self._tunables.text(name)
        message = f"{key}: the file is {what}; put back with {value}"
        self._log.log(Level.WARNING, message, self._fields(name, value, what), REFUSED_ID)

    def unwritable(self, error: OSError) -> None:
        """The folder is not to be had, or not to be written: said once, until `well`."""
        what = f"{self._path}: {error.strerror}"
        if what != self._complained:
            self._complained = what
            stays = "the values in force stay, and are shown when it can be written again"
            self._log.log(Level.WARNING, f"{what}; {stays}")

    def well(self) -> None:
        """All could be written."""
        self._complained = ""

    def _fields(self, name: str, old: str, refused: str) -> dict[str, str]:
        allowed = self._tunables.entries[name].kind.range
        return {"KEY": self._tunables.key(name), "OLD": old, "REFUSED": refused, "RANGE": allowed}
