# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree is clean for ruff (lint and format, everything) and mypy --strict (lib/)."""

from __future__ import annotations

import os
import subprocess
import tempfile

import pytest

from house.tree import ROOT


def check(*command: str) -> None:
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "NO_COLOR": "1", "RUFF_NO_CACHE": "true"},
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


@pytest.mark.needs("ruff")
def test_ruff_finds_nothing_to_complain_about():
    check("ruff", "check", ".")


@pytest.mark.needs("ruff")
def test_ruff_would_format_nothing_otherwise():
    check("ruff", "format", "--check", ".")


@pytest.mark.needs("mypy")
def test_mypy_is_content_with_the_library():
    # outside the tree: a root-owned cache in a user's checkout would be in the way later
    cache = os.environ.get("MYPY_CACHE_DIR") or f"{tempfile.gettempdir()}/pydaemons-mypy-{os.getuid()}"
    check("mypy", "--cache-dir", cache, "lib")
