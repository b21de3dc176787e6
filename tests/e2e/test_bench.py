# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmarks run and print what they promise. What they print is never judged here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from bench import locking
from house.tree import TESTS


def bench(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TESTS / "bench" / "lockd", *words],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.needs("gcc")
def test_the_load_generator_compiles_without_a_warning(tmp_path):
    done = subprocess.run(
        [
            shutil.which("gcc"),
            "-O2",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-o",
            tmp_path / "nlmload",
            locking.SOURCE,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.needs("gcc", "rpcbind", "rpc.statd", "ganesha.nfsd")
def test_the_lock_benchmark_measures_both_sides_and_prints_their_ratios():
    done = bench("--quick", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert len(summary["speeds"]) == len(locking.SPEEDS)
    for row in summary["speeds"].values():
        assert row["ratio"] == pytest.approx(
            row["pylockd"]["per_second"] / row["ganesha"]["per_second"], abs=0.01
        )
    held = {side: [step["held"] for step in figures["held"]] for side, figures in summary["sides"].items()}
    assert held == {"ganesha": [100, 1000, 2000], "pylockd": [100, 1000, 10_000, 20_000]}
    for figures in summary["sides"].values():
        assert min(figures[key] for key in ("wake_ms_median", "first_lock_us", "growth")) > 0
    assert summary["sides"]["pylockd"]["durable_us"] > 0
    assert "refused" not in done.stderr  # no call was answered with an error or not at all


def test_the_lock_benchmark_names_its_options_and_refuses_others():
    done = bench("--help")
    assert done.returncode == 0 and "--rounds" in done.stdout
    assert bench("--rouns", "3").returncode == 2
