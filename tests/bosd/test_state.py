# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read at start."""

from __future__ import annotations

import os
import stat
from errno import ENOSPC, EROFS
from functools import partial

import pytest

from pydaemons.bnode.bosconfig import BosConfigError
from pydaemons.bnode.model import escape
from pydaemons.bosd import state
from pydaemons.engine.effects import Persist
from pydaemons.kit.statefile import StateFolder

GOOD = "restrictmode 0\nbnode simple a.b 1\nparm /bin/x\nend\n"


@pytest.fixture
def folder(tmp_path):
    state.make_folders(str(tmp_path))
    return tmp_path


def test_the_folders_have_their_modes_whatever_the_umask_is(tmp_path):
    old = os.umask(0o077)
    try:
        state.make_folders(str(tmp_path))
    finally:
        os.umask(old)
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in state.FOLDERS}
    assert modes == {"log": 0o755, "local": 0o700, "etc": 0o755, "history": 0o700}


def load(folder):
    return state.load(str(folder), quoting=False)


def test_an_empty_folder_is_an_empty_server(folder):
    loaded = load(folder)
    assert loaded.config.entries == () and loaded.users == () and not loaded.no_auth


def test_everything_that_is_there_is_read(folder):
    (folder / "BosConfig").write_text(GOOD)
    (folder / "history/a.b").write_bytes(b"{}")
    (folder / "history/gone").write_bytes(b"{}")
    (folder / "local/UserList").write_text("joe\nann\n")
    (folder / "local/NoAuth").touch()
    (folder / "local/SALVAGE.a.b").touch()
    (folder / "etc/ThisCell").write_text("here\n")
    loaded = load(folder)
    assert [entry.name for entry in loaded.config.entries] == ["a.b"]
    assert loaded.histories == {"a.b": b"{}"} and loaded.salvage == {"a.b"}
    assert loaded.users == ("joe", "ann") and loaded.no_auth and loaded.cell.name == "here"


def test_a_new_file_takes_the_place_of_the_old(folder):
    (folder / "BosConfig").write_text("restrictmode 1\n")
    (folder / "BosConfig.new").write_text(GOOD)
    assert len(load(folder).config.entries) == 1
    assert not (folder / "BosConfig.new").exists() and (folder / "BosConfig").read_text() == GOOD


def test_a_new_file_that_is_wrong_is_named_and_the_old_one_counts(folder):
    (folder / "BosConfig").write_text(GOOD)
    (folder / "BosConfig.new").write_text("bnode what x 1\nend\n")
    loaded = load(folder)
    assert len(loaded.config.entries) == 1
    assert loaded.remarks[0].startswith(f"{folder}/BosConfig.new:1: bnode x: 'what' is no bnode type")


@pytest.mark.parametrize(
    "text", ["nonsense\n", "bnode what x 1\nparm y\nend\n", "bnode fs x 1\nparm y\nend\n"]
)
def test_a_wrong_file_stops_the_start_with_its_line(folder, text):
    (folder / "BosConfig").write_text(text)
    with pytest.raises(BosConfigError, match=r"BosConfig:1: "):
        load(folder)


@pytest.mark.parametrize("place", ["open", "write", "fsync", "rename"])
def test_a_daemon_killed_while_it_writes_leaves_nothing_to_take_over(folder, monkeypatch, place):
    (folder / "BosConfig").write_text(GOOD)

    class Killed(BaseException):
        pass

    def then_die(real, *arguments, **options):
        if place != "rename":
            real(*arguments, **options)
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        if place != "open":
            patched.setattr(os, place, partial(then_die, getattr(os, place)))
        else:  # the draft is there, and empty
            patched.setattr(os, "write", lambda *_: (_ for _ in ()).throw(Killed))
        StateFolder(str(folder)).write([Persist("BosConfig", b"restrictmode 0\n")])
    loaded = load(folder)
    assert len(loaded.config.entries) == 1 and loaded.remarks == ()


def test_no_bnodes_history_is_anothers_draft(tmp_path, monkeypatch):
    names = ["a", "a~", "a.new", "a.draft", "~a"]
    written = set()
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, *rest: (written.add(path), real(path, *rest))[1])
    for name in names:
        state.write_quickly(f"{tmp_path}/{escape(name)}", b"x")
    assert written.isdisjoint(f"{tmp_path}/{escape(name)}" for name in names) and len(written) == len(names)


def test_a_damaged_key_file_is_a_remark(folder):
    (folder / "etc/KeyFile").write_bytes(b"\0\0\0\7x")
    assert "KeyFile" in load(folder).remarks[0]


def test_quick_writes_are_whole_and_none_removes(tmp_path):
    path = f"{tmp_path}/x"
    state.write_quickly(path, b"one")
    state.write_quickly(path, b"two")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x"] and (tmp_path / "x").read_bytes() == b"two"
    state.write_quickly(path, None)
    state.write_quickly(path, None)
    assert not list(tmp_path.iterdir())


def test_what_the_disk_refuses_is_written_when_it_can_be_and_the_newest_counts(tmp_path, monkeypatch):
    notebook = state.Notebook(str(tmp_path))
    assert notebook.write("a", b"old") == ""
    full = OSError(ENOSPC, os.strerror(ENOSPC))
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda *_: (_ for _ in ()).throw(full))
        assert notebook.write("a", b"new") == "No space left on device"
        assert notebook.write("b", b"1") and notebook.write("b", b"2")
        assert notebook.retry() == "No space left on device"
        assert [entry.name for entry in tmp_path.iterdir()] == ["a"], "no drafts are left"
        assert (tmp_path / "a").read_bytes() == b"old"
    assert notebook.retry() == ""
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == (b"new", b"2")


def test_what_is_removed_meanwhile_is_not_written_later(tmp_path, monkeypatch):
    notebook = state.Notebook(str(tmp_path))
    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", lambda *_: (_ for _ in ()).throw(OSError(EROFS, "read-only")))
        assert notebook.write("a", b"1") == "read-only"
    assert notebook.write("a", None) == "" and notebook.retry() == ""
    assert not list(tmp_path.iterdir())


def test_a_write_cut_short_goes_on(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:3]))
    state.write_quickly(f"{tmp_path}/x", b"0123456789")
    assert (tmp_path / "x").read_bytes() == b"0123456789"
