# SPDX-License-Identifier: GPL-3.0-or-later
"""pynmbd in nmbd's place on a machine with Samba's smbd: under a real systemd, unprivileged, and yet where
smbd and Samba's tools look."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hosts.lab import Lab
from hosts.machine import SystemdHost
from hosts.netbios import CHECKOUT
from hosts.waiting import wait_for

pytestmark = pytest.mark.needs("smbd", "nmbd", "smbclient", "nmblookup")

SMB_CONF = """[global]
netbios name = BOX
workgroup = OFFICE
os level = 65
preferred master = yes
server min protocol = NT1
map to guest = bad user
"""
BROWSE_DAT = "/var/cache/samba/browse.dat"
UNEXPECTED = "/run/samba/nmbd/unexpected"


@pytest.fixture(scope="module")
def machine() -> Iterator[SystemdHost]:
    """Samba runs as it comes from Debian; pynmbd is installed and its drop-in copied."""
    with Lab(2) as lab:
        host = lab.boot("h1", binds=[CHECKOUT], limit=180.0)
        host.write("/etc/samba/smb.conf", SMB_CONF)
        host.systemctl("start", "nmbd", "smbd")
        script = f"""
        cd {CHECKOUT}
        cp -r lib/pydaemons /usr/lib/python3/dist-packages/
        install bin/pynmbd /usr/sbin/
        install bin/pynmbctl /usr/bin/
        cp units/pynmbd.service /etc/systemd/system/
        place=/etc/systemd/system/pynmbd.service.d
        mkdir -p $place
        cp units/pynmbd.service.d/beside-smbd.conf.example $place/beside-smbd.conf
        systemd-sysusers {CHECKOUT}/units/sysusers.d/pynmbd.conf
        systemd-tmpfiles --create {CHECKOUT}/units/tmpfiles.d/pynmbd.conf
        systemctl daemon-reload
        """
        host.run("sh", "-e", "-c", script, check=True)
        host.write("/etc/pynmbd.conf", "include = /etc/samba/smb.conf\n")
        wait_for(lambda: host.run("test", "-s", BROWSE_DAT).returncode == 0, what="nmbd to write its list")
        host.systemctl("start", "pynmbd")
        yield host


def test_it_takes_nmbds_place(machine: SystemdHost) -> None:
    assert machine.show("nmbd", "ActiveState") == "inactive"
    assert machine.show("smbd", "ActiveState") == "active"
    for link, target in (
        (BROWSE_DAT, "/var/cache/pynmbd/browse.dat"),
        (UNEXPECTED, "/run/pynmbd/unexpected"),
    ):
        assert machine.run("readlink", "-f", link, check=True).stdout.strip() == target


def test_it_could_not_write_in_sambas_folders_if_it_wanted(machine: SystemdHost) -> None:
    for folder in ("/var/cache/samba", "/run/samba", "/run/samba/nmbd"):
        done = machine.run("setpriv", "--reuid=pynmbd", "--clear-groups", "test", "-w", folder)
        assert done.returncode == 1, folder


def test_smbd_lists_what_pynmbd_wrote(machine: SystemdHost) -> None:
    def listed() -> bool:
        done = machine.run("cat", BROWSE_DAT)
        return '"OFFICE"' in done.stdout and '"BOX"' in done.stdout

    wait_for(listed, what="pynmbd's own list")
    shown = machine.run(
        *("smbclient", "-L", "localhost", "-N", "-m", "NT1", "--option=client min protocol=NT1"), timeout=30
    ).stdout
    assert "OFFICE" in shown.partition("Workgroup")[2], shown


WISH = f"""
import socket
from pydaemons.nmbd.localpackets import Wish, pack_wish
with socket.socket(socket.AF_UNIX) as sock:
    sock.settimeout(20)
    sock.connect({UNEXPECTED!r})
    sock.sendall(pack_wish(Wish(0, 4711, "")))
    assert sock.recv(1)
"""


def test_any_program_may_wait_for_packets_where_samba_looks(machine: SystemdHost) -> None:
    as_nobody = ("setpriv", "--reuid=nobody", "--clear-groups")
    machine.run(*as_nobody, "/usr/bin/python3", "-c", WISH, timeout=30, check=True)
