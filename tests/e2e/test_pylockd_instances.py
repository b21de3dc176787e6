# SPDX-License-Identifier: GPL-3.0-or-later
"""One pylockd for each network namespace, next to the machine's own, under a real systemd."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hosts.machine import SystemdHost
from hosts.peers import CHECKOUT
from hosts.strict import be_strict, violations
from hosts.waiting import wait_for

FH = "11" * 16
CONFIGURATION = "[fs.nfs]\nnlm_udpport = 4045\nnlm_tcpport = 4045\n"


@pytest.fixture
def machine(boot: Callable[..., SystemdHost]) -> Iterator[SystemdHost]:
    """Namespaces blue and green.dc, and pylockd installed; all use the same ports."""
    host = boot(binds=[CHECKOUT], limit=180.0)
    assert host.run(str(CHECKOUT / "bin" / "quickstart"), "--install").returncode == 0
    host.write("/etc/pylockd@blue.conf", CONFIGURATION)
    host.write("/etc/pylockd@green.dc.conf", CONFIGURATION)
    host.run("mkdir", "-p", "/etc/pylockd.conf.d", check=True)
    host.write("/etc/pylockd.conf.d/50-test.conf", CONFIGURATION)
    for name in ("blue", "green.dc"):
        host.run("ip", "netns", "add", name, check=True)
        host.run("ip", "-n", name, "link", "set", "lo", "up", check=True)
    be_strict(host, "pylockd", "pylockd@")
    yield host
    assert violations(host) == []


def within(host: SystemdHost, name: str, *command: str) -> str:
    """Run in a network namespace of the machine."""
    return host.run("ip", "netns", "exec", name, *command, check=True).stdout


def locks(host: SystemdHost, *which: str) -> list[dict[str, Any]]:
    return json.loads(host.run("pylockctl", "locks", "--json", *which, check=True).stdout)


def test_three_at_once_share_nothing(machine: SystemdHost) -> None:
    machine.systemctl("start", "pylockd", "pylockd@blue", "pylockd@green.dc")
    for name in ("blue", "green.dc"):
        within(machine, name, "pylockctl", "lock", "127.0.0.1", FH)
        assert "100021" in within(machine, name, "rpcinfo", "-p", "127.0.0.1"), "its own rpcbind knows it"
    assert len(locks(machine, "--instance", "blue")) == len(locks(machine, "--instance", "green.dc")) == 1
    assert locks(machine) == []
    machine.systemctl("stop", "pylockd@blue")
    assert machine.run("pylockctl", "status", "--instance", "blue").returncode == 1
    assert len(locks(machine, "--instance", "green.dc")) == 1
    assert machine.show("pylockd", "ActiveState") == "active"


def test_an_instance_never_registers_with_the_rpcbind_of_the_machine(machine: SystemdHost) -> None:
    machine.start("rpcbind", "-w", "-f")
    wait_for(lambda: machine.run("rpcinfo", "-p", "127.0.0.1").returncode == 0, what="rpcbind")
    machine.systemctl("start", "pylockd@blue")
    assert "100021" not in machine.run("rpcinfo", "-p", "127.0.0.1", check=True).stdout
    assert "100021" in within(machine, "blue", "rpcinfo", "-p", "127.0.0.1")


def test_each_has_tunables_of_its_own(machine: SystemdHost) -> None:
    machine.write("/etc/sysctl.d/60-test.conf", "fs.nfs.nlm_timeout = 5\nfs.nfs@blue.nlm_timeout = 6\n")
    machine.systemctl("start", "pylockd", "pylockd@blue", "pylockd@green.dc")
    keys = ["fs.nfs.nlm_timeout", "fs.nfs@blue.nlm_timeout", "fs.nfs@green/dc.nlm_timeout"]
    assert machine.run("pysysctl", "-n", *keys, check=True).stdout == "5\n6\n10\n"
    assert machine.run("pysysctl", "fs.nfs@blue.nlm_timeout=7").stdout == "fs.nfs@blue.nlm_timeout = 7\n"
    assert machine.run("pysysctl", "fs/nfs@green.dc/nlm_timeout=99").returncode == 1
    assert machine.run("pysysctl", "-n", *keys, check=True).stdout == "5\n7\n10\n"
    shown = machine.run("pysysctl", "-a", "-r", "nlm_timeout", check=True).stdout
    assert shown == "".join(f"{key} = {value}\n" for key, value in zip(keys, (5, 7, 10), strict=True))
    assert "fs.nfs@blue.nlm_timeout: 6 -> 7" in machine.journal("pylockd@blue")
    machine.run("pysysctl", "fs.nfs@blue.nlm_end_grace=Y", check=True)


def test_an_instance_is_confined_reloads_and_restarts_as_the_service_does(machine: SystemdHost) -> None:
    machine.systemctl("start", "pylockd@blue")
    status = machine.run("cat", f"/proc/{machine.show('pylockd@blue', 'MainPID')}/status", check=True).stdout
    assert "CapEff:\t0000000000000400" in status
    machine.write("/etc/pylockd@blue.conf", CONFIGURATION + "nlm_timeout = 8\n")
    machine.systemctl("reload", "pylockd@blue")
    assert machine.run("pysysctl", "-n", "fs.nfs@blue.nlm_timeout").stdout == "8\n"
    machine.systemctl("restart", "pylockd@blue")
    assert machine.show("pylockd@blue", "ActiveState") == "active"
    within(machine, "blue", "pylockctl", "lock", "127.0.0.1", FH)


def test_an_instance_without_its_namespace_does_not_start(machine: SystemdHost) -> None:
    assert machine.run("systemctl", "start", "pylockd@red").returncode != 0
    assert machine.run("pylockctl", "status", "--instance", "red").returncode == 1
