# SPDX-License-Identifier: GPL-3.0-or-later
"""A cable joins two networks of one workgroup, each with its master: ours on one side, Samba's on the other.
One of them is left."""

from __future__ import annotations

import pytest

from hosts.browsing import GROUP, elections, listed, master, role, wait
from hosts.lab import Lab
from hosts.netbios import CACHE, start_nmbd, start_pynmbd

pytestmark = pytest.mark.needs("nmbd", "nmblookup", "faketime")

OURS = f"netbios name = SUT\ncache directory = {CACHE}\n"
THEIRS = "netbios name = PEER\n"


@pytest.mark.parametrize("ours_is_better", [True, False])
def test_of_two_masters_the_better_one_is_left(ours_is_better: bool) -> None:
    better = "os level = 60\npreferred master = yes\n"
    with Lab(3) as lab:
        lab.unplug(lab.h2)
        start_nmbd(lab.h2, GROUP + THEIRS + ("" if ours_is_better else better), speed=8)
        ours = start_pynmbd(
            lab.h1,
            GROUP + OURS + (better if ours_is_better else ""),
        )
        wait(lambda: role(lab.h1) == ("master", "SUT"), what="us to be master of our network")
        wait(lambda: master(lab.h2) == [lab.h2.address], what="nmbd to be master of its network")
        lab.unplug(lab.h2, back=True)
        winner = ("master", "SUT") if ours_is_better else ("potential", "PEER")
        host = lab.h1 if ours_is_better else lab.h2
        wait(
            lambda: master(lab.h3) == [host.address] and role(lab.h1) == winner,
            timeout=120,
            what="one master",
        )
        wait(lambda: listed(host) == {"SUT", "PEER"}, what="one list")
        assert elections(lab.h1)["networks"][0]["elections"] >= 2
        if not ours_is_better:
            assert "not master browser of TESTGRP any more" in ours.log
