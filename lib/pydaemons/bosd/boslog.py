# SPDX-License-Identifier: GPL-3.0-or-later
"""The file log/BosLog, in the peer's form: `Sat Nov 21 10:30:11 2026: TEXT`. The journal has the same with
fields; this one is for `getlog` and for eyes that know it."""

from __future__ import annotations

import os
import time

LONGEST = 4 << 20
"""Bytes from which on a start begins a new file, and the old one is BosLog.old."""


class BosLogFile:
    """Appended to; after a rename (logrotate) `reopen` begins a new one."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = -1

    def open(self) -> None:
        """At start."""
        try:
            if os.stat(self._path).st_size > LONGEST:
                os.replace(self._path, f"{self._path}.old")
        except FileNotFoundError:
            pass
        self.reopen()

    def reopen(self) -> None:
        self.close()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self._path, flags, 0o644)
        if os.fstat(self._descriptor).st_size == 0:
            os.fchmod(self._descriptor, 0o644)  # whatever our umask

    def write(self, wall: float, message: str) -> None:
        """One line. A full disk costs the line, not the daemon."""
        if self._descriptor < 0:
            return
        text = " ".join(message.split("\n"))
        try:
            os.write(self._descriptor, f"{time.ctime(wall)}: {text}\n".encode("utf-8", "replace"))
        except OSError:
            pass

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
