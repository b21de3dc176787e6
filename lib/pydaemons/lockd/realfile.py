# SPDX-License-Identifier: GPL-3.0-or-later
"""Real files behind file handles: open_by_handle_at(2), and open file description locks on what it opens
(fcntl(2), F_OFD_SETLK). Read Mounts.open, then RealFile.

A lock of an open file description belongs to that and not to our process, so that locks on one file do not
vanish when another descriptor of it is closed; local programs' fcntl and lockf locks conflict with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import stat
import struct
from collections.abc import Sequence
from typing import NamedTuple

from pydaemons.nlm.filehandle import Filesystem, KernelHandle, device_of
from pydaemons.nlm.ranges import EOF, to_length

FLOCK = struct.Struct("@hhqqi4x")
"""struct flock with 64-bit offsets: type, whence, start, length, pid."""
TRIES = 3
"""How often a lock is asked for when it is refused and then nobody has it."""
LONGEST_HANDLE = 128
UDEV = "/run/udev/data"


class LocalLock(NamedTuple):
    """Somebody's lock on this machine."""

    pid: int
    """-1 for another open file description lock, which has no process."""
    start: int
    end: int
    exclusive: bool


class RealFile:
    """An open regular file; all locks taken here belong to this one description of it."""

    __slots__ = ("descriptor", "unwritable")

    def __init__(self, descriptor: int, unwritable: int = 0) -> None:
        self.descriptor = descriptor
        self.unwritable = unwritable
        """Why it could be opened for reading only (an errno), else 0: the kernel gives such a description no
        exclusive lock."""

    @property
    def gone(self) -> bool:
        """Whether it has no name left."""
        return os.fstat(self.descriptor).st_nlink == 0

    def lock(self, start: int, end: int, exclusive: bool) -> LocalLock | None:
        """Take a lock, changing what was held of the range; None when granted, else who is in the way."""
        kind = fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK
        wanted = FLOCK.pack(kind, os.SEEK_SET, start, to_length(start, end), 0)
        for _ in range(TRIES):
            try:
                fcntl.fcntl(self.descriptor, fcntl.F_OFD_SETLK, wanted)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    break  # no memory for locks and the like: as if somebody had it
            else:
                return None
            holder = self.test(start, end, exclusive)
            if holder is not None:
                return holder
        return LocalLock(0, start, end, True)

    def test(self, start: int, end: int, exclusive: bool) -> LocalLock | None:
        """Who is in the way of a lock, if anybody."""
        kind = fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK
        wanted = FLOCK.pack(kind, os.SEEK_SET, start, to_length(start, end), 0)
        kind, _, low, length, pid = FLOCK.unpack(fcntl.fcntl(self.descriptor, fcntl.F_OFD_GETLK, wanted))
        if kind == fcntl.F_UNLCK:
            return None
        return LocalLock(pid, low, low + length if length else EOF, kind == fcntl.F_WRLCK)

    def unlock(self, start: int, end: int) -> None:
        """Let go of a range."""
        wanted = FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, start, to_length(start, end), 0)
        fcntl.fcntl(self.descriptor, fcntl.F_OFD_SETLK, wanted)

    def close(self) -> None:
        """Let go of everything."""
        os.close(self.descriptor)


class _Mount:
    """A filesystem that files may be opened on."""

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        device = os.fstat(self.descriptor).st_dev
        number = os.fstatvfs(self.descriptor).f_fsid
        self.statfs = struct.pack("=II", number & 0xFFFFFFFF, number >> 32 & 0xFFFFFFFF)
        self.device = device_of(device)
        self.uuid = _uuid(device)

    def has(self, found: KernelHandle) -> bool | None:
        """Whether a handle is of this filesystem; None when the handle does not tell."""
        match found.filesystem:
            case Filesystem.STATFS:
                return found.fsid == self.statfs
            case Filesystem.DEVICE:
                return found.fsid == self.device
            case Filesystem.UUID if self.uuid:
                return found.fsid == self.uuid
            case Filesystem.UUID:
                # ext2, 3 and 4 make f_fsid of the UUID, one half by the other
                folded = bytes(a ^ b for a, b in zip(found.fsid[:8], found.fsid[8:], strict=True))
                return folded == self.statfs or None
            case _:
                return None


class Mounts:
    """The filesystems whose files may be locked, by any path on each. OSError when one cannot be opened."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._mounts: list[_Mount] = []
        try:
            for path in paths:
                self._mounts.append(_Mount(path))
        except OSError:
            self.close()
            raise

    def find(self, found: KernelHandle) -> int | None:
        """A descriptor on the handle's filesystem, if that is one of ours. A handle that does not tell is
        taken to be of the only one there is."""
        answers = [(mount.has(found), mount.descriptor) for mount in self._mounts]
        for answer, descriptor in answers:
            if answer:
                return descriptor
        if len(answers) == 1 and answers[0][0] is None:
            return answers[0][1]
        return None

    def open(self, mount: int, found: KernelHandle) -> RealFile:
        """The file of a handle. OSError: ESTALE when there is none, EISDIR when it is no regular file (and
        then it is not opened), EPERM without CAP_DAC_READ_SEARCH."""
        look = self._open(mount, found, os.O_PATH)
        try:
            found_one = os.fstat(look)
            if found_one.st_nlink == 0:  # somebody has it open still
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            if not stat.S_ISREG(found_one.st_mode):
                raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        finally:
            os.close(look)
        try:
            return RealFile(self._open(mount, found, os.O_RDWR | os.O_NONBLOCK))
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EROFS, errno.ETXTBSY, errno.EPERM):
                raise
            return RealFile(self._open(mount, found, os.O_RDONLY | os.O_NONBLOCK), error.errno)

    def close(self) -> None:
        """Let go of the mounts."""
        for mount in self._mounts:
            os.close(mount.descriptor)
        self._mounts.clear()

    def _open(self, mount: int, found: KernelHandle, flags: int) -> int:
        handle = found.handle
        if len(handle) > LONGEST_HANDLE:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        wanted = struct.pack("=Ii", len(handle), found.type) + handle
        descriptor: int = self._libc.open_by_handle_at(mount, wanted, flags | os.O_CLOEXEC)
        if descriptor < 0:
            number = ctypes.get_errno()
            if number in (errno.ENOENT, errno.EINVAL):  # no such file, or no such kind of handle
                number = errno.ESTALE
            raise OSError(number, os.strerror(number))
        return descriptor


def _uuid(device: int) -> bytes:
    """What udev knows a block device's filesystem by; empty when it does not."""
    with contextlib.suppress(OSError, ValueError):
        name = f"{UDEV}/b{os.major(device)}:{os.minor(device)}"
        with open(name, encoding="ascii", errors="replace") as lines:
            for line in lines:
                key, _, value = line.strip().partition("=")
                if key == "E:ID_FS_UUID":
                    uuid = bytes.fromhex(value.replace("-", ""))
                    return uuid if len(uuid) == 16 else b""
    return b""
