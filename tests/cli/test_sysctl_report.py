# SPDX-License-Identifier: GPL-3.0-or-later
import json
import os
from pathlib import Path

import pytest

from fakes.tree import SampleTree


@pytest.fixture
def tree(tmp_path: Path) -> SampleTree:
    return SampleTree(tmp_path)


def test_the_table_has_value_default_bounds_unit_and_origin(tree: SampleTree) -> None:
    tree.tunables.set("timeout", "5", "/etc/sampled.conf:3")
    tree.publish()
    out, err, status = tree.run("-L")
    assert (err, status) == ("", 0)
    assert [line.split() for line in out.splitlines()] == [
        ["KEY", "CURRENT", "DEFAULT", "MIN", "MAX", "UNIT", "ORIGIN"],
        ["fs.sample.debug", "0x0000", "0x0000", "0", "0x0003", "-", "default"],
        ["fs.sample.held", "0", "-", "-", "-", "-", "state"],
        ["fs.sample.mode", "soft", "soft", "-", "-", "-", "default"],
        ["fs.sample.port", "0", "0", "0", "65535", "-", "default"],
        ["fs.sample.stop", "N", "N", "-", "-", "-", "default"],
        ["fs.sample.timeout", "5", "10", "3", "20", "seconds", "/etc/sampled.conf:3"],
    ]


def test_a_description_tells_all(tree: SampleTree) -> None:
    assert tree.run("--describe", "fs.sample.timeout") == (
        "fs.sample.timeout\n"
        "  How long to wait for an answer.\n"
        "  value:        10 seconds\n"
        "  range:        3..20\n"
        "  default:      10\n"
        "  origin:       default\n"
        "  configured:   10\n"
        "  takes effect: next call\n"
        "  access:       read and write\n"
        "  daemon:       sampled (not running)\n",
        "",
        0,
    )


def test_a_running_daemon_is_told(tmp_path: Path) -> None:
    tree = SampleTree(tmp_path, pid=os.getpid())
    assert f"sampled (running, process {os.getpid()})" in tree.run("--describe", "fs.sample.port")[0]


def test_json_has_numbers_where_values_are_numbers(tree: SampleTree) -> None:
    (known,) = json.loads(tree.run("-L", "--json", "fs.sample.timeout")[0])
    assert known == {
        "key": "fs.sample.timeout", "value": 10, "default": 10, "min": 3, "max": 20, "range": "3..20",
        "unit": "seconds", "effect": "next call", "origin": "default",
        "doc": "How long to wait for an answer.", "daemon": "sampled", "writable": True,
    }  # fmt: skip


def test_an_unknown_key_is_an_error(tree: SampleTree) -> None:
    out, err, status = tree.run("--describe", "fs.sample.none", "fs.sample.port")
    assert out.startswith("fs.sample.port\n")
    assert (err, status) == (
        f"pysysctl: cannot stat {tree.root}/fs/sample/none: No such file or directory\n", 1
    )  # fmt: skip


def test_a_key_that_nobody_describes_is_shown_with_what_there_is(tree: SampleTree) -> None:
    (tree.folder / ".schema").unlink()
    assert tree.run("--describe", "fs.sample.port")[0] == (
        "fs.sample.port\n  value:        0\n  access:       read and write\n"
    )
    assert tree.run("-L", "fs.sample.port")[0].splitlines()[1].split() == ["fs.sample.port", "0", *"-----"]


def test_kernel_keys_can_be_listed_too(tree: SampleTree) -> None:
    assert "Linux" in tree.run("-L", "--kernel", "kernel.ostype")[0]
