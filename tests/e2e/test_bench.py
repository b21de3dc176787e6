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
def test_the_lock_benchmark_measures_the_peer():
    done = bench("--quick", "--peer-only", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert len(summary["speeds"]) == len(locking.SPEEDS)
    assert all(row["ganesha"]["per_second"] > 0 for row in summary["speeds"].values())
    peer = summary["sides"]["ganesha"]
    assert [step["held"] for step in peer["held"]] == [100, 1000, 2000]
    assert peer["wake_ms_median"] > 0 and peer["first_lock_us"] > 0
    assert "refused" not in done.stderr


def test_the_lock_benchmark_names_its_options_and_refuses_others():
    done = bench("--help")
    assert done.returncode == 0 and "--rounds" in done.stdout
    assert bench("--rouns", "3").returncode == 2
