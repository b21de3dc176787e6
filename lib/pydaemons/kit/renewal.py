# SPDX-License-Identifier: GPL-3.0-or-later
"""The next generation of a journal, written beside the one in force, a slice at a time. Read step.

What is appended meanwhile goes to the old file at once, which is what a crash leaves until the very end, and
waits here to go behind the snapshot. When nothing is left to write the new file says the same as the old one,
and takes its name.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator

from pydaemons.wire import frames

SLICE = 1 << 16
"""Bytes of what was appended that are written at once. More, where more comes between two steps: it must come
to an end."""


class Renewal:
    """One file in the making. Any OSError of `step` leaves the old one as it was: `abandon` this one."""

    def __init__(self, temporary: str, path: str, descriptor: int, parts: Iterator[bytes]) -> None:
        self.descriptor = descriptor
        """Open, and empty, at `temporary`; whoever gave it closes it."""
        self.end = 0
        self.chain = 0
        self._temporary = temporary
        self._path = path
        self._parts: Iterator[bytes] | None = parts
        self._behind: deque[bytes] = deque()
        self._fresh = 0
        """Bytes that came since the last step behind the parts."""

    def begin(self, head: bytes) -> None:
        """Write the header."""
        self.chain = frames.first_chain(head)
        self._write(head)

    def append(self, data: bytes) -> None:
        """This went to the old file."""
        self._behind.append(data)
        self._fresh += len(data)

    def step(self) -> bool:
        """Write a slice; False when that was the last one and the file is in its place."""
        if self._parts is not None:
            part = next(self._parts, None)
            if part is not None:
                self._frame(part)
                return True
            self._parts = None
        limit, self._fresh = max(SLICE, 2 * self._fresh), 0
        while self._behind and limit > 0:
            data = self._behind.popleft()
            limit -= len(data)
            self._frame(data)
        if self._behind:
            return True
        os.rename(self._temporary, self._path)
        return False

    def abandon(self) -> None:
        """Leave nothing of it: a full disk is not to stay full of it."""
        try:
            os.unlink(self._temporary)
        except OSError:
            pass

    def _frame(self, payload: bytes) -> None:
        whole, self.chain = frames.frame(payload, self.chain)
        self._write(whole)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]
        self.end += len(data)
