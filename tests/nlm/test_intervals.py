# SPDX-License-Identifier: GPL-3.0-or-later
"""Both indexes against a plain list, with buckets that split at once."""

from __future__ import annotations

import random

import pytest

from pydaemons.nlm import intervals
from pydaemons.nlm.intervals import Disjoint, Overlapping
from pydaemons.nlm.ranges import EOF


class Item:
    """Compared by identity."""


ITEMS = [Item() for _ in range(6)]


@pytest.fixture(autouse=True)
def tiny_buckets(monkeypatch):
    monkeypatch.setattr(intervals, "LOAD", 4)
    monkeypatch.setattr(Overlapping, "LOAD", 4)


def check(index, rows, dice):
    """rows: start, end, item of all that the index should hold."""
    assert len(index) == len(rows)
    assert {(start, end, item) for item, start, end in index} == rows
    assert [start for _, start, _ in index] == sorted(start for start, _, _ in rows)
    for _ in range(5):
        start = dice.randrange(60)
        end = dice.choice([start + 1, start + 5, EOF])
        mine = dice.choice([*ITEMS, None])
        others = [
            (item, low, high) for low, high, item in rows if low < end and start < high and item is not mine
        ]
        found = list(index.others(start, end, mine))
        assert len(found) == len(others) and set(found) == set(others)
        assert [low for _, low, _ in found] == sorted(low for _, low, _ in others)
        one = index.find_other(start, end, mine)
        assert one in others if others else one is None


@pytest.mark.parametrize("seed", range(30))
def test_disjoint_ranges_are_found_by_any_byte(seed):
    dice = random.Random(seed)
    index: Disjoint[Item] = Disjoint()
    rows: set[tuple[int, int, Item]] = set()
    for _ in range(300):
        start = dice.randrange(60)
        end = start + dice.choice([1, 1, 2, 4])
        clash = [row for row in rows if row[0] < end and start < row[1]]
        if not clash:
            row = (start, end, dice.choice(ITEMS))
            index.insert(*row)
            rows.add(row)
        elif dice.random() < 0.7:
            index.remove(clash[0][0])
            rows.discard(clash[0])
        check(index, rows, dice)
    index.clear()
    check(index, set(), dice)


@pytest.mark.parametrize("seed", range(30))
def test_overlapping_ranges_are_found_however_far_back_they_begin(seed):
    dice = random.Random(seed)
    index: Overlapping[Item] = Overlapping()
    rows: set[tuple[int, int, Item]] = set()
    lengths = dice.choice([[1, 2], [1, 1, 1, 30], [5, EOF], [1]])
    spread = dice.choice([1, 4, 60])
    for _ in range(300):
        start, item = dice.randrange(spread), dice.choice(ITEMS)
        known = [row for row in rows if row[0] == start and row[2] is item]
        if not known:
            row = (start, min(EOF, start + dice.choice(lengths)), item)
            index.insert(*row)
            rows.add(row)
        if dice.random() < 0.45:
            start, _, item = gone = dice.choice(sorted(rows, key=lambda row: (row[0], id(row[2]))))
            index.remove(start, item)
            rows.discard(gone)
        check(index, rows, dice)
    index.clear()
    check(index, set(), dice)


@pytest.mark.parametrize("seed", range(10))
def test_peaks_are_the_running_maximum_of_the_ends(seed):
    dice = random.Random(seed)
    index: Overlapping[Item] = Overlapping()
    held = []
    for _ in range(200):
        if held and dice.random() < 0.4:
            start, item = held.pop(dice.randrange(len(held)))
            index.remove(start, item)
        else:
            start, item = dice.randrange(50), Item()
            held.append((start, item))
            index.insert(start, start + dice.choice([1, 10, 100]), item)
        assert index._tops == [max(ends) for ends in index._ends]
        assert index._peaks == [max(index._tops[: n + 1]) for n in range(len(index._tops))]


@pytest.mark.parametrize("load", [4, 60, 1000])
@pytest.mark.parametrize("seed", range(10))
def test_many_ranges_come_and_go_together_as_one_by_one(seed, load, monkeypatch):
    monkeypatch.setattr(intervals, "LOAD", load)
    dice = random.Random(seed)
    items = [object() for _ in range(200)]
    together, alone = Disjoint(), Disjoint()
    known: dict[object, object] = {}
    for turn in range(60):
        chosen = dice.sample(items, dice.choice([1, 5, 40]))
        if turn < 30 or dice.random() < 0.4:
            spans = [(start, start + dice.randrange(1, 9)) for start in dice.sample(range(4000), len(chosen))]
            expected = dict(known)
            done = together.claim_each(chosen, spans, known)
            for item, span in zip(chosen[:done], spans[:done], strict=True):
                assert item not in expected and alone.claim(*span, item)
                expected[item] = span
            if done < len(chosen):
                assert chosen[done] in expected or not alone.claim(*spans[done], chosen[done])
        else:
            spans = [known.get(item, (0, 1)) for item in chosen]
            expected = dict(known)
            done = together.remove_each(chosen, spans, known)
            for item in chosen[:done]:
                alone.remove(expected.pop(item)[0])
            assert done == len(chosen) or chosen[done] not in expected
        assert known == expected
        assert list(together) == list(alone)
        assert len(together) == len(alone) == len(known)
    assert together.remove_each([*known], [*known.values()], known) == len(alone)
    assert not known
    assert not list(together)
