# SPDX-License-Identifier: GPL-3.0-or-later
"""Elections that are won in vain: whoever is master and did not hear of them keeps the name <1d>, be it
Samba's nmbd or ours. What makes it deaf is a firewall that lets names through and datagrams not."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from hosts.browsing import GROUP, elections, hears_datagrams, master, role, wait
from hosts.lab import Lab
from hosts.netbios import ctl, start_nmbd, start_pynmbd
from hosts.wire import frames

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
        wait(lambda: master(lab.h3) == [lab.h2.address], what="BOSS to be master")
        ours = start_pynmbd(lab.h1, SUT + FAST)
        wait(lambda: elections(lab.h1)["networks"][0]["address"] == lab.h2.address, what="us to know it")
        hears_datagrams(lab.h2, hears=False)
        capture = lab.h1.capture(tmp_path / "refused.pcap", "udp port 137", "net0")
        ctl(lab.h1, "force-election")
        wait(lambda: "TESTGRP<1d> already: it is not ours" in ours.log, what="our claim to be refused")
        wait(lambda: role(lab.h1)[0] == "potential", what="us to give up")
        before = held(lab)
        looks = f"nbns.flags.opcode == 0 && nbns.flags.response == 0 && ip.dst == {lab.h2.address}"
        wait(lambda: len(frames(capture.path, looks, whole=False)) >= 2, what="us to look again")
        assert master(lab.h3) == [lab.h2.address]
        assert (role(lab.h1)[0], held(lab)) == ("potential", before), "no second try while there is a master"
        claims = f"nbns.flags.opcode == 5 && nbns.flags.response == 0 && ip.src == {lab.h1.address}"
        assert len(frames(capture.finish(), claims + ' && nbns.name contains "TESTGRP<1d>"')) <= 3
        assert "master browser of TESTGRP" not in ours.log
        theirs.send_signal(signal.SIGKILL)
        wait(lambda: role(lab.h1) == ("master", "SUT"), what="us to be master after it")


def test_samba_that_wins_unheard_does_not_get_the_name_from_us() -> None:
    with Lab(3) as lab:
        ours = start_pynmbd(lab.h1, SUT + "preferred master = yes\n" + FAST)
        wait(lambda: role(lab.h1) == ("master", "SUT"), what="us to be master")
        theirs = start_nmbd(lab.h2, LOW, speed=8)
        hears_datagrams(lab.h1, hears=False)
        before = held(lab)
        lab.h2.run("smbcontrol", "-s", "/run/smb.conf", "nmbd", "force-election", check=True)
        wait(lambda: "claims our name TESTGRP<1d>: refused" in ours.log, what="its claim")
        log = f"{lab.h2.run_dir}/nmbd/log.nmbd"
        wait(lambda: "become_local_master_fail2" in Path(log).read_text(), what="nmbd to give up")
        assert theirs.running
        assert master(lab.h3) == [lab.h1.address]
        hears_datagrams(lab.h1, hears=True)
        lab.h2.run("smbcontrol", "-s", "/run/smb.conf", "nmbd", "force-election", check=True)
        wait(lambda: held(lab) > before, what="an election that we hear of")
        wait(lambda: elections(lab.h1)["networks"][0]["election"] == "quiet", what="its end")
        assert role(lab.h1) == ("master", "SUT")
        assert "not master browser" not in ours.log
