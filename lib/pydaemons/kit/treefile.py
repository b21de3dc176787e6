# SPDX-License-Identifier: GPL-3.0-or-later
"""Single files of the tunables tree, by the folder's descriptor and without ever following a link."""

from __future__ import annotations

import os
import shutil
import stat
from errno import EEXIST, ELOOP, ENOSPC
from typing import NamedTuple

from .inotify import exchange

MOST = 65536
"""bytes read of a file; a value is far shorter"""


class Found(NamedTuple):
    """What was found under a name."""

    what: str
    """`a file`, or in words what it is instead"""
    data: bytes | None
    """its first bytes; None when it is no readable file"""
    inode: int
    mtime: int
    """nanoseconds"""
    mode: int
    """permission bits"""
    cut: bool
    """there is more in it than was read"""

    def same(self, other: Found) -> bool:
        """Whether nobody wrote in between. (The content is compared too: file times are coarse.)"""
        return (self.inode, self.mtime, self.data) == (other.inode, other.mtime, other.data)


NOTHING = Found("gone", None, 0, 0, 0, cut=False)


def inspect(folder: int, name: str, *, most: int = MOST) -> Found:
    """Read a name of the folder, whatever is there; never blocks on a pipe, never raises."""
    try:
        descriptor = os.open(
            name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=folder
        )
    except FileNotFoundError:
        return NOTHING
    except OSError as error:
        what = "a symbolic link" if error.errno == ELOOP else f"unreadable ({error.strerror})"
        return NOTHING._replace(what=what)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return NOTHING._replace(what="a folder" if stat.S_ISDIR(status.st_mode) else "no regular file")
        data = os.read(descriptor, most + 1)
        mode = stat.S_IMODE(status.st_mode)
        return Found("a file", data[:most], status.st_ino, status.st_mtime_ns, mode, cut=len(data) > most)
    except OSError as error:
        return NOTHING._replace(what=f"unreadable ({error.strerror})")
    finally:
        os.close(descriptor)


def untouched(folder: int, name: str, since: Found) -> bool:
    """Whether the name still has the file `since`, as far as one can tell without opening it."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    seen = (status.st_ino, status.st_mtime_ns, status.st_mode, status.st_size)
    return seen == (since.inode, since.mtime, stat.S_IFREG | since.mode, len(since.data or b""))


def touch(folder: int, name: str, shown: Found) -> Found:
    """Renew the time of a file of ours: its value is as old as its time says."""
    os.utime(name, dir_fd=folder, follow_symlinks=False)
    return shown._replace(mtime=os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime_ns)


def sign(found: Found) -> str:
    """A short text that changes when the file is written or replaced."""
    return f"{found.inode}:{found.mtime}"


def write_new(folder: int, name: str, data: bytes, mode: int) -> Found:
    """Make a file that is not there yet, with exactly this mode whatever the umask is."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    try:
        written = os.write(descriptor, data)
        if written != len(data):
            raise OSError(ENOSPC, os.strerror(ENOSPC), name)
        os.fchmod(descriptor, mode)
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return Found("a file", data, status.st_ino, status.st_mtime_ns, mode, cut=False)


def replace(folder: int, name: str, spare: str, data: bytes, mode: int) -> Found:
    """Give `name` to a new file with `data`, in one step, whatever had the name before."""
    try:
        made = write_new(folder, spare, data, mode)
        try:
            os.rename(spare, name, src_dir_fd=folder, dst_dir_fd=folder)
        except IsADirectoryError:
            exchange(folder, spare, name)
            remove(folder, spare)
    except OSError:
        remove(folder, spare)
        raise
    return made


def exchange_in(folder: int, spare: str, name: str) -> bool:
    """Swap two names, or give `spare` the other name when nothing has it. Whether something came out."""
    try:
        exchange(folder, spare, name)
    except FileNotFoundError:
        os.rename(spare, name, src_dir_fd=folder, dst_dir_fd=folder)
        return False
    return True


def remove(folder: int, name: str) -> None:
    """Take away a name, whatever it is; what cannot be taken away stays."""
    try:
        os.unlink(name, dir_fd=folder)
    except IsADirectoryError:
        shutil.rmtree(name, ignore_errors=True, dir_fd=folder)
    except OSError:
        return


def open_folder(root: str, path: str) -> int:
    """A descriptor of root/path, made with mode 0755 where missing. Below `root` no link is followed."""
    if not os.path.isdir(root):
        os.makedirs(root)
        os.chmod(root, 0o755)
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in path.split("/"):
        upper = folder
        try:
            made = _make_folder(part, upper)
            folder = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=upper)
        finally:
            os.close(upper)
        if made:
            os.fchmod(folder, 0o755)  # whatever the umask was
    return folder


def _make_folder(name: str, upper: int) -> bool:
    try:
        os.mkdir(name, 0o755, dir_fd=upper)
    except OSError as error:
        # a read-only disk or somebody else's folder has its own reason even if the name is there
        if error.errno != EEXIST and name not in os.listdir(upper):
            raise
        return False
    return True
