# SPDX-License-Identifier: GPL-3.0-or-later
"""The soak runs are kept able to run; long ones are for people."""

from __future__ import annotations

import subprocess

import pytest

from hosts.peers import CHECKOUT

pytestmark = pytest.mark.usefixtures("make_lab")  # skips where no lab can be made


def test_a_short_soak_finds_nothing_lost_and_nothing_doubled():
    words = ["--minutes", "0.1", "--kill", "2", "--restart", "1", "--clients", "6"]
    done = subprocess.run(
        [CHECKOUT / "tests" / "soak" / "lockd", *words],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["ok"]), done.stdout + done.stderr
    assert "2 kills, 1 restarts" in done.stdout
