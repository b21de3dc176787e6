# SPDX-License-Identifier: GPL-3.0-or-later
"""Which networks to be on, and news of them: rtnetlink(7) says at once when an address or a link changes.

Read find and Watch. A network is an IPv4 address of an interface that is up and can broadcast and is not the
loopback; `interfaces` in the configuration picks among them, or names an address of any interface.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface
from struct import pack, unpack_from

from pydaemons.kit.interfaces import addresses
from pydaemons.netbios.node.subnet import Interface

_SIOCGIFFLAGS = 0x8913
_UP, _BROADCAST, _LOOPBACK = 0x1, 0x2, 0x8
_LINK, _IPV4_ADDRESS = 0x1, 0x10
"""rtnetlink(7) multicast groups RTMGRP_LINK and RTMGRP_IPV4_IFADDR."""


def find(wanted: Iterable[str]) -> tuple[Interface, ...]:
    """The networks to be on now, in the kernel's order. OSError when the kernel does not say."""
    patterns = tuple(wanted)
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as ask:
        for entry in addresses():
            address = entry.address
            if not isinstance(address, IPv4Interface) or address.ip.is_loopback:
                continue
            try:
                name = socket.if_indextoname(entry.interface)
                flags = _flags(ask, name)
            except OSError:
                continue  # gone since the dump
            if (
                not flags & _UP
                or not flags & _BROADCAST
                or flags & _LOOPBACK
                or address.network.prefixlen > 30
            ):
                continue
            if patterns and not any(_matches(pattern, name, address) for pattern in patterns):
                continue
            broadcast = entry.broadcast or str(address.network.broadcast_address)
            found.append(
                Interface(name, entry.interface, str(address.ip), address.network.prefixlen, broadcast)
            )
    return tuple(found)


def is_ipv6(pattern: str) -> bool:
    """Is it an IPv6 address or network? There is no NetBIOS on it."""
    try:
        IPv6Interface(pattern.partition(";")[0].strip())
    except ValueError:
        return False
    return True


def _flags(ask: socket.socket, name: str) -> int:
    answer = fcntl.ioctl(ask.fileno(), _SIOCGIFFLAGS, pack("16sH14x", name.encode(), 0))
    (flags,) = unpack_from("H", answer, 16)
    return int(flags)


def _matches(pattern: str, name: str, address: IPv4Interface) -> bool:
    word = pattern.partition(";")[0].strip()
    if fnmatchcase(name, word):
        return True
    host, slash, prefix = word.partition("/")
    try:
        ip = IPv4Address(host)
    except ValueError:
        return False
    if not slash:
        return ip == address.ip
    try:
        return ip in address.network and IPv4Interface(f"{host}/{prefix}").network == address.network
    except ValueError:
        return False


class Watch:
    """Calls `changed` when an address or a link changed; give `fileno` to the loop."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._netlink = socket.socket(
            socket.AF_NETLINK,
            socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
            socket.NETLINK_ROUTE,
        )
        self._netlink.bind((0, _LINK | _IPV4_ADDRESS))

    def fileno(self) -> int:
        """For the loop's readers."""
        return self._netlink.fileno()

    def look(self) -> None:
        """Something came: what it was does not matter, the list is read anew."""
        for _ in range(64):
            try:
                self._netlink.recv(65536)
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS: some news was lost, which is news too
                continue
        self._changed()

    def close(self) -> None:
        """No more news."""
        self._netlink.close()


def host_name() -> str:
    """The machine's name."""
    return os.uname().nodename
