# SPDX-License-Identifier: GPL-3.0-or-later
"""The queue of blocked locks: who waits for which range, and who goes next when bytes are freed.

Read `Waiters.ready` first; it is the reason for the rest. The rule of service: waiters are tried in the order
they came, and each that no *held* lock forbids is granted at once; so readers go together, and of two that
want the same bytes the earlier goes first. A waiter that cannot go yet reserves nothing: a later one, or a
newcomer, whose lock conflicts only with waiting ones is granted, as Linux does. A reservation would make
waits that are in no held lock, and deadlocks of them: A waits for B's byte 0 and C's byte 9, B waits for C's
byte 9, C lets go; if A's place in the queue kept B out, neither would ever move. And so a cancelled wait
never lets anybody in.

Waiters for one range in one mode stand in one `_Line`, oldest first; per file and mode an index finds the
lines that overlap freed bytes. Thousands in one line cost an unlock one or two attempts, thousands of lines
elsewhere none.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import chain
from typing import Generic, TypeVar

from pydaemons.nlm.beneath import Pieces, lay
from pydaemons.nlm.intervals import Overlapping
from pydaemons.nlm.locktable import LockTable
from pydaemons.nlm.ranges import Span, Spans

O = TypeVar("O")  # noqa: E741  the owner of a lock, as in the lock table
P = TypeVar("P")  # what the caller must remember of a blocked request


@dataclass(slots=True, eq=False)
class Waiter(Generic[O, P]):
    """One blocked lock."""

    file: bytes
    owner: O
    start: int
    end: int
    exclusive: bool
    payload: P
    """The caller's: cookie, handle, where to send GRANTED. A retransmission may replace it."""
    turn: int
    """Its place: earlier turns are tried first."""
    beneath: Pieces = ()
    """Once it was granted: what its owner had there before, as long as that may come back."""


class _Line(Generic[O, P]):
    """Those who wait for exactly one range in one mode, by owner, oldest first."""

    __slots__ = ("end", "exclusive", "start", "waiting")

    def __init__(self, start: int, end: int, exclusive: bool) -> None:
        self.start = start
        self.end = end
        self.exclusive = exclusive
        self.waiting: OrderedDict[O, Waiter[O, P]] = OrderedDict()

    @property
    def head(self) -> Waiter[O, P]:
        return next(iter(self.waiting.values()))


class _Queue(Generic[O, P]):
    """The lines of one file."""

    __slots__ = ("lines", "readers", "size", "writers")

    def __init__(self) -> None:
        self.lines: dict[tuple[int, int, bool], _Line[O, P]] = {}
        self.readers: Overlapping[_Line[O, P]] = Overlapping()
        self.writers: Overlapping[_Line[O, P]] = Overlapping()
        self.size = 0

    def over(self, start: int, end: int) -> Iterator[_Line[O, P]]:
        """The lines that overlap [start, end)."""
        for line, _, _ in chain(self.readers.others(start, end, None), self.writers.others(start, end, None)):
            yield line

    def index(self, exclusive: bool) -> Overlapping[_Line[O, P]]:
        return self.writers if exclusive else self.readers


