# SPDX-License-Identifier: GPL-3.0-or-later
"""State files: small, whole, durable. Read StateFolder.write first.

A file is replaced as rename(2) and fsync(2) allow it to be: new name, data, fsync, rename, fsync of the
folder (once for all files of a batch). Whoever reads finds the old content or the new one, whatever happens.
Every step is relative to the folder's descriptor and follows no symbolic link.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable
from stat import S_ISREG

from pydaemons.engine.effects import Persist

_TEMPORARY = ".draft"
"""What a name ends in until its content is whole. Not ".new", which a daemon may look for (BosConfig.new)."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_OPEN_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_LONGEST = 64 << 20
_LOCK = ".lock"
"""What is locked: nobody else may open it, as anybody may a folder that all may list."""
_LOCKS = "/proc/locks"


class InUseError(OSError):
    """Another process works in the folder."""


class StateFolder:
    """The state of one daemon: the executor of its Persist effects."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._pending: dict[str, Persist] = {}
        self._claim = -1

    def claim(self) -> None:
        """Keep the folder, made if need be, to this process for as long as it lives; InUseError when it is
        another's. A folder that can be neither made nor locked is left to whoever comes."""
        try:
            os.makedirs(self.path, mode=0o700, exist_ok=True)
            folder = os.open(self.path, _FOLDER)
            try:
                lock = os.open(_LOCK, _OPEN_LOCK, 0o600, dir_fd=folder)
            finally:
                os.close(folder)
        except OSError:
            return  # read and write say what is wrong
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(os.fstat(lock).st_ino)
            os.close(lock)
            text = f"already running: {self.path} is worked in by {holder}"
            raise InUseError(errno.EADDRINUSE, text) from None
        except OSError:
            os.close(lock)  # a filesystem without such locks
        else:
            self._claim = lock

    def read(self) -> dict[str, bytes]:
        """All files, by name relative to the folder (with slashes for those in folders below); {} when there
        is no folder yet. OSError when what is there cannot be read."""
        found: dict[str, bytes] = {}
        try:
            top = os.open(self.path, _FOLDER)
        except FileNotFoundError:
            return found
        try:
            _read_below(top, "", found)
        finally:
            os.close(top)
        return found

    def write(self, effects: Iterable[Persist]) -> dict[str, str]:
        """Make the effects durable, the last one of a name counting. The names that could not be, each with
        why: they are kept for `retry`, unless a later write of theirs succeeds."""
        wanted = {effect.name: effect for effect in effects}
        failures: dict[str, str] = {}
        changed: dict[int, list[str]] = {}
        folders: dict[str, int] = {}
        try:
            for name, effect in wanted.items():
                try:
                    folder, base = self._open_folder(name, folders)
                    _replace(folder, base, effect.data)
                    changed.setdefault(folder, []).append(name)
                except OSError as error:
                    failures[name] = error.strerror or str(error)
            for folder, names in changed.items():
                try:
                    os.fsync(folder)
                except OSError as error:
                    failures.update(dict.fromkeys(names, error.strerror or str(error)))
        finally:
            for folder in folders.values():
                os.close(folder)
        for name, effect in wanted.items():
            if name in failures:
                self._pending[name] = effect
            else:
                self._pending.pop(name, None)
        return failures

    def retry(self) -> dict[str, str]:
        """Write what failed before; what still fails."""
        return self.write(list(self._pending.values()))

    def _open_folder(self, name: str, folders: dict[str, int]) -> tuple[int, str]:
        """The descriptor of the folder of `name`, made if need be, and the last part of it."""
        *above, base = name.split("/")
        odd = any(part in ("", ".", "..") for part in (*above, base))
        if odd or base.endswith(_TEMPORARY) or base == _LOCK:
            raise OSError(22, f"not a name for a state file: {name!r}")
        path = ""
        if path not in folders:
            try:
                folders[path] = os.open(self.path, _FOLDER)
            except FileNotFoundError:
                os.makedirs(self.path, mode=0o700, exist_ok=True)
                folders[path] = os.open(self.path, _FOLDER)
        current = folders[path]
        for part in above:
            path += f"/{part}"
            if path not in folders:
                try:
                    folders[path] = os.open(part, _FOLDER, dir_fd=current)
                except FileNotFoundError:
                    os.mkdir(part, 0o700, dir_fd=current)
                    os.fsync(current)
                    folders[path] = os.open(part, _FOLDER, dir_fd=current)
            current = folders[path]
        return current, base


def _replace(folder: int, name: str, data: bytes | None) -> None:
    if data is None:
        try:
            os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            pass
        return
    temporary = name + _TEMPORARY
    descriptor = os.open(temporary, _CREATE, 0o600, dir_fd=folder)
    try:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        os.unlink(temporary, dir_fd=folder)  # a full disk is not to stay full of these
        raise


def _read_below(folder: int, prefix: str, found: dict[str, bytes]) -> None:
    for name in sorted(os.listdir(folder)):
        if name.endswith(_TEMPORARY) or name == _LOCK:
            continue  # left by a crash before its rename: never was the content
        try:
            descriptor = os.open(name, _READ, dir_fd=folder)
        except OSError as error:
            raise OSError(error.errno, f"{prefix}{name}: {error.strerror}") from error
        try:
            status = os.fstat(descriptor)
            if S_ISREG(status.st_mode):
                if status.st_size > _LONGEST:
                    raise OSError(27, f"{prefix}{name}: {status.st_size} bytes are no state file of ours")
                with open(descriptor, "rb", closefd=False) as file:
                    found[prefix + name] = file.read()
            else:
                _read_below_folder(descriptor, f"{prefix}{name}/", found)
        finally:
            os.close(descriptor)


def _read_below_folder(descriptor: int, prefix: str, found: dict[str, bytes]) -> None:
    try:
        _read_below(descriptor, prefix, found)
    except NotADirectoryError:
        return


def _holder(inode: int) -> str:
    """Who has that folder, as far as one may see (proc(5), /proc/locks)."""
    try:
        with open(_LOCKS, encoding="ascii") as file:
            for line in file:
                words = line.split()
                if words[1] == "FLOCK" and words[5].endswith(f":{inode}"):
                    return f"pid {words[4]}"
    except OSError:
        pass
    return "another process"
