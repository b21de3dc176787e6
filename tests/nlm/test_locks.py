# SPDX-License-Identifier: GPL-3.0-or-later
"""One file's locks: the list and the index give the same answers, and the index stays small and shallow."""

from __future__ import annotations

import random
import sys
import tracemalloc
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydaemons.nlm.locks import FewLocks, ManyLocks
from pydaemons.nlm.ranges import EOF


class Owner:
    """Compared by identity."""


OWNERS = [Owner() for _ in range(4)]

spans = st.tuples(st.integers(0, 30), st.integers(1, 31)).map(
    lambda t: (t[0], EOF if sum(t) > 31 else sum(t))
)
requests = st.tuples(
    st.sampled_from(["lock", "lock", "unlock", "drop"]), st.sampled_from(OWNERS), spans, st.booleans()
)


@settings(deadline=None)
@given(st.lists(requests, max_size=80))
def test_the_list_and_the_index_agree(requests):
    few: FewLocks[Owner] = FewLocks()
    many: ManyLocks[Owner] = ManyLocks()
    for verb, owner, (start, end), exclusive in requests:
        clashes = set(few.conflicts(owner, start, end, exclusive))
        assert set(many.conflicts(owner, start, end, exclusive)) == clashes
        assert (many.test(owner, start, end, exclusive) is None) == (not clashes)
        if verb == "lock":
            answers = few.lock(owner, start, end, exclusive), many.lock(owner, start, end, exclusive)
            assert all(answer in clashes if clashes else answer is None for answer in answers)
        elif verb == "unlock":
            assert few.unlock(owner, start, end) == many.unlock(owner, start, end)
        else:
            few.drop(lambda other, gone=owner: other is gone)
            many.drop(lambda other, gone=owner: other is gone)
        assert sorted(few, key=repr) == sorted(many, key=repr)
        assert len(few) == len(many)
        assert sorted(many.of(owner), key=repr) == sorted((row for row in few if row[0] is owner), key=repr)


def bytes_per_lock(rows):
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        locks: ManyLocks[Owner] = ManyLocks()
        for row in rows:
            locks.lock(*row)
        return (tracemalloc.get_traced_memory()[0] - before) / len(locks)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("order", ["ascending", "descending", "random"])
def test_a_lock_among_many_of_its_owner_takes_less_than_60_bytes(exclusive, order):
    places = list(range(30_000))
    if order == "descending":
        places.reverse()
    elif order == "random":
        random.Random(7).shuffle(places)
    owners = OWNERS[:2]
    rows = [(owners[n & 1], n * 16, n * 16 + 8, exclusive) for n in places]
    assert bytes_per_lock(rows) < 60


@pytest.mark.parametrize("each", [1, 2, 3])
def test_a_lock_of_one_among_thousands_of_owners_takes_less_than_220_bytes(each):
    owners = [Owner() for _ in range(10_000)]
    rows = [
        (owner, (n * each + k) * 16, (n * each + k) * 16 + 8, True)
        for n, owner in enumerate(owners)
        for k in range(each)
    ]
    assert bytes_per_lock(rows) < 220


def test_thousands_of_readers_of_the_whole_file_let_a_writer_see_all_of_them():
    readers = [Owner() for _ in range(10_000)]
    locks: ManyLocks[Owner] = ManyLocks((owner, 0, EOF, False) for owner in readers)
    assert {row[0] for row in locks.conflicts(OWNERS[0], 5, 6, True)} == set(readers)
    first = readers[0]
    assert locks.lock(first, 0, EOF, True) is not None
    for owner in readers[1:]:
        assert locks.unlock(owner, 0, EOF)
    assert locks.lock(first, 0, 10, True) is None
    assert set(locks) == {(first, 0, 10, True), (first, 10, EOF, False)}


def lines_run(verb, *request):
    """How many lines of Python a verb runs: a measure of work that no other load on the machine changes."""
    count = 0

    def trace(frame, event, arg):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        verb(*request)
    finally:
        sys.settrace(before)
    return count


def work(held, *, distinct, exclusive):
    """Lines run by each verb, at worst, on a file with so many records locked, all over it."""
    owners = [Owner() for _ in range(held if distinct else 1)]
    places = list(range(held))
    random.Random(11).shuffle(places)
    locks = ManyLocks((owners[n % len(owners)], n * 16, n * 16 + 8, exclusive) for n in places)
    stranger = Owner()
    done = Counter()
    for n in random.Random(12).sample(range(held), 60):
        start, owner = n * 16, owners[n % len(owners)]
        verbs = {
            "test free": (locks.test, stranger, start + 8, start + 16, True),
            "test held": (locks.test, stranger, start + 7, start + 9, True),
            "lock": (locks.lock, owner, start + 10, start + 12, exclusive),
            "relock": (locks.lock, owner, start + 10, start + 12, exclusive),
            "unlock": (locks.unlock, owner, start + 10, start + 12),
            "unlock a part": (locks.unlock, owner, start + 2, start + 4),
            "lock it again": (locks.lock, owner, start + 2, start + 4, exclusive),
        }
        if distinct:
            verbs["unlock the whole file"] = (locks.unlock, owner, 0, EOF)
            verbs["lock a stranger's"] = (locks.lock, stranger, start, start + 8, True)
            verbs["unlock a stranger's"] = (locks.unlock, stranger, 0, EOF)
            verbs["lock as before"] = (locks.lock, owner, start, start + 8, exclusive)
        for name, verb in verbs.items():
            done[name] = max(done[name], lines_run(*verb))
    assert len(locks) == held
    return done


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("distinct", [True, False])
def test_no_verb_does_more_work_among_20000_locks_than_among_200_but_for_a_split(distinct, exclusive):
    few = work(200, distinct=distinct, exclusive=exclusive)
    many = work(20_000, distinct=distinct, exclusive=exclusive)
    for verb, lines in few.items():
        assert many[verb] <= 1.2 * lines + 20, verb
