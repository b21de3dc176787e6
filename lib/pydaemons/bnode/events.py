# SPDX-License-Identifier: GPL-3.0-or-later
"""What the shell tells the supervisor. Past tense; units are named as systemd names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydaemons.bnode.model import Code


@dataclass(frozen=True, slots=True)
class Started:
    """A unit's main process runs."""

    unit: str
    pid: int
    wall: float
    restarts: int
    """systemd's own count of restarts of this unit"""


@dataclass(frozen=True, slots=True)
class Exited:
    """A unit's main process ended."""

    unit: str
    pid: int
    code: int
    """its exit status, or 0"""
    signal: int
    """what killed it, or 0"""
    core: bool
    mono: float
    wall: float


@dataclass(frozen=True, slots=True)
class Gone:
    """The unit is inactive or failed, and systemd leaves it so."""

    unit: str
    result: str
    """systemd's Result=: success, exit-code, signal, start-limit-hit ..."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A unit could not be made."""

    unit: str
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """A unit seen when the manager was asked for all of ours."""

    unit: str
    pid: int
    wall: float
    """start of its process"""
    restarts: int
    result: str
    stopping: bool = False


@dataclass(frozen=True, slots=True)
class Connected:
    """The manager answers (again), and these bos-* units it has. Nothing is started before the first."""

    units: Sequence[Found]


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The manager does not answer."""

    reason: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    name: str
    admin: bool
    """may do anything whatever UserList says (root, and the user the daemon runs as)"""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request came in."""

    ticket: object
    verb: str
    arguments: Mapping[str, Any]
    caller: Caller
    found: bool = True
    """the notifier it names exists"""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Whoever sent a request is gone: nobody waits for its answer."""

    ticket: object


@dataclass(frozen=True, slots=True)
class Performed:
    """A Perform effect is done."""

    ticket: object
    code: Code | int
    result: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Released:
    """A notifier has ended."""

    bnode: str


@dataclass(frozen=True, slots=True)
class CoresSeen:
    """The core files there are now, by the names KeepCore gives them."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class AccessSeen:
    """The modes of the server's folders were looked at; `too_open` has a sentence for each that is."""

    too_open: Sequence[str]


@dataclass(frozen=True, slots=True)
class BinariesSeen:
    """Answer to CheckBinaries: programs and their modification times; missing ones are left out."""

    times: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ConfigRead:
    """BosConfig was read again at somebody's wish."""

    text: str
    file: str


@dataclass(frozen=True, slots=True)
class RestrictionLifted:
    """Somebody at the machine itself ended restricted mode."""


@dataclass(frozen=True, slots=True)
class ShutdownAsked:
    """Stop everything in order and leave; goals in the file stay."""

    cause: str


@dataclass(frozen=True, slots=True)
class HandOver:
    """Leave at once; processes run on and are adopted by the next daemon."""
