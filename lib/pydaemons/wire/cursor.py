# SPDX-License-Identifier: GPL-3.0-or-later
"""Bounds-checked reading of bytes, for formats too irregular for a record (NetBIOS names, mailslots). Read
Reader first.

Every step either returns what was asked or raises WireError with the offset in the whole packet; nothing
reads past `end`.
"""

from __future__ import annotations

from pydaemons.wire.errors import WireError


class Reader:
    """A position in `data` that only moves forward, within [offset, end)."""

    __slots__ = ("data", "end", "offset")

    def __init__(self, data: bytes, offset: int = 0, end: int | None = None) -> None:
        size = len(data)
        self.data = data
        self.end = size if end is None else end
        self.offset = offset
        if not 0 <= offset <= self.end <= size:
            raise WireError("no such part of the packet", offset)

    def remaining(self) -> int:
        """Bytes left."""
        return self.end - self.offset

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        start = self.offset
        stop = start + size
        if size < 0 or stop > self.end:
            raise WireError(f"{size} bytes wanted, {self.end - start} left", start)
        self.offset = stop
        return self.data[start:stop]

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self.end - self.offset)

    def u8(self) -> int:
        """An unsigned byte."""
        return self.take(1)[0]

    def u16(self) -> int:
        """An unsigned 16-bit integer, big endian."""
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        """An unsigned 32-bit integer, big endian."""
        return int.from_bytes(self.take(4), "big")

    def u16le(self) -> int:
        """An unsigned 16-bit integer, little endian (SMB)."""
        return int.from_bytes(self.take(2), "little")

    def u32le(self) -> int:
        """An unsigned 32-bit integer, little endian (SMB)."""
        return int.from_bytes(self.take(4), "little")

    def restrict(self, size: int) -> Reader:
        """A reader over the next `size` bytes only, of the same packet; this one goes on behind them."""
        start = self.offset
        self.take(size)
        return Reader(self.data, start, start + size)
