# SPDX-License-Identifier: GPL-3.0-or-later
"""Restarts of clients and of the server, told by status monitors: pylockd's own, and the host's rpc.statd."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from hosts import nlm, peers, rpc
from hosts.lab import Host
from hosts.waiting import wait_for

pytestmark = pytest.mark.needs("rpcbind", "rpc.statd", "sm-notify")

PORTS = "[fs.nfs]\nnlm_udpport = 4045\nnlm_tcpport = 4046\nnlm_timeout = 3\n"
EMBEDDED = PORTS + "[nsm]\nmode = embedded\n"
STATD = PORTS + "[nsm]\nmode = statd\n"
HANDLE = b"a file"
MON, NOTIFY = 2, 6


@dataclass
class Monitor:
    """A client's status monitor: known to its rpcbind, takes SM_NOTIFY and acknowledges it."""

    host: Host
    sock: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        with self.host.network():
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("0.0.0.0", 0))
        with rpc.Udp("127.0.0.1", 111, place=self.host.network, bound=("127.0.0.1", 790)) as rpcbind:
            row = rpc.u32(rpc.NSM, 1, rpc.UDP, self.sock.getsockname()[1])
            assert rpcbind.call(rpc.PORTMAP, 2, 1, row).result().u32()

    def wait(self, timeout: float = 60.0) -> tuple[str, int, tuple[str, int], int]:
        """Name, state number, where it came from, and the credential's flavour."""
        self.sock.settimeout(timeout)
        message, source = self.sock.recvfrom(4096)
        call = rpc.Unpacker(message)
        xid, _, _, program, version, procedure = (call.u32() for _ in range(6))
        assert (program, version, procedure) == (rpc.NSM, 1, NOTIFY)
        flavour = call.u32()
        call.opaque()
        call.u32(), call.opaque()
        name, state = call.opaque().decode(), call.u32()
        self.sock.sendto(rpc.u32(xid, rpc.REPLY, 0, 0, 0, 0), source)
        return name, state, source, flavour


def notify(client: Host, server: str, state: int, *, port: int = 0, name: str = "") -> None:
    """What a client's sm-notify sends after a reboot."""
    port = port or rpc.getport(server, rpc.NSM, 1, place=client.network)
    with rpc.Udp(server, port, place=client.network, bound=("0.0.0.0", 801)) as line:
        line.call(rpc.NSM, 1, NOTIFY, rpc.opaque(name or client.name) + rpc.u32(state)).result().done()


@pytest.fixture
def lab(make_lab) -> Iterator[object]:
    """h1 is the server, h2 and h3 clients; an rpcbind everywhere."""
    lab = make_lab(3)
    for host in lab.hosts.values():
        peers.start_rpcbind(host)
    return lab


def client(lab, host: Host) -> nlm.Client:
    return nlm.Client(host, lab.h1.address, 4045)


def test_a_restarted_clients_locks_are_freed_and_nobody_elses(lab):
    peers.start_pylockd(lab.h1, EMBEDDED)
    with client(lab, lab.h2) as one, client(lab, lab.h3) as two:
        assert one.lock(HANDLE) == nlm.STATUS_GRANTED
        assert two.lock(b"another") == nlm.STATUS_GRANTED
        notify(lab.h3, lab.h1.address, 5, name="h2")
        assert two.lock(HANDLE) == nlm.STATUS_DENIED, "h3 cannot speak for h2"
        notify(lab.h2, lab.h1.address, 5)
        assert two.lock(HANDLE) == nlm.STATUS_GRANTED
        assert one.lock(HANDLE) == nlm.STATUS_DENIED


def test_the_real_sm_notify_of_a_client_is_understood(lab):
    peers.start_pylockd(lab.h1, EMBEDDED)
    peers.start_statd(lab.h2)
    with client(lab, lab.h2) as one, client(lab, lab.h3) as two:
        assert one.lock(HANDLE) == nlm.STATUS_GRANTED
        with rpc.Udp("127.0.0.1", 4002, place=lab.h2.network, bound=("127.0.0.1", 880)) as statd:
            me = rpc.opaque("h2") + rpc.u32(rpc.NLM, 4, 16)
            registered = statd.call(rpc.NSM, 1, MON, rpc.opaque(lab.h1.address) + me + bytes(16)).result()
            assert registered.u32() == 0
        lab.h2.run("sm-notify", "-f", check=True)
        wait_for(lambda: two.lock(HANDLE) == nlm.STATUS_GRANTED, what="the restarted client's lock to go")


