# SPDX-License-Identifier: GPL-3.0-or-later
"""NetBIOS names: sixteen bytes and a scope, as bytes of a packet and as text (RFC 1001 section 14, RFC 1002
section 4.1). Read Name first, then `read`.

Three forms meet here. *Wire* form: the uncompressed second-level encoding as it stands in a packet, root
label included; engines key their tables by it, because a packet's question can be looked up without being
decoded. *Name*: label and scope apart. *Text*: `SERVER#20.scope`, for people and files.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pydaemons.wire.errors import WireError

LONGEST = 273
"""Bytes of a whole encoded name that are read. RFC 1002 section 4.1 has 255, after RFC 883, but peers count
the first label as the characters it stands for and not as its 32 bytes: smbtorture wants a name of 272 bytes
kept and one of 273 answered, with a refusal."""
LONGEST_KEPT = 272
POINTERS = 8
"""Compression pointers followed in one name; honest packets use one. Each must also point backwards."""
HALF_ASCII = bytes.maketrans(b"0123456789abcdef", b"ABCDEFGHIJKLMNOP")
_LETTERS = b"ABCDEFGHIJKLMNOP"
_UNPACKABLE = b"\xff"
"""Where a scope's first length would stand; no label of a packet is that long."""
_HEX = bytes.maketrans(b"ABCDEFGHIJKLMNOP", b"0123456789abcdef")
_TEXT = re.compile(
    r"(?P<name>.*?)(?:#(?P<hash>[0-9A-Fa-f]{1,2})|<(?P<angle>[0-9A-Fa-f]{2})>)(?:\.(?P<scope>.*))?", re.S
)


class Name(NamedTuple):
    """A NetBIOS name."""

    label: bytes
    """Sixteen bytes: fifteen of the name, padded with blanks, and the suffix."""
    scope: bytes = b""
    """The scope's labels joined by dots; empty for the usual null scope."""

    @property
    def suffix(self) -> int:
        """The sixteenth byte."""
        return self.label[15]

    def text(self, charset: str = "cp850") -> str:
        """The fifteen bytes as text, without their padding; bytes that do not print as `\\xNN`."""
        raw = self.label[:15]
        raw = raw.rstrip(b" ") if raw != b"*" + bytes(14) else b"*"
        return "".join(
            char if char.isprintable() else f"\\x{ord(char):02x}" for char in raw.decode(charset, "replace")
        )

    def format(self, charset: str = "cp850") -> str:
        """`SERVER#20`, with `.scope` behind it when there is one."""
        scope = f".{self.scope.decode('latin-1')}" if self.scope else ""
        return f"{self.text(charset)}#{self.suffix:02x}{scope}"

    def __str__(self) -> str:
        """`SERVER<20>`, as logs and commands show names."""
        scope = f".{self.scope.decode('latin-1')}" if self.scope else ""
        return f"{self.text()}<{self.suffix:02x}>{scope}"


def make(text: str, suffix: int, *, scope: str = "", charset: str = "cp850") -> Name:
    """The name a person means by `text`: upper-cased, in the code page, cut to fifteen bytes. `*` is padded
    with zeros instead of blanks (RFC 1001 section 17.1.4)."""
    raw = text.upper().encode(charset, "replace")[:15]
    padded = raw.ljust(15, b"\0") if raw == b"*" else raw.ljust(15)
    return Name(padded + bytes([suffix]), scope.encode("latin-1", "replace"))


def parse(text: str, *, suffix: int = 0, scope: str = "", charset: str = "cp850") -> Name:
    """`SERVER`, `SERVER#20`, `SERVER<20>`, each with `.scope` behind the suffix or without."""
    found = _TEXT.fullmatch(text)
    if found is None:
        return make(text, suffix, scope=scope, charset=charset)
    number = int(found["hash"] or found["angle"], 16)
    return make(found["name"], number, scope=found["scope"] or scope, charset=charset)


def pack(name: Name) -> bytes:
    """The wire form. WireError when label or scope cannot be encoded (scope labels are 1 to 63 bytes)."""
    if len(name.label) != 16:
        raise WireError(f"a label of {len(name.label)} bytes where 16 are due", 0)
    parts = [b"\x20", name.label.hex().encode().translate(HALF_ASCII)]
    if name.scope:
        for label in name.scope.split(b"."):
            if not 1 <= len(label) <= 63:
                raise WireError("a scope label is 1 to 63 bytes long", 0)
            parts += [bytes([len(label)]), label]
    parts.append(b"\0")
    packed = b"".join(parts)
    if len(packed) > LONGEST:
        raise WireError(f"a name of {len(packed)} bytes where {LONGEST} are allowed", 0)
    return packed


