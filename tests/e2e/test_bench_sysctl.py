# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark of pysysctl's start-up runs and prints its ratios. What they are is never judged here."""

from __future__ import annotations

import subprocess

from house.tree import TESTS


def test_it_prints_a_row_with_two_ratios_for_each_command() -> None:
    done = subprocess.run(
        [TESTS / "bench/sysctl", "--rounds", "1"], capture_output=True, text=True, check=True, timeout=100
    )
    head, *rows = done.stdout.splitlines()
    assert head.split() == ["ms", "x", "python", "x", "sysctl"]
    assert [row[:24].strip() for row in rows[2:]] == [
        "pysysctl KEY",
        "pysysctl KEY=VALUE",
        "pysysctl -a",
        "pysysctl -L",
    ]
    for row in rows:
        assert all(float(number) > 0 for number in row[24:].split())
