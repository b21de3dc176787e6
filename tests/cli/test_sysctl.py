# SPDX-License-Identifier: GPL-3.0-or-later
"""The command as a whole; tests/e2e holds it beside sysctl(8) itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.tree import PYSYSCTL, SampleTree


@pytest.fixture
def tree(tmp_path: Path) -> SampleTree:
    return SampleTree(tmp_path)


def test_a_key_is_printed_with_its_value(tree: SampleTree) -> None:
    assert tree.run("fs.sample.timeout") == ("fs.sample.timeout = 10\n", "", 0)
    assert tree.run("-n", "fs/sample/timeout") == ("10\n", "", 0)


def test_all_keys_are_listed_in_order_without_what_is_no_key(tree: SampleTree) -> None:
    (tree.folder / "notes").write_text("not mine\n")
    (tree.folder / ".new-timeout-1").write_text("5\n")
    out, err, status = tree.run("-aN")
    assert out.split() == [f"fs.sample.{n}" for n in ("debug", "held", "mode", "port", "stop", "timeout")]
    assert (err, status) == ("", 0)


def test_globs_work_on_the_command_line(tree: SampleTree) -> None:
    assert tree.run("fs.sample.[mp]*")[0] == "fs.sample.mode = soft\nfs.sample.port = 0\n"
    assert tree.run("fs.*.po*=7")[0] == "fs.sample.port = 7\n"
    assert tree.run("fs.sample.z*") == (
        "",
        f"pysysctl: cannot stat {tree.root}/fs/sample/z*: No such file or directory\n",
        1,
    )


def test_prefix_limits_what_is_shown_and_set(tree: SampleTree) -> None:
    assert tree.run("-aN", "--prefix", "fs.sample.port")[0] == "fs.sample.port\n"
    assert tree.run("-aN", "--prefix=fs/sam") == ("", "", 0)
    assert (
        tree.run("--prefix=fs.sample.port", "fs.sample.timeout=4", "fs.sample.port=4")[0]
        == "fs.sample.port = 4\n"
    )


def test_root_option_wins_over_the_environment(tree: SampleTree, tmp_path: Path) -> None:
    other = SampleTree(tmp_path / "other")
    (other.folder / "port").write_text("99\n")
    assert tree.run("--root", str(other.root), "fs.sample.port")[0] == "fs.sample.port = 99\n"


def test_a_tree_that_is_not_there_is_said_without_a_traceback(tree: SampleTree) -> None:
    for arguments in (["-a"], ["fs.sample.port"], ["-L"], ["--describe"], ["--watch"], ["--diff"]):
        _, err, status = tree.run("--root", "/nonexistent", *arguments)
        assert status == 1 and "/nonexistent" in err and "Traceback" not in err


def test_json_gives_an_object_of_what_was_read_or_set(tree: SampleTree) -> None:
    out, _, status = tree.run("--json", "fs.sample.mode", "fs.sample.port=0x10")
    assert (out, status) == ('{\n  "fs.sample.mode": "soft",\n  "fs.sample.port": "0x10"\n}\n', 0)


def test_the_kernels_keys_are_served_too_when_asked(tree: SampleTree) -> None:
    assert tree.run("--kernel", "kernel.ostype", "fs.sample.port")[0] == (
        "kernel.ostype = Linux\nfs.sample.port = 0\n"
    )
    names = tree.run("--kernel", "-aN")[0].split()
    assert "kernel.ostype" in names and "fs.sample.port" in names
    _, err, status = tree.run("kernel.ostype")
    assert (status, err) == (
        1,
        f"pysysctl: cannot stat {tree.root}/kernel/ostype: No such file or directory\n",
    )


def test_a_reader_who_has_enough_ends_it_quietly(tree: SampleTree) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [str(PYSYSCTL), "-a"], stdout=write, stderr=subprocess.PIPE, env=tree.environment(), check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (-13, b"")


def test_a_closed_standard_output_is_an_error_and_touches_no_key(tree: SampleTree) -> None:
    done = subprocess.run(
        ["sh", "-c", '"$1" fs.sample.port=5 fs.sample.mode >&-', "sh", str(PYSYSCTL)],
        capture_output=True,
        text=True,
        env=tree.environment(),
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "pysysctl: write error: Bad file descriptor\n")
    assert (tree.folder / "port").read_text() == "5\n"
    assert (tree.folder / "mode").read_text() == "soft\n"


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8", "en_US.ISO-8859-1"])
def test_names_and_values_travel_as_bytes_whatever_the_locale(tmp_path: Path, locale: str) -> None:
    (tmp_path / os.fsdecode(b"k\xff")).write_bytes(b"\xc3\xa9\xfe\n")
    done = subprocess.run(
        [PYSYSCTL, "--root", tmp_path, b"k\xff", "-a"],
        capture_output=True,
        env={"LC_ALL": locale},
        check=False,
    )
    assert done.stdout == b"k\xff = \xc3\xa9\xfe\n"


def test_it_runs_through_links_and_from_anywhere(tree: SampleTree, tmp_path: Path) -> None:
    link = tmp_path / "pysysctl"
    link.symlink_to(PYSYSCTL)
    for command, cwd in ((link, "/"), ("./pysysctl", tmp_path), (PYSYSCTL, "/")):
        done = subprocess.run(
            [str(command), "-n", "fs.sample.port"],
            capture_output=True, text=True, env=tree.environment(), cwd=cwd, check=False,
        )  # fmt: skip
        assert (done.stdout, done.stderr) == ("0\n", "")


def test_reading_a_key_imports_nothing_slow(tree: SampleTree) -> None:
    done = subprocess.run(
        [sys.executable, "-ISX", "importtime", str(PYSYSCTL), "fs.sample.port"],
        capture_output=True, text=True, env=tree.environment(), check=True,
    )  # fmt: skip
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    slow = {"os", "re", "typing", "enum", "dataclasses", "argparse", "json", "glob", "functools", "site"}
    assert "pydaemons.cli.sysctl" in imported
    assert not imported & slow


@pytest.mark.parametrize("folder", ["lib/python{}.{}/dist-packages", "lib/python{}.{}/site-packages"])
def test_it_finds_its_modules_where_it_is_installed(tree: SampleTree, tmp_path: Path, folder: str) -> None:
    version = subprocess.check_output(
        ["/usr/bin/python3", "-c", "import sys; print(*sys.version_info[:2])"], text=True
    )
    modules = tmp_path / "prefix" / folder.format(*version.split())
    shutil.copytree(PYSYSCTL.parents[1] / "lib/pydaemons", modules / "pydaemons")
    (tmp_path / "prefix/sbin").mkdir()
    program = shutil.copy(PYSYSCTL, tmp_path / "prefix/sbin/pysysctl")
    done = subprocess.run(
        [program, "-n", "fs.sample.port"], capture_output=True, text=True, env=tree.environment(), check=False
    )
    assert (done.stdout, done.stderr) == ("0\n", "")
