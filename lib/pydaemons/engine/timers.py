# SPDX-License-Identifier: GPL-3.0-or-later
"""Deadlines by key, for engines: set, move, cancel, and collect what is due. A heap with lazy deletion.

Keys are any hashable value; setting a key again moves its deadline. Times are monotonic seconds.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from itertools import count
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Timers(Generic[Key]):
    """A set of deadlines. All operations O(log n) amortised; equal deadlines come due in the order they were
    set."""

    __slots__ = ("_due", "_heap", "_order")

    def __init__(self) -> None:
        self._due: dict[Key, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._order = count()

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, key: Key) -> bool:
        return key in self._due

    def set(self, key: Key, at: float) -> None:
        """Have `key` come due at `at`, whether or not it was set before."""
        stamp = (at, next(self._order))
        self._due[key] = stamp
        heapq.heappush(self._heap, (*stamp, key))
        if len(self._heap) > 64 and len(self._heap) > 4 * len(self._due):
            self._heap = [(*stamp, key) for key, stamp in self._due.items()]
            heapq.heapify(self._heap)

    def cancel(self, key: Key) -> None:
        """Forget `key`; nothing happens when it is not set."""
        self._due.pop(key, None)

    def at(self, key: Key) -> float | None:
        """When `key` comes due, or None."""
        stamp = self._due.get(key)
        return None if stamp is None else stamp[0]

    def deadline(self) -> float | None:
        """The earliest deadline, or None."""
        heap = self._heap
        while heap:
            at, order, key = heap[0]
            if self._due.get(key) == (at, order):
                return at
            heapq.heappop(heap)
        return None

    def due(self, mono: float) -> Iterator[Key]:
        """Take out and yield every key whose deadline is not after `mono`. Keys set meanwhile for a time
        already past come too: a caller that re-arms must move forward."""
        while (at := self.deadline()) is not None and at <= mono:
            key = heapq.heappop(self._heap)[2]
            del self._due[key]
            yield key
