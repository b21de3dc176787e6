# SPDX-License-Identifier: GPL-3.0-or-later
"""What the procedures of bos(8) carry, as records. From captures of OpenAFS 1.8.9: strings are XDR's, at most
256 bytes; numbers have 32 bits, times are seconds since 1970."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydaemons.bnode.model import LONGEST_TEXT
from pydaemons.wire.errors import WireError
from pydaemons.wire.record import Codec, Fixed
from pydaemons.wire.xdr import Int, UInt, opaque

String = Annotated[bytes, opaque(LONGEST_TEXT)]
SPARE = bytes(32)


class Name(NamedTuple):
    """A single string."""

    name: String


class Number(NamedTuple):
    """A single number."""

    number: Int


class NameAndNumber(NamedTuple):
    name: String
    number: Int


class NewBnode(NamedTuple):
    """Unused commands are empty."""

    type: String
    name: String
    first: String
    second: String
    third: String
    fourth: String
    fifth: String
    notifier: String


class StatusOf(NamedTuple):
    status: Int
    auxiliary: String


class Info(NamedTuple):
    """A bnode in numbers."""

    type: String
    goal: Int
    file_goal: Int
    start_time: UInt
    starts: Int
    last_exit: UInt
    last_error_exit: UInt
    error_code: Int
    error_signal: Int
    flags: Int
    spare: Annotated[bytes, Fixed("32s")] = SPARE


class Strings(NamedTuple):
    """More about a bnode; three are spare."""

    last_error_name: String
    second: String = b""
    third: String = b""
    fourth: String = b""


class Key(NamedTuple):
    """A DES key: each of its eight bytes travels as a number with a sign."""

    kvno: Int
    key: Annotated[bytes, Fixed("32s")]


class KeyInfo(NamedTuple):
    """A key, when the file was changed (seconds and microseconds), and a checksum to know the key by."""

    kvno: Int
    key: Annotated[bytes, Fixed("32s")]
    changed: UInt
    changed_more: UInt
    checksum: UInt
    spare: UInt = 0


class Times(NamedTuple):
    """Of a file, its .BAK and its .OLD; 0 for none."""

    new: UInt
    bak: UInt
    old: UInt


class RestartTime(NamedTuple):
    """Not in the order of BosConfig."""

    mask: Int
    hour: Int
    minute: Int
    second: Int
    day: Int


class NewRestartTime(NamedTuple):
    which: Int
    """1 of everything, 2 of what has a newer binary"""
    mask: Int
    hour: Int
    minute: Int
    second: Int
    day: Int


class NewFile(NamedTuple):
    """What stands before the bytes of a file."""

    path: String
    size: UInt
    mode: Int
    mtime: UInt


NAME = Codec(Name)
NUMBER = Codec(Number)
NAME_AND_NUMBER = Codec(NameAndNumber)
NEW_BNODE = Codec(NewBnode)
STATUS = Codec(StatusOf)
INFO = Codec(Info)
STRINGS = Codec(Strings)
KEY = Codec(Key)
KEY_INFO = Codec(KeyInfo)
TIMES = Codec(Times)
RESTART_TIME = Codec(RestartTime)
NEW_RESTART_TIME = Codec(NewRestartTime)
NEW_FILE = Codec(NewFile)


def text(raw: bytes) -> str:
    """A string of the network as one of ours. Raises WireError."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise WireError("not UTF-8", error.start) from None


def pack_key(key: bytes) -> bytes:
    """Eight bytes as eight numbers."""
    return b"".join((byte - 256 if byte > 127 else byte).to_bytes(4, "big", signed=True) for byte in key)


def unpack_key(numbers: bytes) -> bytes:
    """Its inverse; the upper bytes of the numbers say nothing."""
    return numbers[3::4]