class Waiters(Generic[O, P]):
    """All blocked locks, by file and by owner. `len(waiters)` is their number."""

    __slots__ = ("_counts", "_group", "_owners", "_size", "_turn", "queues")

    def __init__(self, group: Callable[[O], Hashable] = lambda owner: owner) -> None:
        """`group` says whose an owner is, for `waiting_of`."""
        self._group = group
        self._counts: Counter[Hashable] = Counter()
        self.queues: dict[bytes, _Queue[O, P]] = {}
        """By file, where anybody waits; to be read only. The packet path asks whether a file is in it."""
        self._owners: dict[O, dict[Waiter[O, P], None]] = {}
        self._size = 0
        self._turn = 0

    def __len__(self) -> int:
        return self._size

    def count(self, file: bytes) -> int:
        """How many wait on one file."""
        queue = self.queues.get(file)
        return 0 if queue is None else queue.size

    def waiting_of(self, member: Hashable) -> int:
        """How many wait of one group's owners."""
        return self._counts[member]

    def add(
        self, file: bytes, owner: O, start: int, end: int, exclusive: bool, *, payload: P
    ) -> Waiter[O, P]:
        """Queue a denied lock. If it stands there already, that one is returned as it is: never twice."""
        queue = self.queues.get(file)
        if queue is None:
            queue = self.queues[file] = _Queue()
        key = (start, end, exclusive)
        line = queue.lines.get(key)
        if line is None:
            line = queue.lines[key] = _Line(start, end, exclusive)
            queue.index(exclusive).insert(start, end, line)
        elif owner in line.waiting:
            return line.waiting[owner]
        self._turn += 1
        waiter = Waiter(file, owner, start, end, exclusive, payload, turn=self._turn)
        line.waiting[owner] = waiter
        self._owners.setdefault(owner, {})[waiter] = None
        queue.size += 1
        self._size += 1
        self._counts[self._group(owner)] += 1
        return waiter

    def find(self, file: bytes, owner: O, start: int, end: int, exclusive: bool) -> Waiter[O, P] | None:
        """The waiter of exactly this owner, range and mode: what a retransmitted LOCK asks for again."""
        queue = self.queues.get(file)
        line = None if queue is None else queue.lines.get((start, end, exclusive))
        return None if line is None else line.waiting.get(owner)

    def cancel(self, file: bytes, owner: O, start: int, end: int, exclusive: bool) -> Waiter[O, P] | None:
        """Take out the waiter of exactly this owner, range and mode; None if there is none (XNFS,
        NLM_CANCEL)."""
        waiter = self.find(file, owner, start, end, exclusive)
        if waiter is not None:
            self._remove(waiter)
        return waiter

    def drop(self, match: Callable[[O], bool]) -> list[Waiter[O, P]]:
        """Take out all waiters of the owners that `match`."""
        gone = [waiter for owner, own in self._owners.items() if match(owner) for waiter in own]
        for waiter in gone:
            self._remove(waiter)
        return gone

    def waiters(self, file: bytes | None = None, owner: O | None = None) -> Iterator[Waiter[O, P]]:
        """Who waits, of one file or owner if given; oldest first on each file."""
        if owner is not None:
            yield from [waiter for waiter in self._owners.get(owner, ()) if file in (None, waiter.file)]
            return
        for key in list(self.queues) if file is None else (file,):
            queue = self.queues.get(key)
            if queue is not None:
                found = [waiter for line in queue.lines.values() for waiter in line.waiting.values()]
                yield from sorted(found, key=lambda waiter: waiter.turn)

    def unordered(self) -> Iterator[Waiter[O, P]]:
        """Who waits, in any order; nobody may come or go while this is read."""
        return chain.from_iterable(self._owners.values())

    def blockers(self, table: LockTable[O], owner: O) -> Iterator[O]:
        """Whose held locks `owner` waits for now, over all its blocked locks: the edges of the wait-for
        graph."""
        for waiter in self._owners.get(owner, ()):
            yield from table.conflicts(waiter.file, owner, waiter.start, waiter.end, waiter.exclusive)

    def ready(self, table: LockTable[O], file: bytes, start: int, end: int) -> Sequence[Waiter[O, P]]:
        """Grant, in `table`, every waiter that freed bytes let in; they leave the queue, returned in order.

        [start, end) is what was freed or downgraded, or anything that covers it. To be called after each such
        change, before the next: a waiter none of whose bytes was freed is not tried.
        """
        queue = self.queues.get(file)
        if queue is None:
            return ()
        granted: list[Waiter[O, P]] = []
        freed = Spans(((start, end),))
        while (downgraded := self._serve(queue, table, freed, granted)) is not None:
            freed.add(*downgraded)
        return granted

    def _serve(
        self, queue: _Queue[O, P], table: LockTable[O], freed: Spans, granted: list[Waiter[O, P]]
    ) -> Span | None:
        """One pass over who might go, oldest first. A range, if a grant downgraded it: start again with that.

        Every attempt, granted or not, shows a lock that is held. Whoever wants a byte of it has lost without
        an attempt of its own: the rest of the line just tried, and every line that crosses it. Only other
        waiters of the holder itself may fit there, and are tried for themselves.
        """
        held = {True: Spans(), False: Spans()}  # bytes seen to be held against a mode
        left = Spans(freed)  # freed bytes not seen to be held exclusively: none left, none to hand out
        heads = {line.head.turn: line for span in freed for line in queue.over(*span)}
        own: dict[int, Waiter[O, P]] = {}
        seen: set[O] = set()
        turns = sorted(heads)
        while turns and (left or own):
            turn = heappop(turns)
            line = heads.pop(turn, None)
            waiter = own.pop(turn, None)
            if waiter is None:
                if line is None or held[line.exclusive].overlaps(line.start, line.end):
                    continue
                waiter = line.head
            file, owner, mode = waiter.file, waiter.owner, waiter.exclusive
            start, end = waiter.start, waiter.end
            had = table.own(file, owner)
            wrote = not mode and table.test(file, None, start, end, exclusive=False) is not None
            holder = table.lock(file, owner, start, end, mode)
            if holder is None:
                self._remove(waiter)
                waiter.beneath = lay(start, end, had)
                granted.append(waiter)
                if wrote:
                    return start, end
                if line is not None and line.waiting:
                    heads[line.head.turn] = line
                    heappush(turns, line.head.turn)
            else:
                owner, start, end, mode = holder
            held[True].add(start, end)
            if mode:
                held[False].add(start, end)
                left.cut(start, end)
            if owner not in seen:
                seen.add(owner)
                for other in self._owners.get(owner, ()):
                    if other is not waiter and other.file == file and freed.overlaps(other.start, other.end):
                        own[other.turn] = other
                        heappush(turns, other.turn)
        return None

    def _remove(self, waiter: Waiter[O, P]) -> None:
        queue = self.queues[waiter.file]
        key = (waiter.start, waiter.end, waiter.exclusive)
        line = queue.lines[key]
        del line.waiting[waiter.owner]
        if not line.waiting:
            del queue.lines[key]
            queue.index(waiter.exclusive).remove(waiter.start, line)
        queue.size -= 1
        self._size -= 1
        if not queue.size:
            del self.queues[waiter.file]
        member = self._group(waiter.owner)
        self._counts[member] -= 1
        if not self._counts[member]:
            del self._counts[member]
        own = self._owners[waiter.owner]
        del own[waiter]
        if not own:
            del self._owners[waiter.owner]
