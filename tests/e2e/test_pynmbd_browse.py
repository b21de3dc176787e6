# SPDX-License-Identifier: GPL-3.0-or-later
"""pynmbd, two real nmbds and a third one of another workgroup on one network: who is listed where."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hosts.browsing import GROUP, browse_dat, elections, enumerate_servers, groups, listed, master, role
from hosts.lab import Capture, Lab
from hosts.netbios import CACHE, ctl, start_nmbd, start_pynmbd, start_smbd
from hosts.waiting import wait_for
from hosts.wire import MALFORMED, frames

pytestmark = pytest.mark.needs("nmbd", "smbd", "smbclient", "nmblookup", "tshark", "tcpdump")

COMMENT = "A comment of exactly forty-eight characters, ok?"
CONF = (
    GROUP
    + f"netbios name = SUT\nos level = 65\npreferred master = yes\nserver string = {COMMENT}\n"
    + f"time server = yes\ncache directory = {CACHE}\n"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Capture]]:
    """h1 is ours with an smbd, h2 and h3 are nmbds of our group, h4 of another. All masters are in office."""
    with Lab(4) as lab:
        path: Path = tmp_path_factory.mktemp("browse") / "browse.pcap"
        capture = lab.h4.capture(path, "udp port 137 or udp port 138", "net0")
        start_nmbd(lab.h4, "[global]\nworkgroup = OTHER\nnetbios name = FOURTH\npreferred master = yes\n")
        start_nmbd(lab.h2, GROUP + "netbios name = PEER\nserver string = Second\n")
        start_nmbd(lab.h3, GROUP + "netbios name = THIRD\nos level = 33\n")
        start_pynmbd(lab.h1, CONF)
        start_smbd(lab.h1, GROUP + "netbios name = SUT\n")
        yield lab, capture


def test_we_win_against_two_samba_hosts(site: tuple[Lab, Capture]) -> None:
    lab, _ = site
    wait_for(lambda: role(lab.h1) == ("master", "SUT"), what="our election to be won")
    wait_for(lambda: master(lab.h4) == [lab.h1.address], what="our <1d>")
    (network,) = elections(lab.h1)["networks"]
    assert network["criterion"] == "41010f0a"
    assert "master browser of net0" in ctl(lab.h1, "status")


def test_lists_come_together_on_both_sides(site: tuple[Lab, Capture]) -> None:
    lab, _ = site
    wait_for(lambda: listed(lab.h1) == {"SUT", "PEER", "THIRD"}, what="all hosts in our list")
    wait_for(lambda: "SUT" in listed(lab.h2), what="nmbd to know us")
    assert browse_dat(lab.h1)[0] == {
        "name": "TESTGRP", "type": "c0001000", "comment": "SUT", "group": "TESTGRP"
    }  # fmt: skip
    theirs = next(line for line in browse_dat(lab.h2) if line["name"] == "SUT")
    ours = next(line for line in browse_dat(lab.h1) if line["name"] == "SUT")
    assert ours == theirs == {"name": "SUT", "type": "40849a23", "comment": COMMENT, "group": "TESTGRP"}


def test_our_list_is_written_as_nmbd_writes_it(site: tuple[Lab, Capture]) -> None:
    lab, _ = site

    def lines(host: str) -> set[str]:
        text = str(lab.hosts[host].run("cat", f"{CACHE}/browse.dat").stdout)
        return {line for line in text.splitlines() if line.startswith(('"SUT"', '"TESTGRP"'))}

    assert lines("h1") == lines("h2")


def test_an_election_samba_forces_confirms_us_and_a_reload_changes_what_others_list(
    site: tuple[Lab, Capture],
) -> None:
    lab, _ = site
    before = elections(lab.h1)["networks"][0]["elections"]
    lab.h1.write("/run/pynmbd.conf", CONF.replace(COMMENT, "Changed"))
    ctl(lab.h1, "reload")
    lab.h3.run("smbcontrol", "-s", "/run/smb.conf", "nmbd", "force-election", check=True)
    wait_for(
        lambda: (
            (network := elections(lab.h1)["networks"][0])["elections"] > before
            and network["election"] == "quiet"
        ),
        what="the forced election to end",
    )
    assert role(lab.h1) == ("master", "SUT")
    assert master(lab.h4) == [lab.h1.address]
    wait_for(
        lambda: any(line["comment"] == "Changed" for line in browse_dat(lab.h2)),
        what="nmbd to list the new comment",
    )


def test_groups_are_known_to_each_others_masters(site: tuple[Lab, Capture]) -> None:
    lab, _ = site
    wait_for(lambda: groups(lab.h1).get("OTHER") == "FOURTH", timeout=60, what="the other group here")
    wait_for(lambda: groups(lab.h4).get("TESTGRP") == "SUT", timeout=60, what="our group there")
    assert "FOURTH" in ctl(lab.h1, "browse", "OTHER")
    assert "10.97.0.4" in ctl(lab.h1, "top")


def test_smbd_lists_what_we_heard(site: tuple[Lab, Capture]) -> None:
    lab, _ = site
    done = lab.h2.run(
        *("smbclient", "-N", "-L", lab.h1.address, "--option=client min protocol=NT1", "-m", "NT1"),
        timeout=60,
    )
    workgroups = str(done.stdout).partition("Workgroup")[2].split()
    assert workgroups[workgroups.index("TESTGRP") + 1] == "SUT"
    assert workgroups[workgroups.index("OTHER") + 1] == "FOURTH"
    assert enumerate_servers(lab.h2, lab.h1.address) == {"SUT", "PEER", "THIRD"}


def test_no_frame_of_ours_is_malformed(site: tuple[Lab, Capture]) -> None:
    lab, capture = site
    path = capture.finish()
    assert frames(path, f"ip.src == {lab.h1.address} && {MALFORMED}") == []
    assert len(frames(path, f"ip.src == {lab.h1.address} && browser")) >= 8
