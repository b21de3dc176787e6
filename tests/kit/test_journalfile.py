# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import resource
import signal

import pytest

from pydaemons.kit import journalfile
from pydaemons.kit.journalfile import JournalFile, boot_clock, outdated
from pydaemons.wire import frames
from pydaemons.wire.errors import WireError

KIND = "test journal"


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "journal")


def journal(path: str) -> JournalFile:
    return JournalFile(path, kind=KIND, version=1)


def content(path: str) -> list[bytes]:
    found = journal(path).open()
    assert found is not None
    return [bytes(part) for part in found.payloads]


@pytest.fixture
def small_files():
    """Files of at most 600 bytes: a disk that is full."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, old[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, old)
    signal.signal(signal.SIGXFSZ, before)


def test_there_is_none_before_the_first_rewrite(path):
    mine = journal(path)
    assert mine.open() is None
    assert mine.append(b"data") == "not open"


def test_what_is_appended_is_found_by_the_next_life_and_gone_on_with(path):
    mine = journal(path)
    assert mine.rewrite([b"snap", b"shot"]) == ""
    assert mine.append(b"one") == ""
    # no close: the first life is killed
    next_life = journal(path)
    found = next_life.open()
    assert found is not None and [bytes(each) for each in found.payloads] == [b"snap", b"shot", b"one"]
    assert outdated(found) == ""
    assert next_life.append(b"two") == ""
    assert content(path) == [b"snap", b"shot", b"one", b"two"]


def test_a_frame_cut_short_is_cut_off(path):
    mine = journal(path)
    mine.rewrite([b"snap"])
    mine.append(b"a" * 100)
    os.truncate(path, os.path.getsize(path) - 1)
    again = journal(path)
    assert again.open() is not None
    again.append(b"b")
    assert content(path) == [b"snap", b"b"]


def test_a_rewrite_replaces_all_and_leaves_nothing_beside_it(path):
    mine = journal(path)
    mine.rewrite([b"old"])
    mine.append(b"older")
    assert mine.rewrite(part for part in (b"new", b"newer")) == ""
    mine.append(b"newest")
    assert content(path) == [b"new", b"newer", b"newest"]
    assert os.listdir(os.path.dirname(path)) == ["journal"]


@pytest.mark.usefixtures("small_files")
def test_on_a_full_disk_nothing_half_written_stays(path):
    mine = journal(path)
    assert mine.rewrite([b"x" * 300]) == ""
    size = os.path.getsize(path)
    assert mine.append(b"y" * 400) != ""
    assert os.path.getsize(path) == size
    assert mine.rewrite([b"z" * 2000]) != ""
    assert os.listdir(os.path.dirname(path)) == ["journal"]
    assert content(path) == [b"x" * 300]


def test_it_is_outdated_by_a_restart_of_the_machine_and_by_a_minute_without_the_daemon(path, monkeypatch):
    mine = journal(path)
    mine.rewrite([])
    found = mine.open()
    assert found is not None and outdated(found) == ""
    later = boot_clock() + 61 * 10**9
    monkeypatch.setattr(journalfile, "boot_clock", lambda: later)
    assert outdated(found) == "the daemon was away for 61 s"
    mine.stamp()
    found = mine.open()
    assert found is not None and outdated(found) == ""
    monkeypatch.setattr(journalfile, "boot_id", lambda: bytes(16))
    assert outdated(found) == "the machine was restarted"


def test_what_cannot_be_believed_is_set_aside_or_discarded(path):
    mine = journal(path)
    mine.rewrite([b"data"])
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\0")
    again = journal(path)
    with pytest.raises(WireError):
        again.open()
    assert again.set_aside() == path + ".damaged"
    assert again.open() is None
    again.rewrite([])
    again.discard()
    again.discard()
    assert os.listdir(os.path.dirname(path)) == ["journal.damaged"]


def test_it_follows_no_symbolic_link(path, tmp_path):
    (tmp_path / "elsewhere").write_bytes(frames.header(KIND, 1, bytes(16), 0))
    os.symlink(tmp_path / "elsewhere", path)
    with pytest.raises(OSError, match="symbolic"):
        journal(path).open()
