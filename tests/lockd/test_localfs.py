# SPDX-License-Identifier: GPL-3.0-or-later
"""NFS locks and those of local programs: real files, real locks, virtual time. Handles are of unfs3's shape,
and a fake opens files by inode number instead of by handle, which needs no privilege."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.locking import LockClient, World
from hosts import nlmcalls as nlm
from pydaemons.engine.protocol import Now
from pydaemons.lockd.localfs import IDLE, IDLE_FOR, LATEST, PORTION, LocalTable
from pydaemons.lockd.realfile import FLOCK, RealFile
from pydaemons.nlm.filehandle import Codecs, KernelHandle
from pydaemons.nlm.hosts import Host, Owner
from pydaemons.nlm.ranges import EOF


class Folder:
    """Mounts that find the files of one folder by the inode numbers in their handles."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened = 0
        self.unwritable = 0
        self.error = 0

    def find(self, found: KernelHandle) -> int | None:
        return 0

    def open(self, mount: int, found: KernelHandle) -> RealFile:
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        inode = struct.unpack_from("=I", found.handle)[0]
        for entry in os.scandir(self.path):
            if entry.inode() == inode:
                if not entry.is_file():
                    raise OSError(errno.EISDIR, "directory")
                self.opened += 1
                mode = os.O_RDONLY if self.unwritable else os.O_RDWR
                return RealFile(os.open(entry.path, mode), self.unwritable)
        raise OSError(errno.ESTALE, "stale")


def handle(path: Path) -> bytes:
    return struct.pack("=IQIIB", 0, path.stat().st_ino, 0, 0, 0)


class Site:
    """A lock manager whose files are in a folder, two clients, and the machine's own programs."""

    def __init__(self, folder: Path, *, limit: int = 1000) -> None:
        self.folder = folder
        self.mounts = Folder(folder)
        self.said: list[str] = []
        self.table = LocalTable(
            self.mounts,  # type: ignore[arg-type]
            limit=limit,
            clock=lambda: self.world.now.mono,
            warn=self.said.append,
        )
        self.world: World = World(codec="unfs3", local=self.table)
        self.one, self.two = self.world.client(2), self.world.client(3)

    def file(self, name: str = "file") -> Path:
        path = self.folder / name
        path.write_bytes(b"")
        return path


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.table.close_files()


@contextlib.contextmanager
def program(path: Path, start: int = 0, length: int = 10, kind: int = fcntl.F_WRLCK) -> Iterator[None]:
    """A program with a lock: this process, but by an open file description of its own, for a lock of the
    process would end with any descriptor of the file that the table closes."""
    with path.open("rb+") as file:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, FLOCK.pack(kind, os.SEEK_SET, start, length, 0))
        yield


def free_for_programs(path: Path, start: int = 0, length: int = 10, kind: int = fcntl.F_WRLCK) -> bool:
    try:
        with program(path, start, length, kind):
            return True
    except BlockingIOError:
        return False


def told(client: LockClient) -> list[int | None]:
    return [grant.answer for grant in client.grants]


# ---------------------------------------------------------------------- both ways


def test_an_nfs_lock_keeps_local_programs_out_until_its_unlock(site):
    path = site.file()
    assert site.one.lock(fh=handle(path)) == nlm.OK
    assert not free_for_programs(path)
    assert free_for_programs(path, start=10)
    assert site.one.unlock(fh=handle(path)) == nlm.OK
    assert free_for_programs(path)


