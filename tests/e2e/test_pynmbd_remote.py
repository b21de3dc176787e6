# SPDX-License-Identifier: GPL-3.0-or-later
"""Beyond what one network hears, pynmbd and real nmbds on either side of a router: remote announce, remote
browse sync; and LAN Manager's announcements on one network. The nmbds are in a hurry."""

from __future__ import annotations

from pathlib import Path

import pytest

from hosts.browsing import GROUP, browse_dat, listed, master, role, route, say, wait
from hosts.lab import Host, Lab
from hosts.netbios import CACHE, start_nmbd, start_pynmbd, start_smbd
from hosts.wire import MALFORMED, fields, frames
from pydaemons.netbios import mailslot
from pydaemons.netbios.browse import LanmanAnnouncement, LanmanRequest

pytestmark = pytest.mark.needs("nmbd", "smbd", "nmblookup", "faketime", "tshark", "tcpdump")

FAR = "10.97.1.3"
SPEED = 8
BASE = f"preferred master = yes\ncache directory = {CACHE}\n"
SUT = "netbios name = SUT\nserver string = Ours\n" + BASE
WINS = "wins support = yes\ndns proxy = no\n"
"""Without it nmbd hears no far masters."""
THEIRS = "netbios name = FAR\nserver string = Theirs\n" + BASE


def comments(host: Host, group: str) -> dict[str, str]:
    return {line["name"]: line["comment"] for line in browse_dat(host) if line["group"] == group}


def test_remote_announcements_arrive_in_the_lists_of_other_groups_both_ways() -> None:
    with Lab(3) as lab:
        route(lab, lab.h1, lab.h2, lab.h3)
        far = "[global]\nworkgroup = FARGRP\nremote announce = 10.97.0.1/TESTGRP\n" + THEIRS
        start_nmbd(lab.h3, far, address=FAR, speed=SPEED)
        wait(lambda: "FAR" in listed(lab.h3, "FARGRP"), what="nmbd to be master of its group")
        ours = start_pynmbd(lab.h1, GROUP + f"remote announce = {FAR}/FARGRP\n" + SUT)
        wait(lambda: comments(lab.h3, "FARGRP").get("SUT") == "Ours", what="us in its list")
        wait(lambda: comments(lab.h1, "TESTGRP").get("FAR") == "Theirs", what="it in ours")
        assert role(lab.h1) == ("master", "SUT")
        ours.stop()
        wait(lambda: "SUT" not in listed(lab.h3, "FARGRP"), what="our good-bye")


def test_remote_browse_sync_brings_each_list_to_the_other_side() -> None:
    with Lab(4) as lab:
        route(lab, lab.h1, lab.h2, lab.h3)
        far = GROUP + "remote browse sync = 10.97.0.1\ndomain master = yes\n" + WINS + THEIRS
        start_nmbd(lab.h3, far, address=FAR, speed=SPEED)
        for host, text in ((lab.h3, "FAR"), (lab.h1, "SUT")):
            start_smbd(host, GROUP + f"netbios name = {text}\n")
        start_pynmbd(lab.h1, GROUP + f"remote browse sync = {FAR}\n" + SUT)
        start_nmbd(lab.h4, GROUP + "netbios name = NEAR\nlocal master = no\n", speed=SPEED)
        wait(lambda: listed(lab.h1) == {"SUT", "NEAR", "FAR"}, timeout=90, what="its list here")
        wait(lambda: listed(lab.h3) == {"SUT", "NEAR", "FAR"}, timeout=90, what="our list there")


def test_lan_manager_announcements_are_as_sambas_and_both_list_such_hosts(tmp_path: Path) -> None:
    with Lab(3) as lab:
        capture = lab.h3.capture(tmp_path / "lanman.pcap", "udp port 138", "net0")
        start_nmbd(lab.h2, "[global]\nworkgroup = OTHER\nlm announce = auto\n" + THEIRS, speed=SPEED)
        start_pynmbd(lab.h1, GROUP + "lm announce = auto\n" + SUT)
        wait(lambda: role(lab.h1) == ("master", "SUT"), what="us to be master")
        wait(lambda: master(lab.h3, "OTHER") == [lab.h2.address], what="nmbd to be master")
        for group in ("TESTGRP", "OTHER"):
            old = LanmanAnnouncement(3, 37, 0, 60, b"WARP", b"OS/2 Warp")
            say(lab.h3, mailslot.LANMAN, LanmanRequest(b"WARP"), source="WARP#00", to=f"{group}#00")
            say(lab.h3, mailslot.LANMAN, old, source="WARP#00", to=f"{group}#00")
        wait(lambda: comments(lab.h1, "TESTGRP").get("WARP") == "OS/2 Warp", what="the old host in our list")
        wait(lambda: comments(lab.h2, "OTHER").get("WARP") == "OS/2 Warp", what="the old host in nmbd's")
        path = capture.path
        wait(lambda: {"SUT", "FAR"} <= set(_lanman(path)), what="both to announce")
        capture.finish()
        ours, theirs = _lanman(path)["SUT"], _lanman(path)["FAR"]
        assert ours == theirs
        assert frames(path, f"ip.src == {lab.h1.address} && {MALFORMED}") == []


def _lanman(path: Path) -> dict[str, list[str]]:
    """By the announced name, what tshark reads in a LAN Manager announcement. Comments are left out: Samba's
    are in capitals."""
    names = [f"browser.{field}" for field in ("server", "os_major", "os_minor", "server_type", "period")]
    where = 'mailslot.name contains "LANMAN" && browser.command == 1'
    return {row[0]: row[1:] for row in fields(path, where, *names, whole=False)}
