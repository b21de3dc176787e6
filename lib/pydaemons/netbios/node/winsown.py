# SPDX-License-Identifier: GPL-3.0-or-later
"""The WINS server's own names in its database: there like anybody's, but nobody else's to have. Read
OwnRecords.configure, then tick."""

from __future__ import annotations

from collections.abc import Iterable

from pydaemons.engine.protocol import Now
from pydaemons.netbios.codes import GROUP
from pydaemons.netbios.node.settings import OwnName, Settings
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.netbios.node.winsdb import WinsDb
from pydaemons.netbios.node.winsrecord import LOCAL, Member, Record, State

RENEWAL = 1200.0
"""Seconds between renewals, as a client's refreshes have it (winsclient)."""


class OwnRecords:
    """All of them."""

    def __init__(self, db: WinsDb, tunables: NetbiosTunables) -> None:
        self.names: dict[bytes, OwnName] = {}
        """Never replaced: the packet path keeps it."""
        self.addresses: tuple[bytes, ...] = ()
        self._db = db
        self._tunables = tunables
        self._node_type = 0
        self._at: float | None = None

    def configure(self, settings: Settings, addresses: Iterable[bytes], now: Now) -> None:
        """Our names and addresses are these from now on."""
        wanted = {own.wire: own for own in settings.names()}
        for wire in self.names.keys() - wanted.keys():
            self._drop(wire, now)
        self.names.clear()
        self.names.update(wanted)
        self.addresses = tuple(addresses)
        self._node_type = settings.node_type
        self.renew(now)

    def withdraw(self, now: Now) -> None:
        """We stop: they are free."""
        for wire in self.names:
            self._drop(wire, now)
        self._at = None

    def tick(self, now: Now) -> None:
        """Renew them when it is time."""
        if self._at is not None and now.mono >= self._at:
            self.renew(now)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        return self._at

    def renew(self, now: Now) -> None:
        """Register them, as if they were new."""
        expires = int(now.wall) + self._tunables.max_ttl
        members = tuple(Member(address, expires) for address in self.addresses)
        self._at = now.mono + min(RENEWAL, self._tunables.max_ttl / 2)
        if not members:
            return
        for wire, own in self.names.items():
            flags = self._node_type | (GROUP if own.group else 0)
            if own.group and self._db.counting:
                known = self._db.find_live(wire, now.wall)
                if known is not None and known.owner != LOCAL:
                    continue  # a partner tells of it already
            self._db.keep(wire, Record(State.ACTIVE, flags, expires, members))

    def _drop(self, wire: bytes, now: Now) -> None:
        record = self._db.find_live(wire, now.wall)
        if record is not None and not record.group:
            self._db.release(wire, record, now.wall)
