# SPDX-License-Identifier: GPL-3.0-or-later
"""The office goes from pynmbd to real nmbds: when it stops, and when a better one comes."""

from __future__ import annotations

import pytest

from hosts.browsing import GROUP, master, role
from hosts.lab import Lab
from hosts.netbios import ctl, start_nmbd, start_pynmbd
from hosts.waiting import wait_for

pytestmark = pytest.mark.needs("nmbd", "nmblookup")

SUT = GROUP + "netbios name = SUT\npreferred master = yes\n"


def test_samba_takes_over_when_we_stop_and_when_it_is_better() -> None:
    with Lab(2) as left, Lab(2) as beaten:
        start_nmbd(left.h2, GROUP + "netbios name = LOW\nos level = 1\n")
        start_pynmbd(left.h1, SUT)
        ours = start_pynmbd(beaten.h1, SUT)
        for lab in (left, beaten):
            wait_for(lambda lab=lab: role(lab.h1) == ("master", "SUT"), what="us to be master")
        ctl(left.h1, "shutdown")
        start_nmbd(beaten.h2, GROUP + "netbios name = BOSS\nos level = 65\npreferred master = yes\n")
        wait_for(lambda: role(beaten.h1)[0] == "potential", timeout=60, what="us to give way")
        assert "not master browser of TESTGRP any more" in ours.log
        wait_for(lambda: master(left.h2) == [left.h2.address], timeout=60, what="nmbd to become master")
        wait_for(lambda: role(beaten.h1) == ("potential", "BOSS"), timeout=60, what="BOSS to say so")
