# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock table against a model that knows, for every byte and owner, nothing or a mode."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pydaemons.nlm import intervals, locktable, ranges
from pydaemons.nlm.locktable import Holder, LockTable
from pydaemons.nlm.ranges import EOF

SPACE = 24
"""Bytes of the model's file; its last one stands for everything up to EOF."""


class Owner:
    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


OWNERS = [Owner(name) for name in "ABCD"]
FILES = [b"one", b"two"]


def by_itself(owner):
    return owner


class Model:
    """bytes[file][n][owner] = exclusive."""

    def __init__(self) -> None:
        self.bytes = {file: [{} for _ in range(SPACE)] for file in FILES}

    def blockers(self, file, owner, start, end, exclusive):
        return {
            other
            for byte in self.bytes[file][start:end]
            for other, mode in byte.items()
            if other is not owner and (exclusive or mode)
        }

    def lock(self, file, owner, start, end, exclusive):
        for byte in self.bytes[file][start:end]:
            byte[owner] = exclusive

    def unlock(self, file, owner, start, end):
        return [byte.pop(owner, None) for byte in self.bytes[file][start:end]].count(None) < end - start

    def runs(self):
        """file, owner, start, end, exclusive of every longest run of one owner and mode."""
        found = set()
        for file, space in self.bytes.items():
            for owner in OWNERS:
                modes = [byte.get(owner) for byte in space]
                start = 0
                for n in range(1, SPACE + 1):
                    if n == SPACE or modes[n] != modes[start]:
                        if modes[start] is not None:
                            found.add((file, owner, start, EOF if n == SPACE else n, modes[start]))
                        start = n
        return found


spans = st.tuples(st.integers(0, SPACE - 1), st.integers(1, SPACE)).map(
    lambda t: (t[0], min(t[0] + t[1], SPACE))
)
files = st.sampled_from(FILES)
owners = st.sampled_from(OWNERS)


def real(end: int) -> int:
    return EOF if end == SPACE else end


class AgainstTheModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.table: LockTable[Owner] = LockTable()
        self.model = Model()

    @rule(file=files, owner=owners, span=spans, exclusive=st.booleans())
    def lock(self, file, owner, span, exclusive):
        start, end = span
        blockers = self.model.blockers(file, owner, start, end, exclusive)
        assert set(self.table.conflicts(file, owner, start, real(end), exclusive)) == blockers
        tested = self.table.test(file, owner, start, real(end), exclusive)
        answer = self.table.lock(file, owner, start, real(end), exclusive)
        assert (answer is None) == (tested is None) == (not blockers)
        if answer is None:
            self.model.lock(file, owner, start, end, exclusive)
        for clash in filter(None, (tested, answer)):
            assert isinstance(clash, Holder) and clash.owner in blockers
            assert clash.start < real(end) and start < clash.end and (exclusive or clash.exclusive)
            assert (file, *clash) in self.model.runs()

    @rule(file=files, owner=owners, span=spans)
    def unlock(self, file, owner, span):
        start, end = span
        assert self.table.unlock(file, owner, start, real(end)) == self.model.unlock(file, owner, start, end)

    @rule(file=files, span=spans)
    def held(self, file, span):
        start, end = span
        found = set(self.table.held(file, start, real(end)))
        assert found == {
            Holder(*run[1:])
            for run in self.model.runs()
            if run[0] == file and run[2] < real(end) and start < run[3]
        }

    @rule(owner=owners)
    def drop_owner(self, owner):
        freed = [file for file in FILES if self.model.unlock(file, owner, 0, SPACE)]
        assert sorted(self.table.drop(lambda other: other is owner)) == freed

    @rule(file=files)
    def release_file(self, file):
        held = sum(run[0] == file for run in self.model.runs())
        self.model.bytes[file] = [{} for _ in range(SPACE)]
        assert self.table.release_file(file) == held

    @rule()
    def reload(self):
        rows = list(self.table.dump())
        random.Random(len(rows)).shuffle(rows)
        self.table = LockTable()
        self.table.load(rows)

    @invariant()
    def holds_exactly_the_runs_of_the_model(self):
        rows = list(self.table.dump())
        runs = self.model.runs()
        assert len(rows) == len(set(rows)) == len(self.table)
        assert set(rows) == runs
        assert self.table.files == len({run[0] for run in runs})
        assert self.table.owners() == {run[1] for run in runs}
        for owner in OWNERS:
            assert self.table.held_by(by_itself, owner) == sum(run[1] is owner for run in runs)
            assert {(f, *h) for f, h in self.table.locks(owner=owner)} == {r for r in runs if r[1] is owner}
            for file in FILES:
                own = {run[2:] for run in runs if run[0] == file and run[1] is owner}
                assert set(self.table.own(file, owner)) == own
        assert {file: self.table.count(file) for file in self.table.names()} == Counter(
            run[0] for run in runs
        )
        assert self.table.count(b"none") == 0


