# SPDX-License-Identifier: GPL-3.0-or-later
"""pynmbd as the domain controller that hosts find, beside Samba's smbd which logs them on; and in front of an
Active Directory."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakes import controller
from fakes.claims import wire
from fakes.datagrams import datagram, write_in
from hosts.holder import Process
from hosts.lab import Host, Lab
from hosts.netbios import SAMBA_FOLDERS, ctl, start_pynmbd
from hosts.waiting import wait_for
from hosts.wire import MALFORMED, frames
from pydaemons.netbios import logon
from pydaemons.netbios.logon import NtVersion, SamAnswerEx, SamRequest
from pydaemons.netbios.mailslot import NETLOGON

pytestmark = pytest.mark.needs("smbd", "smbtorture", "pdbedit", "net", "tshark")

DOMAIN = "[global]\nnetbios name = SUT\nworkgroup = TESTGRP\ndomain logons = yes\n"
SMBD = """
passdb backend = tdbsam
security = user
add machine script = /bin/sh -c 'echo "%u:x:2$$:65534::/nonexistent:/usr/sbin/nologin" >>/etc/passwd'
ncalrpc dir = /run/nmbd/ncalrpc
"""
CLIENT = "[global]\nworkgroup = TESTGRP\nnetbios name = CLIENT\nname resolve order = bcast\n"
SLOT = rb"\MAILSLOT\NET\GETDC9"


@dataclass
class Domain:
    lab: Lab
    pynmbd: Process
    capture: Path


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Domain]:
    """h1 is the controller, h2 asks; everything said on port 138 is captured."""
    with Lab(2) as lab:
        h1, h2 = lab.h1, lab.h2
        capture = h2.capture(tmp_path_factory.mktemp("logon") / "logon.pcap", "udp port 138")
        own_accounts(h1)
        pynmbd = start_pynmbd(h1, DOMAIN + "realm = example.org\n")
        folders = [f"/run/nmbd/{part}" for part in ("lock", "state", "cache", "private", "pid", "ncalrpc")]
        h1.run("mkdir", "-p", "/run/samba", *folders, check=True)
        h1.write("/run/smbd.conf", DOMAIN + SAMBA_FOLDERS + SMBD)
        h1.run("sh", "-c", "printf 'secret\\nsecret\\n' | pdbedit -s /run/smbd.conf -t -a root", check=True)
        h1.start("smbd", "-F", "--no-process-group", "-s", "/run/smbd.conf", "-l", "/run/nmbd", name="smbd")
        wait_for(lambda: h1.run("ss", "-Htln", "sport = 445").stdout, what="smbd to listen")
        h2.run("mkdir", "-p", "/run/client", check=True)
        parts = ("lock directory", "state directory", "cache directory", "private dir", "pid directory")
        h2.write("/run/client.conf", CLIENT + "".join(f"{part} = /run/client\n" for part in parts))
        yield Domain(lab, pynmbd, capture.path)
        file = capture.finish()
        assert len(shown(file, "smb_netlogon")) >= 10
        assert shown(file, MALFORMED) == []


def own_accounts(host: Host) -> None:
    """Let the host have accounts of its own: smbd adds some."""
    for name in ("passwd", "group"):
        host.run("cp", f"/etc/{name}", f"/run/{name}", check=True)
        host.run("mount", "--bind", f"/run/{name}", f"/etc/{name}", check=True)


def shown(file: Path, wanted: str) -> list[str]:
    """Frames of h1 that tshark shows under this filter."""
    return frames(file, f"ip.src == 10.97.0.1 && ({wanted})")


@pytest.mark.parametrize("test", ["netlogon", "netlogon2", "ntlogon"])
def test_smbtorture_finds_the_controller_and_its_own_account(domain: Domain, test: str) -> None:
    done = domain.lab.h2.run(
        *("smbtorture", "-s", "/run/client.conf", "-Uroot%secret", "//SUT/IPC$", f"nbt.dgram.{test}"),
        timeout=60,
    )
    assert f"success: {test}" in done.stdout, f"{done.stdout}{done.stderr}{domain.pynmbd.log[-2000:]}"


def test_samba_finds_the_controller_by_its_group(domain: Domain) -> None:
    done = domain.lab.h2.run("nmblookup", "-s", "/run/client.conf", "TESTGRP#1c")
    assert "10.97.0.1 TESTGRP<1c>" in done.stdout


def test_a_samba_host_joins_the_domain(domain: Domain) -> None:
    """It looks for the primary controller by the domain master's name, and for any by the group."""
    lab = domain.lab
    lab.h2.write("/run/member.conf", lab.h2.run("cat", "/run/client.conf").stdout + "security = domain\n")
    wait_for(lambda: "TESTGRP#1b" in ctl(lab.h1, "names"), what="the domain master's name")

    def net(*words: str) -> str:
        done = lab.h2.run("net", "-s", "/run/member.conf", *words, timeout=60)
        return f"{done.stdout}{done.stderr}"

    assert net("lookup", "pdc", "TESTGRP") == f"{lab.h1.address}\n"
    assert net("lookup", "dc", "TESTGRP") == f"{lab.h1.address}\n"
    assert "Joined 'CLIENT' to domain 'TESTGRP'" in net("rpc", "join", "-Uroot%secret")
    assert net("rpc", "testjoin") == "Join to 'TESTGRP' is OK\n"


class Directory(threading.Thread):
    """The controller behind pynmbd: answers pings on port 389 of a host."""

    def __init__(self, host: Host) -> None:
        super().__init__(daemon=True)
        with host.network():
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind(("", 389))
        self.asked: list[dict[str, bytes]] = []

    def run(self) -> None:
        while True:
            try:
                data, source = self.socket.recvfrom(2000)
            except OSError:
                return
            id_, terms = controller.asked(data)
            self.asked.append(terms)
            found = controller.FOUND._replace(user=terms.get("User", b"").decode())
            self.socket.sendto(controller.answer(id_, found.pack()), source)


def test_logon_requests_are_put_to_a_directory_and_its_answer_is_passed_on(make_lab) -> None:
    lab = make_lab(3)
    directory = Directory(lab.h3)
    directory.start()
    start_pynmbd(lab.h1, DOMAIN + f"nmbd_proxy_logon:cldap_server = {lab.h3.address}\n")
    version = NtVersion.V1 | NtVersion.V5 | NtVersion.V5EX_WITH_IP
    request = SamRequest(0, "CLIENT", "CLIENT$", SLOT, 0x80, version=version)
    with lab.h2.network(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind(("", 138))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        client.settimeout(20)
        client.sendto(
            datagram(NETLOGON, request.pack(), source="CLIENT#00", destination="TESTGRP#1c"),
            ("10.97.0.255", 138),
        )
        while True:
            data, source = client.recvfrom(2000)
            if source[0] == lab.h1.address:
                break
    packet, write = write_in(data)
    assert (packet.source, packet.destination, write.mailslot) == (wire("SUT#00"), wire("CLIENT#00"), SLOT)
    found = logon.unpack_answer(write.data)
    assert isinstance(found, SamAnswerEx)
    assert (found.server, found.user, found.guid) == ("DC1", "CLIENT$", controller.GUID)
    assert directory.asked[0]["AAC"] == b"\x80\0\0\0"
    directory.socket.close()
