# SPDX-License-Identifier: GPL-3.0-or-later
"""Byte ranges as the lock table counts them: half-open [start, end), and one owner's set of them.

NLM sends (l_offset, l_len) with l_len 0 meaning "to the end of the file" (X/Open XNFS ch. 10). Inside the
lock manager a range is `start, end`; `EOF` is the end of all lockable bytes, so a lock to the end of the file
is an ordinary range and no comparison needs a special case. Read `to_range` first, then `Spans`, the set
that joins and splits ranges; locks.py holds one per owner with several locks on a file.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

Span: TypeAlias = tuple[int, int]
"""start, end: half-open, 0 <= start < end <= EOF."""

EOF = 1 << 63
"""One past the last byte that can be locked (offsets are at most 2**63 - 1, the largest file offset)."""

LOAD = 256
"""A bucket of packed columns that grows beyond this splits in two."""

NOTHING: tuple[Span, ...] = ()


def to_range(offset: int, length: int) -> Span | None:
    """The range of a wire (offset, length); None when it passes 2**63 - 1, which version 4 answers with
    FBIG."""
    if length == 0:
        return (offset, EOF) if offset < EOF else None
    end = offset + length
    return (offset, end) if end <= EOF else None


def to_length(start: int, end: int) -> int:
    """The wire length of a range: 0 when it goes to the end of the file. Inverse of `to_range`."""
    return 0 if end >= EOF else end - start


class Spans:
    """A sorted set of ranges that neither overlap nor touch: what one owner holds in one mode.

    Two packed 64-bit columns in buckets of at most `LOAD`, 16 bytes per range; every operation is a bisection
    of the buckets' first starts, one inside a bucket, and one short memmove.
    """

    __slots__ = ("_ends", "_firsts", "_size", "_starts")

    def __init__(self, spans: Iterable[Span] = NOTHING) -> None:
        self._firsts: list[int] = []
        self._starts: list[array[int]] = []
        self._ends: list[array[int]] = []
        self._size = 0
        for start, end in spans:
            self.add(start, end)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Span]:
        for starts, ends in zip(self._starts, self._ends, strict=True):
            yield from zip(starts, ends, strict=True)

    def overlaps(self, start: int, end: int) -> bool:
        """Whether any byte of [start, end) is in the set."""
        b = bisect_left(self._firsts, end) - 1
        return b >= 0 and self._ends[b][bisect_left(self._starts[b], end) - 1] > start

    def add(self, start: int, end: int) -> tuple[Sequence[Span], int, int] | None:
        """Join [start, end) in: the spans it swallowed and the bounds of the one that now stands for them
        all.

        None when every byte was in the set already.
        """
        firsts = self._firsts
        b = bisect_right(firsts, start) - 1
        if b < 0:
            b = 0
            if not firsts:
                self._insert(0, 0, start, end)
                return NOTHING, start, end
        starts = self._starts[b]
        i = bisect_right(starts, start)
        before = self._ends[b][i - 1] if i else -1
        if i < len(starts):
            after = starts[i]
        elif b + 1 < len(firsts):
            after = firsts[b + 1]
        else:
            after = EOF + 1
        if before < start and end < after:
            self._insert(b, i, start, end)
            return NOTHING, start, end
        if before >= end:
            return None
        swallowed = self.take(start - 1, end + 1)  # one byte wider on both sides: those that touch join too
        start = min(start, swallowed[0][0])
        end = max(end, swallowed[-1][1])
        self.add(start, end)
        return swallowed, start, end

    def cut(self, start: int, end: int) -> tuple[Sequence[Span], Sequence[Span]]:
        """Take [start, end) out: the spans that stood there, and the pieces of them that stay."""
        b = bisect_right(self._firsts, start) - 1
        if b >= 0:  # most often one span as it was added
            starts, ends = self._starts[b], self._ends[b]
            i = bisect_left(starts, start)
            if i < len(starts) and starts[i] == start and ends[i] == end:
                self._delete(b, i)
                return ((start, end),), NOTHING
        taken = self.take(start, end)
        if not taken:
            return NOTHING, NOTHING
        kept: list[Span] = []
        if taken[0][0] < start:
            kept.append((taken[0][0], start))
        if end < taken[-1][1]:
            kept.append((end, taken[-1][1]))
        for low, high in kept:
            self.add(low, high)
        return taken, kept

    def take(self, start: int, end: int) -> list[Span]:
        """Remove and return, in order, every span that overlaps [start, end), whole."""
        firsts = self._firsts
        taken: list[Span] = []
        if not firsts:
            return taken
        b = max(bisect_right(firsts, start) - 1, 0)
        i = bisect_right(self._starts[b], start)
        if i and self._ends[b][i - 1] > start:
            i -= 1
        while b < len(firsts):
            starts, ends = self._starts[b], self._ends[b]
            size = len(starts)
            j = bisect_left(starts, end, i)
            taken.extend(zip(starts[i:j], ends[i:j], strict=True))
            if j - i == size:
                del firsts[b], self._starts[b], self._ends[b]
            else:
                del starts[i:j], ends[i:j]
                firsts[b] = starts[0]
                b += 1
            if j < size:
                break
            i = 0
        self._size -= len(taken)
        return taken

    def _delete(self, b: int, i: int) -> None:
        self._size -= 1
        starts = self._starts[b]
        if len(starts) == 1:
            del self._firsts[b], self._starts[b], self._ends[b]
            return
        del starts[i], self._ends[b][i]
        if i == 0:
            self._firsts[b] = starts[0]

    def _insert(self, b: int, i: int, start: int, end: int) -> None:
        self._size += 1
        if not self._firsts:
            self._firsts.append(start)
            self._starts.append(array("Q", (start,)))
            self._ends.append(array("Q", (end,)))
            return
        starts, ends = self._starts[b], self._ends[b]
        starts.insert(i, start)
        ends.insert(i, end)
        if i == 0:
            self._firsts[b] = start
        if len(starts) > LOAD:
            half = LOAD // 2 if i < LOAD else LOAD  # a set that only grows at its end keeps full buckets
            self._starts[b], self._ends[b] = starts[:half], ends[:half]
            self._firsts.insert(b + 1, starts[half])
            self._starts.insert(b + 1, starts[half:])
            self._ends.insert(b + 1, ends[half:])