AgainstTheModel.TestCase.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
TestLocksAgainstTheModel = AgainstTheModel.TestCase


@pytest.fixture
def tiny_buckets(monkeypatch):
    """Every bucket splits after a few entries and every file with two locks is indexed."""
    monkeypatch.setattr(ranges, "LOAD", 4)
    monkeypatch.setattr(intervals, "LOAD", 4)
    monkeypatch.setattr(intervals.Overlapping, "LOAD", 4)
    monkeypatch.setattr(locktable, "FEW", 1)
    monkeypatch.setattr(locktable, "AGAIN_FEW", 0)


@pytest.mark.parametrize("seed", range(40))
def test_indexed_files_with_many_buckets_keep_the_same_rules(tiny_buckets, seed):
    dice = random.Random(seed)
    machine = AgainstTheModel()
    steps = dice.choice([(machine.lock, 8, 1), (machine.lock, 3, 2), (machine.lock, 1, 3)])
    for _ in range(400):
        file, owner = dice.choice(FILES), dice.choice(OWNERS)
        start = dice.randrange(SPACE)
        span = (start, min(SPACE, start + dice.choice([1, 1, 1, 2, 3, SPACE])))
        if dice.randrange(sum(steps[1:])) < steps[1]:
            machine.lock(file, owner, span, dice.random() < 0.4)
        elif dice.randrange(50):
            machine.unlock(file, owner, span)
        else:
            machine.drop_owner(owner)
        machine.holds_exactly_the_runs_of_the_model()


rows = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 40), st.integers(1, 6)), max_size=30)


@given(rows, st.lists(st.tuples(st.booleans(), st.booleans(), rows), max_size=8))
def test_many_together_are_as_one_after_the_other(first, steps):
    owners = [Owner(str(number)) for number in range(12)]
    together, alone = LockTable(), LockTable()
    for table in (together, alone):
        for owner, start, size in first:
            table.lock(b"file", owners[owner], start, start + size, True)
        table.held_by(by_itself, owners[0])
    for locks, exclusive, asked in steps:
        chosen = [owners[owner] for owner, _, _ in asked]
        spans = [(start, start + size) for _, start, size in asked]
        if locks:
            done = together.lock_each(b"file", chosen, spans, exclusive)
        else:
            done = together.unlock_each(b"file", chosen, spans)
        for owner, (start, end) in zip(chosen[:done], spans[:done], strict=True):
            if locks:
                assert alone.lock(b"file", owner, start, end, exclusive) is None
            else:
                assert alone.unlock(b"file", owner, start, end)
        assert sorted(together.dump(), key=repr) == sorted(alone.dump(), key=repr)
        assert len(together) == len(alone) and together.files == alone.files
        assert [together.held_by(by_itself, o) for o in owners] == [
            alone.held_by(by_itself, o) for o in owners
        ]


def test_locks_of_many_owners_on_one_file_are_taken_and_freed_together():
    table = LockTable()
    owners = [Owner(str(number)) for number in range(20)]
    spans = [(number * 10, number * 10 + 5) for number in range(20)]
    assert table.lock_each(b"file", owners[:3], spans, True) == 0, "of so few each is quickly had by itself"
    assert table.lock_each(b"file", owners, spans, True) == 20
    assert len(table) == 20
    assert table.lock_each(b"file", [Owner("late")], [(5, 11)], True) == 0
    assert table.unlock_each(b"file", owners[:18], spans[:18]) == 18
    assert len(table) == 2
    assert table.unlock(b"file", owners[18], *spans[18])
    assert table.unlock(b"file", owners[19], *spans[19])
    assert table.files == 0
