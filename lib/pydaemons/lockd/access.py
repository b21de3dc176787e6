# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may lock: `[access] allow` of /etc/pylockd.conf, judged by address. Read `Access.admits` first.

Addresses and networks are judged at once. Host names and netgroups need a resolver, and nothing on the packet
path waits for one: a call that hangs on a name is dropped, as if lost, while another thread looks; the
client's retransmission finds the answer. A name counts only when it resolves back to the address.
"""

from __future__ import annotations

import ctypes
import re
import socket
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

REMEMBERED = 600.0
"""Seconds a resolved verdict is believed."""
MOST_REMEMBERED = 4096
LOOK_EVERY = 1.0
"""Seconds between looks at the attached networks that strangers cause."""
ADDRESSES = re.compile(r"(?=.*[0-9])[0-9?*]*(\.[0-9?*]*)+")
"""A wildcard that no host name fits, such as 192.0.2.*: its last part would be a number."""

Network = IPv4Network | IPv6Network


class Access:
    """The rules, and the verdicts of the resolver. `resolve(address)` is called once for each address whose
    verdict hangs on its names; its result comes back by `resolved`."""

    def __init__(
        self,
        allow: Iterable[str],
        *,
        attached: Callable[[], Iterable[Network]],
        resolve: Callable[[str], None],
    ) -> None:
        self._everybody = False
        self._link = False
        self._networks: list[Network] = []
        self._addresses: list[str] = []
        """Wildcards of IPv4 addresses in text."""
        self._names: list[str] = []
        self._netgroups: list[str] = []
        for pattern in allow:
            self._add(pattern)
        self._attached = attached
        self._attached_now: list[Network] = []
        self._looked = float("-inf")
        self._resolve = resolve
        self._verdicts: dict[str, tuple[bool, float]] = {}
        self._asked: set[str] = set()
        self.refresh()

    def _add(self, pattern: str) -> None:
        if pattern == "*":
            self._everybody = True
        elif pattern == "link":
            self._link = True
        elif pattern.startswith("@"):
            self._netgroups.append(pattern[1:])
        elif "/" in pattern or ":" in pattern or pattern.replace(".", "").isdecimal():
            self._networks.append(ip_network(pattern))
        elif ADDRESSES.fullmatch(pattern):
            self._addresses.append(pattern)
        else:
            self._names.append(pattern)

    @property
    def needs_names(self) -> bool:
        """Whether any rule names a host or a netgroup."""
        return bool(self._names or self._netgroups)

    def refresh(self) -> bool:
        """Look up the directly attached networks anew, for interfaces come and go; whether they changed."""
        before = self._attached_now
        self._attached_now = list(self._attached()) if self._link else []
        return self._attached_now != before

    def admits(self, address: str, mono: float) -> bool | None:
        """Whether that host may lock; None while the resolver is asked."""
        if self._everybody:
            return True
        here = ip_address(address.partition("%")[0])
        if any(here in network for network in (*self._networks, *self._attached_now)):
            return True
        if any(fnmatchcase(address, pattern) for pattern in self._addresses):
            return True
        if self._link and mono - self._looked >= LOOK_EVERY:
            # its network may have come since; not for every stranger of a flood, though
            self._looked = mono
            if self.refresh() and any(here in network for network in self._attached_now):
                return True
        if not self.needs_names:
            return False
        verdict = self._verdicts.get(address)
        if verdict is not None and mono - verdict[1] <= REMEMBERED:
            return verdict[0]
        if address not in self._asked and len(self._asked) < MOST_REMEMBERED:
            self._asked.add(address)
            self._resolve(address)
        return None

    def resolved(self, address: str, names: Iterable[str], netgroups: Iterable[str], mono: float) -> None:
        """What the resolver found: the names that lead back to the address, the netgroups it is in."""
        self._asked.discard(address)
        if len(self._verdicts) >= MOST_REMEMBERED:
            self._verdicts.clear()
        fits = any(fnmatchcase(name.lower(), pattern) for name in names for pattern in self._names)
        self._verdicts[address] = (fits or any(group in self._netgroups for group in netgroups), mono)

    def look_up(self, address: str) -> tuple[list[str], list[str]]:
        """Ask the resolver; for another thread. The confirmed names of the address, and those of the
        netgroups in the rules that one of them (or the address) belongs to."""
        names = confirmed_names(address)
        groups = [
            group for group in self._netgroups if any(_in_netgroup(group, host) for host in (*names, address))
        ]
        return names, groups


def confirmed_names(address: str) -> list[str]:
    """The host names of an address that resolve to it again."""
    try:
        primary, aliases, _ = socket.gethostbyaddr(address)
    except OSError:
        return []
    confirmed = []
    for name in (primary, *aliases):
        try:
            found = {str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(name, None)}
        except OSError:
            continue
        if address.partition("%")[0] in found:
            confirmed.append(name)
    return confirmed


def _in_netgroup(group: str, host: str) -> bool:
    """innetgr(3), which Python's library does not offer."""
    return bool(ctypes.CDLL(None).innetgr(group.encode(), host.encode(), None, None))
