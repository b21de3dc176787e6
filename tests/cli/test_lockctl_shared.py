# SPDX-License-Identifier: GPL-3.0-or-later
"""Words for rows, and clients found by what they are called."""

from __future__ import annotations

import pytest

from pydaemons.cli.lockctl_shared import CLIENT, cells, duration, mode


def test_a_client_nobody_knows_is_an_error(ctl, busy):
    failed = ctl("locks", "--client", "nobody.invalid")
    assert (failed.status, failed.err) == (1, "pylockctl: locks: no client nobody.invalid is known\n")


def test_a_grant_not_acknowledged_yet_is_starred():
    row = {"kind": "lock", "mode": "write", "acknowledged": False}
    assert mode(row) == "WRITE*"


def test_a_name_with_blanks_passes_for_no_other_column():
    assert cells(CLIENT, {"client": "10.0.0.2", "name": "web 5 LOCK"}) == ("10.0.0.2", r"web\x205\x20LOCK")


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0.0s"), (59.94, "59.9s"), (60, "1m00s"), (3725, "1h02m"), (200000, "2d07h")]
)
def test_a_duration_has_two_units_at_most(seconds, shown):
    assert duration(seconds) == shown
