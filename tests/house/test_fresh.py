# SPDX-License-Identifier: GPL-3.0-or-later
"""Committed files that are made from the declarations are what the declarations make; man is content."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from house.generated import generated
from house.tree import ROOT, modules

FILES = dict(generated())
PAGES = sorted((ROOT / "docs/man").glob("*.[1-9]"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_generated_file_is_fresh(file: Path) -> None:
    assert file.exists() and file.read_text() == FILES[file], "run tests/house/regenerate"


def test_every_daemon_with_settings_has_its_files_generated() -> None:
    declared = {
        module.name
        for module in modules()
        if re.search(r"^class \w+\(Configuration\):", module.path.read_text(), re.MULTILINE)
    }
    from house.generated import CONFIGURATIONS  # noqa: PLC0415

    assert declared == {configuration.__module__ for configuration in CONFIGURATIONS}


@pytest.mark.needs("man")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_man_has_nothing_to_complain_about(page: Path) -> None:
    man = ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(page)]
    done = subprocess.run(man, capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.needs("mandoc")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mandoc_has_nothing_to_complain_about(page: Path) -> None:
    # a page has no date: it is as old as its package
    done = subprocess.run(
        ["mandoc", "-Tlint", "-Wwarning", page], capture_output=True, text=True, check=False
    )
    assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []
