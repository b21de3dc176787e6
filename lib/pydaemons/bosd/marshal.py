# SPDX-License-Identifier: GPL-3.0-or-later
"""Method calls as bytes, after the D-Bus specification ("Marshaling", "Message Protocol"). Read method_call.

For calls that nobody waits for: pystemd makes only such as it waits for. Arguments are in its flat form, so
the same ones do for both: (type letter, value), containers opened by (letter, what is inside) and closed by
(-1, None). Little endian, and no types but those that service managers are sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Any

_CALL, _NO_REPLY_EXPECTED, _VERSION = 1, 1, 1
_PATH, _INTERFACE, _MEMBER, _DESTINATION, _SIGNATURE = 1, 2, 3, 6, 8
_WIDEST = 8
"""Alignment of messages' parts, structs and headers."""


def method_call(
    serial: int,
    *,
    destination: bytes,
    path: bytes,
    interface: bytes,
    member: bytes,
    arguments: Iterable[tuple[int, Any]],
    silent: bool = False,
) -> bytes:
    """The message; its answer will name `serial`, and there will be none when it is `silent`."""
    signature, body = pack(arguments)
    message = bytearray(
        _HEAD.pack(_LITTLE, _CALL, silent and _NO_REPLY_EXPECTED, _VERSION, len(body), serial, 0)
    )
    fields = [
        (_PATH, b"o", path),
        (_INTERFACE, b"s", interface),
        (_MEMBER, b"s", member),
        (_DESTINATION, b"s", destination),
    ]
    for code, kind, value in fields:
        message += _PADDING[-len(message) % _WIDEST]
        message += b"%c\1%b\0%b%b\0" % (code, kind, _U32.pack(len(value)), value)
    if signature:
        message += _PADDING[-len(message) % _WIDEST]
        message += b"%c\1g\0%c%b\0" % (_SIGNATURE, len(signature), signature)
    _U32.pack_into(message, _HEAD.size - 4, len(message) - _HEAD.size)
    message += _PADDING[-len(message) % _WIDEST]
    message += body
    return bytes(message)


def pack(arguments: Iterable[tuple[int, Any]]) -> tuple[bytes, bytearray]:
    """Signature and body."""
    signature = b""
    body = bytearray()
    opened: list[tuple[int, int]] = []  # of arrays: where the length stands, where the first element begins
    for kind, value in arguments:
        if kind < 0:
            place, start = opened.pop()
            if start:
                _U32.pack_into(body, place, len(body) - start)
            continue
        if not opened:
            signature += bytes((kind,)) + (value if kind == _ARRAY else b"")
        if kind in _TEXTS:
            body += _PADDING[-len(body) % 4]
            body += _U32.pack(len(value))
            body += value
            body += b"\0"
        elif kind == _STRUCT:
            body += _PADDING[-len(body) % _WIDEST]
            opened.append((0, 0))
        elif kind == _VARIANT:
            body += b"%c%b\0" % (len(value), value)
            opened.append((0, 0))
        elif kind == _ARRAY:
            body += _PADDING[-len(body) % 4]
            place = len(body)
            body += b"\0\0\0\0"
            body += _PADDING[-len(body) % _ALIGNMENT[value[0]]]
            opened.append((place, len(body)))
        else:
            form = _NUMBERS[kind]
            body += _PADDING[-len(body) % form.size]
            body += form.pack(value)
    return signature, body


_HEAD = Struct("<BBBBIII")
_U32 = Struct("<I")
_LITTLE, _ARRAY, _STRUCT, _VARIANT = b"larv"
_TEXTS = frozenset(b"so")
_NUMBERS = {
    ord(letter): Struct("<" + form)
    for letter, form in (("y", "B"), ("b", "I"), ("i", "i"), ("u", "I"), ("x", "q"), ("t", "Q"))
}
_ALIGNMENT = {ord(letter): 4 for letter in "soa"} | {ord("("): _WIDEST, ord("v"): 1}
_ALIGNMENT |= {kind: form.size for kind, form in _NUMBERS.items()}
_PADDING = tuple(bytes(count) for count in range(_WIDEST))
