# SPDX-License-Identifier: GPL-3.0-or-later
import os
from pathlib import Path

import pytest

from pydaemons.cli.sysctl_tree import OutsideError, Tree, is_deprecated


def test_a_key_is_found_and_read_whole(tmp_path: Path) -> None:
    (tmp_path / "fs").mkdir()
    (tmp_path / "fs/long").write_text("x" * 200_000)
    place = Tree(str(tmp_path)).find("fs/long")
    assert (place.is_folder, len(place.read())) == (False, 200_000)
    place.close()


@pytest.mark.parametrize("path", ["", "/", ".", "..", "fs/..", "fs/../x", "../x"])
def test_nothing_leads_out_of_the_tree(tmp_path: Path, path: str) -> None:
    with pytest.raises(OutsideError):
        Tree(str(tmp_path)).find(path)


def test_no_link_is_followed_be_it_last_or_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_text("1")
    (tmp_path / "root").mkdir()
    (tmp_path / "root/folder").symlink_to(tmp_path / "secret")
    (tmp_path / "root/key").symlink_to(tmp_path / "secret/key")
    tree = Tree(str(tmp_path / "root"))
    for path in ("folder", "folder/key", "key"):
        with pytest.raises(OSError):
            tree.find(path)


def test_a_link_put_in_place_after_the_look_is_not_followed_either(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("1")
    place = Tree(str(tmp_path)).find("key")
    (tmp_path / "key").unlink()
    (tmp_path / "key").symlink_to("/etc/passwd")
    with pytest.raises(OSError):
        place.read()
    place.close()


def test_a_pipe_in_place_of_a_key_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    tree = Tree(str(tmp_path))
    folder, names = tree.top()
    assert names == ["pipe"] and tree.look(folder, "pipe") is None
    os.close(folder)
    place = tree.find("pipe")
    assert place.read() == ""
    place.close()


def test_a_glob_stays_within_its_folders(tmp_path: Path) -> None:
    for name in ("a/x", "a/y", "b/x", "a/c/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    tree = Tree(str(tmp_path))
    assert [*tree.match("*/x")] == ["a/x", "b/x"]
    assert [*tree.match("a/?")] == ["a/x", "a/y"]
    assert [*tree.match("*")] == []
    assert [*tree.match("none/*")] == []


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_text("1")
    tree = Tree(str(tmp_path))
    before = len(os.listdir("/proc/self/fd"))
    for path in ("a/b/c", "a/none/c", "a/b/c/d", "a/b"):
        try:
            tree.find(path).close()
        except OSError:
            pass
    assert [*tree.match("*/*/*")] == ["a/b/c"]
    assert len(os.listdir("/proc/self/fd")) == before


def test_names_replaced_by_others_are_known() -> None:
    assert is_deprecated("retrans_time") and not is_deprecated("retrans_time_ms")
