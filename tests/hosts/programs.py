# SPDX-License-Identifier: GPL-3.0-or-later
"""A server's own programs that lock files, as anything using lockf(3) does: `Locker`; and handles without a
server."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from hosts.holder import Held


class Locker:
    """A process in `host` that waits for an exclusive lock of bytes 0 to 9 of `path` and holds it until the
    block ends."""

    def __init__(self, host: Held, path: Path | str) -> None:
        self._host = host
        self._path = path

    def __enter__(self) -> Self:
        self.process = self._host.start("python3", "-u", "-c", _PROGRAM, self._path, name="locker")
        return self

    @property
    def has_it(self) -> bool:
        assert self.process.running, self.process.log
        return "locked" in self.process.log

    def __exit__(self, *_: object) -> None:
        self.process.stop()


_PROGRAM = """
import fcntl, sys, time
file = open(sys.argv[1], "rb+")
fcntl.lockf(file, fcntl.LOCK_EX, 10)
print("locked")
time.sleep(600)
"""


def ganesha_handle(host: Held, path: Path | str) -> bytes:
    """The handle nfs-ganesha would make of a file of `host`: see tests/golden/ganesha-4.3-vfs.txt."""
    return bytes.fromhex(host.run("python3", "-c", _HANDLE, path, check=True).stdout)


_HANDLE = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0) + bytes(128))
if libc.name_to_handle_at(-100, os.fsencode(sys.argv[1]), buffer, ctypes.byref(ctypes.c_int()), 0):
    sys.exit(os.strerror(ctypes.get_errno()))
size, kind = struct.unpack_from("=Ii", buffer.raw)
fsid = struct.pack("=Q", os.statvfs(sys.argv[1]).f_fsid)
part = bytes([0x44]) + fsid + bytes([kind]) + buffer.raw[8 : 8 + size]
handle = bytes([0x43, 0, 0, 1, len(part)]) + part
print((handle + bytes(-len(handle) % 4)).hex())
"""
