# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces of a grant against a naive dictionary of bytes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pydaemons.nlm.beneath import Pieces, cut, lay, overlay

SIZE = 12
SPAN = st.tuples(st.integers(0, SIZE - 1), st.integers(1, SIZE)).map(lambda s: (s[0], min(s[0] + s[1], SIZE)))
MODES = st.sampled_from([None, False, True])


def expand(pieces: Pieces) -> dict[int, bool | None]:
    """How each byte was held; each is in one piece only."""
    held = [(byte, mode) for start, end, mode in pieces for byte in range(start, end)]
    assert len(dict(held)) == len(held)
    assert list(pieces) == sorted(pieces, key=lambda piece: piece[0])
    return dict(held)


@st.composite
def disjoint(draw: st.DrawFn, modes: st.SearchStrategy[bool | None] = MODES) -> Pieces:
    bounds = sorted(draw(st.sets(st.integers(0, SIZE), max_size=6)))
    pieces = [(a, b, draw(modes)) for a, b in pairwise(bounds)]
    return tuple(piece for piece in pieces if draw(st.booleans()))


@given(SPAN, disjoint(st.booleans()))
def test_a_grant_lies_on_what_its_owner_held_and_on_nothing_elsewhere(span, held):
    had = expand(held)
    assert expand(lay(*span, reversed(held))) == {byte: had.get(byte) for byte in range(*span)}


@given(disjoint(), SPAN)
def test_bytes_that_are_cut_out_are_gone_and_no_others(pieces, span):
    assert expand(cut(pieces, *span)) == {
        byte: mode for byte, mode in expand(pieces).items() if byte not in range(*span)
    }


@given(disjoint(), disjoint())
def test_what_lies_over_counts_and_adds_no_bytes(pieces, others):
    under, over = expand(pieces), expand(others)
    assert expand(overlay(pieces, others)) == {byte: over.get(byte, mode) for byte, mode in under.items()}
