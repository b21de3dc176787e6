# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks on real files, and files opened by handles."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydaemons.lockd.realfile import FLOCK, LocalLock, Mounts, RealFile
from pydaemons.nlm.filehandle import Codecs, Filesystem, KernelHandle, device_of, locate
from pydaemons.nlm.ranges import EOF

ROOT_ONLY = pytest.mark.skipif(
    os.geteuid() != 0, reason="files are opened by handles with CAP_DAC_READ_SEARCH only"
)
FS_IOC_GETVERSION = 0x80087601


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(bytes(100))
    return path


@pytest.fixture
def real(path: Path) -> Iterator[RealFile]:
    real = RealFile(os.open(path, os.O_RDWR))
    yield real
    real.close()


@contextlib.contextmanager
def program(path: Path, start: int, length: int, kind: int = fcntl.LOCK_EX) -> Iterator[int]:
    """A program of this machine with a lock, as lockf(3) takes it: this process itself."""
    with path.open("rb+") as file:
        fcntl.lockf(file, kind | fcntl.LOCK_NB, length, start)
        yield file.fileno()


def free_for_programs(path: Path, start: int, length: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        with program(path, start, length, kind):
            return True
    except BlockingIOError:
        return False


def name_to_handle(path: Path) -> tuple[int, bytes]:
    buffer = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0) + bytes(128))
    mount = ctypes.c_int()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.name_to_handle_at(-100, os.fsencode(path), buffer, ctypes.byref(mount), 0) == 0
    size, kind = struct.unpack_from("=Ii", buffer.raw)
    return kind, buffer.raw[8 : 8 + size]


def handle_of(path: Path) -> KernelHandle:
    return KernelHandle(Filesystem.DEVICE, device_of(path.lstat().st_dev), *name_to_handle(path))


def opened(mounts: Mounts, found: KernelHandle) -> RealFile:
    mount = mounts.find(found)
    assert mount is not None
    return mounts.open(mount, found)


# ---------------------------------------------------------------------- locks


def test_the_kernel_s_struct_has_its_size():
    assert FLOCK.size == 32


def test_a_lock_keeps_programs_out_until_it_is_let_go(path, real):
    assert real.lock(10, 20, exclusive=True) is None
    assert not free_for_programs(path, 15, 1)
    assert free_for_programs(path, 20, 1)
    real.unlock(12, 16)
    assert free_for_programs(path, 12, 4)
    assert not free_for_programs(path, 16, 1)


def test_a_shared_lock_lets_readers_in(path, real):
    assert real.lock(0, EOF, exclusive=False) is None
    assert free_for_programs(path, 5, 1, fcntl.LOCK_SH)
    assert not free_for_programs(path, 5, 1)


def test_the_last_byte_can_be_locked(path, real):
    assert real.lock(EOF - 1, EOF, exclusive=True) is None
    assert not free_for_programs(path, 5, 0)
    assert free_for_programs(path, 5, 1000)


def test_a_program_s_lock_is_in_the_way_and_is_told(path, real):
    with program(path, 10, 10):
        assert real.test(0, 100, exclusive=False) == LocalLock(os.getpid(), 10, 20, True)
        assert real.lock(0, 100, exclusive=False) == LocalLock(os.getpid(), 10, 20, True)
        assert real.lock(20, 100, exclusive=True) is None
    assert real.lock(0, 100, exclusive=True) is None


def test_another_open_file_description_has_no_pid(path, real):
    with path.open("rb+") as file:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, FLOCK.pack(fcntl.F_RDLCK, 0, 5, 0, 0))
        assert real.test(0, EOF, exclusive=True) == LocalLock(-1, 5, EOF, False)
        assert real.test(0, EOF, exclusive=False) is None


def test_closing_another_descriptor_of_the_file_frees_nothing(path, real):
    real.lock(0, 10, exclusive=True)
    path.open("rb+").close()
    assert not free_for_programs(path, 0, 10)


def test_a_lock_can_be_changed_in_place(path, real):
    real.lock(0, 10, exclusive=True)
    real.lock(0, 10, exclusive=False)
    assert free_for_programs(path, 0, 10, fcntl.LOCK_SH)
    real.lock(0, 10, exclusive=True)
    assert not free_for_programs(path, 0, 10, fcntl.LOCK_SH)


