# SPDX-License-Identifier: GPL-3.0-or-later
"""pylockd and the rpcbind of its host, or of another, or of none."""

from __future__ import annotations

import os
import signal

import pytest

from hosts import kernel, nlm, peers, rpc
from hosts.waiting import wait_for

pytestmark = pytest.mark.needs("rpcbind", "rpcinfo")

CONFIGURATION = "[fs.nfs]\nnlm_udpport = 4045\nnlm_tcpport = 4046\n[nsm]\nmode = embedded\n"
NLM_ROWS = {(rpc.NLM, v, *row) for v in (1, 3, 4) for row in ((rpc.UDP, 4045), (rpc.TCP, 4046))}
HANDLE = b"a file"


def nlm_rows(host):
    return {row for row in rpc.dump("127.0.0.1", place=host.network) if row[0] == rpc.NLM}


def test_every_version_transport_and_family_is_registered_and_gone_after_the_end(make_lab):
    h1 = make_lab(1).h1
    peers.start_rpcbind(h1)
    lockd = peers.start_pylockd(h1, CONFIGURATION)
    rows = [line.split()[:3] for line in h1.run("rpcinfo", check=True).stdout.splitlines()[1:]]
    for netid in ("udp", "tcp", "udp6", "tcp6"):
        assert {v for program, v, n in rows if program == str(rpc.NLM) and n == netid} == {"1", "3", "4"}
        assert ["100024", "1", netid] in rows
    assert nlm_rows(h1) == NLM_ROWS
    assert lockd.process.stop() == 0
    assert not [row for row in rpc.dump("127.0.0.1", place=h1.network) if row[0] in (rpc.NLM, rpc.NSM)]


def test_an_unprivileged_pylockd_owns_its_rows_and_cleans_up_after_a_dead_one(make_lab):
    """As the unit runs it: another user, with leave to use low ports."""
    h1 = make_lab(1).h1
    peers.start_rpcbind(h1)
    folder = h1.work
    folder.chmod(0o755)
    for name in ("run", "state", "pysysctl"):
        (folder / name).mkdir()
        os.chown(folder / name, 65534, 65534)
    for end, port in ((signal.SIGKILL, 4045), (signal.SIGTERM, 5045)):
        (folder / "pylockd.conf").write_text(CONFIGURATION.replace("4045", str(port)))
        lockd = h1.start(
            *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
            *("--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service"),
            *(peers.CHECKOUT / "bin" / "pylockd", "--config", folder / "pylockd.conf"),
            *("--run-dir", folder / "run", "--state-dir", folder / "state"),
            env={"PYSYSCTL_ROOT": str(folder / "pysysctl")},
            name="pylockd",
        )
        udp = {(rpc.NLM, version, rpc.UDP, port) for version in (1, 3, 4)}
        wait_for(lambda udp=udp: udp <= nlm_rows(h1), what=f"its rows: {lockd.log}")
        owners = {line.split()[-1] for line in h1.run("rpcinfo").stdout.splitlines() if " 100021 " in line}
        assert owners in ({"65534"}, {"nobody"})
        lockd.stop(end)
    assert nlm_rows(h1) == set()


def test_a_restarted_rpcbind_is_given_the_rows_again(make_lab):
    h1 = make_lab(1).h1
    rpcbind = peers.start_rpcbind(h1)
    peers.start_pylockd(h1, CONFIGURATION)
    rpcbind.stop()
    h1.run("rm", "-rf", "/run/rpcbind")
    peers.start_rpcbind(h1)
    wait_for(lambda: nlm_rows(h1) == NLM_ROWS, what="the rows to be there again", timeout=60)


def test_a_row_of_somebody_else_is_named_with_its_owner(make_lab):
    """What the kernel's lockd does when the host mounts NFSv3."""
    h1 = make_lab(1).h1
    peers.start_rpcbind(h1)
    lockd = peers.start_pylockd(h1, CONFIGURATION)
    with rpc.Udp("127.0.0.1", 111, place=h1.network, bound=("127.0.0.1", 777)) as rpcbind:
        rpcbind.call(rpc.PORTMAP, 2, 2, rpc.u32(rpc.NLM, 4, 0, 0)).result()
        assert rpcbind.call(rpc.PORTMAP, 2, 1, rpc.u32(rpc.NLM, 4, rpc.UDP, 999)).result().u32()
    lockd.process.wait_for_log("another owner", timeout=60)
    assert "rpcinfo -d 100021 4" in lockd.process.log
    assert lockd.process.stop() == 0
    assert nlm_rows(h1) == {(rpc.NLM, 4, rpc.UDP, 999)}, "what is not ours is left alone"