def key(name: Name) -> bytes:
    """The wire form, or for a scope that no packet can hold something in its place: WINS servers tell each
    other such names, and a server that relays them must keep them."""
    try:
        return pack(name)
    except WireError:
        return b"".join(
            [b"\x20", name.label.hex().encode().translate(HALF_ASCII), _UNPACKABLE, name.scope, b"\0"]
        )


def unpack(wire: bytes) -> Name:
    """The name of a wire form that `read` returned, or of a key (or anything; WireError)."""
    if wire[33:34] == _UNPACKABLE and wire[0] == 32 and not wire[1:33].translate(None, _LETTERS):
        return Name(label_of(wire), wire[34:-1])
    checked, end = read(wire, 0)
    if end != len(wire):
        raise WireError("bytes behind the name", end)
    label = bytes.fromhex(checked[1:33].translate(_HEX).decode())
    labels = []
    at = 33
    while size := checked[at]:
        labels.append(checked[at + 1 : at + 1 + size])
        at += 1 + size
    return Name(label, b".".join(labels))


def is_plain(wire: bytes) -> bool:
    """Is this the wire form of a name without a scope?"""
    return len(wire) == 34 and wire[0] == 32 and wire[33] == 0 and not wire[1:33].translate(None, _LETTERS)


def is_valid(wire: bytes) -> bool:
    """Is this the wire form of a name, and nothing else?"""
    try:
        return read(wire, 0) == (wire, len(wire))
    except WireError:
        return False


def label_of(wire: bytes) -> bytes:
    """The sixteen bytes of a valid wire form."""
    return bytes.fromhex(wire[1:33].translate(_HEX).decode())


def suffix_of(wire: bytes) -> int:
    """The suffix of a valid wire form, without decoding the rest."""
    return (wire[31] - 65) << 4 | (wire[32] - 65)


def with_suffix(wire: bytes, suffix: int) -> bytes:
    """The same name with another suffix, both as wire forms."""
    return wire[:31] + bytes((65 + (suffix >> 4), 65 + (suffix & 15))) + wire[33:]


def upper(wire: bytes) -> bytes:
    """A valid wire form with the ASCII letters of its sixteen bytes (not of its scope) in upper case."""
    label = label_of(wire)
    raised = label[:15].upper() + label[15:]
    return wire if raised == label else b"\x20" + raised.hex().encode().translate(HALF_ASCII) + wire[33:]


def read(data: bytes, offset: int) -> tuple[bytes, int]:
    """The name at `offset` in wire form, compression undone, and the offset behind it as it stands in the
    packet. WireError for loops, forward pointers, too many of them, more than 255 bytes, a first label that
    is not a half-ASCII encoded name, or a dot inside a scope label (its text form would be ambiguous)."""
    size = len(data)
    # the usual case in three comparisons: 32 letters, the root, nothing compressed
    end = offset + 34
    if end <= size and data[offset] == 32 and data[end - 1] == 0:
        wire = data[offset:end]
        if not wire.translate(None, b"ABCDEFGHIJKLMNOP") == b"\x20\0":
            raise WireError("the first label is no encoded name", offset)
        return wire, end
    labels: list[bytes] = []
    at = offset
    behind = -1
    pointers = 0
    lowest = offset
    total = 1
    while True:
        if at >= size:
            raise WireError("a name runs out of the packet", at)
        length = data[at]
        if length == 0:
            at += 1
            break
        if length >= 0xC0:
            if at + 2 > size:
                raise WireError("a name runs out of the packet", at)
            target = (length & 0x3F) << 8 | data[at + 1]
            pointers += 1
            if pointers > POINTERS:
                raise WireError("too many compression pointers", at)
            if target >= lowest:
                raise WireError("a compression pointer that does not point backwards", at)
            if behind < 0:
                behind = at + 2
            lowest = at = target
            continue
        if length > 63:
            raise WireError("a label longer than 63 bytes", at)
        if at + 1 + length > size:
            raise WireError("a name runs out of the packet", at)
        total += 1 + length
        if total > LONGEST:
            raise WireError(f"a name longer than {LONGEST} bytes", at)
        label = data[at + 1 : at + 1 + length]
        if labels:
            if b"." in label:
                raise WireError("a dot inside a scope label", at)
        elif length != 32 or label.translate(None, b"ABCDEFGHIJKLMNOP"):
            raise WireError("the first label is no encoded name", at)
        labels.append(data[at : at + 1 + length])
        at += 1 + length
    if not labels:
        raise WireError("a name without a label", offset)
    labels.append(b"\0")
    return b"".join(labels), at if behind < 0 else behind


ANY = pack(make("*", 0))
"""The name `*`, which node status requests ask for."""
