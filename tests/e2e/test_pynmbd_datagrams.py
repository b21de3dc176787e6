# SPDX-License-Identifier: GPL-3.0-or-later
"""Port 138 of a running pynmbd, against what anybody on the network may send there."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

import pytest

from fakes.datagrams import datagram, golden
from hosts.holder import Process
from hosts.lab import Lab
from hosts.netbios import resident, start_pynmbd, stats
from hosts.waiting import wait_for
from pydaemons.netbios.dgram import MORE, Datagram, Kind
from pydaemons.netbios.logon import NtVersion, PrimaryQuery, SamRequest
from pydaemons.netbios.mailslot import BROWSE, NETLOGON

CONF = """[global]
netbios name = SUT
workgroup = TESTGRP
domain logons = yes
realm = example.org
[net.netbios]
query_rate = 10000000
query_burst = 10000000
"""
SLOT = rb"\MAILSLOT\NET\GETDC1"
SUBJECTS = (
    SamRequest(0, "CLIENT", "CLIENT$", SLOT, 0x80, version=NtVersion.V1 | NtVersion.V5EX),
    SamRequest(0, "CLIENT", "", SLOT, version=NtVersion.V1),
    PrimaryQuery(b"CLIENT", SLOT, "CLIENT"),
)
MUTANTS = 100_000
BATCH = 4000


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(2) as lab:
        yield lab


@pytest.fixture(scope="module")
def pynmbd(lab: Lab) -> Process:
    return start_pynmbd(lab.h1, CONF)


def originals() -> list[bytes]:
    """Well-formed packets for names that pynmbd holds."""
    logons = [
        datagram(NETLOGON, each.pack(), source="CLIENT#00", destination="TESTGRP#1c") for each in SUBJECTS
    ]
    frames = [
        datagram(BROWSE, bytes(range(size)), source="CLIENT#00", destination="TESTGRP#1e")
        for size in (2, 20, 60)
    ]
    return [*logons, *frames, *golden().values()]


def mutants(dice: random.Random, count: int) -> Iterator[bytes]:
    packets = originals()
    for _ in range(count):
        mutant = bytearray(dice.choice(packets))
        for _ in range(dice.randrange(1, 5)):
            mutant[dice.randrange(len(mutant))] = dice.randrange(256)
        if dice.random() < 0.2:
            del mutant[dice.randrange(len(mutant)) :]
        yield bytes(mutant)


def storm(lab: Lab, dice: random.Random, count: int) -> None:
    """Send that many, no faster than they are taken."""
    with lab.h2.network(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("", 138))
        sock.connect((lab.h1.address, 138))
        batch: list[bytes] = []
        for each in mutants(dice, count):
            batch.append(each)
            if len(batch) < BATCH:
                continue
            before = stats(lab.h1)["packets"]
            for packet in batch:
                sock.send(packet)
            wait_for(lambda: stats(lab.h1)["packets"] >= before + len(batch), what="a batch to be taken")  # noqa: B023
            batch.clear()


def test_a_hundred_thousand_mutants_neither_crash_it_nor_make_it_grow(lab: Lab, pynmbd: Process) -> None:
    dice = random.Random(1380)
    storm(lab, dice, 20_000)
    before = resident(pynmbd)
    storm(lab, dice, MUTANTS - 20_000)
    assert pynmbd.running
    assert "bug" not in pynmbd.log
    assert resident(pynmbd) - before < 4096
    found = stats(lab.h1)
    assert found["datagrams_bad"] > 1000
    assert found["logon_answers"] > 100


def test_fragments_that_never_end_are_forgotten(lab: Lab, pynmbd: Process) -> None:
    template = Datagram(*(Kind.DIRECT_UNIQUE, 0, bytes(4), 138, *_wires()), data=bytes(400), flags=MORE | 2)
    before = stats(lab.h1)["datagrams_incomplete"]
    with lab.h2.network(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for id_ in range(500):
            sock.sendto(template._replace(id=id_).pack(), (lab.h1.address, 138))
    wait_for(lambda: stats(lab.h1)["datagrams_incomplete"] >= before + 490, what="them to be dropped")


def _wires() -> tuple[bytes, bytes]:
    packet = originals()[0]
    return packet[14:48], packet[48:82]


def test_a_far_source_gets_no_more_than_it_gave(lab: Lab, pynmbd: Process) -> None:
    """A host beyond our networks, here by a second address and a route to it."""
    lab.h2.run("ip", "address", "add", "192.168.77.2/32", "dev", "lo", check=True)
    lab.h1.run("ip", "route", "add", "192.168.77.2/32", "via", lab.h2.address, check=True)
    with lab.h2.network(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("192.168.77.2", 138))
        sock.settimeout(1)
        got: list[tuple[int, int]] = []
        for each in SUBJECTS:
            data = datagram(NETLOGON, each.pack(), source="CLIENT#00", destination="TESTGRP#1c")
            sock.sendto(data, (lab.h1.address, 138))
            try:
                got.append((len(data), len(sock.recv(2000))))
            except TimeoutError:
                continue
    assert got, "the short answers must come"
    assert all(answer <= asked for asked, answer in got)