def test_a_file_without_a_name_is_gone(path, real):
    assert not real.gone
    path.unlink()
    assert real.gone


# ---------------------------------------------------------------------- handles


def test_a_handle_is_looked_for_on_its_own_filesystem(tmp_path):
    mounts = Mounts([str(tmp_path)])
    number = os.statvfs(tmp_path).f_fsid
    statfs = struct.pack("=II", number & 0xFFFFFFFF, number >> 32)
    device = device_of(tmp_path.stat().st_dev)
    file = (1, bytes(8))
    assert mounts.find(KernelHandle(Filesystem.STATFS, statfs, *file)) is not None
    assert mounts.find(KernelHandle(Filesystem.STATFS, bytes(8), *file)) is None
    assert mounts.find(KernelHandle(Filesystem.DEVICE, device, *file)) is not None
    assert mounts.find(KernelHandle(Filesystem.DEVICE, bytes(8), *file)) is None
    mounts.close()


def test_a_handle_that_does_not_tell_is_of_the_only_filesystem_or_of_none(tmp_path):
    found = KernelHandle(Filesystem.UNKNOWN, b"1234", 1, bytes(8))
    one, two, none = Mounts([str(tmp_path)]), Mounts([str(tmp_path), "/proc"]), Mounts([])
    assert one.find(found) is not None
    assert two.find(found) is None
    assert none.find(found) is None
    for mounts in (one, two, none):
        mounts.close()


def test_a_mount_that_is_not_there_is_an_error_and_leaves_nothing_open(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        Mounts([str(tmp_path), str(tmp_path / "no")])
    assert len(os.listdir("/proc/self/fd")) == before


@ROOT_ONLY
def test_a_file_is_opened_by_its_handle_and_not_found_when_it_is_gone(tmp_path, path):
    mounts = Mounts([str(tmp_path)])
    found = handle_of(path)
    real = opened(mounts, found)
    assert os.path.samestat(os.fstat(real.descriptor), path.stat())
    assert not os.get_inheritable(real.descriptor)
    assert real.unwritable == 0
    path.unlink()
    for still_open in (True, False):
        with pytest.raises(OSError) as failed:
            opened(mounts, found)
        assert failed.value.errno == errno.ESTALE
        if still_open:
            real.close()
    mounts.close()


@ROOT_ONLY
@pytest.mark.parametrize(
    ("kind", "handle"), [(1, b""), (1, b"\xff" * 8), (1, bytes(128)), (77, bytes(60)), (-1, bytes(8))]
)
def test_a_handle_made_up_by_a_client_is_of_no_file(tmp_path, kind, handle):
    mounts = Mounts([str(tmp_path)])
    with pytest.raises(OSError) as failed:
        opened(mounts, KernelHandle(Filesystem.UNKNOWN, b"", kind, handle))
    assert failed.value.errno == errno.ESTALE
    mounts.close()


@ROOT_ONLY
def test_only_regular_files_are_opened(tmp_path):
    mounts = Mounts([str(tmp_path)])
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("file")
    for name in ("pipe", "link", "."):
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(IsADirectoryError):
            opened(mounts, handle_of(tmp_path / name))
        assert len(os.listdir("/proc/self/fd")) == before
    mounts.close()


@ROOT_ONLY
def test_a_handle_of_unfs3_opens_the_file_where_the_filesystem_has_such_handles(tmp_path, path):
    # what unfs3 does: device, inode, and the generation that the filesystem tells
    with path.open() as file:
        try:
            answer = fcntl.ioctl(file, FS_IOC_GETVERSION, bytes(8))
        except OSError:
            pytest.xfail("this filesystem tells no generation numbers")
    generation = struct.unpack_from("=I", answer)[0]
    if name_to_handle(path) != (1, struct.pack("=II", path.stat().st_ino, generation)):
        pytest.xfail("this filesystem has handles of its own")
    fh = struct.pack("=IQIIB", path.stat().st_dev & 0xFFFFFFFF, path.stat().st_ino, generation, 0, 0)
    found = locate(Codecs("unfs3", warn=lambda text: None).key(fh, ""))
    assert found is not None
    mounts = Mounts([str(tmp_path)])
    real = opened(mounts, found)
    assert os.path.samestat(os.fstat(real.descriptor), path.stat())
    real.close()
    mounts.close()
