# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks a node is on, and who of all senders is listened to. Read Subnets.admit first.

A name service answers with more bytes than it was asked with, to a source address that anybody can forge. So
who is answered at all is decided first, once per source: hosts of our own networks and those the
administrator allows; a WINS server also serves allowed networks behind routers, but only what WINS clients
need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network

from pydaemons.engine.protocol import Now, Origin


@dataclass(frozen=True, slots=True)
class Interface:
    """An IPv4 address of ours with its network."""

    name: str
    index: int
    address: str
    prefix: int
    broadcast: str


@dataclass(frozen=True, slots=True)
class Subnet:
    """A network we have an address on."""

    interface: Interface
    network: IPv4Network = field(compare=False)
    address: bytes = field(compare=False)
    """Our address, as it stands in packets."""

    @classmethod
    def of(cls, interface: Interface) -> Subnet:
        """The network of an interface."""
        network = IPv4Network((interface.address, interface.prefix), strict=False)
        return cls(interface, network, IPv4Address(interface.address).packed)


class Standing(IntEnum):
    """What a source may have."""

    OURSELVES = -1
    """Nothing: our own broadcast come back."""
    REFUSED = 0
    """Nothing, not even a refusal."""
    WINS = 1
    """The WINS server's answers, and answers to our own requests; on the datagram port: to be heard."""
    FULL = 2


Taker = Callable[[bytes, Origin, "Source", Now], None]


class Source:
    """What is known of one peer and local address: kept per Origin, so that it is looked up once."""

    __slots__ = ("answers", "filled", "standing", "subnet", "taker", "tokens")

    def __init__(self, standing: Standing, subnet: Subnet | None, tokens: float, filled: float) -> None:
        self.standing = standing
        self.subnet = subnet
        """The network the peer is on (or the one its packets reached, for an allowed peer elsewhere)."""
        self.answers: dict[bytes, bytes] = {}
        """Prepared answers (see query); shared by all sources of a network."""
        self.tokens = tokens
        """Packets it may still send at once (a token bucket, filled when it runs dry)."""
        self.filled = filled
        self.taker: Taker | None = None
        """Takes its packets in place of the name service."""


LOOPBACK = IPv4Network("127.0.0.0/8")
_NO_HOST = (IPv4Network("0.0.0.0/8"), IPv4Network("224.0.0.0/3"))


class Subnets:
    """The networks we are on now."""

    def __init__(self) -> None:
        self.all: tuple[Subnet, ...] = ()
        self._addresses: frozenset[str] = frozenset()
        self._no_source: frozenset[str] = frozenset()

    def replace(self, interfaces: Iterable[Interface]) -> tuple[list[Subnet], list[Subnet]]:
        """Be on exactly these networks; those gone and those new. A changed mask is both."""
        wanted = tuple(Subnet.of(interface) for interface in dict.fromkeys(interfaces))
        gone = [subnet for subnet in self.all if subnet not in wanted]
        new = [subnet for subnet in wanted if subnet not in self.all]
        self.all = wanted
        self._addresses = frozenset(subnet.interface.address for subnet in wanted)
        self._no_source = frozenset(subnet.interface.broadcast for subnet in wanted)
        return gone, new

    def is_own(self, host: str) -> bool:
        """Is it an address of ours?"""
        return host in self._addresses

    def find(self, host: str) -> Subnet | None:
        """The network `host` is on, the narrowest first."""
        address = IPv4Address(host)
        found = [subnet for subnet in self.all if address in subnet.network]
        return max(found, key=lambda subnet: subnet.network.prefixlen, default=None)

    def admit(
        self,
        origin: Origin,
        *,
        port: int,
        allow: Iterable[IPv4Network],
        wins_allow: Iterable[IPv4Network],
    ) -> tuple[Standing, Subnet | None]:
        """What packets from `origin` may have, and the network they count to. `port` is the one of ours that
        they came to: a packet that left from there is our own come back, and nobody's request."""
        host = origin.peer.host
        try:
            address = IPv4Address(host)
        except ValueError:
            return Standing.REFUSED, None
        if not origin.peer.port or host in self._no_source or any(address in net for net in _NO_HOST):
            return Standing.REFUSED, None
        if origin.peer.port == port and (host in self._addresses or address in LOOPBACK):
            return Standing.OURSELVES, None
        subnet = self.find(host)
        if subnet is not None or address in LOOPBACK:
            return Standing.FULL, subnet or self._reached(origin)
        if any(address in net for net in allow):
            return Standing.FULL, self._reached(origin)
        if any(address in net for net in wins_allow):
            return Standing.WINS, self._reached(origin)
        return Standing.REFUSED, None

    def _reached(self, origin: Origin) -> Subnet | None:
        local = origin.local.host
        exact = next((subnet for subnet in self.all if subnet.interface.address == local), None)
        return exact or next(iter(self.all), None)
