# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal on the runtime folder's tmpfs: what outlives a kill -9 of the daemon. Read JournalFile.open,
then append.

One write(2) per batch and no fsync: what the kernel has taken is safe from everything but the machine's own
end, and then the boot id tells. wire.frames is the form; what stands in the payloads is the engine's. The
file is replaced as a whole (new name, rename) when it has grown too long, bit by bit (renewal.py), and after
a write that failed, at once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pydaemons.kit.renewal import Renewal
from pydaemons.wire import frames

STAMP_EVERY = 10.0
"""Seconds between stamps: by so much a life that ended without one seems shorter than it was."""
DOWN = 60.0
"""Seconds without the daemon after which clients may have gone on without it: locks older than that are not
believed."""

_NEW, _ASIDE = ".new", ".damaged"
_OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


def boot_id() -> bytes:
    """The kernel's name for this boot of the machine (random(4))."""
    with open(_BOOT_ID, encoding="ascii") as file:
        return bytes.fromhex(file.read().strip().replace("-", ""))


def boot_clock() -> int:
    """Nanoseconds since boot, sleep included: nobody sets it, and it is the same in the next process."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class JournalFile:
    """The journal of one daemon: the executor of its Append and Rewrite effects."""

    def __init__(self, path: str, *, kind: str, version: int, oldest: int | None = None) -> None:
        """Journals of this version are written, and those from version `oldest` on read."""
        self.path = path
        self._kind = kind
        self._version = version
        self._oldest = oldest
        self._descriptor = -1
        self._end = 0
        self._chain = 0
        self._renewal: Renewal | None = None

    def open(self) -> frames.Contents | None:
        """Read what the last life left and go on behind it; None when there is nothing. WireError when it
        cannot be believed as it is, OSError when it cannot be read."""
        try:
            descriptor = os.open(self.path, _OPEN)
        except FileNotFoundError:
            return None
        try:
            with open(descriptor, "rb", closefd=False) as file:
                contents = frames.parse(file.read(), self._kind, self._version, self._oldest)
            os.ftruncate(descriptor, contents.end)
        except BaseException:
            os.close(descriptor)
            raise
        self._take(descriptor, contents.end, contents.chain)
        return contents

    def set_aside(self) -> str:
        """Keep what is there for people to look at, out of the way of the next life. Its new name."""
        self.close()
        os.rename(self.path, self.path + _ASIDE)
        return self.path + _ASIDE

    def discard(self) -> None:
        """What is there is of no use to anybody."""
        self.close()
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass

    def append(self, data: bytes) -> str:
        """Add one payload; why not, or empty. After a failure only `rewrite` helps."""
        if self._descriptor < 0:
            return "not open"
        whole, chain = frames.frame(data, self._chain)
        try:
            written = os.pwrite(self._descriptor, whole, self._end)
            if written == len(whole):
                self._end += written
                self._chain = chain
                if self._renewal is not None:
                    self._renewal.append(data)
                return ""
            why = os.strerror(28)  # ENOSPC: the page before still fitted
        except OSError as error:
            why = error.strerror or str(error)
        try:
            os.ftruncate(self._descriptor, self._end)
        except OSError:
            pass  # the frame is cut short, or lacks its answers: either way it is nobody's promise
        return why

    def rewrite(self, parts: Iterable[bytes]) -> str:
        """Replace everything by these payloads at once; why not, or empty: then all is as it was."""
        try:
            self.renew(parts)
            while self.step():
                pass
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def renew(self, parts: Iterable[bytes]) -> None:
        """Begin to replace everything by these payloads, and by what is appended from now on: `step` does it.
        OSError when it cannot be begun."""
        self._abandon()
        temporary = self.path + _NEW
        descriptor = os.open(temporary, _OPEN | os.O_CREAT | os.O_TRUNC, 0o600)
        head = frames.header(self._kind, self._version, boot_id(), boot_clock())
        self._renewal = renewal = Renewal(temporary, self.path, descriptor, iter(parts))
        with self._abandoning():
            renewal.begin(head)

    def step(self) -> bool:
        """Write the next piece of what `renew` began: whether there is more to write. OSError when it cannot
        be written; then all is as it was before, and what was appended meanwhile is there."""
        renewal = self._renewal
        if renewal is None:
            return False
        with self._abandoning():
            if renewal.step():
                return True
        self._renewal = None
        self._take(renewal.descriptor, renewal.end, renewal.chain)
        self.stamp()
        return False

    @property
    def renewing(self) -> bool:
        """Whether `step` has something to do."""
        return self._renewal is not None

    def stamp(self) -> None:
        """Note that we live."""
        if self._descriptor >= 0:
            try:
                os.pwrite(self._descriptor, frames.pack_stamp(boot_clock()), frames.STAMP_AT)
            except OSError:
                pass  # an old stamp is believed for a shorter time, no more

    def close(self) -> None:
        """Let go of it."""
        self._abandon()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @contextmanager
    def _abandoning(self) -> Iterator[None]:
        """What goes wrong here ends the renewal."""
        try:
            yield
        except BaseException:
            self._abandon()
            raise

    def _abandon(self) -> None:
        if self._renewal is not None:
            os.close(self._renewal.descriptor)
            self._renewal.abandon()
            self._renewal = None

    def _take(self, descriptor: int, end: int, chain: int) -> None:
        self.close()
        self._descriptor, self._end, self._chain = descriptor, end, chain


def outdated(contents: frames.Contents) -> str:
    """Why what a journal says is no longer so; empty when it is."""
    if contents.boot != boot_id():
        return "the machine was restarted"
    down = (boot_clock() - contents.stamp) / 1e9
    return "" if 0 <= down < DOWN else f"the daemon was away for {down:.0f} s"
