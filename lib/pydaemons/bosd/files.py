# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests that touch files: install, uninstall, getdate, prune, getlog. Facts: bosserver's behaviour.

Installing FILE keeps the one before as FILE.BAK, and that as FILE.OLD when it is more than a week old.
Each function returns a result, or raises Refused with the code and the reason. They may block: call them
in a thread.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Mapping
from typing import Any

from pydaemons.bnode.folders import Folders
from pydaemons.bnode.model import Code

WEEK = 7 * 86400
LONGEST_LOG = 64 << 20
PIECE = 32 << 10
"""Bytes of a file per answer, at most; many may ask at a time"""

Result = Mapping[str, Any]


class Refused(Exception):  # noqa: N818 -- an answer, no accident
    """A no."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def install(folders: Folders, arguments: Mapping[str, Any], wall: float) -> Result:
    """Put a file in place, the whole of it: data comes in base64, in pieces at `offset` of `size` bytes."""
    path = folders.local_path(arguments["file"])
    _check_file_name(path)
    try:
        data = base64.b64decode(arguments["data"], validate=True)
    except binascii.Error as error:
        raise Refused(Code.SYNTAX, f"the data are no base64: {error}") from error
    offset, size = arguments.get("offset") or 0, arguments.get("size")
    size = len(data) if size is None else size
    folder, base = os.path.split(path)
    draft = f"{folder}/.{base}.installing"
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_TRUNC if offset == 0 else 0)
    descriptor = os.open(draft, flags, 0o600)
    try:
        if os.fstat(descriptor).st_size != offset:
            raise Refused(Code.IO, f"piece at {offset} does not follow the one before")
        rest = memoryview(data)
        while rest:
            rest = rest[os.pwrite(descriptor, rest, offset) :]
            offset = os.lseek(descriptor, 0, os.SEEK_END)
        if offset < size:
            return {"received": offset}
        os.fchmod(descriptor, arguments["mode"] & 0o7777)
        os.utime(descriptor, (arguments["mtime"], arguments["mtime"]))
        os.fsync(descriptor)
    except OSError:
        os.unlink(draft)  # a full disk is not to stay full of it
        raise
    finally:
        os.close(descriptor)
    _rotate(path, wall)
    os.rename(draft, path)
    return {"received": offset}


def _rotate(path: str, wall: float) -> None:
    backup, old = f"{path}.BAK", f"{path}.OLD"
    if not os.path.lexists(path):
        return
    if os.path.lexists(backup) and (not os.path.lexists(old) or os.lstat(backup).st_mtime < wall - WEEK):
        os.replace(backup, old)
    os.replace(path, backup)


def uninstall(folders: Folders, arguments: Mapping[str, Any], wall: float) -> Result:
    """Bring .BAK back, else .OLD. With neither the file stays: it is the only one there is."""
    path = folders.local_path(arguments["file"])
    _check_file_name(path)
    backup, old = f"{path}.BAK", f"{path}.OLD"
    if os.path.lexists(backup):
        os.replace(backup, path)
        if os.path.lexists(old):
            os.replace(old, backup)
    elif os.path.lexists(old):
        os.replace(old, path)
    else:
        raise Refused(Code.NOENT, f"there is no {backup} and no {old}")
    return {}


def getdate(folders: Folders, arguments: Mapping[str, Any], wall: float) -> Result:
    """Modification times of FILE, .BAK and .OLD; 0 for none."""
    path = folders.local_path(arguments["file"])
    times = []
    for name in (path, f"{path}.BAK", f"{path}.OLD"):
        try:
            times.append(int(os.stat(name).st_mtime))
        except OSError:
            times.append(0)
    return {"new": times[0], "bak": times[1], "old": times[2], "path": path}


def prune(folders: Folders, arguments: Mapping[str, Any], wall: float) -> Result:
    """Remove .OLD and .BAK files from the binary folder, cores from the log folder."""
    endings = tuple(ending for ending, flag in ((".BAK", "bak"), (".OLD", "old")) if arguments[flag])
    removed = []
    for name in sorted(os.listdir(folders.bin)) if endings else ():
        path = f"{folders.bin}/{name}"
        if name.endswith(endings) and os.path.isfile(path):
            os.unlink(path)
            removed.append(path)
    for name in sorted(os.listdir(folders.log)) if arguments["core"] else ():
        path = f"{folders.log}/{name}"
        if name.startswith("core") and not os.path.isdir(path):
            os.unlink(path)
            removed.append(path)
    return {"removed": removed}


def getlog(folders: Folders, arguments: Mapping[str, Any], wall: float) -> Result:
    """A piece of a log file from `offset`, `size` bytes: data in base64, and whether that was the end."""
    name = arguments["file"]
    path = folders.local_path(name) if name.startswith("/") else f"{folders.log}/{name}"
    offset, size = arguments.get("offset") or 0, arguments.get("size") or PIECE
    if offset < 0 or not 0 < size <= PIECE:
        raise Refused(Code.DOM, f"pieces have 1 to {PIECE} bytes and begin at 0")
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not os.path.isfile(path) or offset > LONGEST_LOG:
            raise Refused(Code.IO, f"{path} is no file that can be shown")
        data = os.pread(descriptor, size, offset)
    finally:
        os.close(descriptor)
    return {"data": base64.b64encode(data).decode(), "end": len(data) < size}


def _check_file_name(path: str) -> None:
    base = os.path.basename(path)
    if not base or base in (".", "..") or "/../" in path:
        raise Refused(Code.SYNTAX, f"{path} is no file name")
    if os.path.isdir(path):
        raise Refused(Code.IO, f"{path} is a folder")


VERBS: Mapping[str, Callable[[Folders, Mapping[str, Any], float], Result]] = {
    "Install": install,
    "Uninstall": uninstall,
    "GetDate": getdate,
    "Prune": prune,
    "GetLog": getlog,
}


def perform(
    verb: str, folders: Folders, arguments: Mapping[str, Any], wall: float
) -> tuple[Code, Result, str]:
    """Do it: code, result and reason."""
    try:
        return Code.OK, VERBS[verb](folders, arguments, wall), ""
    except Refused as refused:
        return refused.code, {}, str(refused)
    except OSError as error:
        code = Code.NOENT if isinstance(error, FileNotFoundError) else Code.IO
        return code, {}, f"{error.filename}: {error.strerror}"
