# SPDX-License-Identifier: GPL-3.0-or-later
"""Name service packets as a plain client sends them, and what is seen of a node's own, for its tests."""

from __future__ import annotations

from ipaddress import IPv4Address

from fakes.ether import Ether, Station
from pydaemons.engine.protocol import Address
from pydaemons.netbios import name, nspacket
from pydaemons.netbios.codes import NODE_H, Opcode
from pydaemons.netbios.nspacket import Nb, Packet


def wire(text: str) -> bytes:
    """`NAME#XX` in wire form."""
    return name.pack(name.parse(text))


def claim(
    text: str,
    address: str,
    *,
    opcode: int = Opcode.REGISTRATION,
    id_: int = 77,
    ttl: int = 300000,
    flags: int = NODE_H,
    broadcast: bool = False,
    demand: bool = False,
) -> bytes:
    """A registration, refresh or release."""
    asks = not demand and opcode in (Opcode.REGISTRATION, Opcode.MULTIHOMED)
    nb = Nb(flags, IPv4Address(address).packed)
    return nspacket.claim(opcode, id_, wire(text), nb, ttl=ttl, broadcast=broadcast, recursion_desired=asks)


def query(text: str, *, id_: int = 78, broadcast: bool = False, recursion: bool = True) -> bytes:
    """A name query."""
    return nspacket.query(id_, wire(text), broadcast=broadcast, recursion_desired=recursion)


def release(text: str, address: str, **options: int) -> bytes:
    """A release."""
    return claim(text, address, opcode=Opcode.RELEASE, ttl=0, **options)


def addresses(packet: Packet) -> list[str]:
    """The addresses of a positive answer."""
    return [str(IPv4Address(nb.address)) for nb in nspacket.unpack_nb(packet.answers[0].data)]


def sent(ether: Ether, opcode: int, text: str) -> list[tuple[Address, Packet]]:
    """The requests of a kind about a name that were seen, and where they went."""
    packets = [(to, nspacket.unpack(data)) for _, to, data in ether.seen if to.port == 137]
    return [
        (to, packet)
        for to, packet in packets
        if packet.opcode == opcode and not packet.response and packet.questions[0].name == wire(text)
    ]


def states(station: Station) -> dict[str, str]:
    """A station's own names (of one network each) and their states."""
    return {str(name.unpack(holding.own.wire)): holding.state.name for holding in station.node.names}
