# SPDX-License-Identifier: GPL-3.0-or-later
"""What the shell tells every engine through `Engine.handle`, as values. Past tense; a daemon adds its own.

`effects.SendFailed` belongs here too and lives next to its effect.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClockStepped:
    """Somebody set the wall clock (or the machine slept). Monotonic time is not touched."""

    by: float
    """Seconds the wall clock gained over the monotonic one since the last look; 0.0 if unknown."""


@dataclass(frozen=True, slots=True)
class PersistFailed:
    """A Persist could not be written (disk full, read-only). It is kept and retried; the answers of its batch
    wait. Told once, until Persisted."""

    name: str
    error: str


@dataclass(frozen=True, slots=True)
class Persisted:
    """A Persist that had failed is on disk after all."""

    name: str


@dataclass(frozen=True, slots=True)
class AppendFailed:
    """The journal could not be written. What was not appended is gone: only a Rewrite brings it back in step.
    Until one succeeds all answers wait, and this is told again every second."""

    error: str
