# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of bin/ are launchers, all alike: find the packages, import one name, run it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from house.tree import ROOT

PROGRAMS = sorted((ROOT / "bin").glob("py*"))
FAST = ("pybos", "pysysctl")
"""called often by scripts: without site, and with nothing imported that is not built in"""
DAEMONS = ("pybosd", "pylockd", "pynmbd")
COMMANDS = tuple(path.name for path in PROGRAMS if path.name not in (*FAST, *DAEMONS))


def shape(path: Path) -> str:
    """The launcher without what is its own: names, and how the program ends."""
    text = path.read_text()
    text = re.sub(r'"""[\w-]+\(8\)\. ', '"""NAME(8). ', text)
    text = re.sub(r"Without site and with (few imports|hardly an import)", "Without site", text)
    return text[: text.index("\nfrom pydaemons.")]


@pytest.mark.parametrize("group", [FAST, DAEMONS, COMMANDS], ids=["fast", "daemons", "commands"])
def test_launchers_of_a_kind_are_alike(group: tuple[str, ...]) -> None:
    assert len({shape(ROOT / "bin" / name) for name in group}) == 1


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_a_launcher_names_itself_and_only_imports_and_runs(path: Path) -> None:
    text = path.read_text()
    assert f'"""{path.name}(8).' in text
    own = text[text.index("\nfrom pydaemons.") :]
    lines = [line for line in own.splitlines() if line and not line.startswith("#")]
    assert len(lines) <= 3, "what a program does stands in lib/"


@pytest.mark.parametrize("name", FAST)
def test_a_fast_one_works_through_a_link_and_installed_below_a_prefix(name: str, tmp_path: Path) -> None:
    ask = [*("/usr/bin/python3", "-c"), "import sys; print('python{}.{}'.format(*sys.version_info))"]
    version = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    modules = tmp_path / f"lib/{version}/dist-packages"
    modules.mkdir(parents=True)
    (modules / "pydaemons").symlink_to(ROOT / "lib/pydaemons")
    (tmp_path / "sbin").mkdir()
    installed = tmp_path / "sbin" / name
    installed.write_text((ROOT / "bin" / name).read_text())
    installed.chmod(0o755)
    link = tmp_path / name
    link.symlink_to(f"sbin/{name}")
    for program in (installed, link):
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(name)
