# SPDX-License-Identifier: GPL-3.0-or-later
"""Elections that are won in vain: whoever is master and did not hear of them keeps the name <1d>, be it
Samba's nmbd or ours. What makes it deaf is a firewall that lets names through and datagrams not."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from hosts.browsing import GROUP, elections, hears_datagrams, master, role
from hosts.lab import Lab
from hosts.netbios import ctl, start_nmbd, start_pynmbd
from hosts.waiting import wait_for

pytestmark = pytest.mark.needs("nmbd", "nmblookup", "faketime", "tshark", "tcpdump")

FAST = "[net.netbios]\nmaster_check = 2\n"
SUT = GROUP + "netbios name = SUT\n"
BOSS = GROUP + "netbios name = BOSS\nos level = 65\npreferred master = yes\n"
LOW = GROUP + "netbios name = LOW\nos level = 1\n"


def held(lab: Lab) -> int:
    (network,) = elections(lab.h1)["networks"]
    return int(network["elections"])


def test_refused_by_samba_we_are_no_master_and_try_again_when_it_is_gone(tmp_path: Path) -> None:
    with Lab(3) as lab:
        theirs = start_nmbd(lab.h2, BOSS, speed=8)
        wait_for(lambda: master(lab.h3) == [lab.h2.address], what="BOSS to be master")
        ours = start_pynmbd(lab.h1, SUT + FAST)
        wait_for(lambda: elections(lab.h1)["networks"][0]["address"] == lab.h2.address, what="us to know it")
        hears_datagrams(lab.h2, hears=False)
        capture = lab.h1.capture(tmp_path / "refused.pcap", "udp port 137", "net0")
        ctl(lab.h1, "force-election")
        wait_for(lambda: "TESTGRP<1d> already: it is not ours" in ours.log, what="our claim to be refused")
        wait_for(lambda: role(lab.h1)[0] == "potential", what="us to give up")
        before = held(lab)
        looks = f"nbns.flags.opcode == 0 && nbns.flags.response == 0 && ip.dst == {lab.h2.address}"
        wait_for(lambda: len(_frames(capture.path, looks)) >= 2, every=1.0, what="us to have looked again")
        assert master(lab.h3) == [lab.h2.address]
        assert (role(lab.h1)[0], held(lab)) == ("potential", before), "no second try while there is a master"
        claims = f"nbns.flags.opcode == 5 && nbns.flags.response == 0 && ip.src == {lab.h1.address}"
        assert len(_frames(capture.finish(), claims + ' && nbns.name contains "TESTGRP<1d>"')) <= 3
        assert "master browser of TESTGRP" not in ours.log
        theirs.send_signal(signal.SIGKILL)
        wait_for(lambda: role(lab.h1) == ("master", "SUT"), timeout=60, what="us to be master after it")


def test_samba_that_wins_unheard_does_not_get_the_name_from_us() -> None:
    with Lab(3) as lab:
        ours = start_pynmbd(lab.h1, SUT + "preferred master = yes\n" + FAST)
        wait_for(lambda: role(lab.h1) == ("master", "SUT"), what="us to be master")
        theirs = start_nmbd(lab.h2, LOW, speed=8)
        hears_datagrams(lab.h1, hears=False)
        before = held(lab)
        lab.h2.run("smbcontrol", "-s", "/run/smb.conf", "nmbd", "force-election", check=True)
        wait_for(lambda: "claims our name TESTGRP<1d>: refused" in ours.log, timeout=60, what="its claim")
        log = f"{lab.h2.run_dir}/nmbd/log.nmbd"
        wait_for(lambda: "become_local_master_fail2" in Path(log).read_text(), what="nmbd to give up")
        assert theirs.running
        assert master(lab.h3) == [lab.h1.address]
        hears_datagrams(lab.h1, hears=True)
        lab.h2.run("smbcontrol", "-s", "/run/smb.conf", "nmbd", "force-election", check=True)
        wait_for(lambda: held(lab) > before, what="an election that we hear of")
        wait_for(lambda: elections(lab.h1)["networks"][0]["election"] == "quiet", what="its end")
        assert role(lab.h1) == ("master", "SUT")
        assert "not master browser" not in ours.log


def _frames(path: Path, where: str) -> list[str]:
    command = ["tshark", "-r", str(path), "-Y", where]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.splitlines()
