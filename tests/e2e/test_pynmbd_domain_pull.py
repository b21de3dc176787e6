# SPDX-License-Identifier: GPL-3.0-or-later
"""nmbd as domain master takes our list: what a host on our network announced is seen on the other side of a
router. It comes for the list minutes after we reported to it, so its clock is a fast one."""

from __future__ import annotations

import pytest

from hosts.browsing import GROUP, browse_dat, elections, enumerate_servers, listed, route, wait
from hosts.lab import Lab
from hosts.netbios import CACHE, start_nmbd, start_pynmbd, start_smbd

pytestmark = pytest.mark.needs("nmbd", "smbd", "faketime")

FAR = "10.97.1.3"
DOMAIN = (
    GROUP + "netbios name = DMB\nwins support = yes\ndns proxy = no\nos level = 65\n"
    "domain master = yes\npreferred master = yes\n"
)
LOCAL = (
    GROUP + f"netbios name = LMB\nwins server = {FAR}\npreferred master = yes\ncache directory = {CACHE}\n"
)
NEAR = GROUP + "netbios name = NEAR\nserver string = Beside us\nlocal master = no\n"


def test_sambas_domain_master_fetches_our_list_and_serves_it() -> None:
    with Lab(4) as lab:
        route(lab, lab.h1, lab.h2, lab.h3)
        start_nmbd(lab.h3, DOMAIN, address=FAR, speed=8)
        start_nmbd(lab.h4, NEAR, speed=8)
        start_smbd(lab.h3, GROUP + "netbios name = DMB\n")
        start_smbd(lab.h1, GROUP + "netbios name = LMB\n")
        start_pynmbd(lab.h1, LOCAL)
        wait(lambda: elections(lab.h1)["domain_master"]["known"] == f"DMB ({FAR})", what="us to find it")
        wait(lambda: listed(lab.h1) == {"LMB", "NEAR", "DMB"}, what="its list here")
        wait(lambda: listed(lab.h3) == {"DMB", "LMB", "NEAR"}, timeout=120, what="our list there")
        assert {line["comment"] for line in browse_dat(lab.h3) if line["name"] == "NEAR"} == {"Beside us"}
        assert enumerate_servers(lab.h2, FAR) >= {"DMB", "LMB", "NEAR"}
