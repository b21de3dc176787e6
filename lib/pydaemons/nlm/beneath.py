# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies beneath a lock that was granted after waiting and not acknowledged yet: what its owner held of
the range before. Read `lay` first; grants.py keeps it, Server gives back by it.

A client may refuse such a lock, or die without a word. Then its bytes become what they were, no less: the
client knows of what it had before, and may be writing there. So each unacknowledged grant carries pieces,
disjoint and sorted: these bytes are mine to give back, and this is what they were. Bytes leave the pieces
when the client shows that it knows of a lock there; then nobody takes them from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

Piece: TypeAlias = tuple[int, int, bool | None]
"""start, end, and how its owner held it: exclusively, shared, or not at all (None)."""
Pieces: TypeAlias = tuple[Piece, ...]


def lay(start: int, end: int, held: Iterable[tuple[int, int, bool]]) -> Pieces:
    """The pieces of a grant of [start, end) over what its owner holds, on all of the file and in any
    order."""
    return overlay(((start, end, None),), held)


def cut(pieces: Pieces, start: int, end: int) -> Pieces:
    """The pieces without [start, end)."""
    rest: list[Piece] = []
    for low, high, held in pieces:
        if high <= start or end <= low:
            rest.append((low, high, held))
            continue
        if low < start:
            rest.append((low, start, held))
        if end < high:
            rest.append((end, high, held))
    return tuple(rest)


def overlay(pieces: Pieces, others: Iterable[Piece]) -> Pieces:
    """The same bytes, and where `others` have them too, held as they say."""
    for start, end, held in others:
        over = [(max(low, start), min(high, end), held) for low, high, _ in pieces]
        pieces = (*cut(pieces, start, end), *[piece for piece in over if piece[0] < piece[1]])
    return tuple(sorted(pieces, key=lambda piece: piece[0]))
