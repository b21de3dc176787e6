# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may lock, and how much: the rules of /etc/pylockd.conf, applied by a confined service and the host's
own resolver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from hosts import nlm, rpc
from hosts.lab import Host, Lab
from hosts.machine import SystemdHost
from hosts.peers import CHECKOUT
from hosts.strict import be_strict, violations
from hosts.waiting import wait_for

PORT = 4045
FH = b"\x33" * 28
PORTS = f"[fs.nfs]\nnlm_udpport = {PORT}\nnlm_tcpport = {PORT}\n[nsm]\nmode = embedded\n"
BADCRED, TOOWEAK = 1, 5
NAMES = """127.0.0.1 localhost
10.97.0.1 web1.lab.example web1
10.97.0.3 db.other.example
fd00:97::3 db.other.example
"""
NETGROUPS = "trusted (db.other.example,,) all-of-it\nall-of-it (10.97.0.44,,)\n"


class Site(NamedTuple):
    """Hosts web1, db and one that nobody knows; pylockd as a service of a machine among them."""

    web1: Host
    db: Host
    stranger: Host
    machine: SystemdHost
    server: str

    def allow(self, rules: str, more: str = "") -> None:
        text = f"{PORTS}[access]\nallow = {rules}\n{more}"
        self.machine.write("/etc/pylockd.conf.d/50-test.conf", text)
        running = self.machine.show("pylockd", "ActiveState") == "active"
        self.machine.systemctl("reload" if running else "start", "pylockd")

    def client(self, host: Host) -> nlm.Client:
        return nlm.Client(host, self.server, PORT)


@pytest.fixture
def site(make_lab: Callable[..., Lab]) -> Iterator[Site]:
    lab = make_lab(4)
    machine = lab.boot("h2", binds=[CHECKOUT], limit=180.0)
    machine.run("mkdir", "-p", "/etc/pylockd.conf.d", check=True)
    machine.run(str(CHECKOUT / "bin" / "quickstart"), "--install", check=True)
    machine.write("/etc/hosts", NAMES)
    machine.write("/etc/netgroup", NETGROUPS)
    machine.write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\nnetgroup: files\n")
    be_strict(machine, "pylockd")
    yield Site(lab.h1, lab.h3, lab.h4, machine, "10.97.0.2")
    assert violations(machine) == []


def verdict(client: nlm.Client, svid: int = 1) -> int:
    """The status of a LOCK, or minus the reason why the call was refused. A call that hangs on a name is as
    if lost: clients send it again."""
    lock = client._cookie + rpc.u32(0, 1) + client._lock(FH, svid=svid, offset=100 * svid) + rpc.u32(0, 1)
    call = rpc.call_bytes(rpc.NLM, 4, nlm.LOCK, lock)

    def once() -> rpc.Reply | None:
        client.line.send(call)
        try:
            return rpc.Reply.parse(client.line.receive(0.3))
        except rpc.NoReplyError:
            return None

    reply = wait_for(once, what="an answer")
    if reply.denied is not None:
        return -rpc.Unpacker(reply.body).u32()
    result = reply.result()
    result.opaque()
    return result.u32()


@pytest.mark.parametrize(
    ("rules", "admitted"),
    [
        ("*", "web1 db stranger"),
        ("link", "web1 db stranger"),
        ("10.97.0.3", "db"),
        ("10.97.0.0/31, 10.97.0.4", "web1 stranger"),
        ("*.lab.example", "web1"),
        ("d?.other.example", "db"),
        ("@trusted", "db"),
        ("@all-of-it, web1.*", "web1"),
        ("192.0.2.0/24", ""),
    ],
)
def test_who_may_lock(site: Site, rules: str, admitted: str) -> None:
    site.allow(rules)
    found = []
    for svid, name in enumerate(("web1", "db", "stranger"), start=1):
        with site.client(getattr(site, name)) as client:
            status = verdict(client, svid)
        assert status in (nlm.STATUS_GRANTED, -BADCRED)
        if status == nlm.STATUS_GRANTED:
            found.append(name)
    assert found == admitted.split()
    told = site.machine.journal("pylockd")
    refused = {"web1": "10.97.0.1", "db": "10.97.0.3", "stranger": "10.97.0.4"}
    for name, address in refused.items():
        assert (f"refused LOCK: {address} is not in [access] allow" in told) == (name not in found)


def test_rules_change_at_a_reload_and_locks_stay(site: Site) -> None:
    site.allow("@trusted")
    with site.client(site.db) as db, site.client(site.stranger) as stranger:
        assert verdict(db) == nlm.STATUS_GRANTED
        assert verdict(stranger) == -BADCRED
        site.allow("10.97.0.4", "require_privileged_port = yes\n")
        assert verdict(stranger) == -TOOWEAK, "its port is any user's"
        with rpc.Udp(site.server, PORT, place=site.stranger.network, bound=("10.97.0.4", 900)) as low:
            stranger.line.close()
            stranger.line = low
            assert verdict(stranger) == nlm.STATUS_DENIED, "the lock of one that is admitted no more is held"
        assert verdict(db) == -BADCRED
    bad = "[access]\nallow = 10.97.0.4/24, !!\n"
    site.machine.write("/etc/pylockd.conf.d/60-bad.conf", bad)
    done = site.machine.run("systemctl", "reload", "pylockd")
    assert done.returncode != 0, "a reload that changed nothing is one that failed"
    assert "60-bad.conf:2: " in site.machine.journal("pylockd")


def test_limits_of_each_client_are_no_other_clients(site: Site) -> None:
    site.allow("*")
    limits = {"nlm_max_locks_per_client": 2, "nlm_max_blocked_per_client": 1}
    for key, value in limits.items():
        site.machine.run("pysysctl", f"fs.nfs.{key}={value}", check=True)
    with site.client(site.web1) as web1, site.client(site.db) as db:
        statuses = [web1.lock(FH, offset=100 * n) for n in range(3)]
        assert statuses == [nlm.STATUS_GRANTED, nlm.STATUS_GRANTED, nlm.STATUS_NOLOCKS]
        statuses = [db.lock(FH, offset=100 * n, block=True) for n in range(2)]
        assert statuses == [nlm.STATUS_BLOCKED, nlm.STATUS_NOLOCKS]
        assert db.lock(FH, offset=100, block=False) == nlm.STATUS_DENIED
        assert db.lock(FH, offset=200) == nlm.STATUS_GRANTED
        assert web1.unlock(FH, offset=100) == nlm.STATUS_GRANTED
        assert web1.lock(FH, offset=300) == nlm.STATUS_GRANTED, "one back, one more"
        site.machine.run("pysysctl", "fs.nfs.nlm_max_locks_per_client=0", check=True)
        assert web1.lock(FH, offset=400) == nlm.STATUS_GRANTED
    shown = site.machine.run("pylockctl", "stats", check=True).stdout
    assert "LOCK DENIED_NOLOCKS" in shown


def test_a_lock_manager_that_refuses_answers_at_once_and_serves_again_after_a_reload(site: Site) -> None:
    site.allow("*", "[pylockd]\nmode = refuse\n")
    with site.client(site.web1) as web1:
        assert web1.lock(FH) == web1.lock(FH, block=True) == nlm.STATUS_NOLOCKS
        assert web1.test(FH)[0] == nlm.STATUS_NOLOCKS
        assert web1.unlock(FH) == nlm.STATUS_GRANTED
        assert "refuses every lock" in site.machine.run("pylockctl", "status", check=True).stdout
        site.allow("*")
        assert web1.lock(FH) == nlm.STATUS_GRANTED
