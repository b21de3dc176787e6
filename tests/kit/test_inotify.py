# SPDX-License-Identifier: GPL-3.0-or-later
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.kit import inotify
from pydaemons.kit.inotify import Inotify, exchange, unpack_events


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def test_a_write_in_a_watched_folder_is_read_with_its_name(tmp_path: Path, folder: int) -> None:
    watcher = Inotify()
    watch = watcher.watch_folder(folder, inotify.CLOSE_WRITE | inotify.DELETE)
    assert watcher.read() == []
    (tmp_path / "a").write_text("1")
    (tmp_path / "a").unlink()
    assert watcher.read() == [(watch, b"a", inotify.CLOSE_WRITE), (watch, b"a", inotify.DELETE)]
    watcher.close()


def test_a_forgotten_watch_says_only_that_it_is_gone(tmp_path: Path, folder: int) -> None:
    watcher = Inotify()
    watch = watcher.watch_folder(folder, inotify.CLOSE_WRITE)
    watcher.forget(watch)
    watcher.forget(watch)
    (tmp_path / "a").write_text("1")
    assert watcher.read() == [(watch, b"", inotify.IGNORED)]
    watcher.close()


def test_watching_what_is_no_folder_is_an_oserror(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    watcher = Inotify()
    with open(tmp_path / "file") as stream, pytest.raises(NotADirectoryError):
        watcher.watch_folder(stream.fileno(), inotify.CLOSE_WRITE)
    watcher.close()


def test_exchange_swaps_two_names(tmp_path: Path, folder: int) -> None:
    (tmp_path / "a").write_text("A")
    (tmp_path / "b").write_text("B")
    exchange(folder, "a", "b")
    assert ((tmp_path / "a").read_text(), (tmp_path / "b").read_text()) == ("B", "A")


def test_exchange_with_a_name_that_is_gone_changes_nothing(tmp_path: Path, folder: int) -> None:
    (tmp_path / "a").write_text("A")
    with pytest.raises(FileNotFoundError):
        exchange(folder, "a", "b")
    assert os.listdir(tmp_path) == ["a"]


@given(st.binary(max_size=200))
def test_any_bytes_unpack_without_an_error(data: bytes) -> None:
    unpack_events(data)
