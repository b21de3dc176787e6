# SPDX-License-Identifier: GPL-3.0-or-later
"""One workgroup on two networks with a router between: pynmbd and nmbd as domain master and as local master
of the other network, and two pynmbds. WINS is the domain master's; lists travel between real smbds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from hosts.browsing import GROUP, elections, enumerate_servers, listed, route
from hosts.lab import Lab
from hosts.netbios import CACHE, ctl, start_nmbd, start_pynmbd, start_smbd
from hosts.waiting import wait_for

pytestmark = pytest.mark.needs("nmbd", "smbd")

FAR = "10.97.1.3"
DOMAIN = (
    GROUP + "netbios name = DMB\nwins support = yes\ndns proxy = no\nos level = 65\n"
    "domain master = yes\npreferred master = yes\n"
)
LOCAL = GROUP + f"netbios name = LMB\nwins server = {FAR}\nos level = 40\npreferred master = yes\n"
SAMBA_LOCAL = LOCAL + "domain master = no\n"
OURS = f"cache directory = {CACHE}\n"
LOCAL_LIST_ONLY = 0x40000000
FAST = "[net.netbios]\nbrowse_sync_interval = 10\n"


@pytest.fixture(scope="module")
def labs() -> Iterator[tuple[Lab, Lab, Lab]]:
    """Domain master on h3 (network 1), local master on h1 (network 0): ours and Samba's, Samba's and ours,
    both ours."""
    with ExitStack() as stack:
        labs = [stack.enter_context(Lab(3)) for _ in range(3)]
        for lab in labs:
            route(lab, lab.h1, lab.h2, lab.h3)
        theirs, samba, both = labs
        for lab in (theirs, both):
            start_pynmbd(lab.h3, DOMAIN + OURS + (FAST if lab is both else ""), wait=False)
            start_smbd(lab.h3, GROUP + "netbios name = DMB\n")
        start_nmbd(samba.h3, DOMAIN, address=FAR)
        start_smbd(samba.h3, GROUP + "netbios name = DMB\n")
        start_nmbd(theirs.h1, SAMBA_LOCAL)
        start_pynmbd(samba.h1, LOCAL + OURS)
        start_pynmbd(both.h1, LOCAL + OURS + FAST)
        for lab in (theirs, samba, both):
            start_smbd(lab.h1, GROUP + "netbios name = LMB\n")
        yield theirs, samba, both


def test_our_domain_master_and_a_local_master_of_ours_have_one_list(labs: tuple[Lab, Lab, Lab]) -> None:
    lab = labs[2]
    for host in (lab.h1, lab.h3):
        wait_for(
            lambda host=host: listed(host) == {"DMB", "LMB"}, timeout=60, what=f"the list on {host.name}"
        )
    assert elections(lab.h1)["domain_master"]["known"] == f"DMB ({FAR})"
    assert [each["name"] for each in elections(lab.h3)["domain_master"]["masters"]] == ["LMB"]
    assert "domain master browser of TESTGRP" in ctl(lab.h3, "elections")


def test_a_local_master_of_samba_and_our_domain_master_have_one_list(labs: tuple[Lab, Lab, Lab]) -> None:
    lab = labs[0]
    wait_for(lambda: listed(lab.h3) == {"DMB", "LMB"}, timeout=90, what="LMB in our list")
    wait_for(lambda: listed(lab.h1) == {"DMB", "LMB"}, timeout=90, what="DMB in nmbd's list")


def test_our_local_master_learns_from_sambas_domain_master(labs: tuple[Lab, Lab, Lab]) -> None:
    lab = labs[1]
    wait_for(lambda: listed(lab.h1) == {"DMB", "LMB"}, timeout=90, what="DMB in our list")
    assert elections(lab.h1)["domain_master"]["known"] == f"DMB ({FAR})"
    # nmbd fetches ours within two minutes, from our smbd, as anybody can now
    assert enumerate_servers(lab.h3, lab.h1.address, LOCAL_LIST_ONLY) == {"LMB"}
