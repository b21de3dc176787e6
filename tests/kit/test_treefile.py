# SPDX-License-Identifier: GPL-3.0-or-later
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydaemons.kit.treefile import inspect, open_folder, remove, replace, sign, touch, untouched, write_new


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def test_a_link_a_folder_a_pipe_and_nothing_are_told_apart_without_blocking(
    tmp_path: Path, folder: int
) -> None:
    (tmp_path / "target").write_text("secret")
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "sub").mkdir()
    os.mkfifo(tmp_path / "pipe")
    found = {name: inspect(folder, name) for name in ("link", "sub", "pipe", "none")}
    assert {name: f.what for name, f in found.items()} == {
        "link": "a symbolic link",
        "sub": "a folder",
        "pipe": "no regular file",
        "none": "gone",
    }
    assert all(f.data is None for f in found.values())


def test_a_long_file_is_read_in_part_and_marked(tmp_path: Path, folder: int) -> None:
    (tmp_path / "long").write_bytes(b"x" * 100)
    found = inspect(folder, "long", most=10)
    assert (found.data, found.cut) == (b"x" * 10, True)


def test_a_new_file_has_its_mode_whatever_the_umask_is(tmp_path: Path, folder: int) -> None:
    old = os.umask(0o077)
    try:
        made = write_new(folder, "a", b"1\n", 0o644)
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644
    assert inspect(folder, "a").same(made)


def test_a_new_file_never_goes_through_a_link_laid_in_its_way(tmp_path: Path, folder: int) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        write_new(folder, "a", b"1\n", 0o644)
    assert not (tmp_path / "victim").exists()


def test_replacing_takes_the_place_of_a_link_or_a_folder(tmp_path: Path, folder: int) -> None:
    (tmp_path / "victim").write_text("kept")
    (tmp_path / "a").symlink_to("victim")
    (tmp_path / "b/c").mkdir(parents=True)
    for name in ("a", "b"):
        replace(folder, name, ".new", b"1\n", 0o444)
        assert (tmp_path / name).read_text() == "1\n"
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "victim"]
    assert (tmp_path / "victim").read_text() == "kept"


def test_untouched_means_same_file_time_mode_and_size(tmp_path: Path, folder: int) -> None:
    made = write_new(folder, "a", b"1\n", 0o644)
    assert untouched(folder, "a", made)
    made = touch(folder, "a", made)
    assert untouched(folder, "a", made)
    (tmp_path / "a").chmod(0o600)
    assert not untouched(folder, "a", made)
    (tmp_path / "a").unlink()
    assert not untouched(folder, "a", made)


def test_the_sign_changes_with_the_file(folder: int) -> None:
    first = write_new(folder, "a", b"1\n", 0o644)
    second = replace(folder, "a", ".new", b"1\n", 0o644)
    assert sign(first) != sign(second)


def test_removing_what_is_not_there_is_no_error(tmp_path: Path, folder: int) -> None:
    remove(folder, "none")
    assert os.listdir(tmp_path) == []


def test_folders_on_the_way_are_made_and_links_below_the_root_refused(tmp_path: Path) -> None:
    os.close(open_folder(str(tmp_path / "root"), "fs/nfs"))
    assert (tmp_path / "root/fs/nfs").is_dir()
    (tmp_path / "root/net").symlink_to(tmp_path)
    with pytest.raises(NotADirectoryError):
        open_folder(str(tmp_path / "root"), "net/netbios")
