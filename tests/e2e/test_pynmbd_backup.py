# SPDX-License-Identifier: GPL-3.0-or-later
"""pynmbd as a backup browser of a real nmbd's network. nmbd promotes nobody, so its host is made to say so as
a Windows master would."""

from __future__ import annotations

import signal

import pytest

from hosts.browsing import GROUP, browse_dat, enumerate_servers, listed, role, say, wait
from hosts.lab import Lab
from hosts.netbios import CACHE, start_nmbd, start_pynmbd, start_smbd
from pydaemons.netbios import mailslot
from pydaemons.netbios.browse import BecomeBackup, ServerType

pytestmark = pytest.mark.needs("nmbd", "smbd", "faketime")

BOSS = GROUP + "netbios name = BOSS\nos level = 65\npreferred master = yes\n"
THIRD = GROUP + "netbios name = THIRD\nlocal master = no\n"
SUT = (
    GROUP + f"netbios name = SUT\ncache directory = {CACHE}\n"
    "[net.netbios]\nmaster_check = 3\nannounce_interval = 10\n"
)


def test_told_by_the_master_we_keep_and_serve_its_list_and_have_it_when_it_crashes() -> None:
    with Lab(3) as lab:
        boss = start_nmbd(lab.h2, BOSS, speed=8)
        start_nmbd(lab.h3, THIRD, speed=8)
        start_smbd(lab.h2, GROUP + "netbios name = BOSS\n")
        start_smbd(lab.h1, GROUP + "netbios name = SUT\n")
        wait(lambda: listed(lab.h2) == {"BOSS", "THIRD"}, what="BOSS to be master and to know THIRD")
        ours = start_pynmbd(lab.h1, SUT)
        wait(lambda: role(lab.h1) == ("potential", "BOSS"), what="us to know the master")
        assert "THIRD" not in enumerate_servers(lab.h3, lab.h1.address)

        say(lab.h2, mailslot.BROWSE, BecomeBackup(b"SUT"), source="BOSS#00", to="TESTGRP#1e")
        wait(lambda: role(lab.h1) == ("backup", "BOSS"), what="us to have the list")
        assert "backup browser of TESTGRP" in ours.log
        wait(lambda: listed(lab.h1) == {"SUT", "BOSS", "THIRD"}, what="the copy in browse.dat")
        assert enumerate_servers(lab.h3, lab.h1.address) >= {"SUT", "BOSS", "THIRD"}

        def shown() -> int:
            types = [int(line["type"], 16) for line in browse_dat(lab.h2) if line["name"] == "SUT"]
            return bool(types) and types[0] & ServerType.BACKUP_BROWSER

        wait(shown, what="nmbd to list us as a backup")
        boss.send_signal(signal.SIGKILL)
        wait(lambda: role(lab.h1) == ("master", "SUT"), what="us to be master")
        assert listed(lab.h1) >= {"SUT", "THIRD"}
