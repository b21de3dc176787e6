# SPDX-License-Identifier: GPL-3.0-or-later
"""NFS locks that local programs respect, and the reverse: a lock table whose locks are also taken on the real
files (`[handles] mounts`). Read LocalTable.lock, then tick.

The real file's one open description holds the union of all NFS locks on it; among NFS clients the table
itself decides. Towards the rules a local program is one more owner, in whose way one may be and who may be in
the way. The kernel tells nobody when a lock is freed but those who sleep for it, and a thread that sleeps
(F_OFD_SETLKW) can neither be called back nor say for which of the waiters it slept. So who waits for a local
program is tried again and again, each time after a quarter of the time it has waited already: nobody waits a
quarter longer than needed, and a lock held for hours costs two tries a second.
"""

from __future__ import annotations

import errno
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator

from pydaemons.engine.protocol import Now
from pydaemons.lockd.realfile import LocalLock, Mounts, RealFile
from pydaemons.nlm.filehandle import locate
from pydaemons.nlm.hosts import Host, Owner
from pydaemons.nlm.locktable import Holder, LockTable
from pydaemons.nlm.ranges import EOF, Spans
from pydaemons.nlm.server import Server
from pydaemons.nlm.types import Status

SOONEST, LATEST = 0.005, 0.5
"""Bounds of the seconds between two tries."""
PORTION = 0.25
"""The part of the time waited so far after which the next try comes."""
IDLE = 64
"""Files without locks that stay open, for the client that locks, unlocks and locks again,"""
IDLE_FOR = 5.0
"""and for how many seconds: an open file keeps its filesystem from being unmounted."""
AT_ONCE = 64
"""Files tried in one tick; the others in the next."""

REFUSALS = {
    errno.ESTALE: Status.STALE_FH,
    errno.EROFS: Status.ROFS,
    errno.EMFILE: Status.DENIED_NOLOCKS,
    errno.ENFILE: Status.DENIED_NOLOCKS,
    errno.ENOMEM: Status.DENIED_NOLOCKS,
}
"""By errno of opening; anything else is FAILED."""


class _Wait:
    """NFS clients waiting for a local program to let go of a file."""

    __slots__ = ("due", "since")

    def __init__(self, now: float) -> None:
        self.since = now
        self.due = now + SOONEST


