# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisors' benchmark runs and prints what it promises. What it prints is never judged here."""

from __future__ import annotations

import json
import subprocess

import pytest

from bench import supervising
from house.tree import TESTS


@pytest.mark.slow
@pytest.mark.parametrize("side", ["pybosd", "pystemd"])
def test_a_side_is_measured(side):
    command = [
        TESTS / "bench/bosd",
        "--rounds",
        "1",
        "--number",
        "10",
        "--crashes",
        "2",
        "--json",
        "--side",
        side,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    found = json.loads(done.stdout)
    assert found["side"] == side
    assert {"create", "status", "crash", "bytes", "stop"} <= set(found)
    assert all(found[key] > 0 for key in ("create", "status", "crash", "stop"))


def test_the_report_compares_with_every_peer_that_took_part(capsys):
    ours = {"create": 1.2, "status": 10.0, "crash": 30.0, "stop": 1.0, "bytes": 3000.0, "empty": 1.0}
    theirs = {**ours, "create": 1.0, "status": 20.0, "crash": 20.0}
    supervising.report({"pybosd": [ours], "bosserver": [theirs], "pystemd": [theirs]}, 5)
    out = capsys.readouterr().out
    assert "create and start: 1.20 x pystemd (target 1.3: reached)" in out
    assert "status of all: 0.50 x bosserver (target 1.0: reached)" in out
    assert "crash to running: 1.50 x pystemd (target 1.2: missed)" in out
