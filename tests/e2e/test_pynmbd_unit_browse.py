# SPDX-License-Identifier: GPL-3.0-or-later
"""Browsing as an unprivileged, confined unit: the list is where the shipped link leads, and another master's
list is fetched."""

from __future__ import annotations

import json

import pytest

from hosts.browsing import GROUP
from hosts.lab import Lab
from hosts.netbios import CACHE, CHECKOUT, start_pynmbd, start_smbd
from hosts.strict import be_strict, violations
from hosts.waiting import wait_for

pytestmark = pytest.mark.needs("smbd")

INSTALL = f"""
cd {CHECKOUT}
cp -r lib/pydaemons /usr/lib/python3/dist-packages/
install bin/pynmbd /usr/sbin/
install bin/pynmbctl /usr/bin/
cp units/pynmbd.service units/pynmbd*.socket /etc/systemd/system/
mkdir -p /etc/systemd/system/pynmbd.service.d
cp units/pynmbd.service.d/beside-smbd.conf.example /etc/systemd/system/pynmbd.service.d/beside-smbd.conf
systemd-sysusers {CHECKOUT}/units/sysusers.d/pynmbd.conf
systemd-tmpfiles --create {CHECKOUT}/units/tmpfiles.d/pynmbd.conf
"""


def test_a_confined_master_writes_its_list_and_fetches_the_domain_masters() -> None:
    with Lab(2) as lab:
        machine = lab.boot("h1", binds=[CHECKOUT], limit=180.0)
        machine.run("sh", "-e", "-c", INSTALL, check=True)
        be_strict(machine, "pynmbd")
        machine.write("/etc/pynmbd.conf", GROUP + "netbios name = UNIT\npreferred master = yes\n")
        domain = "netbios name = DMB\ndomain master = yes\nlocal master = no\npreferred master = no\n"
        start_pynmbd(lab.h2, GROUP + domain + f"cache directory = {CACHE}\n")
        start_smbd(lab.h2, GROUP + "netbios name = DMB\n")
        machine.systemctl("start", "pynmbd")

        def sources() -> dict[str, str]:
            shown = json.loads(machine.run("pynmbctl", "--json", "browse", check=True).stdout)
            return {each["name"]: each["source"] for each in shown["servers"] if each["network"] == ""}

        try:
            wait_for(
                lambda: sources() == {"UNIT": "self", "DMB": lab.h2.address}, timeout=60, what="the list"
            )
        except AssertionError as failed:
            log = machine.run("journalctl", "-u", "pynmbd", "-o", "cat", "--no-pager").stdout
            raise AssertionError(log[-3000:]) from failed
        first = '"TESTGRP"                 c0001000 "UNIT"'
        wait_for(
            lambda: machine.run("cat", "/var/cache/samba/browse.dat").stdout.startswith(first),
            what="browse.dat where smbd looks",
        )
        wait_for(
            lambda: "master browser of net0" in machine.show("pynmbd", "StatusText"),
            what="the status to say so",
        )
        user = machine.run("stat", "-Lc", "%U %a", "/var/cache/samba/browse.dat", check=True).stdout
        assert user == "pynmbd 644\n"
        assert violations(machine) == []
