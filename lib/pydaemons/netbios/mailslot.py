# SPDX-License-Identifier: GPL-3.0-or-later
"""Mailslot writes: the SMB transaction in which browsers and logon servers wrap what they say, after
[MS-MAIL] section 2.2.1 and [MS-CIFS] section 2.2.4.33. Read Write; `unpack` and `Write.pack` are inverse.

A write is the data of a datagram (see dgram). Whoever wants an answer names the mailslot it is to come to.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from pydaemons.wire.errors import WireError

BROWSE = rb"\MAILSLOT\BROWSE"
LANMAN = rb"\MAILSLOT\LANMAN"
NETLOGON = rb"\MAILSLOT\NET\NETLOGON"
NTLOGON = rb"\MAILSLOT\NET\NTLOGON"
PREFIX = rb"\MAILSLOT" + b"\\"
LONGEST_NAME = 128

MAGIC = b"\xffSMB"
TRANSACTION = 0x25
WORDS = 17
SETUP_WORDS = 3
MAILSLOT_WRITE = 1
UNRELIABLE = 2
"""The second class of mailslots: delivery is not confirmed. The first class exists on paper only."""

_HEADER = Struct("<4sB27x")
_PARAMETERS = Struct("<BHHHHBBHI2xHHHHBxHHHH")
_NAME_AT = _HEADER.size + _PARAMETERS.size


class Write(NamedTuple):
    """One write into a mailslot."""

    mailslot: bytes
    """Its name, `\\MAILSLOT\\...`, as spelled by the writer."""
    data: bytes
    priority: int = 1
    klass: int = UNRELIABLE

    @property
    def key(self) -> bytes:
        """The name as it is compared."""
        return self.mailslot.upper()

    def pack(self) -> bytes:
        """The transaction, as nmbd packs it: everything that is not needed is zero."""
        text = self.mailslot + b"\0"
        size = len(self.data)
        if size > 0xFFFF - _NAME_AT - len(text):
            raise WireError(f"{size} bytes are too many for a mailslot", 0)
        words = _PARAMETERS.pack(
            *(WORDS, 0, size, 0, 0, 0, 0),
            *(0, 0),
            *(0, 0, size, _NAME_AT + len(text), SETUP_WORDS),
            *(MAILSLOT_WRITE, self.priority, self.klass),
            len(text) + size,
        )
        return b"".join((_HEADER.pack(MAGIC, TRANSACTION), words, text, self.data))


def unpack(data: bytes) -> Write:
    """The mailslot write in a datagram's data, or WireError."""
    if len(data) < _NAME_AT:
        raise WireError("shorter than a mailslot write", len(data))
    magic, command = _HEADER.unpack_from(data)
    if magic != MAGIC or command != TRANSACTION:
        raise WireError("no SMB transaction", 0)
    fields = _PARAMETERS.unpack_from(data, _HEADER.size)
    size, offset, setup_words, opcode, priority, klass = fields[11:17]
    if fields[0] != WORDS or setup_words != SETUP_WORDS or opcode != MAILSLOT_WRITE:
        raise WireError("no mailslot write", _HEADER.size)
    end = data.find(b"\0", _NAME_AT, _NAME_AT + LONGEST_NAME + 1)
    mailslot = data[_NAME_AT:end] if end >= 0 else b""
    if not mailslot.upper().startswith(PREFIX):
        raise WireError("no name of a mailslot", _NAME_AT)
    if size and not end < offset <= offset + size <= len(data):
        raise WireError(f"{size} bytes at {offset} of {len(data)}", offset)
    return Write(mailslot, data[offset : offset + size] if size else b"", priority, klass)
