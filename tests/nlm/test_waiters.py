# SPDX-License-Identifier: GPL-3.0-or-later
"""The queue of blocked locks against a model that tries every waiter, oldest first, after every change."""

from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pydaemons.nlm.deadlock import would_deadlock
from pydaemons.nlm.locktable import LockTable
from pydaemons.nlm.ranges import EOF
from pydaemons.nlm.waiters import Waiters


class Owner:
    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


OWNERS = [Owner(name) for name in "ABCDEF"]
FILES = [b"one", b"two"]
SPACE = 10

spans = st.tuples(st.integers(0, SPACE - 1), st.integers(1, SPACE)).map(
    lambda t: (t[0], EOF if t[0] + t[1] >= SPACE else t[0] + t[1])
)
files = st.sampled_from(FILES)
owners = st.sampled_from(OWNERS)


class AgainstTheModel(RuleBasedStateMachine):
    """Real and model share the rules of LockTable, which has a model of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.table: LockTable[Owner] = LockTable()
        self.waiters: Waiters[Owner, object] = Waiters()
        self.shadow: LockTable[Owner] = LockTable()
        self.queue: list[tuple[bytes, Owner, int, int, bool]] = []

    def serve(self):
        """The rule of service, naively: the oldest that fits goes, until none fits."""
        went = []
        while True:
            for wait in self.queue:
                if self.shadow.lock(*wait) is None:
                    self.queue.remove(wait)
                    went.append(wait)
                    break
            else:
                return went

    def compare(self, granted):
        assert [self.row(waiter) for waiter in granted] == self.serve()

    @staticmethod
    def row(waiter):
        return waiter.file, waiter.owner, waiter.start, waiter.end, waiter.exclusive

    @rule(file=files, owner=owners, span=spans, exclusive=st.booleans())
    def lock(self, file, owner, span, exclusive):
        wait = (file, owner, *span, exclusive)
        holder = self.table.lock(*wait)
        assert (self.shadow.lock(*wait) is None) == (holder is None)
        if holder is None:
            self.compare([] if exclusive else self.waiters.ready(self.table, file, *span))
            return
        known = self.waiters.find(*wait)
        assert (known is not None) == (wait in self.queue)
        assert self.waiters.add(*wait, payload=len(self.queue)) is (known or self.waiters.find(*wait))
        if known is None:
            self.queue.append(wait)

    @rule(file=files, owner=owners, span=spans)
    def unlock(self, file, owner, span):
        freed = self.table.unlock(file, owner, *span)
        assert self.shadow.unlock(file, owner, *span) == freed
        self.compare(self.waiters.ready(self.table, file, *span) if freed else [])

    @rule(owner=owners)
    def drop_an_owner_with_its_waits(self, owner):
        gone = self.waiters.drop(lambda other: other is owner)
        assert [self.row(waiter) for waiter in gone] == [wait for wait in self.queue if wait[1] is owner]
        self.queue = [wait for wait in self.queue if wait[1] is not owner]
        for file in self.table.drop(lambda other: other is owner):
            self.shadow.unlock(file, owner, 0, EOF)
            self.compare(self.waiters.ready(self.table, file, 0, EOF))

    @rule(data=st.data(), file=files, owner=owners, span=spans, exclusive=st.booleans())
    def cancel(self, data, file, owner, span, exclusive):
        wait = (file, owner, *span, exclusive)
        if self.queue and data.draw(st.booleans()):
            wait = data.draw(st.sampled_from(self.queue))
        gone = self.waiters.cancel(*wait)
        assert (gone is not None) == (wait in self.queue)
        if gone is not None:
            assert self.row(gone) == wait
            self.queue.remove(wait)

    @invariant()
    def the_same_wait_in_the_same_order_and_the_same_is_held(self):
        assert len(self.waiters) == len(self.queue)
        assert sorted(map(self.row, self.waiters.waiters()), key=self.queue.index) == [*self.queue]
        for file in FILES:
            mine = [wait for wait in self.queue if wait[0] == file]
            assert [self.row(waiter) for waiter in self.waiters.waiters(file)] == mine
            assert self.waiters.count(file) == len(mine)
        for owner in OWNERS:
            mine = [wait for wait in self.queue if wait[1] is owner]
            assert [self.row(waiter) for waiter in self.waiters.waiters(owner=owner)] == mine
            assert self.waiters.waiting_of(owner) == len(mine)
            blockers = {blocker for wait in mine for blocker in self.shadow.conflicts(*wait)}
            assert set(self.waiters.blockers(self.table, owner)) == blockers
        assert set(self.table.dump()) == set(self.shadow.dump())


AgainstTheModel.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestWaitersAgainstTheModel = AgainstTheModel.TestCase

FILE = b"file"


def blocked(table, waiters, owner, start, end, exclusive, payload=None):
    assert table.lock(FILE, owner, start, end, exclusive) is not None
    return waiters.add(FILE, owner, start, end, exclusive, payload=payload)


@pytest.fixture
def table():
    return LockTable()


@pytest.fixture
def waiters():
    return Waiters()


def test_readers_that_wait_together_go_together_and_the_writer_between_them_stays(table, waiters):
    a, b, c, d, *_ = OWNERS
    table.lock(FILE, a, 0, EOF, True)
    first = blocked(table, waiters, b, 0, 10, False)
    blocked(table, waiters, c, 0, EOF, True)
    second = blocked(table, waiters, d, 5, EOF, False)
    table.unlock(FILE, a, 0, EOF)
    assert waiters.ready(table, FILE, 0, EOF) == [first, second]
    assert [waiter.owner for waiter in waiters.waiters(FILE)] == [c]


def test_of_two_writers_for_the_same_bytes_the_earlier_goes_first(table, waiters):
    a, b, c, *_ = OWNERS
    table.lock(FILE, a, 0, 8, True)
    first = blocked(table, waiters, b, 0, 100, True)
    second = blocked(table, waiters, c, 0, 8, True)
    table.unlock(FILE, a, 0, 8)
    assert waiters.ready(table, FILE, 0, 8) == [first]
    table.unlock(FILE, b, 0, 100)
    assert waiters.ready(table, FILE, 0, 100) == [second]


def test_a_waiter_that_cannot_go_yet_makes_no_deadlock_with_one_behind_it(table, waiters):
    a, b, c, *_ = OWNERS
    table.lock(FILE, b, 0, 1, True)
    table.lock(FILE, c, 9, 10, True)
    blocked(table, waiters, a, 0, 10, True)
    later = blocked(table, waiters, b, 9, 10, True)
    table.unlock(FILE, c, 9, 10)
    assert waiters.ready(table, FILE, 9, 10) == [later]


def test_an_upgrade_goes_when_the_last_other_reader_leaves_though_a_writer_waited_longer(table, waiters):
    a, b, c, *_ = OWNERS
    table.lock(FILE, a, 0, EOF, False)
    table.lock(FILE, b, 0, EOF, False)
    blocked(table, waiters, c, 0, EOF, True)
    upgrade = blocked(table, waiters, a, 0, 5, True)
    table.unlock(FILE, b, 0, EOF)
    assert waiters.ready(table, FILE, 0, EOF) == [upgrade]


def test_a_granted_downgrade_lets_the_readers_go_that_it_kept_out(table, waiters):
    a, b, c, *_ = OWNERS
    table.lock(FILE, a, 0, 5, True)
    table.lock(FILE, b, 5, 10, True)
    reader = blocked(table, waiters, c, 0, 5, False)
    downgrade = blocked(table, waiters, a, 0, 10, False)
    table.unlock(FILE, b, 5, 10)
    assert waiters.ready(table, FILE, 5, 10) == [downgrade, reader]


def test_a_retransmission_finds_its_waiter_and_is_not_queued_twice(table, waiters):
    a, b, *_ = OWNERS
    table.lock(FILE, a, 0, 8, True)
    waiter = blocked(table, waiters, b, 0, 8, True, payload="first cookie")
    assert waiters.find(FILE, b, 0, 8, True) is waiter
    assert blocked(table, waiters, b, 0, 8, True, payload="second cookie") is waiter
    assert waiter.payload == "first cookie"
    assert len(waiters) == 1


@pytest.mark.parametrize(
    "other", [(FILE, 0, 0, 8, True), (FILE, 1, 0, 8, False), (FILE, 1, 0, 7, True), (b"other", 1, 0, 8, True)]
)
def test_cancel_needs_owner_range_mode_and_file(table, waiters, other):
    a, b, *_ = OWNERS
    table.lock(FILE, a, 0, 8, True)
    waiter = blocked(table, waiters, b, 0, 8, True)
    file, owner, *rest = other
    assert waiters.cancel(file, OWNERS[owner], *rest) is None
    assert waiters.cancel(FILE, b, 0, 8, True) is waiter
    assert waiters.cancel(FILE, b, 0, 8, True) is None
    assert len(waiters) == 0


def test_drop_takes_the_waits_of_all_owners_that_match(table, waiters):
    a, b, c, *_ = OWNERS
    table.lock(FILE, a, 0, 8, True)
    for owner in (b, c):
        blocked(table, waiters, owner, 0, 8, True)
    assert [waiter.owner for waiter in waiters.drop(lambda owner: owner is c)] == [c]
    assert [waiter.owner for waiter in waiters.waiters()] == [b]


class CountingTable(LockTable):
    """Counts how often a lock was tried."""

    tried = 0

    def lock(self, *request):
        self.tried += 1
        return super().lock(*request)


THOUSANDS = 5000


@pytest.mark.parametrize("exclusive", [True, False])
def test_thousands_that_wait_for_the_same_bytes_cost_few_attempts_for_each_that_goes(waiters, exclusive):
    table = CountingTable()
    holder = Owner("holder")
    table.lock(FILE, holder, 0, 8, True)
    crowd = [Owner(str(n)) for n in range(THOUSANDS)]
    for owner in crowd:
        waiters.add(FILE, owner, 0, 8, exclusive, payload=None)
    table.tried = 0
    order = []
    table.unlock(FILE, holder, 0, 8)
    for owner in [holder, *crowd]:
        table.unlock(FILE, owner, 0, 8)
        order += [waiter.owner for waiter in waiters.ready(table, FILE, 0, 8)]
    assert order == crowd
    assert table.tried <= 2 * THOUSANDS


def test_readers_that_leave_one_by_one_try_few_of_the_thousands_of_waiting_writers(waiters):
    table = CountingTable()
    readers = [Owner(str(n)) for n in range(500)]
    writers = [Owner(str(n)) for n in range(THOUSANDS)]
    for reader in readers:
        table.lock(FILE, reader, 0, EOF, False)
    for writer in writers:
        waiters.add(FILE, writer, 0, EOF, True, payload=None)
    table.tried = 0
    granted = []
    for reader in readers:
        table.unlock(FILE, reader, 0, EOF)
        granted += waiters.ready(table, FILE, 0, EOF)
    assert [waiter.owner for waiter in granted] == writers[:1]
    assert table.tried <= 3 * len(readers)


def test_a_whole_file_freed_at_once_serves_thousands_of_records_in_one_attempt_each(waiters):
    table = CountingTable()
    holder = Owner("holder")
    table.lock(FILE, holder, 0, EOF, True)
    crowd = [Owner(str(n)) for n in range(THOUSANDS)]
    places = list(range(THOUSANDS))
    random.Random(5).shuffle(places)
    for owner, place in zip(crowd, places, strict=True):
        waiters.add(FILE, owner, place * 16, place * 16 + 8, True, payload=None)
    table.tried = 0
    table.unlock(FILE, holder, 0, EOF)
    assert [waiter.owner for waiter in waiters.ready(table, FILE, 0, EOF)] == crowd
    assert table.tried == THOUSANDS


def test_thousands_of_lines_that_another_lock_keeps_waiting_cost_an_unlock_one_attempt(waiters):
    table = CountingTable()
    freed, kept = Owner("freed"), Owner("kept")
    table.lock(FILE, freed, 0, 1, True)
    table.lock(FILE, kept, 1, 2, True)
    for n in range(THOUSANDS):
        waiters.add(FILE, Owner(str(n)), 0, 2 + n, True, payload=None)
    table.unlock(FILE, freed, 0, 1)
    table.tried = 0
    assert waiters.ready(table, FILE, 0, 1) == []
    assert table.tried == 1


def test_a_wait_is_an_edge_of_the_deadlock_search_only_while_it_lasts(table, waiters):
    a, b, *_ = OWNERS

    def deadlocks(owner, start, end):
        blockers = table.conflicts(FILE, owner, start, end, True)
        return would_deadlock(owner, blockers, lambda other: waiters.blockers(table, other))

    table.lock(FILE, a, 0, 1, True)
    table.lock(FILE, b, 1, 2, True)
    blocked(table, waiters, a, 1, 2, True)
    assert deadlocks(b, 0, 1)
    waiters.cancel(FILE, a, 1, 2, True)
    assert not deadlocks(b, 0, 1)
    blocked(table, waiters, a, 1, 2, True)
    table.unlock(FILE, b, 1, 2)
    waiters.ready(table, FILE, 1, 2)
    assert not deadlocks(b, 0, 1)
