# SPDX-License-Identifier: GPL-3.0-or-later
"""The file form of a journal: a header, then frames, each with a checksum. Read `parse`.

    header   kind (24), version (4), boot id (16), check (4)
    stamp    when the writer last lived, nanoseconds of the boot clock (8), check (4); rewritten in place
    frame    length (4), sum (4), check of these two (4), payload

A frame's sum covers its payload and the sum of the frame before, so that frames cannot be lost, doubled or
exchanged unnoticed. Whoever writes a frame may be killed in the middle of it: a last frame that is cut short
never was. Anything else that does not fit makes the file worthless, and `parse` says so; a damaged length is
told from a cut by its own check.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from zlib import crc32

from pydaemons.wire.errors import WireError

_HEADER = Struct("!24sI16sI")
_STAMP = Struct("!qI")
_FRAME = Struct("!III")
STAMP_AT = _HEADER.size
FRAMES_AT = STAMP_AT + _STAMP.size


@dataclass(frozen=True, slots=True)
class Contents:
    """A journal, read."""

    boot: bytes
    """The boot id it was written under."""
    stamp: int
    """When its writer last said that it lives: nanoseconds of the boot clock."""
    payloads: list[memoryview]
    end: int
    """Where the next frame goes; what stands behind it is a frame cut short."""
    chain: int
    """The sum of the last frame."""


def header(kind: str, version: int, boot: bytes, stamp: int) -> bytes:
    """The beginning of a journal without frames."""
    head = _HEADER.pack(kind.encode("ascii"), version, boot, 0)[:-4]
    return head + crc32(head).to_bytes(4, "big") + pack_stamp(stamp)


def pack_stamp(stamp: int) -> bytes:
    """What stands at STAMP_AT."""
    return _STAMP.pack(stamp, crc32(stamp.to_bytes(8, "big", signed=True)))


def first_chain(head: bytes) -> int:
    """The sum that the first frame goes on from: two journals' frames do not fit each other."""
    return crc32(head[:STAMP_AT])


def frame(payload: bytes, chain: int) -> tuple[bytes, int]:
    """The frame of a payload and its sum, which the next one needs."""
    chain = crc32(payload, chain + 1 & 0xFFFFFFFF)
    length = len(payload)
    both = (length << 32 | chain).to_bytes(8, "big")
    return _FRAME.pack(length, chain, crc32(both)) + payload, chain


def parse(data: bytes, kind: str, version: int, oldest: int | None = None) -> Contents:
    """Read a journal. WireError when it is none of ours, damaged, or of a version that is neither this one
    nor one from `oldest` on."""
    if len(data) < FRAMES_AT:
        raise WireError("shorter than a header", len(data))
    found, number, boot, check = _HEADER.unpack_from(data)
    if check != crc32(data[: STAMP_AT - 4]):
        raise WireError("the header is damaged", 0)
    if found.rstrip(b"\0") != kind.encode("ascii"):
        raise WireError(f"not a {kind}", 0)
    if not (version if oldest is None else oldest) <= number <= version:
        raise WireError(f"of version {number}, not {version}", 24)
    stamp, check = _STAMP.unpack_from(data, STAMP_AT)
    if check != crc32(data[STAMP_AT : STAMP_AT + 8]):
        raise WireError("the stamp is damaged", STAMP_AT)
    view = memoryview(data)
    chain, at, size = first_chain(data), FRAMES_AT, len(data)
    payloads = []
    while size - at >= _FRAME.size:
        length, total, check = _FRAME.unpack_from(data, at)
        if check != crc32(view[at : at + 8]):
            raise WireError("a frame's head is damaged", at)
        start = at + _FRAME.size
        if start + length > size:
            break
        chain = crc32(view[start : start + length], chain + 1 & 0xFFFFFFFF)
        if chain != total:
            raise WireError("a frame is damaged", at)
        payloads.append(view[start : start + length])
        at = start + length
    return Contents(boot, stamp, payloads, at, chain)
