# SPDX-License-Identifier: GPL-3.0-or-later
"""Datagrams that came in pieces, put together again (RFC 1002 section 5.3.3). Read Fragments.add.

Whoever sends pieces makes us keep them, so everything is bounded: pieces and bytes of a datagram, datagrams
of a source and in all, and how long the last piece may take. Pieces that overlap are no accident: all of
their datagram is dropped.
"""

from __future__ import annotations

from pydaemons.netbios.dgram import MORE, Datagram

TIMEOUT = 2.0
"""FRAGMENT_TO of RFC 1002 section 6."""
PIECES = 16
BYTES = 4096
"""Of one datagram."""
PER_SOURCE = 4
"""Datagrams of one host under way."""
OPEN = 64
"""Datagrams of all hosts under way; a further one takes the place of the oldest."""

Key = tuple[str, int, int, bytes, bytes]


class _Partial:
    """What has come of a datagram."""

    __slots__ = ("began", "pieces", "size")

    def __init__(self, began: float) -> None:
        self.began = began
        self.pieces: dict[int, bytes] = {}
        self.size = -1
        """Of the whole; known from the last piece."""


class Fragments:
    """Datagrams under way."""

    def __init__(self) -> None:
        self._open: dict[Key, _Partial] = {}
        self.dropped = 0
        """Datagrams that were never complete, or made no sense."""

    def __len__(self) -> int:
        return len(self._open)

    def add(self, datagram: Datagram, host: str, mono: float) -> Datagram | None:
        """A piece came from `host`; the whole datagram when it was the last one missing."""
        self._expire(mono)
        key = (host, datagram.kind, datagram.id, datagram.source, datagram.destination)
        partial = self._open.get(key)
        if partial is None:
            partial = self._begin(key, mono)
            if partial is None:
                return None
        if not self._fits(partial, datagram):
            del self._open[key]
            self.dropped += 1
            return None
        pieces = partial.pieces
        pieces[datagram.offset] = datagram.data
        if partial.size < 0 or sum(map(len, pieces.values())) < partial.size:
            return None
        del self._open[key]
        data = b"".join(pieces[at] for at in sorted(pieces))
        return datagram._replace(data=data, offset=0)

    def _begin(self, key: Key, mono: float) -> _Partial | None:
        if sum(other[0] == key[0] for other in self._open) >= PER_SOURCE:
            self.dropped += 1
            return None
        if len(self._open) >= OPEN:
            del self._open[next(iter(self._open))]
            self.dropped += 1
        partial = self._open[key] = _Partial(mono)
        return partial

    def _expire(self, mono: float) -> None:
        """The oldest come first."""
        while self._open:
            key = next(iter(self._open))
            if mono - self._open[key].began < TIMEOUT:
                return
            del self._open[key]
            self.dropped += 1

    @staticmethod
    def _fits(partial: _Partial, datagram: Datagram) -> bool:
        """Does it leave the datagram sound? A piece that came twice does."""
        start, end = datagram.offset, datagram.offset + len(datagram.data)
        pieces = partial.pieces
        if pieces.get(start) == datagram.data:
            return True
        if not datagram.data or end > BYTES or len(pieces) >= PIECES:
            return False
        if any(at < end and start < at + len(data) for at, data in pieces.items()):
            return False
        if not datagram.flags & MORE:
            if partial.size >= 0 or any(at + len(data) > end for at, data in pieces.items()):
                return False
            partial.size = end
        return partial.size < 0 or end <= partial.size
