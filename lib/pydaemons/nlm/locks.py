# SPDX-License-Identifier: GPL-3.0-or-later
"""The byte-range locks of one file (XNFS ch. 10; fcntl(2)): `FewLocks` for a handful, `ManyLocks` beyond.

Both keep the same rules: an exclusive lock conflicts with every overlapping lock of another owner, a shared
one with exclusive ones; an owner never conflicts with itself, its newest lock replaces its older ones byte by
byte (upgrade, downgrade, split), and its neighbouring ranges of one mode are one. `FewLocks` is a list that
is read through. `ManyLocks` keeps, per owner and mode, the owner's ranges, and over all owners one index per
mode that answers who else holds something here.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Generic, TypeAlias, TypeVar

from pydaemons.nlm.intervals import Disjoint, Overlapping
from pydaemons.nlm.ranges import EOF, NOTHING, Span, Spans

O = TypeVar("O")  # noqa: E741  the owner of a lock, as opaque here as in the table

Row: TypeAlias = tuple[O, int, int, bool]
"""owner, start, end, exclusive: one held lock."""


class FewLocks(Generic[O]):
    """A handful of locks in a list, in no order."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Iterable[Row[O]] = ()) -> None:
        self._rows = list(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row[O]]:
        return iter(self._rows)

    def of(self, owner: O) -> Iterator[Row[O]]:
        """The locks of one owner."""
        return (row for row in self._rows if row[0] is owner)

    def freeze(self) -> Iterator[Row[O]]:
        """The locks held now, whatever comes while this is read."""
        return iter(self._rows)  # each change makes a list of its own

    def conflicts(self, owner: O | None, start: int, end: int, exclusive: bool) -> Iterator[Row[O]]:
        """Every lock of another owner that forbids this one."""
        for row in self._rows:
            if row[1] < end and start < row[2] and (exclusive or row[3]) and row[0] is not owner:
                yield row

    def lock(self, owner: O, start: int, end: int, exclusive: bool) -> Row[O] | None:
        """Take the lock, or return one that forbids it."""
        rows: list[Row[O]] = []
        low, high = start, end
        for row in self._rows:
            if row[2] < start or end < row[1]:
                rows.append(row)
            elif row[0] is not owner:
                if (exclusive or row[3]) and row[1] < end and start < row[2]:
                    return row
                rows.append(row)
            elif row[3] == exclusive:
                low, high = min(low, row[1]), max(high, row[2])
            else:
                _keep(rows, row, start, end)
        rows.append((owner, low, high, exclusive))
        self._rows = rows
        return None

    def unlock(self, owner: O, start: int, end: int) -> bool:
        """Free what `owner` holds of [start, end); False if that was nothing."""
        rows: list[Row[O]] = []
        freed = False
        for row in self._rows:
            if row[0] is owner and row[1] < end and start < row[2]:
                freed = True
                _keep(rows, row, start, end)
            else:
                rows.append(row)
        self._rows = rows
        return freed

    def drop(self, match: Callable[[O], bool]) -> None:
        """Free all locks of the owners that `match`."""
        self._rows = [row for row in self._rows if not match(row[0])]


def _keep(rows: list[Row[O]], row: Row[O], start: int, end: int) -> None:
    """Append what remains of `row` outside [start, end)."""
    owner, low, high, exclusive = row
    if low < start:
        rows.append((owner, low, start, exclusive))
    if end < high:
        rows.append((owner, end, high, exclusive))


class _Held(Generic[O]):
    """What each owner holds in one mode: `Spans`, or up to `PAIRS` ranges in one tuple (start, end, start,
    ...).

    Most owners hold one or two ranges of a file, for which `Spans` would be ten times as large.
    """

    __slots__ = ("of",)

    PAIRS = 4

    def __init__(self) -> None:
        self.of: dict[O, tuple[int, ...] | Spans] = {}

    def spans(self, owner: O) -> Iterable[Span]:
        held = self.of.get(owner, ())
        return _pairs(held) if isinstance(held, tuple) else held

    def add(self, owner: O, start: int, end: int) -> tuple[Sequence[Span], int, int] | None:
        """As `Spans.add`, in any order."""
        held = self.of.get(owner)
        if held is None:
            self.of[owner] = (start, end)
            return NOTHING, start, end
        if isinstance(held, Spans):
            return held.add(start, end)
        rest: list[int] = []
        swallowed: list[Span] = []
        first, last = start, end
        for low, high in _pairs(held):
            if high < start or end < low:
                rest += (low, high)
            elif low <= start and end <= high:
                return None
            else:
                swallowed.append((low, high))
                first, last = min(first, low), max(last, high)
        self._keep(owner, (*rest, first, last))
        return swallowed, first, last

    def cut(self, owner: O, start: int, end: int) -> tuple[Sequence[Span], Sequence[Span]]:
        """As `Spans.cut`, in any order."""
        held = self.of.get(owner)
        if held is None:
            return NOTHING, NOTHING
        if held == (start, end):
            del self.of[owner]
            return ((start, end),), NOTHING
        if isinstance(held, Spans):
            taken, kept = held.cut(start, end)
            if len(held) < self.PAIRS:
                self._keep(owner, tuple(chain.from_iterable(held)))
            return taken, kept
        rest: list[int] = []
        out: list[Span] = []
        pieces: list[Span] = []
        for low, high in _pairs(held):
            if high <= start or end <= low:
                rest += (low, high)
                continue
            out.append((low, high))
            if low < start:
                pieces.append((low, start))
            if end < high:
                pieces.append((end, high))
        if out:
            self._keep(owner, (*rest, *chain.from_iterable(pieces)))
        return out, pieces

    def _keep(self, owner: O, pairs: tuple[int, ...]) -> None:
        if not pairs:
            del self.of[owner]
        elif len(pairs) <= 2 * self.PAIRS:
            self.of[owner] = pairs
        else:
            self.of[owner] = Spans(_pairs(pairs))


