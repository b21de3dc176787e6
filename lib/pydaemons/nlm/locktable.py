# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock table: every held byte-range lock, by file key. Read `LockTable.lock`; locks.py has the rules.

An owner is any hashable object that the caller interns, one per (client, svid): owners are compared by
identity and their equality, if they define one, must mean the same. Ranges are half-open [start, end) with
0 <= start < end <= EOF, as `ranges.to_range` makes them; the table does not check them again. Nothing here
waits: a denied caller who wants to block joins the queue in waiters.py.

A file's entry takes one of three forms, cheapest first: its only lock as a bare row, `FewLocks`, `ManyLocks`.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

from pydaemons.nlm.locks import FewLocks, ManyLocks, Row
from pydaemons.nlm.ranges import Span

O = TypeVar("O")  # noqa: E741  the owner of a lock

FEW = 8
"""With more locks than this a file's list becomes an index,"""
AGAIN_FEW = 4
"""and with this many left a list again; apart, so that a file on the border does not go to and fro."""


class Holder(NamedTuple, Generic[O]):
    """A held lock, as TEST and denials report it."""

    owner: O
    start: int
    end: int
    """One past the last byte; EOF: to the end of the file."""
    exclusive: bool


class LockTable(Generic[O]):
    """All held locks. `len(table)` is the number of held ranges, `table.files` that of files with any.

    Whatever frees bytes tells so, for the caller to serve waiters: `unlock` by True, the drops by the files
    concerned. A granted *shared* lock may free as well, when its owner held the range exclusively before.
    """

    __slots__ = ("_counts", "_entries", "_extra", "_group", "_spare")

    def __init__(self) -> None:
        self._entries: dict[bytes, Row[O] | FewLocks[O] | ManyLocks[O]] = {}
        self._extra = 0  # held ranges beyond one per file: the path of a file's only lock counts nothing
        self._group: Callable[[O], Hashable] | None = None
        self._counts: Counter[Hashable] = Counter()
        self._spare: ManyLocks[O] | None = None
        """An index of a file that has no locks any more, for the next one that needs one at once."""

    def __len__(self) -> int:
        return len(self._entries) + self._extra

    @property
    def files(self) -> int:
        """How many files have locks."""
        return len(self._entries)

    def names(self) -> Iterator[bytes]:
        """The files that have locks. The table must not change while this is read."""
        return iter(self._entries)

    def count(self, file: bytes) -> int:
        """How many ranges are held on one file."""
        entry = self._entries.get(file, ())
        return 1 if isinstance(entry, tuple) and entry else len(entry)

    def held_by(self, group: Callable[[O], Hashable], member: Hashable) -> int:
        """How many ranges the owners of one group hold, a client's say. Who asks for the first time, or for
        another grouping, waits for one pass over the table; from then on it is counted along."""
        if self._group is not group:
            self._group = group
            self._recount()
        return self._counts[member]

    def lock(self, file: bytes, owner: O, start: int, end: int, exclusive: bool) -> Holder[O] | None:
        """Take the lock: None when granted, else one lock of another owner that forbids it.

        Granted, it replaces whatever `owner` held of the range (upgrade, downgrade, split) and joins with its
        neighbours of the same mode; a lock already held is granted again. Denied, nothing changes.
        """
        entries = self._entries
        entry = entries.get(file)
        if entry is None:
            entries[file] = (owner, start, end, exclusive)
            if self._group is not None:
                self._count(owner, 1)
            return None
        if type(entry) is ManyLocks:
            # nothing to join with, nothing to divide: as good as all locks on a busy file
            writers = entry.writers
            if (
                exclusive
                and not entry.shared.size
                and owner not in writers
                and entry.written.claim(start, end, owner)
            ):
                writers[owner] = (start, end)
                self._extra += 1
                if self._group is not None:
                    self._count(owner, 1)
                return None
        elif isinstance(entry, tuple):
            entry = FewLocks((entry,))
        before = len(entry)
        clash = entry.lock(owner, start, end, exclusive)
        if clash is not None:
            return Holder(*clash)
        if self._group is not None:
            self._count(owner, len(entry) - before)
        self._settle(file, entry, before)
        return None

    def unlock(self, file: bytes, owner: O, start: int, end: int) -> bool:
        """Free what `owner` holds of [start, end), splitting where needed; True if that was anything."""
        entries = self._entries
        entry = entries.get(file)
        if entry is None:
            return False
        if type(entry) is ManyLocks:
            written, writers = entry.written, entry.writers
            if written.size > AGAIN_FEW + 1 and not entry.shared.size and writers.get(owner) == (start, end):
                del writers[owner]
                written.remove(start)
                self._extra -= 1
                if self._group is not None:
                    self._count(owner, -1)
                return True
        elif isinstance(entry, tuple):
            holder, low, high, _ = entry
            if holder is not owner or high <= start or end <= low:
                return False
            if start <= low and high <= end:
                del entries[file]
                if self._group is not None:
                    self._count(owner, -1)
                return True
            entry = FewLocks((entry,))
        before = len(entry)
        freed = entry.unlock(owner, start, end)
        if freed:
            if self._group is not None:
                self._count(owner, len(entry) - before)
            self._settle(file, entry, before)
        return freed

    def lock_each(self, file: bytes, owners: Sequence[O], spans: Sequence[Span], exclusive: bool) -> int:
        """As `lock` for one after the other, as far as that is quicker done for many: how many, from the
        first on, were granted. The others are as they were, and for `lock`."""
        if not exclusive:
            return 0
        entry = self._entries.get(file)
        if type(entry) is ManyLocks:
            taken = entry.write_each(owners, spans)
            self._extra += taken
        elif len(owners) < FEW:
            return 0
        else:
            if entry is None:
                self._extra -= 1
            rows = (entry,) if isinstance(entry, tuple) else entry or ()
            entry = self._entries[file] = ManyLocks(rows) if rows else self._spare or ManyLocks()
            self._spare = None
            before = len(entry)
            taken = entry.write_each(owners, spans)
            self._settle(file, entry, before)
        if self._group is not None:
            for owner in owners[:taken]:
                self._count(owner, 1)
        return taken

    def unlock_each(self, file: bytes, owners: Sequence[O], spans: Sequence[Span]) -> int:
        """As `unlock`, likewise: how many, from the first on, freed all that was asked."""
        entry = self._entries.get(file)
        if type(entry) is not ManyLocks:
            return 0
        freed = entry.unwrite_each(owners, spans)
        if entry.written.size > AGAIN_FEW:
            self._extra -= freed
        else:
            self._settle(file, entry, len(entry) + freed)
        if self._group is not None:
            for owner in owners[:freed]:
                self._count(owner, -1)
        return freed

    def test(self, file: bytes, owner: O | None, start: int, end: int, exclusive: bool) -> Holder[O] | None:
        """What `lock` would answer; nothing changes. With owner None: one who holds nothing."""
        entry = self._entries.get(file)
        if entry is None:
            return None
        if isinstance(entry, ManyLocks):
            clash = entry.test(owner, start, end, exclusive)
        else:
            few = FewLocks((entry,)) if isinstance(entry, tuple) else entry
            clash = next(few.conflicts(owner, start, end, exclusive), None)
        return None if clash is None else Holder(*clash)

    def conflicts(self, file: bytes, owner: O, start: int, end: int, exclusive: bool) -> Iterator[O]:
        """Every other owner whose locks forbid this one, each once: whom it would wait for."""
        entry = self._entries.get(file)
        if entry is None:
            return
        if isinstance(entry, tuple):
            entry = FewLocks((entry,))
        seen: set[O] = set()
        for other, *_ in entry.conflicts(owner, start, end, exclusive):
            if other not in seen:
                seen.add(other)
                yield other

    def held(self, file: bytes, start: int, end: int) -> Iterator[Holder[O]]:
        """The locks that have bytes of [start, end). The table must not change while this is read."""
        entry = self._entries.get(file)
        if entry is None:
            return
        if isinstance(entry, tuple):
            entry = FewLocks((entry,))
        for row in entry.conflicts(None, start, end, True):
            yield Holder(*row)

    def own(self, file: bytes, owner: O) -> list[tuple[int, int, bool]]:
        """start, end, exclusive of all that one owner holds on a file, in any order."""
        entry = self._entries.get(file)
        if entry is None:
            return []
        if isinstance(entry, tuple):
            return [entry[1:]] if entry[0] is owner else []
        return [row[1:] for row in entry.of(owner)]

    def drop(self, match: Callable[[O], bool]) -> list[bytes]:
        """Free all locks of every owner that `match` (a client's, say); the files on which there were any.

        One pass over the whole table: crashes and FREE_ALL are rare, and locking pays nothing for them.
        """
        freed: list[bytes] = []
        for file, entry in list(self._entries.items()):
            if isinstance(entry, tuple):
                if match(entry[0]):
                    del self._entries[file]
                    freed.append(file)
                continue
            before = len(entry)
            entry.drop(match)
            if len(entry) < before:
                freed.append(file)
                self._settle(file, entry, before)
        self._recount()
        return freed

    def release_file(self, file: bytes) -> int:
        """Free all locks on a file; how many there were."""
        if self._group is not None:
            for _, held in self.locks(file):
                self._count(held.owner, -1)
        entry = self._entries.pop(file, None)
        if entry is None:
            return 0
        if isinstance(entry, tuple):
            return 1
        self._extra -= len(entry) - 1
        return len(entry)

    def clear(self) -> None:
        """Free everything."""
        self._entries.clear()
        self._extra = 0
        self._counts.clear()

    def locks(self, file: bytes | None = None, owner: O | None = None) -> Iterator[tuple[bytes, Holder[O]]]:
        """The held locks, of one file or owner if given. The table must not change while this is read."""
        for key in self._entries if file is None else (file,):
            entry = self._entries.get(key)
            if entry is None:
                continue
            if isinstance(entry, tuple):
                entry = FewLocks((entry,))
            for row in entry if owner is None else entry.of(owner):
                yield key, Holder(*row)

    def owners(self) -> set[O]:
        """All owners that hold anything; one pass over the table."""
        return {holder.owner for _, holder in self.locks()}

    def dump(self) -> Iterator[tuple[bytes, O, int, int, bool]]:
        """file, owner, start, end, exclusive of every lock: what `load` needs to rebuild the table."""
        for file, holder in self.locks():
            yield file, *holder

    def freeze(self) -> Iterator[tuple[bytes, O, int, int, bool]]:
        """As `dump`, of the locks held now: the table may change while this is read. Copying takes a fiftieth
        of the time that reading does."""
        entries = dict(self._entries)
        changing = {file: entry.freeze() for file, entry in entries.items() if not isinstance(entry, tuple)}
        return _thaw(entries, changing)

    def load(self, rows: Iterable[tuple[bytes, O, int, int, bool]]) -> None:
        """Take the locks of a dump, in any order."""
        for file, owner, start, end, exclusive in rows:
            self.lock(file, owner, start, end, exclusive)

    def _count(self, owner: O, more: int) -> None:
        assert self._group is not None
        member = self._group(owner)
        self._counts[member] += more
        if not self._counts[member]:
            del self._counts[member]

    def _recount(self) -> None:
        """Count by groups anew, if anybody wants to know."""
        if self._group is not None:
            group = self._group
            self._counts = Counter(group(held.owner) for _, held in self.locks())

    def _settle(self, file: bytes, entry: FewLocks[O] | ManyLocks[O], before: int) -> None:
        """Store `entry`, changed from `before` locks, in the form that suits its size."""
        if isinstance(entry, ManyLocks):
            size = entry.written.size + entry.shared.size
            if size > AGAIN_FEW:
                self._extra += size - before
                return
        size = len(entry)
        self._extra += size - before
        if size == 0:
            self._extra += 1
            del self._entries[file]
            if isinstance(entry, ManyLocks):
                self._spare = entry
        elif size == 1:
            self._entries[file] = next(iter(entry))
        elif isinstance(entry, FewLocks):
            self._entries[file] = ManyLocks(entry) if size > FEW else entry
        elif size <= AGAIN_FEW:
            self._entries[file] = FewLocks(entry)


def _thaw(
    entries: dict[bytes, Row[O] | FewLocks[O] | ManyLocks[O]], changing: dict[bytes, Iterator[Row[O]]]
) -> Iterator[tuple[bytes, O, int, int, bool]]:
    """The rows of a frozen table."""
    for file, entry in entries.items():
        for row in (entry,) if isinstance(entry, tuple) else changing.pop(file):
            yield file, *row
