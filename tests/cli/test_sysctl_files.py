# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import pytest

from fakes.tree import SampleTree


@pytest.fixture
def tree(tmp_path: Path) -> SampleTree:
    return SampleTree(tmp_path)


def test_system_applies_the_files_below_the_configured_prefix(tree: SampleTree) -> None:
    vendor = tree.conf("usr/lib/sysctl.d/50-a.conf", "fs.sample.port = 1\nother.key = 1\n")
    own = tree.conf("etc/sysctl.d/90-b.conf", "-fs.sample.timeout = 0\nfs.sample.port = 2\n")
    last = tree.conf("etc/sysctl.conf", "fs.sample.mode = hard\n")
    out, err, status = tree.run("--system")
    assert out == (
        f"* Applying {vendor} ...\n* Applying {own} ...\n* Applying {last} ...\n"
        "fs.sample.port = 1\nfs.sample.port = 2\nfs.sample.mode = hard\n"
    )
    assert (err, status) == ("", 0)
    assert (tree.folder / "port").read_text() == "2\n"
    assert (tree.folder / "timeout").read_text() == "10\n"


def test_a_refused_value_fails_in_the_end_but_the_rest_is_applied(tree: SampleTree) -> None:
    tree.conf("etc/sysctl.d/1.conf", "fs.sample.timeout = 99\nfs.sample.port = 2\n")
    out, err, status = tree.run("-q", "--system")
    assert (out, status) == ("", 1)
    assert err.startswith('pysysctl: setting key "fs.sample.timeout": Invalid argument')
    assert (tree.folder / "port").read_text() == "2\n"


def test_an_unknown_key_is_no_matter_at_boot_and_an_error_when_asked_for(tree: SampleTree) -> None:
    file = tree.conf("etc/sysctl.d/1.conf", "fs.sample.nosuch = 1\n")
    assert tree.run("-q", "--system") == ("", "", 0)
    assert tree.run("-p", file)[2] == 1


def test_cat_config_shows_the_files_in_their_order_with_names(tree: SampleTree) -> None:
    tree.conf("usr/lib/sysctl.d/50-a.conf", "vendor = 1\n")
    own = tree.conf("etc/sysctl.d/50-a.conf", "a = 1\n# why\n")
    other = tree.conf("run/sysctl.d/60-b.conf", "b = 1")
    last = tree.conf("etc/sysctl.conf", "c = 1\n")
    out = f"# {own}\na = 1\n# why\n\n# {other}\nb = 1\n\n# {last}\nc = 1\n"
    assert tree.run("--cat-config") == (out, "", 0)


def test_prefix_dir_option_names_another_place(tree: SampleTree, tmp_path: Path) -> None:
    (tmp_path / "image/etc").mkdir(parents=True)
    (tmp_path / "image/etc/sysctl.conf").write_text("fs.sample.port = 7\n")
    assert tree.run("-p", "--prefix-dir", str(tmp_path / "image"))[0] == "fs.sample.port = 7\n"


def test_prefix_applies_a_part(tree: SampleTree) -> None:
    tree.conf("etc/sysctl.d/1.conf", "fs.sample.port = 2\nfs.sample.mode = hard\n")
    assert tree.run("--system", "-n", "--prefix=fs.sample.mode")[0].split("\n")[-2:] == ["hard", ""]
    assert (tree.folder / "port").read_text() == "0\n"


def test_a_glob_leaves_out_what_a_line_names(tree: SampleTree) -> None:
    left_out = "".join(f"-fs.sample.{name}\n" for name in ("debug", "mode", "stop", "held"))
    stdin = f"fs.sample.* = 4\nfs.sample.port = 5\n{left_out}"
    assert tree.run("-p", "-", stdin=stdin)[0] == "fs.sample.timeout = 4\nfs.sample.port = 5\n"


@pytest.mark.parametrize("pattern", ["^fs.sample.p", "po[[:alpha:]]t$", "(port|none)"])
def test_a_pattern_is_an_extended_regular_expression(tree: SampleTree, pattern: str) -> None:
    assert tree.run("-aN", "-r", pattern)[0] == "fs.sample.port\n"


def test_a_pattern_that_is_none_is_said(tree: SampleTree) -> None:
    out, err, status = tree.run("-a", "-r", "(")
    assert (out, status) == ("", 1)
    assert err.startswith("pysysctl: pattern '('")