def test_lost_locks_are_told_to_clients_and_reclaimed_in_grace(lab):
    monitor = Monitor(lab.h2)
    server = peers.start_pylockd(lab.h1, EMBEDDED)
    with client(lab, lab.h2) as one, client(lab, lab.h3) as two:
        assert one.lock(HANDLE) == nlm.STATUS_GRANTED
        record = server.state_dir / "sm" / lab.h2.address
        assert f"address {lab.h2.address}\nname h2\nlocal {lab.h1.address}\n" in record.read_text()
        before = int((server.state_dir / "state").read_text())
        server.process.stop(signal.SIGTERM)
        lab.h1.new_boot_id()  # as after a reboot: its journal of locks is of no use
        server = peers.start_pylockd(lab.h1, EMBEDDED)
        name, state, source, flavour = monitor.wait()
        assert (name, state, source[0], flavour) == ("h1", before + 2, lab.h1.address, 0)
        assert source[1] < 1024
        assert int((server.state_dir / "state").read_text()) == before + 2
        assert two.lock(HANDLE) == nlm.STATUS_GRACE
        assert one.lock(HANDLE, reclaim=True) == nlm.STATUS_GRANTED
        wait_for(lambda: not (server.state_dir / "sm.bak" / lab.h2.address).exists(), what="h2 to be told")
        wait_for(lambda: two.lock(HANDLE) != nlm.STATUS_GRACE, what="grace to end", timeout=60)
        assert two.lock(HANDLE) == nlm.STATUS_DENIED


def test_a_client_that_is_down_holds_nothing_up_and_is_told_later(lab):
    server = peers.start_pylockd(lab.h1, EMBEDDED)
    with client(lab, lab.h2) as one:
        assert one.lock(HANDLE) == nlm.STATUS_GRANTED
    server.process.stop(signal.SIGTERM)
    lab.h1.new_boot_id()  # as after a reboot: its journal of locks is of no use
    lab.unplug(lab.h2)
    server = peers.start_pylockd(lab.h1, EMBEDDED)
    wait_for(
        (server.state_dir / "sm.bak" / lab.h2.address).exists, what="h2 to be on the list of those to tell"
    )
    monitor = Monitor(lab.h2)
    lab.unplug(lab.h2, back=True)
    assert monitor.wait()[0] == "h1"


def test_notices_leave_from_the_address_the_client_mounted(lab):
    """A service address: the client's monitor knows the server by no other."""
    lab.h1.add_address("10.97.0.99/24")
    monitor = Monitor(lab.h2)
    server = peers.start_pylockd(lab.h1, EMBEDDED)
    with nlm.Client(lab.h2, "10.97.0.99", 4045) as one:
        assert one.lock(HANDLE) == nlm.STATUS_GRANTED
    server.process.stop(signal.SIGTERM)
    lab.h1.new_boot_id()  # as after a reboot: its journal of locks is of no use
    peers.start_pylockd(lab.h1, EMBEDDED)
    assert monitor.wait()[2][0] == "10.97.0.99"


def test_a_service_address_leaves_with_its_locks_and_is_announced_where_it_comes_to(lab):
    """h1 gives 10.97.0.99 to h3; h2 has locks by it and by h1's own address."""
    service, ctl = "10.97.0.99", peers.CHECKOUT / "bin" / "pylockctl"
    lab.h1.add_address(f"{service}/24")
    monitor = Monitor(lab.h2)
    peers.start_pylockd(lab.h1, EMBEDDED)
    peers.start_pylockd(lab.h3, EMBEDDED)
    with nlm.Client(lab.h2, service, 4045) as by_service, client(lab, lab.h2) as by_own:
        assert by_service.lock(HANDLE) == nlm.STATUS_GRANTED
        assert by_own.lock(HANDLE) == nlm.STATUS_DENIED, "the same svid there is another process"
        assert by_own.lock(HANDLE, offset=100) == nlm.STATUS_GRANTED
        assert by_own.lock(HANDLE, block=True) == nlm.STATUS_BLOCKED
        freed = lab.h1.run(ctl, "release", "--server", service, check=True).stdout
        assert freed == "freed: 1\n"
        assert by_own.lock(HANDLE, svid=2) == nlm.STATUS_DENIED, "who waited for it has it"
        assert by_own.test(HANDLE, svid=2)[1].offset == 0
        assert by_own.lock(HANDLE, offset=100, svid=2) == nlm.STATUS_DENIED, "what came by another is there"
    lab.h1.run("ip", "address", "del", f"{service}/24", "dev", "net0", check=True)
    lab.h3.add_address(f"{service}/24")
    lab.h3.run(ctl, "grace", "start", check=True)
    told = lab.h3.run(ctl, "notify", "--server", service, "--client", lab.h2.address, check=True).stdout
    assert told == f"{lab.h2.address}\n"
    name, _, source, flavour = monitor.wait()
    assert (name, source[0], flavour) == ("h3", service, 0)
    with nlm.Client(lab.h2, service, 4045) as by_service:
        assert by_service.lock(HANDLE, svid=3) == nlm.STATUS_GRACE
        assert by_service.lock(HANDLE, reclaim=True) == nlm.STATUS_GRANTED


