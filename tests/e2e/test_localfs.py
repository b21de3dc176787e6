# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks on real files: nfs-ganesha without NLM serves them, pylockd locks them, programs of the server share
them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hosts import nlm, peers
from hosts.lab import Host, Lab
from hosts.machine import SystemdHost
from hosts.peers import CHECKOUT
from hosts.programs import Locker, ganesha_handle
from hosts.strict import be_strict, violations
from hosts.waiting import wait_for

PORT = 4045
CONFIGURATION = """
[handles]
codec = ganesha-vfs
mounts = {}
[access]
allow = *
[fs.nfs]
nlm_udpport = 4045
nlm_tcpport = 4045
"""


class Site:
    """h1 exports a folder; h2 is a client."""

    def __init__(self, lab: Lab, export: Path) -> None:
        self.server, self.here = lab.h1, lab.h2
        self.export = export
        peers.start_rpcbind(lab.h1)
        peers.start_rpcbind(lab.h2)
        self.ganesha = peers.start_ganesha(lab.h1, export, nlm=False)
        self.lockd = peers.start_pylockd(lab.h1, CONFIGURATION.format(export))

    def file(self, name: str = "file") -> bytes:
        (fh,) = self.ganesha.handles(self.here, name)
        return fh

    def client(self) -> nlm.Client:
        return nlm.Client(self.here, self.server.address, PORT)


def mounted(host: Host, kind: str, place: Path) -> None:
    if kind == "ext4":
        image = place.with_suffix(".image")
        host.run("truncate", "-s", "16M", image, check=True)
        host.run("mkfs.ext4", "-q", image, check=True)
        host.run("mount", "-o", "loop", image, place, check=True)
    else:
        host.run("mount", "-t", "tmpfs", "none", place, check=True)
    host.run("chmod", "777", place, check=True)


@pytest.fixture(params=["tmpfs", "ext4"])
def site(request: pytest.FixtureRequest, lab: Lab, tmp_path: Path) -> Site:
    place = tmp_path / "export"
    place.mkdir()
    mounted(lab.h1, request.param, place)
    return Site(lab, place)


@pytest.mark.needs("rpcbind", "ganesha.nfsd", "mkfs.ext4")
def test_programs_and_nfs_clients_wait_for_each_other(site: Site) -> None:
    fh = site.file()
    with site.client() as client, nlm.Waiter(site.here) as waiter:
        with Locker(site.server, site.export / "file") as program:
            wait_for(lambda: program.has_it, what="the program's lock")
            status, holder = client.test(fh)
            assert status == nlm.STATUS_DENIED
            assert holder is not None and holder.svid == program.process.inner_pid
            assert client.lock(fh) == nlm.STATUS_DENIED
            assert client.lock(fh, block=True) == nlm.STATUS_BLOCKED
        assert waiter.wait((site.server.address, PORT)).handle == fh
        with Locker(site.server, site.export / "file") as program:
            wait_for(lambda: client.test(fh, svid=2)[0] == nlm.STATUS_DENIED, what="the client's lock")
            assert not program.has_it
            assert client.unlock(fh) == nlm.STATUS_GRANTED
            wait_for(lambda: program.has_it, what="the program's turn")


@pytest.mark.needs("rpcbind", "ganesha.nfsd", "mkfs.ext4")
def test_a_vanished_file_is_a_stale_handle_even_while_its_server_has_it_open(site: Site) -> None:
    fh = site.file()
    site.server.run("rm", site.export / "file", check=True)
    with site.client() as client:
        assert client.lock(fh) == client.test(fh)[0] == 7, "NLM4_STALE_FH"


# ---------------------------------------------------------------------- as installed


@pytest.fixture
def machine(boot: Callable[..., SystemdHost]) -> Iterator[SystemdHost]:
    """pylockd as its unit starts it, unprivileged and confined, and an export of root's own files."""
    host = boot(binds=[CHECKOUT], limit=180.0)
    assert host.run(str(CHECKOUT / "bin" / "quickstart"), "--install").returncode == 0
    host.run("mkdir", "-p", "/srv/export", "/etc/pylockd.conf.d", check=True)
    host.run("mount", "-t", "tmpfs", "-o", "mode=700", "none", "/srv/export", check=True)
    host.write("/srv/export/file", "root's\n", mode=0o600)
    host.write("/etc/pylockd.conf.d/50-test.conf", CONFIGURATION.format("/srv/export"))
    yield host
    host.run("systemctl", "stop", "pylockd")
    assert violations(host) == []


def allow(host: SystemdHost) -> None:
    host.run("mkdir", "-p", "/etc/systemd/system/pylockd.service.d", check=True)
    drop_in = CHECKOUT / "units" / "pylockd.service.d" / "localfs.conf.example"
    host.write("/etc/systemd/system/pylockd.service.d/localfs.conf", drop_in.read_text())
    be_strict(host, "pylockd")


def test_with_the_drop_in_an_unprivileged_pylockd_locks_what_belongs_to_others(machine: SystemdHost) -> None:
    allow(machine)
    fh = ganesha_handle(machine, "/srv/export/file")
    machine.systemctl("start", "pylockd")
    with nlm.Client(machine, "127.0.0.1", PORT, caller="client") as client:  # type: ignore[arg-type]
        with Locker(machine, "/srv/export/file") as program:
            wait_for(lambda: program.has_it, what="the program's lock")
            assert client.lock(fh) == nlm.STATUS_DENIED
        wait_for(lambda: client.lock(fh) == nlm.STATUS_GRANTED, what="the client's lock")
        with Locker(machine, "/srv/export/file") as program:
            machine.systemctl("restart", "pylockd")
            assert "handed over 0 connections and 1 locked files" in machine.journal("pylockd")
            assert not program.has_it, "the lock was there all the time"
            assert client.unlock(fh) == nlm.STATUS_GRANTED
            wait_for(lambda: program.has_it, what="the program's turn")
    assert machine.run("cat", "/srv/export/file").stdout == "root's\n"


def test_after_a_kill_the_next_process_takes_the_locks_on_the_files_again(machine: SystemdHost) -> None:
    allow(machine)
    fh = ganesha_handle(machine, "/srv/export/file")
    machine.systemctl("start", "pylockd")
    with nlm.Client(machine, "127.0.0.1", PORT, caller="client") as client:  # type: ignore[arg-type]
        assert client.lock(fh) == nlm.STATUS_GRANTED
        first = machine.show("pylockd", "MainPID")
        machine.systemctl("kill", "-s", "KILL", "pylockd")
        wait_for(
            lambda: (
                machine.show("pylockd", "ActiveState") == "active"
                and machine.show("pylockd", "MainPID") not in (first, "0")
            ),
            what="the next process",
        )
        with Locker(machine, "/srv/export/file") as program:
            wait_for(lambda: client.test(fh, svid=2)[0] == nlm.STATUS_DENIED, what="the client's lock")
            assert client.unlock(fh) == nlm.STATUS_GRANTED
            wait_for(lambda: program.has_it, what="the program's turn")
    assert "during the restart" not in machine.journal("pylockd")


def test_without_the_drop_in_it_says_what_is_missing(machine: SystemdHost) -> None:
    fh = ganesha_handle(machine, "/srv/export/file")
    machine.run("chmod", "755", "/srv/export", check=True)
    machine.systemctl("start", "pylockd")
    with nlm.Client(machine, "127.0.0.1", PORT, caller="client") as client:  # type: ignore[arg-type]
        assert client.lock(fh) == 9, "NLM4_FAILED"
    assert "cannot be opened to be locked" in machine.journal("pylockd")
