# SPDX-License-Identifier: GPL-3.0-or-later
"""inotify(7) and renameat2(2) by ctypes: the two calls of Linux for folders that Python has no name for.

An Inotify is a descriptor for the event loop and a `read` that returns what happened, merged per name.
"""

from __future__ import annotations

import ctypes
import os
from errno import ENOSYS
from struct import Struct
from typing import NamedTuple

ACCESS = 0x1
MODIFY = 0x2
ATTRIB = 0x4
CLOSE_WRITE = 0x8
OPEN = 0x20
MOVED_FROM = 0x40
MOVED_TO = 0x80
CREATE = 0x100
DELETE = 0x200
DELETE_SELF = 0x400
MOVE_SELF = 0x800
UNMOUNT = 0x2000
Q_OVERFLOW = 0x4000
IGNORED = 0x8000
ONLYDIR = 0x01000000
DONT_FOLLOW = 0x02000000

RENAME_EXCHANGE = 2

_HEAD = Struct("iIII")  # watch, mask, cookie, length of the name with its padding
_BUFFER = 65536
_AT_FDCWD = -100


class Happening(NamedTuple):
    """What was seen of one name."""

    watch: int
    name: bytes
    """empty for the watched folder itself"""
    mask: int


def unpack_events(data: bytes) -> list[Happening]:
    """The events of one read(2), in their order."""
    found = []
    offset = 0
    while offset + _HEAD.size <= len(data):
        watch, mask, _, length = _HEAD.unpack_from(data, offset)
        offset += _HEAD.size
        found.append(Happening(watch, data[offset : offset + length].rstrip(b"\0"), mask))
        offset += length
    return found


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return result


class Inotify:
    """One inotify instance, not blocking."""

    def __init__(self) -> None:
        self._libc = _libc()
        self._fd = _check(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify")

    def fileno(self) -> int:
        return self._fd

    def watch_folder(self, folder: int, mask: int) -> int:
        """Watch the folder an open descriptor stands for; its path may be any by now."""
        path = f"/proc/self/fd/{folder}".encode()
        return _check(self._libc.inotify_add_watch(self._fd, path, mask | ONLYDIR), os.fsdecode(path))

    def forget(self, watch: int) -> None:
        """End a watch; one that is gone already is no error."""
        self._libc.inotify_rm_watch(self._fd, watch)

    def read(self) -> list[Happening]:
        """What happened since the last call, at most one buffer of it; empty when nothing did."""
        try:
            return unpack_events(os.read(self._fd, _BUFFER))
        except BlockingIOError:
            return []

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def exchange(folder: int, one: str, other: str) -> None:
    """Swap two names of a folder in one step. FileNotFoundError when one is missing."""
    libc = _libc()
    if not hasattr(libc, "renameat2"):
        raise OSError(ENOSYS, os.strerror(ENOSYS), other)
    result = libc.renameat2(folder, os.fsencode(one), folder, os.fsencode(other), RENAME_EXCHANGE)
    _check(result, other)
