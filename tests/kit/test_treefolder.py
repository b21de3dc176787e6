# SPDX-License-Identifier: GPL-3.0-or-later
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydaemons.kit.treefolder import KEEP, KEEP_MOST, LOCK, TreeFolder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[TreeFolder]:
    made = TreeFolder(str(tmp_path), "fs/nfs")
    yield made
    made.close()


def test_a_swap_gives_what_had_the_name(tmp_path: Path, folder: TreeFolder) -> None:
    fresh, out = folder.swap("a", b"1\n", 0.0)
    assert out is None and folder.look("a").same(fresh)
    newer, out = folder.swap("a", b"2\n", 0.0)
    assert out is not None and out.same(fresh)
    assert (tmp_path / "fs/nfs/a").read_text() == "2\n"
    assert newer.data == b"2\n"


def test_a_write_to_a_file_swapped_out_is_found_once(tmp_path: Path, folder: TreeFolder) -> None:
    folder.swap("a", b"1\n", 0.0)
    with open(tmp_path / "fs/nfs/a", "w") as stream:
        folder.swap("a", b"2\n", 0.0)
        (spare,) = folder.kept()
        stream.write("3\n")
    late = folder.find_late_write(spare)
    assert late is not None and (late[0], late[1].data) == ("a", b"3\n")
    assert folder.find_late_write(spare) is None


def test_swapped_out_files_go_after_their_time_and_are_bounded(tmp_path: Path, folder: TreeFolder) -> None:
    for n in range(KEEP_MOST + 10):
        folder.swap("a", b"%d\n" % n, 0.0)
    assert len(folder.kept()) == KEEP_MOST
    assert folder.deadline() == KEEP
    folder.expire(KEEP)
    assert sorted(os.listdir(tmp_path / "fs/nfs")) == [LOCK, "a"]
    assert folder.deadline() is None


def test_a_failed_swap_leaves_nothing_behind(tmp_path: Path, folder: TreeFolder) -> None:
    with pytest.raises(FileNotFoundError):
        folder.swap("no/such", b"1\n", 0.0)
    assert os.listdir(tmp_path / "fs/nfs") == [LOCK]


def test_a_second_daemon_is_kept_out(tmp_path: Path, folder: TreeFolder) -> None:
    with pytest.raises(BlockingIOError, match="another daemon"):
        TreeFolder(str(tmp_path), "fs/nfs")
    folder.close()
    TreeFolder(str(tmp_path), "fs/nfs").close()
