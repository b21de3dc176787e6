# SPDX-License-Identifier: GPL-3.0-or-later
import os
from pathlib import Path

import pytest

from fakes.tree import SampleTree


@pytest.fixture
def tree(tmp_path: Path) -> SampleTree:
    return SampleTree(tmp_path)


def test_a_value_is_written_in_its_canonical_form_to_a_new_file(tree: SampleTree) -> None:
    file = tree.folder / "timeout"
    inode = file.stat().st_ino
    old = os.umask(0o077)
    try:
        assert tree.run("fs.sample.timeout=0x10") == ("fs.sample.timeout = 0x10\n", "", 0)
    finally:
        os.umask(old)
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("16\n", 0o644)
    assert file.stat().st_ino != inode
    assert [name for name in os.listdir(tree.folder) if name.startswith(".new")] == []


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("fs.sample.timeout=2", "2 is out of range, want a whole number 3..20 (seconds)"),
        ("fs.sample.timeout=5 6", "'5 6' is not a whole number, want a whole number 3..20 (seconds)"),
        ("fs.sample.timeout=", "'' is not a whole number, want a whole number 3..20 (seconds)"),
        ("fs.sample.mode=loud", "'loud' is not known, want one of soft, hard"),
        ("fs.sample.timeout=\u0663", "'\u0663' is not a whole number, want a whole number 3..20 (seconds)"),
    ],
)
def test_a_value_the_schema_refuses_is_an_invalid_argument_at_once(
    tree: SampleTree, setting: str, why: str
) -> None:
    key = setting.partition("=")[0]
    for options in ([], ["-q"], ["-e"], ["--dry-run"]):
        out, err, status = tree.run(*options, setting)
        assert (out, err, status) == ("", f'pysysctl: setting key "{key}": Invalid argument: {why}\n', 1)
    assert (tree.folder / "timeout").read_text() == "10\n"


def test_a_read_only_key_cannot_be_set_and_others_still_are(tree: SampleTree) -> None:
    out, err, status = tree.run("fs.sample.held=5", "fs.sample.port=5")
    assert (out, err) == (
        "fs.sample.port = 5\n",
        'pysysctl: setting key "fs.sample.held": Invalid argument\n',
    )
    assert status == 1
    assert (tree.folder / "held").read_text() == "0\n"


def test_dry_run_prints_and_writes_nothing(tree: SampleTree) -> None:
    assert tree.run("--dry-run", "fs.sample.port=5") == ("fs.sample.port = 5\n", "", 0)
    assert (tree.folder / "port").read_text() == "0\n"


def test_a_kind_newer_than_this_program_is_left_to_the_daemon(tree: SampleTree) -> None:
    schema = tree.folder / ".schema"
    schema.write_text(schema.read_text().replace("kind=int 3..20 seconds", "kind=quantum 1"))
    assert tree.run("fs.sample.timeout=maybe")[2] == 0
    assert (tree.folder / "timeout").read_text() == "maybe\n"


def test_a_broken_schema_is_as_none(tree: SampleTree) -> None:
    (tree.folder / ".schema").write_bytes(b"\xff\0garbage")
    assert tree.run("fs.sample.timeout=500", "fs.sample.timeout")[0] == (
        "fs.sample.timeout = 500\nfs.sample.timeout = 500\n"
    )


def test_without_a_schema_the_file_itself_is_written(tree: SampleTree) -> None:
    (tree.folder / ".schema").unlink()
    file = tree.folder / "timeout"
    inode = file.stat().st_ino
    assert tree.run("fs.sample.timeout=500")[2] == 0
    assert (file.read_text(), file.stat().st_ino) == ("500\n", inode)
