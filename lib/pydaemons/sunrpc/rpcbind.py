# SPDX-License-Identifier: GPL-3.0-or-later
"""The rpcbind protocol (RFC 1833): program numbers to ports. Version 2 (portmap) speaks of ports, versions 3
and 4 of netids and universal addresses. Records and text forms only; lookup asks, portmapper answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Annotated, Generic, NamedTuple, TypeVar

from pydaemons.engine.protocol import Address, Transport
from pydaemons.wire.enums import OpenEnum
from pydaemons.wire.errors import WireError
from pydaemons.wire.record import Codec
from pydaemons.wire.xdr import Bool, UInt, opaque

R = TypeVar("R", bound=NamedTuple)
PROGRAM = 100000
PORT = 111
PORTMAP, RPCBIND3, RPCBIND4 = 2, 3, 4
"""The versions there are."""

UDP, TCP = 17, 6
"""Version 2 names a transport by its IP protocol number."""


class PortmapProc(OpenEnum):
    """Procedures of version 2."""

    NULL = 0
    SET = 1
    UNSET = 2
    GETPORT = 3
    DUMP = 4
    CALLIT = 5


class RpcbindProc(OpenEnum):
    """Procedures of versions 3 and 4; those from 9 on are only in 4."""

    NULL = 0
    SET = 1
    UNSET = 2
    GETADDR = 3
    DUMP = 4
    BCAST = 5
    GETTIME = 6
    UADDR2TADDR = 7
    TADDR2UADDR = 8
    GETVERSADDR = 9
    INDIRECT = 10
    GETADDRLIST = 11
    GETSTAT = 12


class Mapping(NamedTuple):
    """A row of version 2."""

    program: UInt
    version: UInt
    protocol: UInt
    port: UInt


class Rpcb(NamedTuple):
    """A row of versions 3 and 4."""

    program: UInt
    version: UInt
    netid: Annotated[bytes, opaque(255)]
    uaddr: Annotated[bytes, opaque(255)]
    owner: Annotated[bytes, opaque(255)]


class ListCodec(Generic[R]):
    """A list as rpcbind has it: each item behind a true boolean, a false one at the end (RFC 4506 section
    4.19). Python value: a tuple of records."""

    def __init__(self, item: Codec[R], longest: int = 4096) -> None:
        self._item = item
        self._longest = longest

    def pack(self, items: Sequence[R]) -> bytes:
        """The wire form."""
        return b"".join([b"\0\0\0\1" + self._item.pack(item) for item in items]) + bytes(4)

    def unpack(self, data: bytes, offset: int) -> tuple[R, ...]:
        """The list at `offset`, or WireError."""
        items: list[R] = []
        while True:
            if offset + 4 > len(data):
                raise WireError("cut short", offset)
            if data[offset : offset + 4] == bytes(4):
                return tuple(items)
            if len(items) == self._longest:
                raise WireError(f"more than {self._longest} items", offset)
            item, offset = self._item.unpack_from(data, offset + 4)
            items.append(item)


class PortNumber(NamedTuple):
    """What GETPORT returns; 0 means not registered."""

    port: UInt


class UniversalAddress(NamedTuple):
    """What GETADDR returns; empty means not registered."""

    uaddr: Annotated[bytes, opaque(255)]


class Truth(NamedTuple):
    """What SET and UNSET return."""

    value: Bool


class Seconds(NamedTuple):
    """What GETTIME returns: seconds since 1970."""

    value: UInt


MAPPING = Codec(Mapping)
RPCB = Codec(Rpcb)
PORT_NUMBER = Codec(PortNumber)
UNIVERSAL_ADDRESS = Codec(UniversalAddress)
TRUTH = Codec(Truth)
SECONDS = Codec(Seconds)
MAPPINGS = ListCodec(MAPPING)
RPCBS = ListCodec(RPCB)

PROTOCOLS = {Transport.UDP: UDP, Transport.TCP: TCP}
NETIDS = {
    "udp": (Transport.UDP, 4),
    "tcp": (Transport.TCP, 4),
    "udp6": (Transport.UDP, 6),
    "tcp6": (Transport.TCP, 6),
}
"""The netids of the Internet transports (RFC 5665 section 5.1), with their IP version."""


def is_ipv6(host: str) -> bool:
    """Whether a numeric host is of IPv6; mapped IPv4 addresses do not get this far."""
    return ":" in host


def netid(transport: Transport, host: str) -> str:
    """The netid of a transport to or at a numeric host."""
    return transport.value + ("6" if is_ipv6(host) else "")


def format_uaddr(address: Address) -> str:
    """A universal address (RFC 5665 section 5.2): the host and two decimal octets of the port, by dots."""
    host = address.host.partition("%")[0]
    return f"{host}.{address.port >> 8}.{address.port & 0xFF}"


def parse_uaddr(text: str) -> Address:
    """The address a universal address stands for; WireError when it is none."""
    parts = text.rsplit(".", 2)
    if len(parts) != 3 or not all(
        part.isascii() and part.isdecimal() and len(part) <= 3 for part in parts[1:]
    ):
        raise WireError("not a universal address", 0)
    high, low = int(parts[1]), int(parts[2])
    if high > 255 or low > 255:
        raise WireError("not a universal address", 0)
    try:
        host = ip_address(parts[0])
    except ValueError:
        raise WireError("not a universal address", 0) from None
    return Address(str(host), high << 8 | low)
