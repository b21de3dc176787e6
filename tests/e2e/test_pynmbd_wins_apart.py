# SPDX-License-Identifier: GPL-3.0-or-later
"""Two networks whose WINS server is a third host, ours and Samba's in each part; and two workgroups whose
domain masters learn of each other through WINS alone."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from hosts.browsing import GROUP, elections, groups, listed, route, wait
from hosts.lab import Lab
from hosts.netbios import CACHE, start_nmbd, start_pynmbd, start_smbd

pytestmark = pytest.mark.needs("nmbd", "smbd", "faketime")

FAR = "10.97.1.3"
SPEED = 8
WINS = "[global]\nworkgroup = ELSEWHERE\nnetbios name = WINS\nwins support = yes\ndns proxy = no\n"
WINS += "local master = no\n"
MASTER = f"domain master = yes\npreferred master = yes\ncache directory = {CACHE}\n"
DOMAIN = GROUP + "netbios name = DMB\nwins server = 10.97.1.2\n" + MASTER
LOCAL = (
    GROUP + "netbios name = LMB\nwins server = 10.97.0.2\npreferred master = yes\n"
    f"domain master = no\ncache directory = {CACHE}\n"
)


def _start_smbds(lab: Lab) -> None:
    start_smbd(lab.h3, GROUP + "netbios name = DMB\n")
    start_smbd(lab.h1, GROUP + "netbios name = LMB\n")


def test_lists_meet_when_wins_is_neither_masters() -> None:
    with ExitStack() as stack:
        ours, theirs = (stack.enter_context(Lab(3)) for _ in range(2))
        for lab in (ours, theirs):
            route(lab, lab.h1, lab.h2, lab.h3)
            _start_smbds(lab)
        # our WINS server and local master, Samba's domain master
        start_pynmbd(ours.h2, WINS)
        start_nmbd(ours.h3, DOMAIN, address=FAR, speed=SPEED)
        start_pynmbd(ours.h1, LOCAL)
        # Samba's WINS server and local master, our domain master
        start_nmbd(theirs.h2, WINS, speed=SPEED)
        start_pynmbd(theirs.h3, DOMAIN, wait=False)
        start_nmbd(theirs.h1, LOCAL, speed=SPEED)
        for lab in (ours, theirs):
            for host in (lab.h1, lab.h3):
                wait(
                    lambda host=host: listed(host) == {"DMB", "LMB"}, timeout=120, what=f"{host.name}'s list"
                )
        assert elections(ours.h1)["domain_master"]["known"] == f"DMB ({FAR})"
        assert [each["name"] for each in elections(theirs.h3)["domain_master"]["masters"]] == ["LMB"]


def test_domain_masters_of_two_groups_find_each_other_by_wins() -> None:
    with Lab(3) as lab:
        route(lab, lab.h1, lab.h2, lab.h3)
        first = GROUP + "netbios name = ONE\nwins support = yes\ndns proxy = no\n" + MASTER
        second = "[global]\nworkgroup = OTHER\nnetbios name = TWO\nwins server = 10.97.0.1\n" + MASTER
        start_smbd(lab.h1, GROUP + "netbios name = ONE\n")
        start_smbd(lab.h3, "[global]\nworkgroup = OTHER\nnetbios name = TWO\n")
        start_pynmbd(lab.h1, first)
        start_nmbd(lab.h3, second, address=FAR, speed=SPEED)
        wait(lambda: groups(lab.h1).get("OTHER") == "TWO", timeout=120, what="the other group in our list")
        wait(lambda: "TESTGRP" in groups(lab.h3), timeout=120, what="ours in nmbd's")
        assert elections(lab.h1)["domain_master"]["others"] == [{"name": "TWO", "address": FAR}]
