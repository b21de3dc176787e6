# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark of calls over Rx runs and prints what it promises. What it prints is never judged here."""

from __future__ import annotations

import re
import subprocess

import pytest

from house.tree import TESTS


@pytest.mark.slow
@pytest.mark.needs("bosserver", "bos")
def test_both_sides_are_measured_and_compared():
    command = [TESTS / "bench/rx", "--rounds", "1", "--seconds", "0.3", "--clients", "1", "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    rows = re.findall(
        r"^(\d) clients?\s+pybosd\s+(\d+)\s+bosserver\s+(\d+)\s+ratio (\d\.\d\d)", done.stdout, re.M
    )
    assert [row[0] for row in rows] == ["1", "2"], done.stdout
    assert all(int(ours) > 0 and int(peer) > 0 for _, ours, peer, _ in rows)
