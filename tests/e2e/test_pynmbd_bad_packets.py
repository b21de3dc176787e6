# SPDX-License-Identifier: GPL-3.0-or-later
"""What anybody may throw at port 137. (What comes to port 138: test_pynmbd_datagrams.)"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

import pytest

from fakes.claims import claim, query, wire
from hosts.holder import Process
from hosts.lab import Lab
from hosts.netbios import ask, resident, start_pynmbd, stats
from hosts.waiting import wait_for
from pydaemons.netbios import nspacket
from pydaemons.netbios.codes import Opcode

CONF = """[global]
netbios name = ALPHA
workgroup = TESTGRP
wins support = yes
dns proxy = no
[net.netbios]
query_rate = 10000000
query_burst = 10000000
max_names = 1000
"""
MUTANTS = 100_000
BATCH = 2000
VALUES = (0, 1, 0x20, 0x3F, 0xC0, 0xFF)
"""Bytes that mean something where they do not belong: lengths, pointers, counts."""
LETTERS = b"ABCDEFGHIJKLMNOP"
"""What encoded names are made of (RFC 1001 section 14.1): another name, and still one."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(2) as lab:
        yield lab


@pytest.fixture(scope="module")
def pynmbd(lab: Lab) -> Process:
    return start_pynmbd(lab.h1, CONF)


def originals(address: str) -> list[bytes]:
    """Well-formed packets of every kind."""
    own, nb = wire("ALPHA#20"), bytes.fromhex("60000a000001")
    claims = (Opcode.REGISTRATION, Opcode.MULTIHOMED, Opcode.REFRESH, Opcode.REFRESH_9, Opcode.RELEASE)
    return [
        query("ALPHA#20"),
        query("NOBODY#20"),
        query("*#1b"),
        query("TESTGRP#1e", broadcast=True),
        nspacket.status_request(5),
        *(claim(name, address, opcode=opcode) for opcode in claims for name in ("HOST#20", "ALPHA#20")),
        nspacket.answer(Opcode.QUERY, 7, own, nb, ttl=5),
        nspacket.answer(Opcode.REGISTRATION, 7, own, nb, ttl=0, rcode=6),
        nspacket.wait(7, own, 0x2900, 60),
    ]


def mutants(dice: random.Random, address: str, count: int) -> Iterator[bytes]:
    packets = originals(address)
    for _ in range(count):
        mutant = bytearray(dice.choice(packets))
        for _ in range(dice.randrange(1, 5)):
            mutant[dice.randrange(len(mutant))] = dice.choice((*VALUES, *LETTERS, dice.randrange(256)))
        if dice.random() < 0.3:
            del mutant[dice.randrange(len(mutant)) :]
        yield bytes(mutant)


def storm(lab: Lab, dice: random.Random, count: int) -> None:
    """Send that many, no faster than they are taken."""
    with lab.h2.network(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((lab.h1.address, 137))
        packets = mutants(dice, lab.h2.address, count)
        for _ in range(count // BATCH):
            taken = stats(lab.h1)["packets"] + BATCH
            for _ in range(BATCH):
                sock.send(next(packets))
            wait_for(lambda: stats(lab.h1)["packets"] >= taken, what="a batch to be taken")  # noqa: B023


def test_a_hundred_thousand_mutants_neither_crash_it_nor_make_it_grow(lab: Lab, pynmbd: Process) -> None:
    dice = random.Random(1370)
    storm(lab, dice, 40_000)
    before = resident(pynmbd)
    storm(lab, dice, MUTANTS - 40_000)
    assert pynmbd.running
    assert "bug" not in pynmbd.log
    assert resident(pynmbd) - before < 4096
    found = stats(lab.h1)
    assert found["bad"] > 10_000
    assert found["answers"] > 1000
    assert ask(lab.h2, query("ALPHA#20"), lab.h1.address) is not None
