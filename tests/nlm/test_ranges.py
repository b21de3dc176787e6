# SPDX-License-Identifier: GPL-3.0-or-later
"""Ranges to and from the wire, and the set of ranges against a set of bytes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pydaemons.nlm import ranges
from pydaemons.nlm.ranges import EOF, Spans, to_length, to_range

LAST = (1 << 63) - 1


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, 1, (0, 1)),
        (0, 0, (0, EOF)),
        (LAST, 0, (LAST, EOF)),
        (LAST, 1, (LAST, EOF)),
        (1, LAST, (1, EOF)),
        (2, LAST, None),
        (LAST + 1, 0, None),
        (LAST + 1, 1, None),
        ((1 << 64) - 1, (1 << 64) - 1, None),
    ],
)
def test_a_range_ends_at_the_last_lockable_byte_or_is_none(offset, length, expected):
    assert to_range(offset, length) == expected


@given(st.integers(0, LAST), st.integers(0, LAST))
def test_a_length_comes_back_from_its_range_and_one_to_the_last_byte_as_zero(offset, length):
    span = to_range(offset, length)
    if span is None:
        assert offset + length > EOF
    else:
        assert span[0] == offset
        assert to_length(*span) == (0 if offset + length == EOF else length)


def runs(held):
    """The longest runs of consecutive numbers."""
    found = []
    for n in sorted(held):
        if found and found[-1][1] == n:
            found[-1] = (found[-1][0], n + 1)
        else:
            found.append((n, n + 1))
    return found


steps = st.lists(
    st.tuples(st.sampled_from(["add", "add", "cut", "take"]), st.integers(0, 60), st.integers(1, 12)),
    max_size=60,
)


@settings(deadline=None)
@given(steps, st.sampled_from([2, 3, 256]))
def test_spans_hold_the_bytes_added_and_not_cut_in_longest_runs(steps, load):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "LOAD", load)
        spans, held = Spans(), set()
        for step, start, length in steps:
            end = start + length
            before, touched = runs(held), set(range(start, end))
            assert spans.overlaps(start, end) == bool(held & touched)
            over = [run for run in before if run[0] < end and start < run[1]]
            if step == "add":
                joined = spans.add(start, end)
                assert (joined is None) == (touched <= held)
                held |= touched
                if joined is not None:
                    swallowed, low, high = joined
                    assert list(swallowed) == [run for run in before if low <= run[0] and run[1] <= high]
                    assert (low, high) in runs(held)
            elif step == "cut":
                taken, kept = spans.cut(start, end)
                held -= touched
                assert list(taken) == over
                assert list(kept) == [run for run in runs(held) if run not in before]
            else:
                assert spans.take(start, end) == over
                held = {n for n in held if not any(low <= n < high for low, high in over)}
            assert list(spans) == runs(held)
            assert len(spans) == len(runs(held))


def test_a_set_built_in_order_keeps_full_buckets_and_one_in_disorder_half_full_ones_at_least():
    places = list(range(20_000))
    ordered = Spans((n * 16, n * 16 + 8) for n in places)
    random.Random(3).shuffle(places)
    mixed = Spans((n * 16, n * 16 + 8) for n in places)
    assert list(ordered) == list(mixed)
    assert len(ordered._firsts) <= 1 + len(places) // ranges.LOAD
    assert len(mixed._firsts) <= 1 + 2 * len(places) // ranges.LOAD
