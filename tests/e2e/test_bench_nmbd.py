# SPDX-License-Identifier: GPL-3.0-or-later
"""The name service benchmark runs and prints what it promises. What it prints is never judged here."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from bench import names
from house.tree import TESTS


@pytest.mark.needs("gcc")
def test_the_load_generator_compiles_without_a_warning(tmp_path):
    gcc = shutil.which("gcc")
    done = subprocess.run(
        [gcc, "-O2", "-Wall", "-Wextra", "-Werror", "-o", tmp_path / "nbload", names.SOURCE],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.needs("gcc", "nmbd")
def test_the_name_service_benchmark_measures_both_sides_and_prints_their_ratios():
    done = subprocess.run(
        [TESTS / "bench" / "nmbd", "--quick", "--json"],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert set(summary["sides"]) == {names.OURS, names.PEER}
    assert len(summary["steps"]) == len(names.steps([1000], 0.3))
    for row in summary["steps"].values():
        rates = [row[side]["per_second"] for side in (names.OURS, names.PEER)]
        assert min(rates) > 0
        assert row["ratio"] == pytest.approx(rates[0] / rates[1], abs=0.01)
    assert "register up to 1000 names" in names.table(summary)
