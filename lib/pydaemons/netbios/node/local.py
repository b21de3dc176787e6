# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets for and from programs of this machine: they cannot have ports 137 and 138, which are ours, but old
hosts answer nowhere else. Read Local.

An answer that nobody of ours asked for goes to the program that said it waits for its transaction id
(nmbd.localpackets is how it says so). `send` is the other direction: a packet that leaves from our port.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address

from pydaemons.engine.effects import Effect, Send
from pydaemons.engine.protocol import Address, Origin, Transport
from pydaemons.netbios import nspacket
from pydaemons.netbios.codes import LONGEST_DATAGRAM, RESPONSE
from pydaemons.netbios.node.events import DATAGRAM_KIND, NAME_KIND, LocalPacket
from pydaemons.netbios.node.subnet import Subnet, Subnets
from pydaemons.wire.errors import WireError

DATAGRAM_HEADER = 14
"""Bytes of a datagram's header (RFC 1002 section 4.4.1); behind type, flags and id stand source address and
port."""
DATAGRAM_TYPES = range(0x10, 0x17)


class Local:
    """What programs of this machine wait for and send."""

    def __init__(self, subnets: Subnets, *, emit: Callable[[Effect], None]) -> None:
        self._subnets = subnets
        self._emit = emit
        self.awaited: frozenset[int] = frozenset()
        """Transaction ids of name service answers."""
        self.given = 0
        """Answers passed on."""

    def take(self, data: bytes, origin: Origin) -> bool:
        """Pass an answer on, if somebody waits for it."""
        id_ = int.from_bytes(data[:2], "big")
        if id_ not in self.awaited or len(data) < 12 or not data[2] & RESPONSE >> 8:
            return False
        self.given += 1
        self._emit(LocalPacket(NAME_KIND, id_, data, origin.peer))
        return True

    def send(self, kind: int, data: bytes, to: Address, *, source_port: int) -> str:
        """Send a packet from our port `source_port` and from the interface next to `to`; its address.
        ValueError says what is wrong with it. Of a datagram, source address and port become ours."""
        if len(data) > LONGEST_DATAGRAM:
            raise ValueError(f"a packet of {len(data)} bytes, and {LONGEST_DATAGRAM} are allowed")
        subnet = self._nearest(to.host)
        source = subnet.interface.address
        if kind == NAME_KIND:
            try:
                nspacket.unpack(data)
            except WireError as error:
                raise ValueError(f"no name service packet: {error}") from None
        elif kind == DATAGRAM_KIND:
            if len(data) < DATAGRAM_HEADER or data[0] not in DATAGRAM_TYPES:
                raise ValueError("no NetBIOS datagram")
            data = data[:4] + subnet.address + source_port.to_bytes(2, "big") + data[10:]
        else:
            raise ValueError("neither a name service packet nor a datagram")
        self._emit(Send(Transport.UDP, to, data, source=source, source_port=source_port))
        return source

    def _nearest(self, host: str) -> Subnet:
        """The network `host` is on or is the broadcast address of; of none, our first."""
        if not self._subnets.all:
            raise ValueError("there is no network to send it on")
        address = IPv4Address(host)
        odd = not int(address) or address.is_multicast or address.is_reserved
        if odd and host != "255.255.255.255":
            raise ValueError(f"{host} is nobody's address")
        return self._subnets.find(host) or self._subnets.all[0]