class LocalTable(LockTable[Owner]):
    """A lock table over real files. A file whose handle says nothing to the kernel, or that is on none of the
    mounts, is locked among NFS clients only. `warn(text)` is called once for each thing that is wrong."""

    __slots__ = (
        "_clock",
        "_files",
        "_idle",
        "_kept",
        "_limit",
        "_local",
        "_mounts",
        "_said",
        "_waits",
        "_warn",
    )

    def __init__(
        self,
        mounts: Mounts,
        *,
        limit: int,
        clock: Callable[[], float],
        warn: Callable[[str], None],
        kept: Iterable[int] = (),
    ) -> None:
        """`kept`: descriptors of files, locked as the last process left them (`descriptors`)."""
        super().__init__()
        self._kept = kept
        self._mounts = mounts
        self._limit = limit
        self._clock = clock
        self._warn = warn
        self._said: set[int] = set()
        self._files: dict[bytes, RealFile] = {}
        """All open ones."""
        self._idle: OrderedDict[bytes, float] = OrderedDict()
        """Those of them without locks, longest unused first, and since when."""
        self._waits: dict[bytes, _Wait] = {}
        self._local = Host("local", "", b"local", Now(0.0, 0.0))

    # -- for the rules (nlm.server)

    def refusal(self, file: bytes, exclusive: bool) -> int:
        """The status to refuse a lock with because of what the file is; 0 when there is nothing against
        it."""
        real = self._files.get(file)
        if real is not None and real.gone:
            if file not in self._idle:
                return Status.STALE_FH
            self._close(file)
            real = None
        if real is None:
            try:
                real = self._open(file)
            except OSError as error:
                number = error.errno or 0
                if number not in (errno.ESTALE, errno.EISDIR):
                    self._say(number, f"a file cannot be opened to be locked: {error.strerror}")
                return REFUSALS.get(number, Status.FAILED)
        if real is None or not (exclusive and real.unwritable):
            return 0
        why = os.strerror(real.unwritable)
        self._say(
            real.unwritable,
            f"exclusive locks are refused on files that cannot be opened for writing ({why}): see "
            "file-handles.md, Real files",
        )
        return REFUSALS.get(real.unwritable, Status.FAILED)

    def lock(self, file: bytes, owner: Owner, start: int, end: int, exclusive: bool) -> Holder[Owner] | None:
        """As LockTable.lock; a local program may be the one in the way."""
        clash = super().test(file, owner, start, end, exclusive)
        if clash is not None:
            return clash
        real = self._files.get(file)
        if real is not None:
            local = real.lock(start, end, exclusive)
            self._idle.pop(file, None)
            if local is not None:
                if file not in self._waits:
                    self._waits[file] = _Wait(self._clock())
                return self._holder(local)
        return super().lock(file, owner, start, end, exclusive)

    def test(
        self, file: bytes, owner: Owner | None, start: int, end: int, exclusive: bool
    ) -> Holder[Owner] | None:
        """As LockTable.test; a local program may be the one in the way."""
        clash = super().test(file, owner, start, end, exclusive)
        if clash is None and (real := self._files.get(file)) is not None:
            local = real.test(start, end, exclusive)
            return None if local is None else self._holder(local)
        return clash

    def conflicts(self, file: bytes, owner: Owner, start: int, end: int, exclusive: bool) -> Iterator[Owner]:
        """As LockTable.conflicts, and one local program after them."""
        yield from super().conflicts(file, owner, start, end, exclusive)
        real = self._files.get(file)
        if real is not None and (local := real.test(start, end, exclusive)) is not None:
            yield self._holder(local).owner

    def unlock(self, file: bytes, owner: Owner, start: int, end: int) -> bool:
        """As LockTable.unlock; local programs may have what nobody else holds."""
        freed = super().unlock(file, owner, start, end)
        if freed:
            self._free(file, start, end)
        return freed

    def drop(self, match: Callable[[Owner], bool]) -> list[bytes]:
        """As LockTable.drop."""
        files = super().drop(match)
        for file in files:
            self._free(file, 0, EOF)
        return files

    def release_file(self, file: bytes) -> int:
        """As LockTable.release_file."""
        freed = super().release_file(file)
        self._free(file, 0, EOF)
        return freed

    def clear(self) -> None:
        """As LockTable.clear; no file stays open."""
        super().clear()
        self._waits.clear()
        self.close_files()

    # -- for the engine

    def begin(self, server: Server) -> None:
        """Take on the real files what the table holds already, from a journal: what a local program got
        meanwhile is held by both. Where the last process's descriptor was kept, none could."""
        kept = {_identity(descriptor): descriptor for descriptor in self._kept}
        waited = {waiter.file: _Wait(self._clock()) for waiter in server.waiters.waiters()}
        for file in {**self._entries, **waited}:
            try:
                real = self._open(file)
            except OSError as error:
                self._say(error.errno or 0, f"a locked file cannot be opened: {error.strerror}")
                continue
            if real is None:
                continue
            descriptor = kept.pop(_identity(real.descriptor), None)
            if descriptor is not None:
                real.close()
                real.descriptor = descriptor
            for _, held in self.locks(file):
                if real.lock(held.start, held.end, held.exclusive) is not None:
                    self._warn(f"a local program took a lock of {held.owner.host.address} during the restart")
            self._idle.pop(file, None)
        self._waits.update(waited)
        for descriptor in kept.values():
            os.close(descriptor)

    def tick(self, server: Server, now: Now) -> None:
        """Try again for those who wait for local programs; close what was not used for a while."""
        due = [file for file, wait in self._waits.items() if wait.due <= now.mono][:AT_ONCE]
        for file in due:
            server.retry(file, now)
            wait = self._waits[file]
            if server.waiters.count(file):
                wait.due = now.mono + min(max(PORTION * (now.mono - wait.since), SOONEST), LATEST)
            else:
                del self._waits[file]
                self._unneeded(file)
        while self._idle and next(iter(self._idle.values())) <= now.mono - IDLE_FOR:
            self._close(next(iter(self._idle)))

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        times = [wait.due for wait in self._waits.values()]
        if self._idle:
            times.append(next(iter(self._idle.values())) + IDLE_FOR)
        return min(times, default=None)

    def descriptors(self) -> list[int]:
        """Those of locked files. Whoever keeps one open keeps the locks on its file."""
        return [real.descriptor for file, real in self._files.items() if file in self._entries]

    def close_files(self) -> None:
        """Close all files, freeing what is locked on them; the table itself does not change."""
        for file in list(self._files):
            self._close(file)

    # -- how it is done

    def _open(self, file: bytes) -> RealFile | None:
        """The real file; None when this is not one of ours."""
        found = locate(file)
        mount = None if found is None else self._mounts.find(found)
        if found is None or mount is None:
            return None
        while len(self._files) >= self._limit and self._idle:
            self._close(next(iter(self._idle)))
        if len(self._files) >= self._limit:
            raise OSError(errno.EMFILE, f"{self._limit} files are locked, [handles] max_files")
        real = self._files[file] = self._mounts.open(mount, found)
        self._rest(file)
        return real

    def _free(self, file: bytes, start: int, end: int) -> None:
        """Give the real file's bytes back but for those that others hold still."""
        real = self._files.get(file)
        if real is None:
            return
        if file not in self._entries:
            real.unlock(start, end)
        else:
            free = Spans(((start, end),))
            for held in self.held(file, start, end):
                free.cut(held.start, held.end)
            for low, high in free:
                real.unlock(low, high)
        self._unneeded(file)

    def _unneeded(self, file: bytes) -> None:
        """A file without locks and waiters needs not stay open for long."""
        if file in self._files and file not in self._entries and file not in self._waits:
            self._rest(file)

    def _rest(self, file: bytes) -> None:
        self._idle.pop(file, None)
        self._idle[file] = self._clock()
        if len(self._idle) > IDLE:
            self._close(next(iter(self._idle)))

    def _close(self, file: bytes) -> None:
        self._idle.pop(file, None)
        self._files.pop(file).close()

    def _holder(self, local: LocalLock) -> Holder[Owner]:
        """A local program as the rules know owners."""
        owner = Owner(self._local, local.pid, f"{local.pid}@local".encode())
        return Holder(owner, local.start, local.end, local.exclusive)

    def _say(self, number: int, text: str) -> None:
        if number not in self._said:
            self._said.add(number)
            self._warn(text)


def _identity(descriptor: int) -> tuple[int, int]:
    """What tells an open file from all others."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino
