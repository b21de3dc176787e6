# SPDX-License-Identifier: GPL-3.0-or-later
"""Datagrams as other hosts send them, and those of real peers, for tests of codecs and node."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

from fakes.claims import wire
from pydaemons.netbios import dgram, mailslot
from pydaemons.netbios.dgram import Datagram, Kind
from pydaemons.netbios.mailslot import Write

GOLDEN = Path(__file__).resolve().parents[1] / "golden/nmbd-4.17-datagrams.txt"


def golden() -> dict[str, bytes]:
    """Packets of nmbd and smbtorture by what they are."""
    lines = [line.split() for line in GOLDEN.read_text().splitlines() if not line.startswith("#")]
    return {what: bytes.fromhex(data) for what, data in lines}


def datagram(
    slot: bytes,
    data: bytes,
    *,
    source: str,
    destination: str,
    address: str = "10.0.0.9",
    kind: int = Kind.DIRECT_GROUP,
    id_: int = 7,
) -> bytes:
    """A mailslot write, whole; names as NAME#XX."""
    packed = Write(slot, data).pack()
    return Datagram(
        *(kind, id_, IPv4Address(address).packed, 138, wire(source), wire(destination), packed)
    ).pack()


def write_in(data: bytes) -> tuple[Datagram, Write]:
    """A packet taken apart."""
    packet = dgram.unpack(data)
    assert isinstance(packet, Datagram)
    return packet, mailslot.unpack(packet.data)
