# SPDX-License-Identifier: GPL-3.0-or-later
"""An open, locked folder of the tunables tree, and the swap by which its files are rewritten.

A swap leaves the old file under a name beginning with `.old-` for a while: a writer who had it open
may still write to it, and is then heard. All by the folder's descriptor; `treefile` does single files.
"""

from __future__ import annotations

import fcntl
import os

from .treefile import Found, exchange_in, inspect, open_folder, remove, replace, write_new

LOCK = ".lock"
KEEP = 10.0
"""seconds a file swapped out is kept"""
KEEP_MOST = 64


class _Kept:
    """A file that was swapped out, under the name it has now."""

    __slots__ = ("found", "key", "until")

    def __init__(self, key: str, found: Found, until: float) -> None:
        self.key = key
        self.found = found
        self.until = until


class TreeFolder:
    """One daemon's folder. OSError from any of it means what it says; nothing is left half done."""

    def __init__(self, root: str, path: str) -> None:
        """Open root/path, made where missing, and lock it against a second daemon."""
        self.fd = open_folder(root, path)
        self._kept: dict[str, _Kept] = {}
        self._serial = 0
        self._lock = -1
        try:
            self._lock = self._open_lock()
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.close()
            raise BlockingIOError(error.errno, "another daemon serves it", path) from None
        except OSError:
            self.close()
            raise

    def _open_lock(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(LOCK, flags, 0o600, dir_fd=self.fd)
        except PermissionError:
            # left by a daemon that somebody ran as root; the folder is ours
            os.unlink(LOCK, dir_fd=self.fd)
            return os.open(LOCK, flags, 0o600, dir_fd=self.fd)

    def open_above(self) -> int:
        """A descriptor of the folder this one is in."""
        return os.open("..", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.fd)

    def look(self, name: str) -> Found:
        """What has the name now."""
        return inspect(self.fd, name)

    def replace(self, name: str, data: bytes, mode: int) -> Found:
        """Give the name to a new file, for names that only we write."""
        return replace(self.fd, name, self._spare(".new-", name), data, mode)

    def swap(self, name: str, data: bytes, now: float) -> tuple[Found, Found | None]:
        """Give the name to a new file; returns it, and the regular file that had the name till then."""
        spare = self._spare(".old-", name)
        try:
            fresh = write_new(self.fd, spare, data, 0o644)
            swapped = exchange_in(self.fd, spare, name)
        except OSError:
            remove(self.fd, spare)
            raise
        out = inspect(self.fd, spare) if swapped else None
        if out is None or out.data is None:
            remove(self.fd, spare)
            return fresh, None
        while len(self._kept) >= KEEP_MOST:
            self._drop(next(iter(self._kept)))
        self._kept[spare] = _Kept(name, out, now + KEEP)
        return fresh, out

    def kept(self) -> list[str]:
        """The names of the files swapped out."""
        return [*self._kept]

    def find_late_write(self, spare: str) -> tuple[str, Found] | None:
        """The key and the content, if somebody wrote to a swapped-out file since it was looked at last."""
        kept = self._kept.get(spare)
        if kept is None:
            return None
        found = inspect(self.fd, spare)
        if found.data is None:
            del self._kept[spare]
            return None
        if found.same(kept.found):
            return None
        kept.found = found
        return kept.key, found

    def expire(self, now: float) -> None:
        """Remove what was kept long enough."""
        for spare in [*self._kept]:
            if now < self._kept[spare].until:
                return
            self._drop(spare)

    def deadline(self) -> float | None:
        """When `expire` has something to do."""
        return next(iter(self._kept.values())).until if self._kept else None

    def sweep(self) -> None:
        """Remove what interrupted writers left: ours, and those of pysysctl killed half-way."""
        for name in os.listdir(self.fd):
            if name.startswith((".new-", ".old-")) and name not in self._kept:
                remove(self.fd, name)

    def close(self) -> None:
        for spare in [*self._kept]:
            self._drop(spare)
        for descriptor in (self._lock, self.fd):
            if descriptor >= 0:
                os.close(descriptor)
        self._lock = self.fd = -1

    def _drop(self, spare: str) -> None:
        del self._kept[spare]
        remove(self.fd, spare)

    def _spare(self, prefix: str, name: str) -> str:
        self._serial += 1
        return f"{prefix}{name.lstrip('.')}-{os.getpid()}-{self._serial}"
