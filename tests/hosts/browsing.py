# SPDX-License-Identifier: GPL-3.0-or-later
"""What browsers of a lab know of each other: pynmbd by pynmbctl, Samba's nmbd by its browse.dat, both on the
wire."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Callable
from typing import Any

from hosts.lab import Host, Lab
from hosts.netbios import CACHE, CHECKOUT, ctl
from hosts.waiting import wait_for
from pydaemons.netbios import browse, mailslot, name
from pydaemons.netbios.browse import Frame
from pydaemons.netbios.dgram import Datagram, Kind

GROUP = "[global]\nworkgroup = TESTGRP\n"
LINE = re.compile(r'"(?P<name>[^"]*)" +(?P<type>[0-9a-f]{8}) "(?P<comment>[^"]*)" +"(?P<group>[^"]*)"')


def wait(predicate: Callable[[], object], *, what: str, timeout: float = 60.0) -> None:
    """As wait_for, for what takes browsers seconds: each question costs a process."""
    wait_for(predicate, what=what, timeout=timeout, every=0.25)


def elections(host: Host) -> dict[str, Any]:
    """`pynmbctl elections`."""
    found: dict[str, Any] = json.loads(ctl(host, "--json", "elections"))
    return found


def role(host: Host) -> tuple[str, str]:
    """What pynmbd is on its first network, and who is master there."""
    (network, *_) = elections(host)["networks"]
    return network["role"], network["master"]


def browse_dat(host: Host) -> list[dict[str, str]]:
    """The browse.dat in CACHE, whoever wrote it."""
    text = str(host.run("cat", f"{CACHE}/browse.dat").stdout)
    return [found.groupdict() for found in map(LINE.fullmatch, text.splitlines()) if found]


def listed(host: Host, group: str = "TESTGRP") -> set[str]:
    """Servers of a group in a browse.dat."""
    return {line["name"] for line in browse_dat(host) if line["group"] == group and line["name"] != group}


def groups(host: Host) -> dict[str, str]:
    """Groups in a browse.dat, with their masters."""
    return {line["name"]: line["comment"] for line in browse_dat(host) if int(line["type"], 16) & 0x80000000}


def master(host: Host, group: str = "TESTGRP") -> list[str]:
    """Who answers for a group's <1d>, asked from `host`."""
    done = host.run("nmblookup", "-s", "/dev/null", "-M", group, timeout=30)
    return re.findall(rf"^(\S+) {group}<1d>", str(done.stdout), re.MULTILINE)


def enumerate_servers(host: Host, server: str, types: int = 0xFFFFFFFF) -> set[str]:
    """The servers an smbd tells of (NetServerEnum2 over SMB1)."""
    words = (server, "X", "TESTGRP", str(types), "", "cp850")
    done = host.run(
        *(sys.executable, "-m", "pydaemons.nmbd.fetchlist", *words),
        env={"PYTHONPATH": str(CHECKOUT / "lib")},
        timeout=60,
    )
    answer = json.loads(done.stdout)
    assert "error" not in answer, answer
    return {entry[0] for entry in answer["servers"]}


def say(host: Host, slot: bytes, frame: Frame, *, source: str, to: str) -> None:
    """Have somebody on `host` say a browser frame to all of its first network."""
    names = (name.pack(name.parse(each)) for each in (source, to))
    write = mailslot.Write(slot, browse.pack(frame))
    packet = Datagram(Kind.DIRECT_GROUP, 7, socket.inet_aton(host.address), 138, *names, write.pack())
    with host.network(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.bind((host.address, 0))
        sock.sendto(packet.pack(), (host.address.rpartition(".")[0] + ".255", 138))


def hears_datagrams(host: Host, *, hears: bool) -> None:
    """Whether `host` hears what comes to port 138 on its first network; it may go on speaking. A routing rule
    and no packet filter: every kernel has those."""
    rule = ("pref", "0", "iif", "net0", "ipproto", "udp", "dport", "138", "blackhole")
    if not hears:  # ours must come before the one that says which addresses are our own
        host.run("ip", "rule", "add", "pref", "1", "lookup", "local", check=True)
        host.run("ip", "rule", "delete", "pref", "0", check=True)
    host.run("ip", "rule", "delete" if hears else "add", *rule, check=True)


def route(lab: Lab, near: Host, router: Host, far: Host) -> None:
    """Put `far` on network 1 alone and have `router` forward between it and `near` on network 0."""
    lab.join(router, 1)
    lab.join(far, 1)
    far.run("ip", "link", "delete", "net0", check=True)
    near.run("ip", "route", "add", "10.97.1.0/24", "via", router.address, check=True)
    far.run("ip", "route", "add", "10.97.0.0/24", "via", f"10.97.1.{router.number}", check=True)
    router.run("sysctl", "-qw", "net.ipv4.ip_forward=1", check=True)
