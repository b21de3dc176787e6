# SPDX-License-Identifier: GPL-3.0-or-later
"""The window of an error stop in real time, 30 seconds as the peer's: to the second, on a real systemd.

Its other cases are played in virtual time in tests/bnode/test_errorstop.py.
"""

from __future__ import annotations

import pytest

from hosts.bos import BosHost
from hosts.waiting import wait_for

PACED = """#!/bin/sh
# paced NAME FIRST LATER: live FIRST seconds when started for the first time, LATER each time after
if [ -e /run/starts/$1 ]; then exec counted $1 $3 1; fi
exec counted $1 $2 1
"""


@pytest.mark.slow
def test_windows_are_the_peers_to_the_second(bos: BosHost) -> None:
    """One each 2.6 s stops at the 12th exit, one each 2.9 s never; 12 s of life before do not count."""
    bos.host.write("/usr/local/bin/paced", PACED, mode=0o755)
    for name, first, later in (("often", 0, 2.6), ("seldom", 0, 2.9), ("late", 12, 1)):
        bos.do("create", name, "simple", f"/usr/local/bin/paced {name} {first} {later}")
    wait_for(lambda: len(bos.starts("seldom")) >= 13, what="a 12th exit of seldom's", timeout=90, every=0.2)
    shown = bos.status()
    for name in ("often", "late"):
        assert shown[name]["error_stop"] and shown[name]["starts"] == 12
        assert len(bos.starts(name)) == 12
    assert not shown["seldom"]["error_stop"]
