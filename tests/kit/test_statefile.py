# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import fcntl
import os
import signal

import pytest

from pydaemons.engine.effects import Persist
from pydaemons.kit import statefile
from pydaemons.kit.statefile import StateFolder


@pytest.fixture
def state(tmp_path):
    return StateFolder(str(tmp_path / "state"))


def test_what_is_written_is_read_back_by_name(state):
    files = {"state": b"\x00\x01", "monitor/192.0.2.1": b"host", "monitor/deep/er": b""}
    assert state.write([Persist(name, data) for name, data in files.items()]) == {}
    assert state.read() == files
    assert StateFolder(state.path).read() == files


def test_before_the_first_write_there_is_nothing(state):
    assert state.read() == {}


def test_none_removes_and_removing_what_is_not_there_is_done_already(state):
    state.write([Persist("a", b"1"), Persist("b", b"2")])
    assert state.write([Persist("a", None), Persist("never", None)]) == {}
    assert state.read() == {"b": b"2"}


def test_the_last_write_of_a_name_counts(state):
    state.write([Persist("a", b"1"), Persist("a", None), Persist("a", b"3")])
    assert state.read() == {"a": b"3"}


def test_files_are_for_the_daemon_alone(state):
    state.write([Persist("monitor/a", b"1")])
    assert os.stat(f"{state.path}/monitor").st_mode & 0o777 == 0o700
    assert os.stat(f"{state.path}/monitor/a").st_mode & 0o777 == 0o600


def test_data_is_synced_before_the_rename_and_the_folder_after_once_for_a_batch(state, monkeypatch):
    state.write([Persist("x", b"")])
    happened = []

    def note(name):
        real = getattr(os, name)

        def wrapper(*arguments, **options):
            happened.append(name)
            return real(*arguments, **options)

        monkeypatch.setattr(statefile.os, name, wrapper)

    for name in ("write", "fsync", "rename"):
        note(name)
    state.write([Persist("a", b"1"), Persist("b", b"2")])
    assert happened == ["write", "fsync", "rename"] * 2 + ["fsync"]


@pytest.mark.parametrize("step", ["open", "write", "fsync", "rename"])
def test_a_write_that_fails_leaves_the_old_content_and_is_retried(state, monkeypatch, step):
    state.write([Persist("a", b"old"), Persist("b", b"old")])
    real = getattr(os, step)
    full = [True]

    def refuse(first, *arguments, **options):
        if full[0] and (step in ("write", "fsync") or str(first).startswith("a")):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(first, *arguments, **options)

    monkeypatch.setattr(statefile.os, step, refuse)
    assert state.write([Persist("a", b"new")]) == {"a": "No space left on device"}
    assert state.retry() == {"a": "No space left on device"}
    full[0] = False
    assert sorted(os.listdir(state.path)) == ["a", "b"], "nothing half written stays on a full disk"
    assert state.read() == {"a": b"old", "b": b"old"}
    assert state.retry() == {}
    assert state.retry() == {}
    assert state.read() == {"a": b"new", "b": b"old"}


def test_one_bad_file_does_not_stop_the_others(state):
    os.makedirs(f"{state.path}/a")  # a folder where a file should go
    failures = state.write([Persist("a", b"1"), Persist("b", b"2")])
    assert failures.keys() == {"a"}
    assert state.read() == {"b": b"2"}


def test_a_later_write_takes_the_place_of_one_that_waits(state):
    os.makedirs(f"{state.path}/a")
    assert state.write([Persist("a", b"1")])
    os.rmdir(f"{state.path}/a")
    assert state.write([Persist("a", b"2")]) == {}
    assert state.retry() == {}
    assert state.read() == {"a": b"2"}


def test_the_rest_of_a_crash_is_not_state(state):
    state.write([Persist("a", b"whole")])
    with open(f"{state.path}/a.draft", "wb") as file:
        file.write(b"hal")
    assert state.read() == {"a": b"whole"}
    state.write([Persist("a", b"next")])
    assert os.listdir(state.path) == ["a"]


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../../x", "a//b", ".", "a.draft"])
def test_a_name_cannot_lead_out_of_the_folder(state, name):
    assert state.write([Persist(name, b"x")]).keys() == {name}
    assert state.read() == {}


def test_symbolic_links_are_not_followed(state, tmp_path):
    state.write([Persist("a", b"1")])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "secret").write_bytes(b"keep")
    os.symlink(tmp_path / "elsewhere", f"{state.path}/folder")
    assert state.write([Persist("folder/x", b"1")])
    assert os.listdir(tmp_path / "elsewhere") == []
    os.symlink(tmp_path / "secret", f"{state.path}/b.draft")
    state.write([Persist("b", b"1")])
    assert (tmp_path / "secret").read_bytes() == b"keep"
    with pytest.raises(OSError, match="folder"):
        state.read()


def test_what_cannot_be_read_is_said_with_its_name(state, monkeypatch):
    state.write([Persist("monitor/a", b"1")])
    monkeypatch.setattr(statefile, "_LONGEST", 0)
    with pytest.raises(OSError, match="monitor/a: 1 bytes"):
        state.read()


def test_a_folder_is_one_process_s_until_that_ends(state):
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            state.claim()
            os.write(writer, b"!")
            signal.pause()
        finally:
            os._exit(0)
    assert os.read(reader, 1)
    with pytest.raises(statefile.InUseError, match=f"is worked in by pid {child}"):
        state.claim()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    state.claim()
    for descriptor in (reader, writer):
        os.close(descriptor)


def test_what_is_locked_nobody_else_may_open_and_is_no_state(state):
    state.claim()
    (lock,) = os.listdir(state.path)
    assert os.stat(f"{state.path}/{lock}").st_mode & 0o777 == 0o600
    assert state.read() == {}
    assert state.write([Persist(lock, b"1")])
    folder = os.open(state.path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as anybody may who may list it: it harms nobody
    os.close(folder)


def test_a_folder_that_cannot_be_made_is_claimed_by_nobody(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    StateFolder(str(tmp_path / "file")).claim()
    StateFolder(str(tmp_path / "file" / "below")).claim()


def test_who_works_in_a_folder_need_not_be_seen(state, monkeypatch, tmp_path):
    monkeypatch.setattr(statefile, "_LOCKS", str(tmp_path / "none"))
    state.claim()
    with pytest.raises(statefile.InUseError, match="another process"):
        StateFolder(state.path).claim()
