# SPDX-License-Identifier: GPL-3.0-or-later
"""Two indexes from byte ranges to whom they belong: ranges that never overlap, and ranges that do.

`Disjoint` serves the exclusive locks of a file, `Overlapping` the shared ones and the ranges that waiters
wait for. Both are sorted by start and packed in buckets of parallel columns (two 64-bit numbers and one
reference per range); both insert and remove exact ranges only: joining and splitting is done before, in
ranges.py. Items are compared by identity, never by value.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from pydaemons.nlm.ranges import LOAD, Span

T = TypeVar("T")

Column: TypeAlias = "array[int] | list[int]"
"""64-bit numbers. As long as there is one bucket, it is of lists: they are quicker, and the numbers in them
belong to somebody else anyway, mostly."""


class Disjoint(Generic[T]):
    """Ranges of which no two overlap, each with its item. A look-up is two bisections."""

    __slots__ = ("_ends", "_firsts", "_items", "_starts", "size")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._starts: list[Column] = []
        self._ends: list[Column] = []
        self._items: list[list[T]] = []
        self.size = 0
        """How many ranges: the same as len(), without the call."""

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[tuple[T, int, int]]:
        """item, start, end in order of start."""
        return _rows(self._items, self._starts, self._ends)

    def freeze(self) -> Iterator[tuple[T, int, int]]:
        """As iterating, over a copy: ranges may come and go while this is read."""
        return _rows([*map(list, self._items)], [s[:] for s in self._starts], [e[:] for e in self._ends])

    def clear(self) -> None:
        for column in (self._firsts, self._starts, self._ends, self._items):
            column.clear()
        self.size = 0

    def claim(self, start: int, end: int, item: T) -> bool:
        """Insert the range where nothing is; False, and nothing changes, where any other has a byte of it."""
        firsts = self._firsts
        if not firsts:
            firsts.append(start)
            self._starts.append([start])
            self._ends.append([end])
            self._items.append([item])
            self.size += 1
            return True
        b = bisect_right(firsts, start, 1) - 1 if len(firsts) > 1 else 0
        starts = self._starts[b]
        ends = self._ends[b]
        i = bisect_right(starts, start)
        if i and ends[i - 1] > start:
            return False
        if i < len(starts):
            if starts[i] < end:
                return False
        elif b + 1 < len(firsts) and firsts[b + 1] < end:
            return False
        starts.insert(i, start)
        ends.insert(i, end)
        self._items[b].insert(i, item)
        self.size += 1
        if i == 0:
            firsts[b] = start
        if len(starts) > LOAD:
            half = LOAD // 2 if i < LOAD else LOAD  # an index that only grows at its end keeps full buckets
            if isinstance(starts, list):
                self._starts[b], self._ends[b] = array("Q", starts), array("Q", ends)
            firsts.insert(b + 1, starts[half])
            _split(self._starts, b, half)
            _split(self._ends, b, half)
            items = self._items[b]
            self._items[b] = items[:half]
            self._items.insert(b + 1, items[half:])
        return True

    def claim_each(self, items: Sequence[T], spans: Sequence[Span], known: dict[T, Any]) -> int:
        """Claim ranges one after the other, each for an item that is not in `known` and is then, with its
        range. How many, up to the first of which one or the other cannot be."""
        done = 0
        size = before = self.size
        if len(self._firsts) <= 1 and size + len(items) <= LOAD:  # as `claim`, without calling it
            if not before:
                self._make_bucket()
            starts, ends, bucket = self._starts[0], self._ends[0], self._items[0]
            for item, span in zip(items, spans, strict=True):
                start, end = span
                i = bisect_right(starts, start)
                if item in known or (i and ends[i - 1] > start) or (i < size and starts[i] < end):
                    break
                starts.insert(i, start)
                ends.insert(i, end)
                bucket.insert(i, item)
                known[item] = span
                size += 1
            self.size = size
            if size:
                self._firsts[0] = starts[0]
            else:
                self.clear()
            return size - before
        for item, span in zip(items, spans, strict=True):
            if item in known or not self.claim(*span, item):
                break
            known[item] = span
            done += 1
        return done

    def _make_bucket(self) -> None:
        """The first one, empty, which no bucket may stay."""
        self._firsts.append(0)
        self._starts.append([])
        self._ends.append([])
        self._items.append([])

    def insert(self, start: int, end: int, item: T) -> None:
        """The same where nothing is known to be."""
        free = self.claim(start, end, item)
        assert free

    def remove(self, start: int) -> None:
        """Remove the range that begins at `start`, which is there."""
        firsts = self._firsts
        b = bisect_right(firsts, start, 1) - 1 if len(firsts) > 1 else 0
        starts = self._starts[b]
        i = bisect_left(starts, start)
        self.size -= 1
        if len(starts) == 1:
            del firsts[b], self._starts[b], self._ends[b], self._items[b]
            return
        del starts[i], self._ends[b][i], self._items[b][i]
        if i == 0:
            firsts[b] = starts[0]

    def remove_each(self, items: Sequence[T], spans: Sequence[Span], known: dict[T, Any]) -> int:
        """The reverse of `claim_each`. How many, up to the first item that `known` has with another range."""
        done = 0
        if len(self._firsts) == 1:  # as `remove`, without calling it
            starts, ends, bucket = self._starts[0], self._ends[0], self._items[0]
            for item, span in zip(items, spans, strict=True):
                if known.get(item) != span:
                    break
                del known[item]
                i = bisect_left(starts, span[0])
                del starts[i], ends[i], bucket[i]
                done += 1
            self.size -= done
            if self.size:
                self._firsts[0] = starts[0]
            else:
                self.clear()
            return done
        for item, span in zip(items, spans, strict=True):
            if known.get(item) != span:
                break
            del known[item]
            self.remove(span[0])
            done += 1
        return done

    def find_other(self, start: int, end: int, mine: T | None) -> tuple[T, int, int] | None:
        """The first range that overlaps [start, end) and whose item is not `mine`."""
        firsts = self._firsts
        if not firsts:
            return None
        b = bisect_right(firsts, start) - 1
        b = max(b, 0)
        starts = self._starts[b]
        i = bisect_right(starts, start)
        if i and self._ends[b][i - 1] > start:
            i -= 1
        elif i < len(starts):
            if starts[i] >= end:
                return None
        elif b + 1 == len(firsts) or firsts[b + 1] >= end:
            return None
        return next(self._others(b, i, end, mine), None)

    def others(self, start: int, end: int, mine: T | None) -> Iterator[tuple[T, int, int]]:
        """Every range that overlaps [start, end) and whose item is not `mine`, in order of start."""
        if self._firsts:
            b = max(bisect_right(self._firsts, start) - 1, 0)
            i = bisect_right(self._starts[b], start)
            if i and self._ends[b][i - 1] > start:
                i -= 1
            yield from self._others(b, i, end, mine)

    def _others(self, b: int, i: int, end: int, mine: T | None) -> Iterator[tuple[T, int, int]]:
        while b < len(self._firsts):
            starts = self._starts[b]
            j = bisect_left(starts, end, i)
            for n, item in enumerate(self._items[b][i:j], i):
                if item is not mine:
                    yield item, starts[n], self._ends[b][n]
            if j < len(starts):
                return
            b += 1
            i = 0


class Overlapping(Generic[T]):
    """Ranges that may overlap, each with its item; an item has at most one range that begins at a given
    start.

    Ordered by (start, identity of the item), so that one of 10 000 readers of the whole file is found by
    bisection. Beside each bucket stand `tops`, the largest end in it, and `peaks`, the largest end in it and
    all before it: `peaks` never falls, so the first bucket that reaches beyond an offset is found by
    bisection too.
    """

    __slots__ = ("_ends", "_firsts", "_items", "_peaks", "_starts", "_tops", "size")

    LOAD = 128
    """Smaller than elsewhere: a look-up reads through the ends of one bucket."""

    def __init__(self) -> None:
        self._firsts: list[tuple[int, int]] = []
        self._starts: list[Column] = []
        self._ends: list[Column] = []
        self._items: list[list[T]] = []
        self._tops: list[int] = []
        self._peaks: list[int] = []
        self.size = 0

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[tuple[T, int, int]]:
        """item, start, end in order of start."""
        return _rows(self._items, self._starts, self._ends)

    def freeze(self) -> Iterator[tuple[T, int, int]]:
        """As iterating, over a copy: ranges may come and go while this is read."""
        return _rows([*map(list, self._items)], [s[:] for s in self._starts], [e[:] for e in self._ends])

    def clear(self) -> None:
        for column in (self._firsts, self._starts, self._ends, self._items, self._tops, self._peaks):
            column.clear()
        self.size = 0

    def insert(self, start: int, end: int, item: T) -> None:
        self.size += 1
        key = (start, id(item))
        if not self._firsts:
            self._firsts.append(key)
            self._starts.append(array("Q", (start,)))
            self._ends.append(array("Q", (end,)))
            self._items.append([item])
            self._tops.append(end)
            self._peaks.append(end)
            return
        b, i = self._place(start, key)
        starts = self._starts[b]
        starts.insert(i, start)
        self._ends[b].insert(i, end)
        self._items[b].insert(i, item)
        if i == 0:
            self._firsts[b] = key
        if end > self._tops[b]:
            self._tops[b] = end
            if end > self._peaks[b]:
                risen = bisect_left(self._peaks, end, b)
                self._peaks[b:risen] = [end] * (risen - b)
        if len(starts) > self.LOAD:
            self._divide(b, self.LOAD // 2 if i < self.LOAD else self.LOAD)

    def remove(self, start: int, item: T) -> None:
        """Remove the range of `item` that begins at `start`, which is there."""
        b, i = self._place(start, (start, id(item)))
        self.size -= 1
        starts, ends, items = self._starts[b], self._ends[b], self._items[b]
        end = ends[i]
        if len(starts) == 1:
            for column in (self._firsts, self._starts, self._ends, self._items, self._tops, self._peaks):
                del column[b]
        else:
            del starts[i], ends[i], items[i]
            if i == 0:
                self._firsts[b] = (starts[0], id(items[0]))
            if end < self._tops[b]:
                return
            self._tops[b] = max(ends)
        peak = self._peaks[b - 1] if b else 0
        for n in range(b, len(self._tops)):
            peak = max(peak, self._tops[n])
            if self._peaks[n] == peak:
                break  # all behind it follow from this one
            self._peaks[n] = peak

    def find_other(self, start: int, end: int, mine: T | None) -> tuple[T, int, int] | None:
        """One range that overlaps [start, end) and whose item is not `mine`."""
        last = bisect_left(self._firsts, (end,)) - 1
        if last < 0 or self._peaks[last] <= start:
            return None
        return next(self._others(last, start, end, mine), None)

    def others(self, start: int, end: int, mine: T | None) -> Iterator[tuple[T, int, int]]:
        """Every range that overlaps [start, end) and whose item is not `mine`, in order of start."""
        last = bisect_left(self._firsts, (end,)) - 1
        if last >= 0 and self._peaks[last] > start:
            yield from self._others(last, start, end, mine)

    def _others(self, last: int, start: int, end: int, mine: T | None) -> Iterator[tuple[T, int, int]]:
        for b in range(bisect_right(self._peaks, start, 0, last), last + 1):
            if self._tops[b] <= start:
                continue
            ends = self._ends[b]
            if b == last:
                ends = ends[: bisect_left(self._starts[b], end)]
                if max(ends) <= start:
                    return
            items = self._items[b]
            for n, reach in enumerate(ends):
                if reach > start and items[n] is not mine:
                    yield items[n], self._starts[b][n], reach

    def _place(self, start: int, key: tuple[int, int]) -> tuple[int, int]:
        """bucket, position: where `key` is or belongs."""
        b = bisect_right(self._firsts, key) - 1
        if b < 0:
            return 0, 0
        starts = self._starts[b]
        i = bisect_left(starts, start)
        if i < len(starts) and starts[i] == start:
            i = bisect_left(self._items[b], key[1], i, bisect_right(starts, start, i), key=id)
        return b, i

    def _divide(self, b: int, half: int) -> None:
        _split(self._starts, b, half)
        _split(self._ends, b, half)
        items = self._items[b]
        self._items[b] = items[:half]
        self._items.insert(b + 1, items[half:])
        self._firsts.insert(b + 1, (self._starts[b + 1][0], id(items[half])))
        self._tops[b : b + 1] = [max(self._ends[b]), max(self._ends[b + 1])]
        before = self._peaks[b - 1] if b else 0
        self._peaks.insert(b, max(before, self._tops[b]))


def _split(columns: "list[Column]", b: int, half: int) -> None:
    column = columns[b]
    columns[b] = column[:half]
    columns.insert(b + 1, column[half:])


def _rows(items: list[list[T]], starts: "list[Column]", ends: "list[Column]") -> Iterator[tuple[T, int, int]]:
    for bucket in zip(items, starts, ends, strict=True):
        yield from zip(*bucket, strict=True)
