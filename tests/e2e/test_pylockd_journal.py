# SPDX-License-Identifier: GPL-3.0-or-later
"""Killed and restarted under load on a real systemd: no lock lost, none doubled, clients none the wiser."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

from hosts import nlm, peers, rpc
from hosts.lab import Host, Lab
from hosts.lockload import PORT, Ledger, Worker, kill, restart, server_of
from hosts.machine import SystemdHost
from hosts.peers import CHECKOUT
from hosts.strict import be_strict, violations
from hosts.waiting import wait_for

HELD, WAITED = b"\x11" * 28, b"\x22" * 28
KILLS, RESTARTS = 6, 4
OPTIONS = f"""[fs.nfs]
nlm_udpport = {PORT}
nlm_tcpport = {PORT}
[nsm]
mode = embedded
"""


@pytest.fixture
def site(make_lab: Callable[..., Lab]) -> Iterator[tuple[Host, SystemdHost]]:
    """A client host with its rpcbind, and pylockd as a service of a machine beside it."""
    lab = make_lab(2)
    machine = lab.boot("h2", binds=[CHECKOUT], limit=240.0)
    machine.run("mkdir", "-p", "/etc/pylockd.conf.d", check=True)
    done = machine.run(str(CHECKOUT / "bin" / "quickstart"), "--install")
    assert done.returncode == 0, done.stderr
    machine.write("/etc/pylockd.conf.d/50-test.conf", OPTIONS)
    peers.start_rpcbind(lab.h1)
    be_strict(machine, "pylockd")
    machine.systemctl("start", "pylockd")
    yield lab.h1, machine
    assert violations(machine) == []


@pytest.fixture
def load(site: tuple[Host, SystemdHost]) -> Iterator[Ledger]:
    ledger = Ledger()
    workers = [Worker(site[0], ledger, svid, tcp=svid % 2 == 0) for svid in range(100, 112)]
    for worker in workers:
        worker.start()
    wait_for(lambda: ledger.granted > 50 or ledger.wrong, what="load")
    yield ledger
    ledger.over.set()
    for worker in workers:
        worker.join(60)


def progress(ledger: Ledger) -> None:
    """Wait until the load goes on."""
    before = ledger.granted
    wait_for(lambda: ledger.granted > before + 30 or ledger.wrong, what="locks to be granted again")
    assert not ledger.wrong


def connect(client: Host, *, tcp: bool = False) -> nlm.Client:
    return nlm.Client(client, server_of(client), PORT, tcp=tcp)


def number(machine: SystemdHost, key: str) -> str:
    return machine.run("pysysctl", "-n", f"fs.nfs.{key}", check=True).stdout.strip()


def test_killed_under_load_again_and_again_every_lock_stays_with_its_owner(site, load):
    client, machine = site
    state = number(machine, "nsm_local_state")
    with connect(client) as one, nlm.Waiter(client) as waiter:
        for n in range(40):
            assert one.lock(HELD, offset=100 * n, svid=1 + n % 7) == nlm.STATUS_GRANTED
        assert one.share(HELD, mode=3, access=1) == nlm.STATUS_GRANTED
        assert one.lock(WAITED) == nlm.STATUS_GRANTED
        assert one.lock(WAITED, svid=2, block=True) == nlm.STATUS_BLOCKED
        for _ in range(KILLS):
            kill(machine)
            progress(load)
            for n in range(0, 40, 9):
                assert one.lock(HELD, offset=100 * n, svid=99) == nlm.STATUS_DENIED
                status, holder = one.test(HELD, offset=100 * n, svid=99)
                assert status == nlm.STATUS_DENIED
                assert holder == nlm.Holder(
                    True, 1 + n % 7, f"{1 + n % 7}@{client.name}".encode(), 100 * n, 10
                )
            assert number(machine, "nlm_end_grace") == "Y", "no grace period"
            assert number(machine, "nlm_blocked") == "1"
        assert number(machine, "nsm_local_state") == state, "nobody was told of a restart"
        assert one.unlock(WAITED) == nlm.STATUS_GRANTED
        told = waiter.wait((server_of(client), PORT))
        assert (told.handle, told.svid) == (WAITED, 2)
        wait_for(lambda: one.lock(WAITED) == nlm.STATUS_DENIED, what="the waiter to have it")
        for n in range(40):
            assert one.unlock(HELD, offset=100 * n, svid=1 + n % 7) == nlm.STATUS_GRANTED
            assert one.lock(HELD, offset=100 * n, svid=99) == nlm.STATUS_GRANTED
    assert not load.wrong
    assert machine.journal("pylockd").count("going on with what the last process knew") == KILLS


def test_a_grant_nobody_acknowledged_is_told_again_by_the_next_process(site):
    client, machine = site
    with connect(client) as one, nlm.Waiter(client) as waiter:
        waiter.acknowledge = False
        assert one.lock(WAITED) == nlm.STATUS_GRANTED
        assert one.lock(WAITED, svid=2, block=True) == nlm.STATUS_BLOCKED
        assert one.unlock(WAITED) == nlm.STATUS_GRANTED
        assert waiter.wait((server_of(client), PORT)).svid == 2
        kill(machine)
        waiter.acknowledge = True
        assert waiter.wait((server_of(client), PORT)).svid == 2
        assert one.lock(WAITED) == nlm.STATUS_DENIED
        wait_for(
            lambda: "0 waiting" in machine.show("pylockd", "StatusText") or None,
            what="a status line",
            timeout=30,
        )


def test_restarted_under_load_no_client_sees_an_error(site, load):
    client, machine = site
    with connect(client) as one, connect(client, tcp=True) as two:
        assert one.lock(HELD) == nlm.STATUS_GRANTED
        for _ in range(RESTARTS):
            restart(machine)
            progress(load)
            assert two.lock(HELD, svid=2) == nlm.STATUS_DENIED, "over the connection that was there before"
            assert number(machine, "nlm_end_grace") == "Y"
    assert not load.errors
    assert not load.wrong
    assert "handed over" in machine.journal("pylockd")


def test_stopped_and_started_within_a_minute_it_still_knows(site):
    client, machine = site
    with connect(client) as one:
        assert one.lock(HELD) == nlm.STATUS_GRANTED
        machine.systemctl("stop", "pylockd")
        machine.systemctl("start", "pylockd")
        assert one.lock(HELD, svid=2) == nlm.STATUS_DENIED
        assert number(machine, "nlm_end_grace") == "Y"


DAMAGE = "printf X | dd of=/run/pylockd/journal bs=1 seek=80 conv=notrunc status=none"
OTHER_VERSION = """python3 -c '
import zlib
with open("/run/pylockd/journal", "rb+") as file:
    head = file.read(44)
    head = head[:24] + (99).to_bytes(4, "big") + head[28:]
    file.seek(0)
    file.write(head + zlib.crc32(head).to_bytes(4, "big"))'"""


