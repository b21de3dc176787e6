# SPDX-License-Identifier: GPL-3.0-or-later
"""Elections among equals: of pynmbd and a real nmbd with one os level, whoever has been up longer is master,
whoever calls the election."""

from __future__ import annotations

import pytest

from hosts.browsing import GROUP, elections, master, role, wait
from hosts.lab import Lab
from hosts.netbios import ctl, start_nmbd, start_pynmbd

pytestmark = pytest.mark.needs("nmbd", "nmblookup", "faketime")

SUT = GROUP + "netbios name = SUT\n"
PEER = GROUP + "netbios name = PEER\n"


def _election_over(lab: Lab, before: int) -> None:
    wait(lambda: elections(lab.h1)["networks"][0]["elections"] > before, what="the election to be held")
    wait(lambda: elections(lab.h1)["networks"][0]["election"] == "quiet", what="the election to end")


def _force(lab: Lab) -> None:
    lab.h2.run("smbcontrol", "-s", "/run/smb.conf", "nmbd", "force-election", check=True)


def test_the_older_of_two_equals_is_master_whoever_calls() -> None:
    with Lab(2) as older, Lab(2) as younger:
        # a fast clock makes it older than it is
        start_nmbd(younger.h2, PEER + "preferred master = no\n", speed=8)
        ours = start_pynmbd(older.h1, SUT)
        wait(lambda: role(older.h1) == ("master", "SUT"), what="us to be master of one network")
        wait(lambda: master(younger.h1) == [younger.h2.address], what="PEER, of the other")
        theirs = start_pynmbd(younger.h1, SUT)
        start_nmbd(older.h2, PEER)
        wait(lambda: role(younger.h1)[0] == "potential", what="us to look around")

        before = elections(older.h1)["networks"][0]["elections"]
        lost = elections(younger.h1)["networks"][0]["elections"]
        _force(older)
        ctl(younger.h1, "force-election")
        _election_over(older, before)
        _election_over(younger, lost)
        wait(lambda: role(younger.h1) == ("potential", "PEER"), what="PEER to be master still")
        assert role(older.h1) == ("master", "SUT")
        assert master(older.h2) == [older.h1.address]

        before = elections(older.h1)["networks"][0]["elections"]
        ctl(older.h1, "force-election")
        _force(younger)
        _election_over(older, before)
        wait(lambda: master(younger.h1) == [younger.h2.address], what="PEER to stay")
        assert role(older.h1) == ("master", "SUT")
        assert role(younger.h1)[0] == "potential"
        assert "not master browser" not in ours.log
        assert "master browser of" not in theirs.log
