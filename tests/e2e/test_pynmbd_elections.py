# SPDX-License-Identifier: GPL-3.0-or-later
"""Elections between pynmbd and real nmbds: lost, refused, forced, and what comes after a master's end. Two
networks at once, as Samba's elections take their time."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from hosts.browsing import GROUP, elections, listed, master, role
from hosts.holder import Process
from hosts.lab import Lab
from hosts.netbios import ctl, start_nmbd, start_pynmbd
from hosts.waiting import wait_for

pytestmark = pytest.mark.needs("nmbd", "nmblookup")

BOSS = GROUP + "netbios name = BOSS\nos level = 65\npreferred master = yes\n"
SUT = GROUP + "netbios name = SUT\n[net.netbios]\nmaster_check = 3\n"
LOW = GROUP + "netbios name = LOW\nos level = 1\n"


@dataclass
class Site:
    """A network with a master of Samba's, ourselves, and a weaker host of Samba's."""

    lab: Lab
    boss: Process
    ours: Process


@pytest.fixture(scope="module")
def sites() -> Iterator[tuple[Site, Site]]:
    with ExitStack() as stack:
        stopped, killed = stack.enter_context(Lab(3)), stack.enter_context(Lab(2))
        bosses = [start_nmbd(lab.h2, BOSS) for lab in (stopped, killed)]
        start_nmbd(stopped.h3, LOW)
        # it finds no master at first and would take the office before Samba's is through its own election
        sure = SUT.replace("[net", "local master = no\n[net")
        ours = [start_pynmbd(lab.h1, sure) for lab in (stopped, killed)]
        yield Site(stopped, bosses[0], ours[0]), Site(killed, bosses[1], ours[1])


def test_a_better_samba_host_is_master_and_we_know_it(sites: tuple[Site, Site]) -> None:
    for site in sites:
        lab = site.lab
        wait_for(lambda lab=lab: role(lab.h1) == ("potential", "BOSS"), timeout=60, what="BOSS to be master")
        lab.h1.write("/run/pynmbd.conf", SUT)
        ctl(lab.h1, "reload")
    wait_for(lambda: "SUT" in listed(sites[0].lab.h2), timeout=60, what="us in BOSS's list")


def test_an_election_we_force_is_lost(sites: tuple[Site, Site]) -> None:
    lab = sites[0].lab
    wait_for(lambda: elections(lab.h1)["networks"][0]["election"] == "quiet", what="LOW to have given up")
    before = elections(lab.h1)["networks"][0]["elections"]
    assert ctl(lab.h1, "force-election") == "election on 1 networks\n"
    wait_for(lambda: elections(lab.h1)["networks"][0]["elections"] > before, what="the election to be held")
    wait_for(lambda: elections(lab.h1)["networks"][0]["election"] == "quiet", what="the election to end")
    assert role(lab.h1)[0] == "potential"
    assert master(lab.h1) == [lab.h2.address]


def test_after_its_orderly_stop_and_after_its_crash_we_take_over(sites: tuple[Site, Site]) -> None:
    stopped, killed = sites
    stopped.boss.send_signal(signal.SIGTERM)
    killed.boss.send_signal(signal.SIGKILL)
    for site, why in ((stopped, "stop"), (killed, "crash")):
        wait_for(
            lambda lab=site.lab: role(lab.h1) == ("master", "SUT"), timeout=60, what=f"us after its {why}"
        )
    assert master(stopped.lab.h3) == [stopped.lab.h1.address]
    wait_for(lambda: listed(stopped.lab.h1) == {"SUT", "LOW"}, timeout=60, what="the list to be ours")
    assert "not master browser" not in stopped.ours.log