def test_nobody_monitored_is_nothing_lost(lab):
    server = peers.start_pylockd(lab.h1, EMBEDDED)
    before = (server.state_dir / "state").read_text()
    server.process.stop(signal.SIGTERM)
    server = peers.start_pylockd(lab.h1, EMBEDDED)
    assert (server.state_dir / "state").read_text() == before
    with client(lab, lab.h2) as one:
        assert one.lock(HANDLE) == nlm.STATUS_GRANTED, "no grace period"


def test_rpc_statd_monitors_for_us_and_tells_of_a_restarted_client(lab):
    peers.start_statd(lab.h1)
    peers.start_pylockd(lab.h1, STATD)
    with client(lab, lab.h2) as one, client(lab, lab.h3) as two:
        assert one.lock(HANDLE) == nlm.STATUS_GRANTED
        wait_for(lambda: "h2" in lab.h1.run("ls", "/var/lib/nfs/sm").stdout, what="rpc.statd to monitor h2")
        assert two.lock(HANDLE) == nlm.STATUS_DENIED
        notify(lab.h2, lab.h1.address, 5, port=4002)
        wait_for(lambda: two.lock(HANDLE) == nlm.STATUS_GRANTED, what="the restarted client's lock to go")
        assert rpc.getport(lab.h1.address, rpc.NSM, 1, place=lab.h2.network) == 4002


def test_auto_uses_an_rpc_statd_that_is_there(lab):
    peers.start_statd(lab.h1)
    peers.start_pylockd(lab.h1, PORTS)
    with client(lab, lab.h2) as one:
        assert one.lock(HANDLE) == nlm.STATUS_GRANTED
    wait_for(lambda: "h2" in lab.h1.run("ls", "/var/lib/nfs/sm").stdout, what="rpc.statd to monitor h2")


def test_forty_nine_first_locks_at_once_are_all_granted(lab):
    """Through rpc.statd: a storm of registrations is how others came to refuse locks."""
    peers.start_statd(lab.h1)
    peers.start_pylockd(lab.h1, STATD)
    for n in range(49):
        lab.h2.add_address(f"10.97.0.{100 + n}/24")
    lines = [
        rpc.Udp(lab.h1.address, 4045, place=lab.h2.network, bound=(f"10.97.0.{100 + n}", 0))
        for n in range(49)
    ]
    try:
        for n, line in enumerate(lines):
            arguments = rpc.opaque(b"\0\0\0\1") + rpc.u32(0, 1) + rpc.opaque(f"c{n}") + rpc.opaque(f"file{n}")
            arguments += rpc.opaque(f"1@c{n}") + rpc.u32(1) + rpc.u64(0, 10) + rpc.u32(0, 1)
            line.send(rpc.call_bytes(rpc.NLM, 4, nlm.LOCK, arguments))
        for line in lines:
            result = rpc.Reply.parse(line.receive()).result()
            result.opaque()
            assert result.u32() == nlm.STATUS_GRANTED
        monitored = ("sh", "-c", "ls /var/lib/nfs/sm | wc -l")
        wait_for(lambda: int(lab.h1.run(*monitored).stdout) == 49, what="rpc.statd to monitor all of them")
    finally:
        for line in lines:
            line.close()


def test_another_program_of_the_host_gets_its_notice_through_us(lab):
    """SM_MON of the embedded monitor, as the kernel's lock manager would use it."""
    peers.start_pylockd(lab.h1, EMBEDDED)
    with lab.h1.network():
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with listener, rpc.Udp("127.0.0.1", 111, place=lab.h1.network, bound=("127.0.0.1", 790)) as rpcbind:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(30)
        row = rpc.u32(400021, 1, rpc.UDP, listener.getsockname()[1])
        assert rpcbind.call(rpc.PORTMAP, 2, 1, row).result().u32()
        port = rpc.getport("127.0.0.1", rpc.NSM, 1, place=lab.h1.network)
        with rpc.Udp("127.0.0.1", port, place=lab.h1.network) as monitor:
            me = rpc.opaque("h1") + rpc.u32(400021, 1, 3)
            wanted = rpc.opaque(lab.h2.address) + me + b"0123456789abcdef"
            assert monitor.call(rpc.NSM, 1, MON, wanted).result().u32() == 0
        notify(lab.h2, lab.h1.address, 5)
        call = rpc.Unpacker(listener.recv(4096))
    assert [call.u32() for _ in range(6)][3:] == [400021, 1, 3]
    call.u32(), call.opaque(), call.u32(), call.opaque()
    assert (call.opaque(), call.u32(), call.rest) == (lab.h2.address.encode(), 5, b"0123456789abcdef")
