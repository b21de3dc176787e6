# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab of bridged hosts keeps its promises: they reach each other and share nothing else."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from hosts import peers, rpc
from hosts.waiting import wait_for


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_hosts_reach_each_other_by_udp_and_tcp(lab, family):
    address = lab.h2.address if family == socket.AF_INET else lab.h2.address6
    with lab.h2.network():
        listener, datagrams = socket.socket(family), socket.socket(family, socket.SOCK_DGRAM)
    with lab.h1.network():
        caller, sender = socket.socket(family), socket.socket(family, socket.SOCK_DGRAM)
    with listener, datagrams, caller, sender:
        for one in (listener, datagrams, caller, sender):
            one.settimeout(20)
        listener.bind((address, 7000))
        listener.listen()
        caller.connect((address, 7000))
        accepted, peer = listener.accept()
        accepted.close()
        assert peer[0] == (lab.h1.address if family == socket.AF_INET else lab.h1.address6)
        datagrams.bind((address, 7000))
        sender.sendto(b"hello", (address, 7000))
        assert datagrams.recv(100) == b"hello"


def test_a_broadcast_reaches_every_other_host(make_lab):
    lab = make_lab(3)
    listeners = []
    for host in (lab.h2, lab.h3):
        with host.network():
            listeners.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        listeners[-1].settimeout(20)
        listeners[-1].bind(("", 7001))
    with lab.h1.network():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sender.sendto(b"all", ("10.97.0.255", 7001))
    for listener in listeners:
        with listener:
            data, (address, _) = listener.recvfrom(100)
            assert (data, address) == (b"all", lab.h1.address)


def test_the_machines_own_network_never_sees_the_lab(make_lab):
    before = os.listdir("/sys/class/net")
    make_lab(2)
    assert os.listdir("/sys/class/net") == before


def test_each_host_has_its_own_rpcbind_behind_its_own_unix_socket(lab):
    for host in (lab.h1, lab.h2):
        peers.start_rpcbind(host)
    with rpc.Udp("127.0.0.1", 111, place=lab.h1.network) as rpcbind:
        done = rpcbind.call(rpc.PORTMAP, 2, 1, rpc.u32(rpc.NLM, 4, rpc.UDP, 4045)).result().u32()
    assert done == 1
    assert rpc.getport(lab.h1.address, rpc.NLM, 4, place=lab.h2.network) == 4045
    assert rpc.getport(lab.h2.address, rpc.NLM, 4, place=lab.h1.network) == 0
    assert (lab.h1.run_dir / "rpcbind.sock").is_socket()
    assert not (lab.switch.run_dir / "rpcbind.sock").exists()


@pytest.mark.needs("rpcbind", "rpc.statd")
def test_statd_registers_and_keeps_its_state_in_a_folder_of_the_host(lab):
    peers.start_rpcbind(lab.h1)
    before = Path("/var/lib/nfs/state").read_bytes()
    peers.start_statd(lab.h1, port=4500)
    rows = rpc.dump(lab.h1.address, place=lab.h2.network)
    assert {(rpc.NSM, 1, rpc.UDP, 4500), (rpc.NSM, 1, rpc.TCP, 4500)} <= rows
    assert Path("/var/lib/nfs/state").read_bytes() == before


@pytest.mark.needs("rpcbind", "rpc.statd", "ganesha.nfsd")
@pytest.mark.parametrize("nlm", [False, True], ids=["NLM off", "NLM on"])
def test_ganesha_exports_real_file_handles_to_another_host(lab, tmp_path, nlm):
    tmp_path.chmod(0o755)
    peers.start_rpcbind(lab.h1)
    peers.start_statd(lab.h1)
    ganesha = peers.start_ganesha(lab.h1, tmp_path, nlm=nlm)
    one, two = ganesha.handles(lab.h2, "one", "two")
    assert one != two and (tmp_path / "one").exists()
    again = ganesha.handles(lab.h2, "one")
    assert again == [one]
    assert (rpc.getport(lab.h1.address, rpc.NLM, 4, place=lab.h2.network) != 0) == nlm


