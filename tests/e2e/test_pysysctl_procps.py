# SPDX-License-Identifier: GPL-3.0-or-later
"""pysysctl beside procps' sysctl, on one tree, over the table in procps_cases."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from e2e.procps_cases import CASES, DEVIATIONS, Case

pytestmark = pytest.mark.e2e

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def results() -> list[dict[str, Any]]:
    cases = [asdict(case) for case in CASES]
    driver = ["unshare", "-mn", sys.executable, str(HERE / "procps_driver.py")]
    done = subprocess.run(
        driver, input=json.dumps(cases), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def normal(text: str, root: str) -> str:
    """A message without the names of program and root."""
    text = text.replace(root, "ROOT").replace("/proc/sys", "ROOT").replace("pysysctl", "sysctl")
    return text.replace("/usr/sbin/sysctl:", "X:").replace("sysctl: ", "X: ")


def shape(result: dict[str, Any], case: Case, root: str) -> tuple[object, object, int, object]:
    out = normal(result["out"], root)
    err = normal(result["err"], root)
    if case.unordered:
        return sorted(out.split("\n")), sorted(err.split("\n")), result["status"], result["after"]
    return out, err, result["status"], result["after"]


def name(case: Case) -> str:
    text = " ".join(case.args) + (f" <<< {case.stdin!r}" if case.stdin else "")
    return ("nobody: " if case.nobody else "") + (text if len(text) < 60 else text[:57] + "...")


@pytest.mark.parametrize("number", range(len(CASES)), ids=[name(case) for case in CASES])
def test_it_answers_as_sysctl_does_or_as_its_deviation_says(
    number: int, results: list[dict[str, Any]]
) -> None:
    case, both = CASES[number], results[number]
    root = both["root"]
    theirs, ours = shape(both["sysctl"], case, root), shape(both["pysysctl"], case, root)
    if not case.differs:
        assert ours == theirs
        return
    assert case.differs in DEVIATIONS
    assert ours != theirs, "no deviation any more"
    if case.out is not None:
        assert both["pysysctl"]["out"] == case.out
    if case.err is not None:
        assert normal(both["pysysctl"]["err"], root) == case.err
    if case.status is not None:
        assert both["pysysctl"]["status"] == case.status


def test_the_table_is_long_enough_and_every_deviation_is_used() -> None:
    assert len(CASES) >= 150
    assert {case.differs for case in CASES} - {""} == set(DEVIATIONS)
