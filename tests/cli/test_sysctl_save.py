# SPDX-License-Identifier: GPL-3.0-or-later
import json
from pathlib import Path

import pytest

from fakes.tree import SampleTree

NAME = "etc/sysctl.d/99-pysysctl.conf"


@pytest.fixture
def tree(tmp_path: Path) -> SampleTree:
    return SampleTree(tmp_path)


def runtime(tree: SampleTree, name: str, text: str) -> None:
    tree.tunables.set(name, text, "runtime")
    tree.publish()


def test_without_runtime_changes_nothing_differs(tree: SampleTree) -> None:
    assert tree.run("--diff") == ("", "", 0)


def test_a_value_written_at_runtime_differs_from_the_default(tree: SampleTree) -> None:
    runtime(tree, "timeout", "5")
    assert tree.run("--diff") == ("fs.sample.timeout = 5  (saved: 10, default)\n", "", 0)


def test_what_the_daemons_own_configuration_says_counts_as_saved(tree: SampleTree) -> None:
    tree.tunables.configure("timeout", 7, "/etc/sampled.conf:2")
    runtime(tree, "timeout", "5")
    assert tree.run("--diff")[0] == "fs.sample.timeout = 5  (saved: 7, /etc/sampled.conf:2)\n"
    runtime(tree, "timeout", "7")
    assert tree.run("--diff")[0] == ""


def test_sysctl_d_counts_over_it_in_whatever_notation(tree: SampleTree) -> None:
    file = tree.conf("etc/sysctl.d/50-x.conf", "fs/sample/timeout = 0x5\n")
    runtime(tree, "timeout", "5")
    assert tree.run("--diff")[0] == ""
    runtime(tree, "timeout", "6")
    assert tree.run("--diff")[0] == f"fs.sample.timeout = 6  (saved: 0x5, {file}:1)\n"
    (found,) = json.loads(tree.run("--diff", "--json")[0])
    assert found == {"key": "fs.sample.timeout", "running": 6, "saved": 5, "where": f"{file}:1"}


def test_a_line_taken_out_of_sysctl_d_since_counts_no_more(tree: SampleTree) -> None:
    tree.tunables.configure("timeout", 7, "/etc/sysctl.d/50-x.conf:2")
    runtime(tree, "timeout", "7")
    assert tree.run("--diff")[0] == "fs.sample.timeout = 7  (saved: 10, default)\n"


def test_saving_writes_what_differs_and_shows_it(tree: SampleTree) -> None:
    runtime(tree, "timeout", "5")
    file = tree.sysroot / NAME
    assert tree.run("--save") == (f"{file}:\n+-fs.sample.timeout = 5\n", "", 0)
    assert file.read_text().splitlines()[1:] == ["-fs.sample.timeout = 5"]
    assert file.stat().st_mode & 0o777 == 0o644
    assert tree.run("--diff")[0] == ""
    assert tree.run("--save") == ("", "", 0)


def test_saving_again_replaces_the_line_and_keeps_the_rest(tree: SampleTree) -> None:
    file = tree.sysroot / NAME
    tree.conf(NAME, "# mine\nfs.sample.timeout = 5\nkernel.x = 1\n")
    runtime(tree, "timeout", "6")
    assert tree.run("--save")[0] == f"{file}:\n-fs.sample.timeout = 5\n+-fs.sample.timeout = 6\n"
    assert file.read_text() == "# mine\nkernel.x = 1\n-fs.sample.timeout = 6\n"


def test_a_key_named_is_saved_even_at_its_default_and_set_before(tree: SampleTree) -> None:
    out, _, status = tree.run("--save", "fs.sample.port=7", "fs.sample.mode")
    assert status == 0
    assert out.startswith("fs.sample.port = 7\n")
    assert sorted((tree.sysroot / NAME).read_text().splitlines()[1:]) == [
        "-fs.sample.mode = soft",
        "-fs.sample.port = 7",
    ]


def test_keys_of_which_nobody_knows_what_a_restart_would_find_do_not_differ(tree: SampleTree) -> None:
    assert tree.run("--diff", "--kernel", "kernel") == ("", "", 0)
    file = tree.conf("etc/sysctl.d/50-x.conf", "kernel.ostype = Hurd\n")
    assert tree.run("--diff", "--kernel", "kernel.ostype")[0] == (
        f"kernel.ostype = Linux  (saved: Hurd, {file}:1)\n"
    )


def test_state_and_live_keys_are_never_saved(tree: SampleTree) -> None:
    assert tree.run("--save", "fs.sample.held", "fs.sample.stop") == ("", "", 0)
    assert not (tree.sysroot / NAME).exists()


def test_dry_run_shows_and_writes_nothing(tree: SampleTree) -> None:
    runtime(tree, "timeout", "5")
    assert "+-fs.sample.timeout = 5" in tree.run("--save", "--dry-run")[0]
    assert not (tree.sysroot / NAME).exists()


def test_a_file_that_comes_later_and_says_otherwise_is_named(tree: SampleTree) -> None:
    later = tree.conf("etc/sysctl.conf", "fs.sample.timeout = 9\n")
    runtime(tree, "timeout", "5")
    assert tree.run("--save")[1] == f"pysysctl: {later}:1 comes later and sets fs.sample.timeout = 9\n"


def test_a_folder_that_cannot_be_written_is_said(tree: SampleTree) -> None:
    runtime(tree, "timeout", "5")
    (tree.sysroot / "etc/sysctl.d").rmdir()
    (tree.sysroot / "etc/sysctl.d").write_text("in the way")
    out, err, status = tree.run("--save")
    assert (out, status) == ("", 1)
    assert "Not a directory" in err
