# SPDX-License-Identifier: GPL-3.0-or-later
"""Record marking: ONC RPC messages in a byte stream (RFC 5531 §11), without I/O. Read Deframer.cut first.

A record is one or more fragments; each fragment is a 4-byte header (highest bit: the last of its record, the
other 31 its length) and that many bytes. Nearly every sender puts a record in one fragment and nearly every
read ends with a whole one: then the records are where they came, and nothing is copied. Whatever way the
stream is split, the same records come out.
"""

from __future__ import annotations

from itertools import groupby
from struct import Struct
from typing import TypeAlias

from pydaemons.engine.protocol import Run
from pydaemons.wire.errors import WireError

LAST = 0x80000000
"""Header bit of the last fragment of a record."""

HEADER = Struct(">I")
USUAL = 16
"""Sizes of reads of which it is remembered what they looked like,"""
USUAL_RECORDS = 64
"""unless it were more records than this."""
_Usual: TypeAlias = tuple[int, bytes, bytes, bytes, bytes, list[Run]]
"""The stride of a run that is all there is, each byte of the headers as a column, and that run."""


def mark(size: int) -> bytes:
    """The header of a record of `size` bytes sent as one fragment."""
    return HEADER.pack(LAST | size)


def frame(record: bytes) -> bytes:
    """`record` as it goes into the stream."""
    return HEADER.pack(LAST | len(record)) + record


class Deframer:
    """The receiving end of one stream. `limit` bounds a record's size: a peer must not make us hold more."""

    __slots__ = ("_head", "_last", "_left", "_limit", "_record", "_usual", "_whole")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._whole = True
        """Between two records: nothing is kept."""
        self._head = b""
        """A header of which fewer than 4 bytes have come."""
        self._left = 0
        """Bytes of the current fragment still to come."""
        self._last = False
        """The current fragment ends its record."""
        self._record = bytearray()
        """What has come of the current record."""
        self._usual: dict[int, _Usual] = {}
        """By the size of what comes, what it was the last time if all was alike."""

    @property
    def pending(self) -> bool:
        """A record has begun and is not complete."""
        return not self._whole

    @property
    def wanted(self) -> int:
        """Of a record that has begun: how many bytes may be read without reading into the next one."""
        return self._left or 4 - len(self._head)

    def cut(self, data: bytes) -> tuple[bytes, list[Run]]:
        """The records that `data`, the next bytes of the stream, completes: a buffer, which is `data` if they
        all stand in it in one piece, and where in it they stand. WireError (its offset counted in `data`)
        when a record exceeds the limit: the stream has lost its meaning and must be closed."""
        usual = self._usual.get(len(data))
        if usual is not None and self._whole:
            stride, first, second, third, fourth, runs = usual
            if (
                data[3::stride] == fourth
                and data[2::stride] == third
                and data[1::stride] == second
                and data[::stride] == first
            ):
                return data, runs
        runs = []
        offset = 0
        if self._whole:
            unpack = HEADER.unpack_from
            limit = self._limit
            size = len(data)
            while (start := offset + 4) <= size:
                length = unpack(data, offset)[0] - LAST
                end = start + length
                if length < 0 or end > size:
                    break
                if length > limit:
                    raise WireError(f"a record of more than {limit} bytes", offset)
                stride = length + 4
                count = 1
                if data[end : end + 4] == data[offset:start]:
                    count = _alike(data, offset, stride)
                runs.append((start, length, stride, count))
                offset += stride * count
            if offset == size:
                if len(runs) == 1 and runs[0][3] <= USUAL_RECORDS:
                    self._remember(data, runs)
                return data, runs
        # one record is in pieces: put them together, and all in a buffer of their own
        records = [
            data[start : start + length]
            for at, length, stride, count in runs
            for start in range(at, at + stride * count, stride)
        ]
        whole = len(records)
        self._feed(data, offset, records)
        if len(records) == whole:
            return data, runs
        return b"".join(records), _runs(records)

    def _remember(self, data: bytes, runs: list[Run]) -> None:
        """Know the next ones by their headers when they come like these."""
        if len(self._usual) >= USUAL:
            self._usual.clear()
        _, _, stride, count = runs[0]
        first, second, third, fourth = (data[at : at + 1] * count for at in range(4))
        self._usual[len(data)] = stride, first, second, third, fourth, runs

    def feed(self, data: bytes) -> list[bytes]:
        """The same, each record as bytes of its own."""
        records: list[bytes] = []
        self._feed(data, 0, records)
        return records

    def _feed(self, data: bytes, offset: int, records: list[bytes]) -> None:
        unpack = HEADER.unpack_from
        limit = self._limit
        size = len(data)
        while offset < size:
            if self._whole:
                while (start := offset + 4) <= size:
                    length = unpack(data, offset)[0] - LAST
                    end = start + length
                    if length < 0 or end > size:
                        break
                    if length > limit:
                        raise WireError(f"a record of more than {limit} bytes", offset)
                    records.append(data[start:end])
                    offset = end
                if offset == size:
                    break
            offset = self._assemble(data, offset, records)

    def _assemble(self, data: bytes, offset: int, records: list[bytes]) -> int:
        """The general case: go on with the record begun until it is complete or `data` ends; where it got."""
        self._whole = False
        size = len(data)
        record = self._record
        while offset < size:
            if not self._left:
                head = self._head + data[offset : offset + 4 - len(self._head)]
                offset += len(head) - len(self._head)
                if len(head) < 4:
                    self._head = head
                    break
                self._head = b""
                header = HEADER.unpack(head)[0]
                self._last = header >= LAST
                self._left = header & ~LAST
                if len(record) + self._left > self._limit:
                    raise WireError(f"a record of more than {self._limit} bytes", max(offset - 4, 0))
            chunk = data[offset : offset + self._left]
            offset += len(chunk)
            self._left -= len(chunk)
            record += chunk
            if self._last and not self._left:
                records.append(bytes(record))
                record.clear()
                self._last = False
                self._whole = True
                break
        return offset


def _alike(data: bytes, offset: int, stride: int) -> int:
    """How many records one behind the other, all whole, have the header that stands at `offset`. Each byte of
    the header is a column, in which equal ones are counted at once."""
    count = (len(data) - offset) // stride
    for at in range(offset, offset + 4):
        column = data[at : offset + count * stride : stride]
        if column.count(column[0]) != count:
            count = len(column) - len(column.lstrip(column[:1]))
    return count


def _runs(records: list[bytes]) -> list[Run]:
    """Where records stand that were joined."""
    runs: list[Run] = []
    at = 0
    for size, alike in groupby(map(len, records)):
        count = sum(1 for _ in alike)
        runs.append((at, size, size, count))
        at += size * count
    return runs