def test_a_local_program_s_lock_denies_and_is_named_by_test(site):
    path = site.file()
    with path.open("rb+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX, 10, 5)
        assert site.one.lock(fh=handle(path)) == nlm.DENIED
        assert site.one.lock(fh=handle(path), offset=15) == nlm.OK
        found = site.one.test(fh=handle(path))
        assert (found.status, found.holder.svid) == (nlm.DENIED, os.getpid())
        assert (found.holder.offset, found.holder.length) == (5, 10)
    assert site.one.test(fh=handle(path)).status == nlm.OK
    assert site.one.lock(fh=handle(path)) == nlm.OK


def test_an_nfs_client_waits_for_a_local_program_and_is_granted_when_that_lets_go(site):
    path = site.file()
    with program(path):
        assert site.one.wait(fh=handle(path)) == nlm.BLOCKED
        site.world.run(60)
        assert told(site.one) == []
    released = site.world.now.mono
    site.world.run(5)
    assert told(site.one) == [nlm.OK]
    assert site.one.grants[0].moment - released <= LATEST + 0.01
    assert not free_for_programs(path)


def test_nobody_waits_a_quarter_longer_than_needed(site):
    path = site.file()
    with program(path):
        site.one.wait(fh=handle(path))
        begun = site.world.now.mono
        site.world.run(0.1)
    held = site.world.now.mono - begun
    site.world.run(5)
    assert site.one.grants[0].moment - begun <= held * (1 + PORTION) + 0.01


def test_waiters_for_local_programs_keep_their_turns(site):
    path = site.file()
    with program(path):
        for client in (site.one, site.two):
            assert client.wait(fh=handle(path)) == nlm.BLOCKED
    site.world.run(5)
    assert (told(site.one), told(site.two)) == ([nlm.OK], [])
    site.one.unlock(fh=handle(path))
    site.world.run(1)
    assert told(site.two) == [nlm.OK]


def test_who_no_longer_waits_is_not_tried_for(site):
    path = site.file()
    with program(path):
        site.one.wait(fh=handle(path))
        assert site.table.deadline() is not None
        site.one.cancel(fh=handle(path))
        site.world.run(60)
    assert site.table.deadline() is None
    assert len(site.table._files) == 0
    assert told(site.one) == []


def test_a_denied_lock_that_does_not_wait_costs_no_tries(site):
    path = site.file()
    with program(path):
        site.one.lock(fh=handle(path))
        site.world.run(60)
        assert site.table.deadline() is None


def test_readers_here_and_there_go_together(site):
    path = site.file()
    with program(path, kind=fcntl.F_RDLCK):
        assert site.one.lock(fh=handle(path), exclusive=False) == nlm.OK
        assert site.two.lock(fh=handle(path), exclusive=False) == nlm.OK
    site.one.unlock(fh=handle(path))
    assert free_for_programs(path, kind=fcntl.F_RDLCK)
    assert not free_for_programs(path), "the other reader is still there"
    site.two.unlock(fh=handle(path))
    assert free_for_programs(path)


def test_a_downgrade_lets_local_readers_in(site):
    path = site.file()
    site.one.lock(fh=handle(path))
    site.one.lock(fh=handle(path), exclusive=False)
    assert free_for_programs(path, kind=fcntl.F_RDLCK)


def test_a_client_that_restarted_or_a_release_gives_the_files_back(site):
    path, other = site.file(), site.file("other")
    site.one.lock(fh=handle(path))
    site.one.lock(fh=handle(other))
    site.one.free_all()
    assert free_for_programs(path)
    assert free_for_programs(other)
    site.one.lock(fh=handle(path))
    (key, _), *_ = site.table.locks()
    site.world.server.release_file(key, site.world.now)
    assert free_for_programs(path)
    site.one.lock(fh=handle(path))
    site.world.engine.drop_all(site.world.now)
    assert free_for_programs(path)
    assert len(site.table._files) == 0


# ---------------------------------------------------------------------- which files


def test_a_file_that_is_gone_is_a_stale_handle(site):
    path = site.file()
    fh = handle(path)
    assert site.one.lock(fh=fh) == nlm.OK
    path.unlink()
    assert site.two.lock(fh=fh, offset=50) == nlm.STALE
    assert site.one.unlock(fh=fh) == nlm.OK
    assert site.one.lock(fh=fh) == nlm.STALE
    assert site.one.test(fh=fh).status == nlm.STALE
    assert site.one.share(fh=fh) == nlm.STALE


def test_what_is_no_regular_file_is_not_locked(site):
    (site.folder / "folder").mkdir()
    assert site.one.lock(fh=handle(site.folder / "folder")) == nlm.FAILED
    assert site.one.test(fh=handle(site.folder / "folder")).status == nlm.FAILED
    assert site.said == []


def test_a_refused_client_is_not_remembered(site):
    (site.folder / "folder").mkdir()
    site.one.lock(fh=handle(site.folder / "folder"))
    assert len(site.world.server.hosts) == 0


def test_a_handle_that_says_nothing_is_locked_among_nfs_clients(site):
    assert site.one.lock(fh=b"opaque") == nlm.OK
    assert site.two.lock(fh=b"opaque") == nlm.DENIED
    assert len(site.table._files) == 0


@pytest.mark.parametrize(("number", "status"), [(errno.EROFS, nlm.ROFS), (errno.EACCES, nlm.FAILED)])
def test_a_file_that_cannot_be_written_is_locked_by_readers_only_and_that_is_said_once(site, number, status):
    site.mounts.unwritable = number
    path = site.file()
    assert site.one.lock(fh=handle(path), exclusive=False) == nlm.OK
    assert not free_for_programs(path)
    assert site.one.lock(fh=handle(path)) == status
    assert site.two.lock(fh=handle(path)) == status
    assert len(site.said) == 1


@pytest.mark.parametrize(
    ("number", "status"),
    [(errno.EPERM, nlm.FAILED), (errno.EMFILE, nlm.NOLOCKS), (errno.EIO, nlm.FAILED)],
)
def test_files_that_cannot_be_opened_are_not_locked_and_that_is_said_once(site, number, status):
    site.mounts.error = number
    fh = handle(site.file())
    assert [site.one.lock(fh=fh), site.two.lock(fh=fh)] == [status, status]
    assert len(site.said) == 1


def test_hard_links_are_one_file(site):
    path = site.file()
    (site.folder / "link").hardlink_to(path)
    site.one.lock(fh=handle(path)[:-1] + b"\x02ab")
    assert not free_for_programs(site.folder / "link")
    assert site.two.lock(fh=handle(path)[:-1] + b"\x01c") == nlm.DENIED


# ---------------------------------------------------------------------- descriptors


def test_a_file_stays_open_a_while_for_who_comes_back(site):
    fh = handle(site.file())
    for _ in range(20):
        site.one.lock(fh=fh)
        site.one.unlock(fh=fh)
    assert (site.mounts.opened, len(site.table._files)) == (1, 1)
    site.world.run(IDLE_FOR + 1)
    assert len(site.table._files) == 0
    assert site.table.deadline() is None


def test_unused_files_that_stay_open_are_few(site):
    for n in range(IDLE + 20):
        assert site.one.test(fh=handle(site.file(str(n)))).status == nlm.OK
    assert len(site.table._files) == IDLE


def test_more_files_than_allowed_are_refused_and_unused_ones_make_room(tmp_path):
    site = Site(tmp_path, limit=3)
    fhs = [handle(site.file(str(n))) for n in range(5)]
    assert [site.one.lock(fh=fh) for fh in fhs] == [nlm.OK] * 3 + [nlm.NOLOCKS] * 2
    site.one.unlock(fh=fhs[0])
    assert site.one.lock(fh=fhs[4]) == nlm.OK
    assert len(site.table._files) == 3
    site.table.close_files()


# ---------------------------------------------------------------------- from a journal


def owner(site: Site) -> Owner:
    return Owner(Host("10.0.0.2", "10.0.0.1", b"client", Now(0, 0)), 1, b"")


def test_locks_known_from_a_journal_are_taken_again(site):
    path, other = site.file(), site.file("other")
    codecs = Codecs("unfs3", warn=site.said.append)
    rows = [(codecs.key(handle(p), ""), owner(site), 0, 10, True) for p in (path, other)]
    site.table.load(rows)
    assert free_for_programs(path)
    with program(other):
        site.world.engine.begin(site.world.now)
        assert site.said == ["a local program took a lock of 10.0.0.2 during the restart"]
    assert not free_for_programs(path)
    site.table.unlock(*rows[0][:2], 0, 10)
    assert free_for_programs(path)


def test_files_kept_open_between_two_processes_were_locked_all_the_time(tmp_path):
    site = Site(tmp_path)
    path, other = site.file(), site.file("other")
    for file in (path, other):
        site.one.lock(fh=handle(file))
    rows = list(site.table.dump())
    kept = [os.dup(descriptor) for descriptor in site.table.descriptors()]
    site.table.close_files()
    assert not free_for_programs(path)
    said: list[str] = []
    table = LocalTable(site.mounts, limit=9, clock=lambda: 0.0, warn=said.append, kept=kept)
    table.load(row for row in rows if row[0] == rows[0][0])
    table.begin(site.world.server)
    assert said == []
    assert not free_for_programs(path)
    assert free_for_programs(other), "nobody knows of that lock any more"
    table.unlock(*rows[0][:4])
    assert free_for_programs(path)
    table.close_files()


# ---------------------------------------------------------------------- against a model

MOVES = st.tuples(
    st.integers(0, 2), st.booleans(), st.sampled_from("rwu"), st.integers(0, 9), st.integers(1, 10)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(moves=st.lists(MOVES, max_size=30))
def test_the_real_file_holds_just_what_the_table_holds(site, moves):
    path = site.file()
    key = Codecs("unfs3", warn=site.said.append).key(handle(path), "")
    owners = [owner(site) for _ in range(3)]
    for who, all_of_it, what, start, length in moves:
        end = EOF if all_of_it else start + length
        if what == "u":
            site.table.unlock(key, owners[who], start, end)
        else:
            assert site.table.refusal(key, what == "w") == 0
            site.table.lock(key, owners[who], start, end, what == "w")
    for byte in (*range(21), EOF - 1):
        modes = {held.exclusive for held in site.table.held(key, byte, byte + 1)}
        assert free_for_programs(path, byte, 1) == (not modes)
        assert free_for_programs(path, byte, 1, fcntl.F_RDLCK) == (True not in modes)
    site.table.clear()