@pytest.mark.parametrize(
    ("spoil", "why"), [(DAMAGE, "a frame is damaged"), (OTHER_VERSION, "of version 99, not ")]
)
def test_a_journal_that_cannot_be_read_is_set_aside_and_clients_reclaim(site, spoil, why):
    """A machine that was restarted, and with it who is to be told: test_nsm.py."""
    client, machine = site
    state = int(number(machine, "nsm_local_state"))
    with connect(client) as one:
        assert one.lock(HELD) == nlm.STATUS_GRANTED
        machine.systemctl("stop", "pylockd")
        machine.run("sh", "-c", spoil, check=True)
        machine.systemctl("start", "pylockd")
        assert number(machine, "nlm_end_grace") == "N"
        assert int(number(machine, "nsm_local_state")) == state + 2
        assert one.lock(HELD, svid=2) == nlm.STATUS_GRACE
        assert one.lock(HELD, reclaim=True) == nlm.STATUS_GRANTED
    assert f"cannot be used ({why}" in machine.journal("pylockd")
    assert machine.run("test", "-e", "/run/pylockd/journal.damaged").returncode == 0


def test_on_a_full_tmpfs_nothing_is_promised_until_it_can_be_kept(make_lab):
    lab = make_lab(1)
    host = lab.h1
    peers.start_rpcbind(host)
    host.run("mkdir", "-p", "/run/pylockd", check=True)
    host.run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/run/pylockd", check=True)
    daemon = peers.start_pylockd(host, OPTIONS)
    with nlm.Client(host, host.address, PORT) as one:
        assert one.lock(HELD) == nlm.STATUS_GRANTED
        host.run("sh", "-c", "cat /dev/zero >/run/pylockd/filler")  # ends with ENOSPC
        answered = 0
        for n in range(1, 200):  # the last page of the journal has some room still
            one.send_lock(HELD, offset=100 * n)
            try:
                one.line.receive(timeout=0.5)
            except rpc.NoReplyError:
                break
            answered = n
        assert answered < 100
        wait_for(
            lambda: "cannot write the journal: No space left" in daemon.process.log, what="the complaint"
        )
        daemon.process.stop(signal.SIGKILL)
    host.run("rm", "/run/pylockd/filler", check=True)
    daemon = peers.start_pylockd(host, OPTIONS)
    with nlm.Client(host, host.address, PORT) as one:
        for n in range(answered + 1):
            assert one.lock(HELD, offset=100 * n, svid=2) == nlm.STATUS_DENIED, "answered is kept"
        assert one.lock(HELD, offset=100 * (answered + 1), svid=2) == nlm.STATUS_GRANTED
        host.run("sh", "-c", "cat /dev/zero >/run/pylockd/filler")
        for n in range(1000, 1200):
            one.send_lock(HELD, offset=100 * n)
        wait_for(lambda: "cannot write the journal" in daemon.process.log, what="the complaint")
        host.run("rm", "/run/pylockd/filler", check=True)
        wait_for(lambda: "the journal is written again" in daemon.process.log, what="the all-clear")
        for _ in range(200):
            assert one.read_reply() == nlm.STATUS_GRANTED
        assert daemon.process.log.count("cannot write the journal") == 1
