# SPDX-License-Identifier: GPL-3.0-or-later
"""What the supervisor asks its shell to do, besides the common effects (engine.effects)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydaemons.bnode.model import Code, Restart
from pydaemons.bnode.notifier import Occasion
from pydaemons.engine.effects import Effect, Level


@dataclass(frozen=True, slots=True)
class StartUnit(Effect):
    """Make and start a transient unit (forgetting a failed one of that name first). Units that systemd may
    restart obey Bar; the others are started in spite of it."""

    unit: str
    bnode: str
    argv: tuple[str, ...]
    restart: Restart
    signal: int
    stop_timeout: int
    limit_burst: int
    limit_interval: int


@dataclass(frozen=True, slots=True)
class StopUnit(Effect):
    """Stop a unit with all its processes; its end is reported as usual."""

    unit: str


@dataclass(frozen=True, slots=True)
class Bar(Effect):
    """Keep systemd from restarting the units of a bnode."""

    bnode: str


@dataclass(frozen=True, slots=True)
class Unbar(Effect):
    """Let it again."""

    bnode: str


@dataclass(frozen=True, slots=True)
class Remember(Effect):
    """Write a small state file, soon and in one piece; losing the last one to a power cut does no harm."""

    name: str
    data: bytes | None


@dataclass(frozen=True, slots=True)
class RunNotifier(Effect):
    """Run a program in a process group of its own with `data` on its standard input. Its end is reported
    as Released, because the bnode is held meanwhile."""

    bnode: str
    program: str
    data: bytes
    occasion: Occasion


@dataclass(frozen=True, slots=True)
class KeepCore(Effect):
    """Look for a core file of a process that died by a signal, and name it `name`."""

    bnode: str
    name: str
    pid: int
    unit: str
    stamp: bool


@dataclass(frozen=True, slots=True)
class BosLog(Effect):
    """A line for BosLog and the journal."""

    level: Level
    message: str
    fields: Mapping[str, str] = field(default_factory=dict)
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Answer(Effect):
    """The end of a request. `reason` explains a refusal beyond the code's own text."""

    ticket: object
    code: Code | int
    result: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    keeps: tuple[str, ...] = ()
    """state files that must say so before a yes may leave: with one that cannot be written it is an error"""


@dataclass(frozen=True, slots=True)
class Perform(Effect):
    """A request that was allowed and touches files or runs a command: do it, report Performed."""

    ticket: object
    verb: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CheckBinaries(Effect):
    """Report BinariesSeen with the modification times of these programs."""

    programs: frozenset[str]


@dataclass(frozen=True, slots=True)
class StartAnew(Effect):
    """Everything has stopped: replace the daemon by a fresh copy of itself."""
