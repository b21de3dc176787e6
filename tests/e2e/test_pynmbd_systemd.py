# SPDX-License-Identifier: GPL-3.0-or-later
"""pynmbd as a unit on a machine with a real systemd: unprivileged, confined, and still doing all it does."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.claims import claim, query
from fakes.datagrams import datagram
from hosts.lab import Lab
from hosts.machine import SystemdHost
from hosts.netbios import CHECKOUT, ask
from hosts.strict import be_strict, violations
from hosts.waiting import wait_for
from hosts.wire import frames
from pydaemons.netbios import nspacket
from pydaemons.netbios.mailslot import BROWSE

CONF = "[global]\nnetbios name = UNIT\nwins support = yes\n"


@pytest.fixture
def machine(lab: Lab) -> Iterator[SystemdHost]:
    """A machine on the lab's network with pynmbd installed and not yet started."""
    host = lab.boot("h1", binds=[CHECKOUT], limit=180.0)
    script = f"""
    cd {CHECKOUT}
    cp -r lib/pydaemons /usr/lib/python3/dist-packages/
    install bin/pynmbd /usr/sbin/
    install bin/pynmbctl bin/pynmblookup bin/pysysctl /usr/bin/
    cp units/pynmbd.service units/pynmbd*.socket /etc/systemd/system/
    systemd-sysusers {CHECKOUT}/units/sysusers.d/pynmbd.conf
    systemd-tmpfiles --create {CHECKOUT}/units/tmpfiles.d/pynmbd.conf
    """
    host.run("sh", "-e", "-c", script, check=True)
    host.write("/etc/pynmbd.conf", CONF)
    be_strict(host, "pynmbd")
    yield host
    assert violations(host) == []


def registered(lab: Lab, text: str) -> int:
    found = ask(lab.h2, claim(text, lab.h2.address), lab.h1.address)
    assert found is not None
    return nspacket.unpack(found).rcode


def found(lab: Lab, text: str) -> bool:
    data = ask(lab.h2, query(text), lab.h1.address)
    return data is not None and nspacket.unpack(data).rcode == 0


def test_it_starts_unprivileged_confined_and_ready_with_a_status_line(lab: Lab, machine: SystemdHost) -> None:
    machine.systemctl("start", "pynmbd")
    pid = machine.show("pynmbd", "MainPID")
    status = machine.run("cat", f"/proc/{pid}/status", check=True).stdout
    uid = machine.run("id", "-u", "pynmbd", check=True).stdout.strip()
    assert re.search(rf"^Uid:\s+{uid}\s", status, re.MULTILINE)
    assert re.search(r"^CapEff:\s+0*400$", status, re.MULTILINE), "CAP_NET_BIND_SERVICE and nothing else"
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE)
    wait_for(lambda: "UNIT in WORKGROUP, 1 networks" in machine.show("pynmbd", "StatusText"), what="a status")
    assert registered(lab, "CLIENT#20") == 0
    assert found(lab, "CLIENT#20")
    machine.run("test", "-S", "/run/samba/nmbd/unexpected", check=True)
    tree = machine.run("pysysctl", "net.netbios.wins_names", check=True).stdout
    assert re.fullmatch(r"net\.netbios\.wins_names = \d+\n", tree)


def test_names_survive_a_restart_and_a_kill(lab: Lab, machine: SystemdHost) -> None:
    machine.systemctl("start", "pynmbd")
    assert registered(lab, "CLIENT#20") == 0
    machine.systemctl("restart", "pynmbd")
    assert found(lab, "CLIENT#20")
    machine.run("systemctl", "kill", "--signal=KILL", "pynmbd", check=True)
    wait_for(lambda: found(lab, "CLIENT#20"), what="systemd to start it again")


