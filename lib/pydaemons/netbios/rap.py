# SPDX-License-Identifier: GPL-3.0-or-later
"""NetServerEnum2 and 3 of the Remote Administration Protocol ([MS-RAP] sections 2.5.5.2.1 and 2.5.5.4): how
browsers hand their lists to each other, as transactions on `\\PIPE\\LANMAN` of a share IPC$. Read request and
unpack_answer.

Text is in the code page of both sides, whatever the session around it speaks.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from pydaemons.wire.errors import WireError

PIPE = b"\\PIPE\\LANMAN\0"
SERVER_ENUM_2, SERVER_ENUM_3 = 104, 215
LEVEL = 1
BUFFER = 0xFFE0
MORE_DATA = 234
"""Status: the buffer was too small for all; go on with NetServerEnum3 behind the last name."""
LONGEST_COMMENT = 256

_HEAD = Struct("<H")
_ASKED = Struct("<HHI")
_ANSWER = Struct("<HHHH")
_ENTRY = Struct("<16sBBIHH")


class Entry(NamedTuple):
    """One server or group of an answer."""

    name: bytes
    major: int
    minor: int
    type: int
    comment: bytes


class Answer(NamedTuple):
    """What a server said."""

    status: int
    entries: tuple[Entry, ...]
    available: int


def request(types: int, group: bytes, after: bytes = b"") -> bytes:
    """The parameters of a request for servers (or groups) of these types; `after`: from this name on."""
    number, descriptor = (SERVER_ENUM_3, b"WrLehDzz") if after else (SERVER_ENUM_2, b"WrLehDz")
    parts = [_HEAD.pack(number), descriptor, b"\0B16BBDz\0", _ASKED.pack(LEVEL, BUFFER, types), group, b"\0"]
    if after:
        parts += [after, b"\0"]
    return b"".join(parts)


def unpack_answer(parameters: bytes, data: bytes) -> Answer:
    """An answer's parameters and data, or WireError."""
    if len(parameters) < _ANSWER.size:
        raise WireError("a RAP answer is cut short", len(parameters))
    status, converter, count, available = _ANSWER.unpack_from(parameters)
    if count * _ENTRY.size > len(data):
        raise WireError(f"{count} entries in {len(data)} bytes", 0)
    entries = []
    for at in range(0, count * _ENTRY.size, _ENTRY.size):
        name, major, minor, types, offset, _ = _ENTRY.unpack_from(data, at)
        start = offset - converter & 0xFFFF
        comment = data[start : start + LONGEST_COMMENT].partition(b"\0")[0] if start < len(data) else b""
        entries.append(Entry(name.partition(b"\0")[0], major, minor, types, comment))
    return Answer(status, tuple(entries), available)


def pack_answer(answer: Answer) -> tuple[bytes, bytes]:
    """The inverse of unpack_answer: parameters and data."""
    fixed, texts = [], []
    at = len(answer.entries) * _ENTRY.size
    for entry in answer.entries:
        fixed.append(_ENTRY.pack(entry.name, entry.major, entry.minor, entry.type, at & 0xFFFF, 0))
        texts.append(entry.comment + b"\0")
        at += len(entry.comment) + 1
    head = _ANSWER.pack(answer.status, 0, len(answer.entries), answer.available)
    return head, b"".join(fixed + texts)