@pytest.mark.needs("rpcbind", "tcpdump", "tshark")
def test_a_capture_has_every_packet_seen_when_it_is_stopped(lab, tmp_path):
    peers.start_rpcbind(lab.h1)
    capture = lab.h1.capture(tmp_path / "packets.pcap", "udp port 111", device="net0")
    for _ in range(5):
        assert rpc.getport(lab.h1.address, rpc.NLM, 4, place=lab.h2.network) == 0
    shown = subprocess.run(
        ["tshark", "-r", capture.finish(), "-Y", "portmap.procedure_v2 == 3"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert len(shown.stdout.splitlines()) == 10


def test_pylockd_of_this_checkout_serves_a_lab_host_from_ready_to_sigterm(lab):
    peers.start_rpcbind(lab.h1)
    lockd = peers.start_pylockd(lab.h1, settings=("fs.nfs.nlm_udpport=4045", "fs.nfs.nlm_tcpport=4045"))
    assert rpc.answers(lab.h1.address, 4045, rpc.NLM, 4, place=lab.h2.network)
    assert rpc.answers(lab.h1.address, 4045, rpc.NLM, 4, tcp=True, place=lab.h2.network)
    assert (lockd.run_dir / "control").is_socket()
    assert lockd.process.stop(signal.SIGTERM) == 0


def test_a_started_process_has_a_log_a_pid_and_an_exit_code(lab):
    process = lab.h1.start("sh", "-c", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done")
    process.wait_for_log("up")
    assert os.readlink(f"/proc/{process.pid}/ns/net") == os.readlink(f"/proc/{lab.h1.init}/ns/net")
    assert process.stop(signal.SIGTERM) == 3
    assert process.log == "up\nbye\n"


def test_a_process_that_ignores_sigterm_is_killed_in_the_end(lab):
    process = lab.h1.start("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done")
    process.wait_for_log("up")
    assert process.stop(timeout=0.3) == -signal.SIGKILL


def test_waiting_for_the_log_of_a_process_that_dies_fails_with_what_it_said(lab):
    process = lab.h1.start("sh", "-c", "echo cannot do that; exit 1")
    with pytest.raises(AssertionError, match="cannot do that"):
        process.wait_for_log("ready")


def test_an_unplugged_host_is_silent_until_it_is_back(lab):
    peers.start_rpcbind(lab.h2)
    assert rpc.answers(lab.h2.address, 111, rpc.PORTMAP, 2, place=lab.h1.network)
    lab.unplug(lab.h2)
    assert not rpc.answers(lab.h2.address, 111, rpc.PORTMAP, 2, place=lab.h1.network)
    lab.unplug(lab.h2, back=True)
    wait_for(lambda: rpc.answers(lab.h2.address, 111, rpc.PORTMAP, 2, place=lab.h1.network), what="h2 back")


def test_a_host_may_be_on_several_networks_and_have_several_addresses(lab):
    lab.join(lab.h1, 1)
    lab.h1.add_address("10.97.0.99/24")
    addresses = lab.h1.run("ip", "-br", "-4", "address").stdout
    assert "10.97.1.1/24" in addresses and "10.97.0.99/24" in addresses


def test_a_new_boot_id_is_what_daemons_read_from_the_kernel(lab):
    path = "/proc/sys/kernel/random/boot_id"
    before = lab.h1.read(path)
    assert lab.h1.new_boot_id() == lab.h1.read(path).strip() != before.strip()
    assert lab.h2.read(path) != lab.h1.read(path)


@pytest.mark.needs("systemctl")
def test_a_systemd_machine_takes_the_place_of_a_host_on_the_network(lab):
    machine = lab.boot("h2", enable=["rpcbind.socket"])
    assert machine.run("hostname").stdout.strip() == "h2"
    wait_for(
        lambda: rpc.answers(lab.h2.address, 111, rpc.PORTMAP, 2, place=lab.h1.network), what="its rpcbind"
    )
    assert machine.show("rpcbind.socket", "ActiveState") == "active"


def test_closing_ends_every_process_and_folder_of_every_host(make_lab):
    lab = make_lab(2)
    sleeper = lab.h1.start("sleep", "600")
    works = [host.work for host in (lab.h1, lab.h2, lab.switch)]
    inits = [host.init for host in (lab.h1, lab.h2, lab.switch)]
    lab.close()
    assert not sleeper.running
    assert not any(work.exists() for work in works)
    assert not any(os.path.exists(f"/proc/{init}") for init in inits)
