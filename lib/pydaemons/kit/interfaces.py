# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses of this network namespace's interfaces, asked of the kernel by one rtnetlink dump
(rtnetlink(7))."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface
from struct import Struct
from typing import NamedTuple

RTM_GETADDR, RTM_NEWADDR = 22, 20
NLMSG_DONE, NLMSG_ERROR = 3, 2
NLM_F_REQUEST_DUMP = 0x301
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST = 1, 2, 4

_HEADER = Struct("=IHHII")
"""nlmsghdr: length, type, flags, sequence, port."""
_ADDRESS = Struct("=BBBBI")
"""ifaddrmsg: family, prefix length, flags, scope, interface index."""
_ATTRIBUTE = Struct("=HH")


class InterfaceAddress(NamedTuple):
    """One address of one interface."""

    interface: int
    """Its index."""
    address: IPv4Interface | IPv6Interface
    """The address with its network."""
    broadcast: str | None
    """IPv4 broadcast address, where the interface has one."""


def addresses() -> list[InterfaceAddress]:
    """All addresses of all interfaces, up or not; OSError when the kernel does not say."""
    found: list[InterfaceAddress] = []
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    ) as netlink:
        netlink.settimeout(5)
        request = _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
        netlink.send(
            _HEADER.pack(_HEADER.size + len(request), RTM_GETADDR, NLM_F_REQUEST_DUMP, 1, 0) + request
        )
        done = False
        while not done:
            data = netlink.recv(1 << 17)
            for kind, body in _messages(data):
                if kind == RTM_NEWADDR:
                    found.extend(_address(body))
                elif kind == NLMSG_ERROR:
                    raise OSError(
                        -int.from_bytes(body[:4], "little", signed=True), "rtnetlink refused the dump"
                    )
                done = done or kind == NLMSG_DONE
    return found


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _HEADER.size <= len(data):
        size, kind, _, _, _ = _HEADER.unpack_from(data, offset)
        if size < _HEADER.size:
            return
        yield kind, data[offset + _HEADER.size : offset + size]
        offset += size + 3 & ~3


def _address(body: bytes) -> Iterator[InterfaceAddress]:
    _, prefix, _, _, index = _ADDRESS.unpack_from(body)
    values: dict[int, bytes] = {}
    offset = _ADDRESS.size
    while offset + _ATTRIBUTE.size <= len(body):
        size, kind = _ATTRIBUTE.unpack_from(body, offset)
        if size < _ATTRIBUTE.size:
            break
        values[kind] = body[offset + _ATTRIBUTE.size : offset + size]
        offset += size + 3 & ~3
    # on point-to-point links IFA_ADDRESS is the other end, IFA_LOCAL this one
    own = values.get(IFA_LOCAL, values.get(IFA_ADDRESS))
    if own is not None and len(own) in (4, 16):
        broadcast = values.get(IFA_BROADCAST)
        text = str(ip_address(broadcast)) if broadcast is not None and len(broadcast) == 4 else None
        yield InterfaceAddress(index, ip_interface((own, prefix)), text)