def test_the_rpcbind_of_another_network_namespace_is_left_alone(make_lab):
    """Its unix socket is a file like any other, and in reach of whoever shares /run."""
    h1 = make_lab(1).h1
    peers.start_rpcbind(h1)
    before = rpc.dump("127.0.0.1", place=h1.network)
    folder = h1.work
    (folder / "pylockd.conf").write_text(CONFIGURATION)
    where = f"--config {folder}/pylockd.conf --run-dir {folder}/run --state-dir {folder}/state"
    program = f"mkdir {folder}/run; ip link set lo up; exec {peers.CHECKOUT}/bin/pylockd {where}"
    elsewhere = h1.start(
        *("unshare", "-n", "sh", "-c", program),
        env={"PYSYSCTL_ROOT": str(folder / "pysysctl")},
        name="pylockd",
    )

    def inside():
        return kernel.network_of(elsewhere.pid)

    def found():
        try:
            return rpc.getport("127.0.0.1", rpc.NLM, 4, place=inside) == 4045
        except (OSError, rpc.NoReplyError):
            return False

    wait_for(lambda: found() or not elsewhere.running, what="pylockd to serve its own port 111")
    assert elsewhere.running, elsewhere.log
    assert rpc.dump("127.0.0.1", place=h1.network) == before
    assert elsewhere.stop() == 0
    assert rpc.dump("127.0.0.1", place=h1.network) == before


@pytest.fixture
def alone(make_lab):
    """A lab of two where h1 has pylockd and no rpcbind."""
    lab = make_lab(2)
    return lab, peers.start_pylockd(lab.h1, CONFIGURATION)


def test_without_rpcbind_clients_find_it_all_the_same(alone):
    lab, _ = alone
    for protocol, port in ((rpc.UDP, 4045), (rpc.TCP, 4046)):
        for version in (1, 3, 4):
            assert rpc.getport(lab.h1.address, rpc.NLM, version, protocol, place=lab.h2.network) == port
    for arguments in (
        ("-T", "udp", "h1"),
        ("-T", "tcp", "h1"),
        ("-T", "udp6", "h1-6"),
        ("-T", "tcp6", "h1-6"),
    ):
        done = lab.h2.run("rpcinfo", *arguments, str(rpc.NLM), "4")
        assert "ready and waiting" in done.stdout, done.stderr
    with nlm.Client(
        lab.h2, lab.h1.address, rpc.getport(lab.h1.address, rpc.NLM, 4, place=lab.h2.network)
    ) as client:
        assert client.lock(HANDLE) == nlm.STATUS_GRANTED


def test_its_list_is_for_the_host_itself_and_calls_are_never_forwarded(alone):
    lab, _ = alone
    assert rpc.dump("127.0.0.1", place=lab.h1.network) >= NLM_ROWS
    assert "100021" in lab.h1.run("rpcinfo", "-p", "127.0.0.1").stdout
    with rpc.Udp(lab.h1.address, 111, place=lab.h2.network) as rpcbind:
        assert rpcbind.call(rpc.PORTMAP, 2, 4).denied is not None
        with pytest.raises(rpc.NoReplyError):
            rpcbind.call(rpc.PORTMAP, 2, 5, rpc.u32(rpc.NLM, 4, 0, 0), timeout=1.0)
        assert rpcbind.call(rpc.PORTMAP, 2, 1, rpc.u32(rpc.NLM, 4, rpc.UDP, 999)).result().u32() == 0


def test_its_port_is_free_again_afterwards(alone):
    lab, lockd = alone
    assert lockd.process.stop(signal.SIGTERM) == 0
    peers.start_rpcbind(lab.h1)
