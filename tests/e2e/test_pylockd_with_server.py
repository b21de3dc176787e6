# SPDX-License-Identifier: GPL-3.0-or-later
"""pylockd as long as an NFS server wants it: the drop-ins of docs/examples/pylockd, with nfs-ganesha's own
unit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from hosts import nlm, rpc
from hosts.machine import SystemdHost
from hosts.peers import CHECKOUT, MOUNT_PORT, NFS_PORT
from hosts.waiting import wait_for

Boot = Callable[..., SystemdHost]
EXAMPLES = CHECKOUT / "docs" / "examples" / "pylockd"
SYSTEM = "/etc/systemd/system"
CONFIGURATION = """
[handles]
codec = ganesha-vfs
[nsm]
mode = embedded
port = 4046
"""
GANESHA = f"""
NFS_CORE_PARAM {{
    Protocols = 3; Enable_NLM = false; Enable_RQUOTA = false; mount_path_pseudo = false;
    NFS_Port = {NFS_PORT}; MNT_Port = {MOUNT_PORT};
}}
NFSv4 {{ Graceless = true; RecoveryBackend = fs; }}
EXPORT {{
    Export_Id = 1; Path = /srv/nfs; Pseudo = /srv; Access_Type = RW; Squash = none;
    Protocols = 3; SecType = none, sys;
    FSAL {{ Name = VFS; }}
}}
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[SystemdHost]:
    """pylockd installed, not enabled; nfs-ganesha with its NLM off; the drop-ins in place."""
    with SystemdHost(binds=[CHECKOUT], limit=180.0) as host:
        host.run("mkdir", "-p", "/etc/pylockd.conf.d", "/etc/ganesha", "/srv/nfs", check=True)
        host.run("mount", "-t", "tmpfs", "-o", "mode=777", "none", "/srv/nfs", check=True)
        host.run(str(CHECKOUT / "bin" / "quickstart"), "--install", check=True)
        host.run("systemctl", "disable", "pylockd")
        host.write("/etc/pylockd.conf.d/50-test.conf", CONFIGURATION)
        host.write("/etc/ganesha/ganesha.conf", GANESHA)
        for name in ("pylockd.service.d-while-needed.conf", "nfs-ganesha.service.d-pylockd.conf"):
            unit, _, drop_in = name.partition(".d-")
            host.copy_in(EXAMPLES / name, f"{SYSTEM}/{unit}.d/{drop_in}")
        host.systemctl("mask", "nfs-ganesha-lock")
        host.systemctl("daemon-reload")
        yield host


def state(host: SystemdHost, unit: str) -> str:
    return host.show(unit, "ActiveState")


@pytest.mark.needs("ganesha.nfsd", "rpcbind")
def test_it_starts_with_the_server_outlives_nothing_of_it_and_stops_after_it(machine):
    assert state(machine, "pylockd") == "inactive"
    machine.systemctl("start", "nfs-ganesha")
    assert state(machine, "pylockd") == "active"
    served = [(rpc.NFS, 3), (rpc.NLM, 4)]
    wait_for(
        lambda: all(rpc.getport("127.0.0.1", *each, rpc.TCP, place=machine.network) for each in served),
        what="both in rpcbind",
    )
    port = rpc.getport("127.0.0.1", rpc.NLM, 4, place=machine.network)
    assert rpc.getport("127.0.0.1", rpc.NSM, 1, place=machine.network) == 4046, "as configured for a firewall"
    root = rpc.mount_root("127.0.0.1", "/srv/nfs", port=MOUNT_PORT, place=machine.network)
    with rpc.Nfs("127.0.0.1", port=NFS_PORT, place=machine.network) as nfs:
        handle = nfs.create(root, "file")

    server = machine.show("nfs-ganesha", "MainPID")
    with nlm.Client(machine, "127.0.0.1", port, caller="client") as client:
        assert client.lock(handle) == nlm.STATUS_GRANTED, "a handle of the real server"
    machine.systemctl("restart", "pylockd")
    pid = machine.show("pylockd", "MainPID")
    machine.run("kill", "-9", pid, check=True)
    wait_for(
        lambda: (
            state(machine, "pylockd") == "active" and machine.show("pylockd", "MainPID") not in (pid, "0")
        ),
        what="the next pylockd",
    )
    assert machine.show("nfs-ganesha", "MainPID") == server, "neither is a restart of the server"
    assert machine.run("pylockctl", "locks", "-n", check=True).stdout.count("LOCK") == 1
    told = machine.run("pylockctl", "status", check=True).stdout
    assert "users:     nfs-ganesha.service (active)\n" in told

    machine.systemctl("stop", "nfs-ganesha")
    wait_for(lambda: state(machine, "pylockd") == "inactive", what="pylockd to stop")
    assert not rpc.getport("127.0.0.1", rpc.NLM, 4, place=machine.network)
    told = machine.journal()
    order = [told.rindex(words) for words in ("Stopped nfs-ganesha.service", "Stopping pylockd.service")]
    assert order == sorted(order), "locks were there as long as files"


def pid_of(host: SystemdHost, unit: str) -> str:
    return host.show(unit, "MainPID")


@pytest.mark.parametrize(
    ("word", "restarted", "after_stop"),
    [("Wants", False, "inactive"), ("Upholds", False, "active"), ("Requires", True, "inactive")],
)
def test_what_a_server_s_unit_may_say(machine, word, restarted, after_stop):
    """Wants= is what the examples say. With Upholds= pylockd is started again even if somebody stopped it,
    with Requires= the server is restarted and stopped together with pylockd."""
    unit = f"[Unit]\n{word}=pylockd.service\nAfter=pylockd.service\n[Service]\nExecStart=/bin/sleep 1000\n"
    machine.write(f"{SYSTEM}/server.service", unit)
    machine.systemctl("daemon-reload")
    assert state(machine, "pylockd") == "inactive"
    machine.systemctl("start", "server")
    assert state(machine, "pylockd") == "active"
    for disturb in (("systemctl", "restart", "pylockd"), ("systemctl", "kill", "-s", "KILL", "pylockd")):
        server, pylockd = pid_of(machine, "server"), pid_of(machine, "pylockd")
        machine.run(*disturb, check=True)
        wait_for(lambda was=pylockd: pid_of(machine, "pylockd") not in (was, "0"), what="the next pylockd")
        for each in ("pylockd", "server"):
            wait_for(lambda unit=each: state(machine, unit) == "active", what=each)
        assert (pid_of(machine, "server") != server) == restarted, disturb
    machine.systemctl("stop", "pylockd")
    wait_for(lambda: state(machine, "pylockd") == after_stop, what=f"pylockd to be {after_stop}")
    assert state(machine, "server") == ("inactive" if restarted else "active")
    machine.systemctl("stop", "server")
    wait_for(lambda: state(machine, "pylockd") == "inactive", what="pylockd to stop")


def test_the_examples_are_units_that_systemd_accepts(machine):
    """But for the programs, which are not here."""
    for path in sorted(EXAMPLES.glob("*.service")):
        machine.copy_in(path, f"{SYSTEM}/{path.name}")
        said = machine.run("systemd-analyze", "verify", f"{SYSTEM}/{path.name}").stderr
        about = [line for line in said.splitlines() if path.stem in line and "is not executable" not in line]
        assert about == []
        assert "pylockd.service" in machine.run("systemctl", "show", "-p", "Wants", path.name).stdout
