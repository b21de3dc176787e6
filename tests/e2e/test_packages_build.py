# SPDX-License-Identifier: GPL-3.0-or-later
"""The Debian packages can be built from a clean copy, come out the same twice, and lintian is content."""

from __future__ import annotations

import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hosts import debs

pytestmark = pytest.mark.needs("dpkg-buildpackage", "dh", "pybuild", "lintian")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The packages' trees after two builds in unlike surroundings."""
    one = debs.copy(tmp_path_factory.mktemp("one") / "pydaemons")
    two = debs.copy(tmp_path_factory.mktemp("two") / "another-name")
    later = time.time() + 86400
    for path in two.rglob("*"):
        os.utime(path, (later, later), follow_symlinks=False)
    with ThreadPoolExecutor() as pool:
        builds = [
            pool.submit(debs.build, one),
            pool.submit(debs.build, two, umask=0o077, timezone="Pacific/Kiritimati"),
        ]
        for build in builds:
            build.result()
    return one, two


def test_two_builds_are_equal_byte_by_byte(built: tuple[Path, Path]) -> None:
    one, two = (sorted(tree.parent.glob("*.deb")) for tree in built)
    assert [path.name for path in one] == [path.name for path in two]
    assert [
        path.name for path, other in zip(one, two, strict=True) if path.read_bytes() != other.read_bytes()
    ] == []


def test_lintian_finds_nothing(built: tuple[Path, Path]) -> None:
    changes = debs.changes(built[0])
    done = subprocess.run(
        ["lintian", "--fail-on=error,warning", "--display-info", "--pedantic", changes.name],
        cwd=changes.parent,
        env=debs.ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def content(tree: Path, package: str) -> set[str]:
    (deb,) = tree.parent.glob(f"{package}_*.deb")
    listed = subprocess.run(["dpkg-deb", "-c", deb], capture_output=True, text=True, check=True).stdout
    return {line.split()[5].lstrip(".") for line in listed.splitlines() if not line.endswith("/")}


def test_every_unit_program_and_page_is_in_exactly_one_package(built: tuple[Path, Path]) -> None:
    packages = {name: content(built[0], name) for name in debs.NAMES}
    everything = [path for paths in packages.values() for path in paths]
    assert len(everything) == len(set(everything)), "a file in two packages"
    names = [re.sub(r"\.gz$", "", path.rpartition("/")[2]) for path in everything]
    tree = debs.CHECKOUT
    ours = [
        *tree.glob("bin/py*"),
        *tree.glob("docs/man/*"),
        *tree.glob("docs/examples/*"),
        *tree.glob("sysctl.d/*"),
    ]
    ours += list(tree.glob("units/**/*"))
    ours += list(tree.glob("docs/completion/**/*"))
    ours = [path for path in ours if path.is_file()]
    for path in ours:
        if "pydaemons-setup" not in path.name:  # it does what the packages do
            assert path.name in names, f"{path.relative_to(tree)} is in no package"
