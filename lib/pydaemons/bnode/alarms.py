# SPDX-License-Identifier: GPL-3.0-or-later
"""Deadlines of two clocks: monotonic ones for pauses and windows, wall-clock ones for times of day.

A wall-clock deadline is armed as a monotonic one and looked at again when that comes due: should the clock
have been set back meanwhile, it is armed anew.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydaemons.engine.protocol import Now
from pydaemons.engine.timers import Timers

Key = tuple[str, str]
"""what, and of which bnode"""


class Alarms:
    """A set of deadlines by key."""

    __slots__ = ("_timers", "_wall")

    def __init__(self) -> None:
        self._timers: Timers[Key] = Timers()
        self._wall: dict[Key, float] = {}

    def set(self, key: Key, mono: float) -> None:
        self._wall.pop(key, None)
        self._timers.set(key, mono)

    def set_wall(self, key: Key, wall: float | None, now: Now) -> None:
        """None cancels."""
        if wall is None:
            self.cancel(key)
        elif self._wall.get(key) != wall:
            self._wall[key] = wall
            self._timers.set(key, now.mono + max(0.0, wall - now.wall))

    def cancel(self, key: Key) -> None:
        self._wall.pop(key, None)
        self._timers.cancel(key)

    def deadline(self) -> float | None:
        return self._timers.deadline()

    def due(self, now: Now) -> Iterator[Key]:
        for key in self._timers.due(now.mono):
            wall = self._wall.pop(key, None)
            if wall is not None and now.wall < wall:
                self.set_wall(key, wall, now)
            else:
                yield key

    def clock_stepped(self, now: Now) -> None:
        """The wall clock was set: its deadlines are elsewhere on the monotonic one now."""
        for key, wall in list(self._wall.items()):
            del self._wall[key]
            self.set_wall(key, wall, now)