@pytest.mark.needs("tshark", "tcpdump")
def test_a_restart_loses_no_query_and_says_nothing_on_the_network(
    lab: Lab, machine: SystemdHost, tmp_path: Path
) -> None:
    machine.systemctl("start", "pynmbd")
    wait_for(lambda: '"claiming"' not in names(machine), what="the names to be ours")
    assert names(machine).count('"owned"') == 5
    pid = machine.show("pynmbd", "MainPID")
    capture = lab.h2.capture(tmp_path / "restart.pcap", "udp port 137", "net0")
    with lab.h2.network(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        done = threading.Thread(target=machine.systemctl, args=("restart", "pynmbd"))
        done.start()
        asked = answered = 0
        while done.is_alive():
            asked += 1
            sock.sendto(query("UNIT#20", id_=asked, recursion=False), (lab.h1.address, 137))
            answered += nspacket.unpack(sock.recv(2000)).id == asked
        done.join()
    assert machine.show("pynmbd", "MainPID") != pid
    assert answered == asked > 0
    assert names(machine).count('"owned"') == 5
    requests = f"nbns && ip.src == {lab.h1.address} && !nbns.flags.response"
    assert frames(capture.finish(), requests) == []


def test_the_datagram_socket_goes_on_over_a_restart_too(lab: Lab, machine: SystemdHost) -> None:
    machine.systemctl("start", "pynmbd")
    before = machine.run("ss", "-Hunle", "sport = 138", check=True).stdout
    machine.systemctl("restart", "pynmbd")
    assert machine.show("pynmbd", "NFileDescriptorStore") == "2"
    after = machine.run("ss", "-Hunle", "sport = 138", check=True).stdout
    (inode,) = re.findall(r"ino:(\d+)", before)
    assert f"ino:{inode}" in after, "it is the very socket"
    say_something(lab)
    wait_for(lambda: heard(machine) >= 1, what="a datagram to be heard")


def say_something(lab: Lab) -> None:
    """A datagram from h2 to h1."""
    with lab.h2.network(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        write = datagram(BROWSE, b"", source="H2#00", destination="WORKGROUP#1e", address=lab.h2.address)
        sock.sendto(write, (lab.h1.address, 138))


def heard(machine: SystemdHost) -> int:
    return int(machine.run("pysysctl", "-n", "net.netbios.datagrams", check=True).stdout)


def names(machine: SystemdHost) -> str:
    return str(machine.run("pynmbctl", "--json", "names", check=True).stdout)


def test_a_reload_by_systemd_is_done_when_it_returns(lab: Lab, machine: SystemdHost) -> None:
    machine.systemctl("start", "pynmbd")
    machine.write("/etc/pynmbd.conf", CONF + "netbios aliases = EXTRA\n")
    machine.systemctl("reload", "pynmbd")
    assert found(lab, "EXTRA#20")


def test_socket_units_hand_their_ports_over(lab: Lab, machine: SystemdHost) -> None:
    machine.systemctl("start", "pynmbd.socket", "pynmbd-datagram.socket")
    wait_for(lambda: found(lab, "UNIT#20"), what="the first request to start it")
    for port in (137, 138):
        listening = machine.run("ss", "-Hunl", f"sport = {port}", check=True).stdout.splitlines()
        assert len(listening) == 1
    say_something(lab)
    wait_for(lambda: heard(machine) >= 1, what="a datagram to be heard")


def test_a_hook_runs_inside_the_confinement(lab: Lab, machine: SystemdHost) -> None:
    machine.write("/usr/local/bin/hook", '#!/bin/sh\necho "$@" >>/var/lib/pynmbd/hooked\n', mode=0o755)
    machine.write("/etc/pynmbd.conf", CONF + "wins hook = /usr/local/bin/hook --x\n")
    machine.systemctl("start", "pynmbd")
    assert registered(lab, "CLIENT#20") == 0
    wait_for(
        lambda: "--x add CLIENT 20 300000 10.97.0.2" in machine.run("cat", "/var/lib/pynmbd/hooked").stdout,
        what="the hook",
    )


def test_a_wrong_configuration_is_not_tried_again(machine: SystemdHost) -> None:
    machine.write("/etc/pynmbd.conf", "[global]\nworkgroup = *\n")
    assert machine.run("systemctl", "start", "pynmbd").returncode != 0
    assert machine.show("pynmbd", "ExecMainStatus") == "6"
    assert machine.show("pynmbd", "NRestarts") == "0"
