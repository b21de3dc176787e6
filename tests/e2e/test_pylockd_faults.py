# SPDX-License-Identifier: GPL-3.0-or-later
"""pylockd when its surroundings fail it: a full disk, floods of rubbish, peers that vanish."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from hosts import nlm, rpc
from hosts.lab import Host, Lab
from hosts.peers import CHECKOUT, Lockd, start_pylockd, start_rpcbind
from hosts.waiting import wait_for

FH = b"\x22" * 32


def port_of(host: Host, protocol: int = rpc.UDP) -> int:
    return rpc.getport("127.0.0.1", rpc.NLM, 4, protocol, place=host.network)


def start(host: Host, settings: str = "") -> Lockd:
    return start_pylockd(host, "[access]\nallow = *\n" + settings)


def test_a_full_disk_holds_a_first_lock_back_and_loses_nothing(lab: Lab) -> None:
    state = lab.h1.work / "pylockd-state"
    state.mkdir()
    lab.h1.run("mount", "-t", "tmpfs", "-o", "size=64k", "none", str(state), check=True)
    lockd = start(lab.h1)
    filler = state / "filler"
    lab.h1.run("sh", "-c", f"dd if=/dev/zero of={filler} bs=1k count=200 2>/dev/null; true")
    with nlm.Client(lab.h2, lab.h1.address, port_of(lab.h1)) as client:
        call = rpc.call_bytes(rpc.NLM, 4, nlm.LOCK, lock_arguments(client))
        for _ in range(3):  # as often as the client repeats it
            client.line.send(call)
            with pytest.raises(rpc.NoReplyError):
                client.line.receive(0.7)
        assert "No space left on device" in lockd.process.log
        assert lockd.process.running
        lab.h1.run("rm", str(filler), check=True)
        reply = rpc.Reply.parse(client.line.receive(30.0))
        assert reply.accepted == 0
        assert client.lock(FH) == nlm.STATUS_GRANTED
    found = lab.h1.run("find", str(state / "sm"), "-type", "f").stdout
    assert lab.h2.address in found, "the client is on disk before its lock is granted"
    assert lockd.process.log.count("No space left on device") == 1, "said once"


def lock_arguments(client: nlm.Client) -> bytes:
    return client._cookie + rpc.u32(False, True) + client._lock(FH) + rpc.u32(False, 1)


def test_rubbish_costs_nothing_but_its_own_answer(lab: Lab) -> None:
    lockd = start(lab.h1)
    dice = random.Random(20)
    good = rpc.call_bytes(rpc.NLM, 4, nlm.LOCK, b"\0\0\0\4abcd" + os.urandom(150))
    with nlm.Client(lab.h2, lab.h1.address, port_of(lab.h1)) as client:
        assert client.lock(FH) == nlm.STATUS_GRANTED
        before = resident(lockd)
        for _ in range(5000):
            data = bytearray(good)
            for _ in range(dice.randrange(1, 6)):
                data[dice.randrange(len(data))] = dice.randrange(256)
            client.line.send(bytes(data[: dice.randrange(len(data) + 1)]))
        client.line.sock.setblocking(False)
        drain(client)
        with nlm.Client(lab.h2, lab.h1.address, port_of(lab.h1)) as second:
            assert second.lock(FH, svid=2) == nlm.STATUS_DENIED, "the lock is where it was"
    assert lockd.process.running
    assert "bug" not in lockd.process.log
    assert resident(lockd) - before < 8 << 20


def drain(client: nlm.Client) -> None:
    try:
        while True:
            client.line.sock.recv(65536)
    except BlockingIOError:
        pass


def resident(lockd: Lockd) -> int:
    """Bytes of memory of the daemon."""
    words = Path(f"/proc/{lockd.process.pid}/statm").read_text().split()
    return int(words[1]) * os.sysconf("SC_PAGE_SIZE")


def test_connections_that_send_half_a_record_and_vanish_are_no_burden(lab: Lab) -> None:
    lockd = start(lab.h1)
    port = port_of(lab.h1, rpc.TCP)
    for number in range(50):
        connection = rpc.Tcp(lab.h1.address, port, place=lab.h2.network)
        connection.send_raw(rpc.u32(0x8000_0000 | 400) + bytes(number))
        connection.close()
    with nlm.Client(lab.h2, lab.h1.address, port, tcp=True) as client:
        assert client.lock(FH) == nlm.STATUS_GRANTED
    wait_for(
        lambda: len(os.listdir(f"/proc/{lockd.process.pid}/fd")) < 40,
        what="the descriptors of dead connections to be closed",
    )


def test_a_record_longer_than_any_call_closes_its_connection_only(lab: Lab) -> None:
    start(lab.h1)
    port = port_of(lab.h1, rpc.TCP)
    with nlm.Client(lab.h2, lab.h1.address, port, tcp=True) as good:
        assert good.lock(FH) == nlm.STATUS_GRANTED
        with rpc.Tcp(lab.h1.address, port, place=lab.h2.network) as bad:
            bad.send_raw(rpc.u32(0x7FFF_FFFF) + bytes(1000))
            with pytest.raises((EOFError, ConnectionError)):
                bad.receive(20.0)
        assert good.unlock(FH) == nlm.STATUS_GRANTED


@pytest.mark.needs("rpcbind")
def test_only_a_machine_that_is_switched_off_for_good_loses_its_locks_by_a_lease(
    make_lab: Callable[..., Lab],
) -> None:
    """h2 will be silent, h3 has a lock manager that answers, h4 nothing at all but its kernel."""
    lab = make_lab(4)
    lockd = start(lab.h1, "[fs.nfs]\nnlm_client_lease = 15\n")
    start_rpcbind(lab.h3)
    start_pylockd(lab.h3)  # what answers NULL there does not matter
    port = port_of(lab.h1)
    clients = [nlm.Client(host, lab.h1.address, port) for host in (lab.h2, lab.h3, lab.h4)]
    for number, client in enumerate(clients):
        assert client.lock(FH, offset=100 * number) == nlm.STATUS_GRANTED
    lab.unplug(lab.h2)
    with nlm.Client(lab.h1, lab.h1.address, port) as here:
        assert here.lock(FH, length=300) == nlm.STATUS_DENIED
        wait_for(
            lambda: f"client {lab.h2.address} gave no sign of life for" in lockd.process.log,
            what="its lease to lapse",
            timeout=60.0,
        )
        assert here.lock(FH) == nlm.STATUS_GRANTED
        for ended in ("success", "unreachable"):  # as h3 and h4 do, for more than a lease
            wait_for(lambda how=ended: calls_ended(lab.h1)[how] > 5, what=f"more calls: {ended}", every=0.5)
        for offset in (100, 200):
            assert here.lock(FH, offset=offset) == nlm.STATUS_DENIED
    assert lockd.process.log.count("sign of life") == 1
    for client in clients:
        client.close()


def calls_ended(host: Host) -> Counter[str]:
    """How pylockd's own calls ended, by the name of the outcome."""
    told = host.run(CHECKOUT / "bin" / "pylockctl", "stats", "--json", check=True).stdout
    return Counter(json.loads(told)["rpc"])
