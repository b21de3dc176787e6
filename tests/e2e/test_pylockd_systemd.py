# SPDX-License-Identifier: GPL-3.0-or-later
"""pylockd as an administrator meets it: installed by quickstart on a machine with a real systemd."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hosts import nlm, rpc
from hosts.machine import SystemdHost
from hosts.peers import CHECKOUT
from hosts.strict import be_strict, violations
from hosts.waiting import wait_for

Boot = Callable[..., SystemdHost]
FH = b"\x11" * 32


@pytest.fixture
def machine(boot: Boot) -> Iterator[SystemdHost]:
    """A machine with pylockd installed and not yet started."""
    host = boot(binds=[CHECKOUT], limit=180.0)
    host.run("mkdir", "-p", "/etc/pylockd.conf.d", check=True)
    done = host.run(str(CHECKOUT / "bin" / "quickstart"), "--install")
    assert done.returncode == 0, done.stderr
    be_strict(host, "pylockd")
    yield host
    assert violations(host) == []


def configure(host: SystemdHost, text: str, name: str = "50-test.conf") -> None:
    host.write(f"/etc/pylockd.conf.d/{name}", text)


def ports(host: SystemdHost) -> dict[str, int]:
    """Where it listens, by netid, as its own rpcbind tells."""
    out = host.run("rpcinfo", "-p", "127.0.0.1", check=True).stdout
    rows = [line.split() for line in out.splitlines()[1:]]
    return {row[2]: int(row[3]) for row in rows if row[0] == "100021" and row[1] == "4"}


def client(host: SystemdHost, *, tcp: bool = False) -> nlm.Client:
    port = ports(host)["tcp" if tcp else "udp"]
    return nlm.Client(host, "127.0.0.1", port, tcp=tcp, caller="client")  # type: ignore[arg-type]


def is_refused(client: nlm.Client) -> bool:
    arguments = client._cookie + client._lock(FH)
    return client.line.call(rpc.NLM, 4, nlm.UNLOCK, arguments).denied == 1


def test_it_starts_unprivileged_confined_and_ready_with_a_status_line(machine: SystemdHost) -> None:
    machine.systemctl("start", "pylockd")
    pid = machine.show("pylockd", "MainPID")
    status = machine.run("cat", f"/proc/{pid}/status", check=True).stdout
    uid = machine.run("id", "-u", "pylockd", check=True).stdout.strip()
    assert re.search(rf"^Uid:\s+{uid}\s", status, re.MULTILINE)
    assert re.search(r"^CapEff:\s+0*400$", status, re.MULTILINE), "CAP_NET_BIND_SERVICE and nothing else"
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
    assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE)
    assert re.search(r"^Name:\s+pylockd$", status, re.MULTILINE)
    wait_for(lambda: "0 locks" in machine.show("pylockd", "StatusText"), what="a status line")


def test_a_lock_over_either_transport_shows_in_the_status_and_the_tree(machine: SystemdHost) -> None:
    machine.systemctl("start", "pylockd")
    with client(machine) as alice, client(machine, tcp=True) as also:
        assert alice.lock(FH) == nlm.STATUS_GRANTED
        assert also.lock(FH, offset=100) == nlm.STATUS_GRANTED
        wait_for(
            lambda: "2 locks" in machine.show("pylockd", "StatusText"), what="2 locks in the status line"
        )
        wait_for(
            lambda: machine.run("cat", "/run/pysysctl/fs/nfs/nlm_locks").stdout == "2\n", what="2 in the tree"
        )


def test_a_tunable_written_while_it_runs_is_obeyed_and_a_bad_one_is_put_back(machine: SystemdHost) -> None:
    machine.systemctl("start", "pylockd")
    good = machine.run("pysysctl", "fs.nfs.nlm_timeout=7")
    assert (good.returncode, good.stdout) == (0, "fs.nfs.nlm_timeout = 7\n"), good.stderr
    bad = machine.run("pysysctl", "fs.nfs.nlm_timeout=99")
    assert bad.returncode == 1
    assert "Invalid argument" in bad.stderr
    machine.run("sh", "-c", "echo 99 >/run/pysysctl/fs/nfs/nlm_timeout", check=True)
    wait_for(
        lambda: machine.run("cat", "/run/pysysctl/fs/nfs/nlm_timeout").stdout == "7\n",
        what="the value put back",
    )
    text = machine.journal("pylockd")
    assert re.search(r"nlm_timeout: 10 -> 7", text)
    assert re.search(r"nlm_timeout.*99.*3 to 20|nlm_timeout.*99.*3\.\.20", text)


def test_it_tells_what_goes_on_while_it_is_asked_to(machine: SystemdHost) -> None:
    machine.systemctl("start", "pylockd")
    with client(machine) as alice:
        assert alice.lock(FH) == nlm.STATUS_GRANTED
        machine.run("pysysctl", "fs.nfs.nlm_debug=all", check=True)
        wait_for(lambda: "nlm_debug: 0x0000 -> 0x01ff" in machine.journal("pylockd"), what="it to be taken")
        assert alice.lock(FH, offset=100) == nlm.STATUS_GRANTED
        machine.run("pysysctl", "fs.nfs.nlm_debug=0", check=True)
        wait_for(lambda: "nlm_debug: 0x01ff -> 0x0000" in machine.journal("pylockd"), what="its end")
        assert alice.unlock(FH, offset=100) == nlm.STATUS_GRANTED
    told = [line for line in machine.journal("pylockd").splitlines() if "svclock: " in line]
    assert len(told) == 1
    assert f"LOCK by 127.0.0.1:1 (1@client), WRITE 100-109 of {FH.hex()}: GRANTED" in told[0]


def test_sysctl_d_is_read_at_start_and_below_the_daemons_own_configuration_is_overridden(
    machine: SystemdHost,
) -> None:
    configure(machine, "[fs.nfs]\nnlm_timeout = 5\nnlm_grace_period = 20\n")
    machine.write("/etc/sysctl.d/60-locks.conf", "fs.nfs.nlm_timeout = 6\n")
    machine.systemctl("start", "pylockd")
    assert machine.run("pysysctl", "-n", "fs.nfs.nlm_timeout", "fs.nfs.nlm_grace_period").stdout == "6\n20\n"


def test_the_ports_of_the_kernel_s_lockd_in_nfs_conf_are_honoured_below_its_own_file(
    machine: SystemdHost,
) -> None:
    machine.write("/etc/nfs.conf", "[lockd]\nport=4101\nudp-port=4102\n")
    configure(machine, "[fs.nfs]\nnlm_udpport = 4103\n")
    machine.systemctl("start", "pylockd")
    assert ports(machine) == {"tcp": 4101, "udp": 4103}


def test_a_cluster_s_program_is_told_of_a_client_under_the_unit_s_confinement(machine: SystemdHost) -> None:
    machine.write("/usr/local/sbin/callout", '#!/bin/sh\necho "$@" >>/run/pylockd/said\n', mode=0o755)
    configure(machine, "[nsm]\nha_callout = /usr/local/sbin/callout\n")
    machine.systemctl("start", "pylockd")
    with client(machine) as alice:
        assert alice.lock(FH) == nlm.STATUS_GRANTED
    wait_for(
        lambda: machine.run("cat", "/run/pylockd/said").stdout == "add-client 127.0.0.1 127.0.0.1\n",
        what="the program's note",
    )
    port = rpc.getport("127.0.0.1", rpc.NSM, 1, place=machine.network)
    with rpc.Udp("127.0.0.1", port, place=machine.network) as monitor:
        monitor.call(rpc.NSM, 1, 6, rpc.opaque("client; reboot") + rpc.u32(7)).result().done()
    wait_for(
        lambda: (
            machine.run("tail", "-n", "1", "/run/pylockd/said").stdout == "sm-notify 127.0.0.1 127.0.0.1 7\n"
        ),
        what="the program's note of the restart",
    )


def test_a_bad_line_keeps_it_from_starting_and_is_named(machine: SystemdHost) -> None:
    configure(machine, "[fs.nfs]\nnlm_timeout = 99\n\n[acces]\nallow = *\n")
    assert machine.run("systemctl", "start", "pylockd").returncode != 0
    text = machine.journal("pylockd")
    assert re.search(r"50-test\.conf:2: .*nlm_timeout.*99.*3", text)
    assert re.search(r"50-test\.conf:[45]: .*acces", text)
    assert machine.show("pylockd", "ExecMainStatus") == "6"
    assert machine.show("pylockd", "NRestarts") == "0", "trying again does not help"


def test_a_reload_applies_what_is_right_and_keeps_the_old_when_it_is_wrong(machine: SystemdHost) -> None:
    machine.systemctl("start", "pylockd")
    pid = machine.show("pylockd", "MainPID")
    configure(machine, "[access]\nallow = 192.0.2.1\n")
    machine.systemctl("reload", "pylockd")
    with client(machine) as alice:
        assert is_refused(alice)
    configure(machine, "[fs.nfs]\nnlm_timeout = soon\n[access]\nallow = *\n")
    machine.run("systemctl", "reload", "pylockd")
    assert "keeping the old one" in machine.journal("pylockd")
    with client(machine) as alice:
        assert is_refused(alice)
    configure(machine, "[access]\nallow = *\n")
    machine.systemctl("reload", "pylockd")
    with client(machine) as alice:
        assert alice.lock(FH) == nlm.STATUS_GRANTED
    assert machine.show("pylockd", "MainPID") == pid


def test_killed_without_its_journal_it_comes_back_with_a_new_state_and_a_grace_period(
    machine: SystemdHost,
) -> None:
    machine.systemctl("start", "pylockd")
    before = ports(machine)
    with client(machine) as alice:
        assert alice.lock(FH) == nlm.STATUS_GRANTED
    state = int(machine.run("pysysctl", "-n", "fs.nfs.nsm_local_state").stdout)
    pid = machine.show("pylockd", "MainPID")
    machine.run("sh", "-c", f"rm /run/pylockd/journal; kill -9 {pid}", check=True)
    wait_for(
        lambda: (
            machine.show("pylockd", "ActiveState") == "active" and machine.show("pylockd", "MainPID") != pid
        ),
        what="systemd to have restarted it",
    )
    assert ports(machine) == before, "systemd kept the sockets"
    assert machine.run("pysysctl", "-n", "fs.nfs.nlm_end_grace").stdout == "N\n"
    assert int(machine.run("pysysctl", "-n", "fs.nfs.nsm_local_state").stdout) == state + 2
    with client(machine) as alice:
        assert alice.lock(FH, svid=2) == nlm.STATUS_GRACE
        assert alice.lock(FH, reclaim=True) == nlm.STATUS_GRANTED
        machine.run("pysysctl", "fs.nfs.nlm_end_grace=Y", check=True)
        wait_for(lambda: alice.lock(FH, offset=50) == nlm.STATUS_GRANTED, what="the end of the grace period")
        assert alice.lock(FH, svid=2) == nlm.STATUS_DENIED


def test_a_restart_without_clients_needs_no_grace(machine: SystemdHost) -> None:
    machine.systemctl("start", "pylockd")
    machine.systemctl("restart", "pylockd")
    assert machine.run("pysysctl", "-n", "fs.nfs.nlm_end_grace").stdout == "Y\n"
    machine.systemctl("stop", "pylockd")
    assert machine.show("pylockd", "Result") == "success"
    assert machine.show("pylockd", "ExecMainStatus") == "0"


def test_a_second_one_on_the_same_ports_says_who_has_them_and_is_not_ready(machine: SystemdHost) -> None:
    configure(machine, "[fs.nfs]\nnlm_udpport = 4045\nnlm_tcpport = 4045\n")
    machine.systemctl("start", "pylockd")
    words = ["--run-dir", "/tmp/second", "--state-dir", "/tmp/second-state", "--set", "rpcbind.mode=off"]
    done = machine.run("timeout", "3", "pylockd", *words, timeout=60)
    assert done.returncode in (0, 124)
    assert re.search(r"(udp|tcp) port 4045 is held by .*pylockd \(pid", done.stderr + done.stdout)
    assert "serving NLM" not in done.stderr + done.stdout
    third = machine.run("pylockd", "--run-dir", "/run/pylockd", "--state-dir", "/tmp/third")
    assert third.returncode == 1
    assert "already running" in third.stderr


def test_the_journal_carries_fields_and_message_ids(machine: SystemdHost) -> None:
    machine.systemctl("start", "pylockd")
    machine.run("pysysctl", "fs.nfs.nlm_timeout=4", check=True)
    machine.systemctl("kill", "-s", "SIGUSR1", "pylockd")

    def entry() -> list[dict[str, Any]]:
        return [e for e in machine.journal_entries("pylockd") if "NLM_GRACE_SECONDS" in e]

    grace = wait_for(entry, what="the grace period's journal entry")[-1]
    assert grace["NLM_GRACE_SECONDS"] == "20"
    assert re.fullmatch(r"[0-9a-f]{32}", grace["MESSAGE_ID"])
    assert grace["SYSLOG_IDENTIFIER"] == "pylockd"


def test_socket_units_hand_over_the_well_known_port(machine: SystemdHost) -> None:
    machine.systemctl("start", "pylockd-nlm.socket", "pylockd-rpcbind.socket")
    machine.systemctl("start", "pylockd")
    assert ports(machine) == {"udp": 4045, "tcp": 4045}
    with client(machine, tcp=True) as alice:
        assert alice.lock(FH) == nlm.STATUS_GRANTED


def test_undo_leaves_nothing(machine: SystemdHost) -> None:
    machine.systemctl("start", "pylockd")
    done = machine.run(str(CHECKOUT / "bin" / "quickstart"), "--undo")
    assert done.returncode == 0, done.stderr
    left = machine.run(
        "sh",
        "-c",
        "ls -d /run/pylockd /run/pysysctl /var/lib/pylockd /usr/local/sbin/py* /etc/pylockd.conf 2>/dev/null",
    ).stdout
    assert left == ""
    assert machine.run("getent", "passwd", "pylockd").returncode != 0
    assert machine.run("systemctl", "cat", "pylockd").returncode != 0
