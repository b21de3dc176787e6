# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients and their lock owners. A client is an address, and the address of ours that it calls; what it calls
itself is kept to be shown, not believed.

Names come from the network: identified by them, one host could free another's locks by borrowing its name.
Our address counts because Linux numbers its owners anew for each server address it has mounted: svid 0 of one
and svid 0 of the other are two processes, and their locks exclude each other.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydaemons.engine.protocol import Now

ROOM = 4096
"""Owners of a client that are kept, whatever they hold, before those that hold nothing are looked for."""


class Owner:
    """Who holds a lock: a client's `svid` (its process, or a number standing for one). One object per pair,
    compared by identity."""

    __slots__ = ("host", "noted", "oh", "svid")

    def __init__(self, host: Host, svid: int, oh: bytes) -> None:
        self.host = host
        self.svid = svid
        self.oh = oh
        """The owner handle it last showed, reported to others whom it keeps waiting."""
        self.noted = False
        """The journal knows it, as it is."""

    def __repr__(self) -> str:
        return f"<{self.svid}@{self.host.key}>"


class Host:
    """One client, as far as it calls one address of ours."""

    __slots__ = (
        "address",
        "calls",
        "changes",
        "first_seen",
        "last_seen",
        "local",
        "monitored",
        "name",
        "noted",
        "number",
        "owners",
        "room",
        "state",
    )

    def __init__(self, address: str, local: str, name: bytes, now: Now) -> None:
        self.address = address
        self.local = local
        """Our address that it calls."""
        self.name = name
        """caller_name as last seen, or empty."""
        self.calls = 0
        """How many came since this process began, or knows it."""
        self.changes = 0
        """Another number whenever what is known of it, or of its owners, is not so any more."""
        self.owners: dict[int, Owner] = {}
        self.room = ROOM
        """So many owners may there be before `Lingering.thin` is wanted."""
        self.monitored = False
        self.state = 0
        """The NSM state number its locks came with, 0 when it told none."""
        self.number = 0
        """What the journal calls it, 0 when it does not yet."""
        self.noted = False
        """The journal knows it, as it is."""
        self.first_seen = now.wall
        self.last_seen = now.wall

    @property
    def key(self) -> str:
        """Both addresses, for the journal: neither has a blank."""
        return f"{self.address} {self.local}"

    def learn_state(self, state: int) -> None:
        """Keep the NSM state number a request came with; 0 says nothing."""
        if state and state != self.state:
            self.state, self.noted = state, False
            self.changes += 1

    def owner(self, svid: int, oh: bytes) -> Owner:
        """The owner of that number, made when new."""
        owner = self.owners.get(svid)
        if owner is None:
            owner = self.owners[svid] = Owner(self, svid, oh)
        elif owner.oh != oh:
            owner.oh = oh
            owner.noted = False
            self.changes += 1
        return owner


class Hosts:
    """All clients that hold or wait for anything, or did lately."""

    def __init__(self) -> None:
        self._hosts: dict[tuple[str, str], Host] = {}
        self.find = self._hosts.get
        """`find((address, local))`: the client, if it is known."""

    def __len__(self) -> int:
        return len(self._hosts)

    def __iter__(self) -> Iterator[Host]:
        return iter(list(self._hosts.values()))

    def get(self, address: str, local: str, name: bytes, now: Now) -> Host:
        """The client, made when new."""
        host = self._hosts.get((address, local))
        if host is None:
            host = self._hosts[address, local] = Host(address, local, name, now)
        host.last_seen = now.wall
        if name and host.name != name:
            host.name = name
            host.noted = False
            host.changes += 1
        return host

    def remove(self, host: Host) -> None:
        """Forget a client that neither holds nor waits for anything."""
        host.changes += 1
        self._hosts.pop((host.address, host.local), None)

    def leave(self, host: Host) -> None:
        """A client was refused what it asked for: forget it if it never had anything."""
        if not host.number:
            self.remove(host)


def host_of(owner: Owner) -> Host:
    """The client an owner is of."""
    return owner.host