def _pairs(flat: tuple[int, ...]) -> Iterable[Span]:
    return zip(flat[::2], flat[1::2], strict=True)


class ManyLocks(Generic[O]):
    """Any number of locks, packed: an operation costs a few bisections, an exclusive lock about 45 bytes."""

    __slots__ = ("_readers", "_writers", "shared", "writers", "written")

    def __init__(self, rows: Iterable[Row[O]] = ()) -> None:
        self._writers: _Held[O] = _Held()
        self._readers: _Held[O] = _Held()
        self.writers = self._writers.of
        """For the table, which takes and frees an exclusive lock that is the only one of its owner, where
        nobody reads, without going through `lock` and `unlock`: here and in `written`."""
        self.written: Disjoint[O] = Disjoint()
        self.shared: Overlapping[O] = Overlapping()
        for owner, start, end, exclusive in rows:
            self.lock(owner, start, end, exclusive)

    def __len__(self) -> int:
        return self.written.size + self.shared.size

    def __iter__(self) -> Iterator[Row[O]]:
        for owner, start, end in self.written:
            yield owner, start, end, True
        for owner, start, end in self.shared:
            yield owner, start, end, False

    def freeze(self) -> Iterator[Row[O]]:
        """The locks held now, whatever comes while this is read."""
        written, shared = self.written.freeze(), self.shared.freeze()
        return chain(
            ((owner, start, end, True) for owner, start, end in written),
            ((owner, start, end, False) for owner, start, end in shared),
        )

    def of(self, owner: O) -> Iterator[Row[O]]:
        """The locks of one owner."""
        for start, end in self._writers.spans(owner):
            yield owner, start, end, True
        for start, end in self._readers.spans(owner):
            yield owner, start, end, False

    def conflicts(self, owner: O | None, start: int, end: int, exclusive: bool) -> Iterator[Row[O]]:
        """Every lock of another owner that forbids this one."""
        for other, low, high in self.written.others(start, end, owner):
            yield other, low, high, True
        if exclusive:
            for other, low, high in self.shared.others(start, end, owner):
                yield other, low, high, False

    def test(self, owner: O | None, start: int, end: int, exclusive: bool) -> Row[O] | None:
        """One lock of another owner that forbids this one."""
        if not _only(owner, self._writers.of):
            found = self.written.find_other(start, end, owner)
            if found is not None:
                return *found, True
        if exclusive and not _only(owner, self._readers.of):
            found = self.shared.find_other(start, end, owner)
            if found is not None:
                return *found, False
        return None

    def lock(self, owner: O, start: int, end: int, exclusive: bool) -> Row[O] | None:
        """Take the lock, or return one that forbids it."""
        clash = self.test(owner, start, end, exclusive)
        if clash is not None:
            return clash
        if exclusive:
            if owner in self._readers.of:
                self._unshare(owner, start, end)
            joined = self._writers.add(owner, start, end)
            if joined is not None:
                swallowed, start, end = joined
                for low, _ in swallowed:
                    self.written.remove(low)
                self.written.insert(start, end, owner)
        else:
            if owner in self._writers.of:
                self._unwrite(owner, start, end)
            joined = self._readers.add(owner, start, end)
            if joined is not None:
                swallowed, start, end = joined
                for low, _ in swallowed:
                    self.shared.remove(low, owner)
                self.shared.insert(start, end, owner)
        return None

    def write_each(self, owners: Sequence[O], spans: Sequence[Span]) -> int:
        """Take exclusive locks one after the other, as long as that is easy: each of an owner that has none,
        where nobody has any. How many were taken."""
        if self.shared.size:
            return 0
        return self.written.claim_each(owners, spans, self.writers)

    def unwrite_each(self, owners: Sequence[O], spans: Sequence[Span]) -> int:
        """Free exclusive locks one after the other, as long as that is easy: each the only one of its owner,
        and all of it. How many were freed."""
        if self.shared.size:
            return 0
        return self.written.remove_each(owners, spans, self.writers)

    def unlock(self, owner: O, start: int, end: int) -> bool:
        """Free what `owner` holds of [start, end); False if that was nothing."""
        freed = owner in self._writers.of and self._unwrite(owner, start, end)
        if owner in self._readers.of and self._unshare(owner, start, end):
            freed = True
        return freed

    def drop(self, match: Callable[[O], bool]) -> None:
        """Free all locks of the owners that `match`."""
        for owner in [owner for owner in self._writers.of if match(owner)]:
            self._unwrite(owner, 0, EOF)
        for owner in [owner for owner in self._readers.of if match(owner)]:
            self._unshare(owner, 0, EOF)

    def _unwrite(self, owner: O, start: int, end: int) -> bool:
        taken, kept = self._writers.cut(owner, start, end)
        if len(taken) == len(self.written):
            self.written.clear()
        else:
            for low, _ in taken:
                self.written.remove(low)
        for low, high in kept:
            self.written.insert(low, high, owner)
        return bool(taken)

    def _unshare(self, owner: O, start: int, end: int) -> bool:
        taken, kept = self._readers.cut(owner, start, end)
        if len(taken) == len(self.shared):
            self.shared.clear()
        else:
            for low, _ in taken:
                self.shared.remove(low, owner)
        for low, high in kept:
            self.shared.insert(low, high, owner)
        return bool(taken)


def _only(owner: O | None, held: dict[O, tuple[int, ...] | Spans]) -> bool:
    """Nobody but `owner` holds anything: its own locks, however many, need no search for another's."""
    return not held or (len(held) == 1 and owner in held)
