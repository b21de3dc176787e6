# SPDX-License-Identifier: GPL-3.0-or-later
"""Which WINS servers own names, and up to which version each one's are known here (the owner-version map of
[MS-WINSRA] section 3.1.1). Read Owners.wanted.

Who knows an owner's names up to a version never asks for lower ones again, and neither do partners who heard
of them here. So a version counts as known only when all below it is settled: not while a pull is under way,
and not while a host is asked about a replica.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from pydaemons.engine.protocol import Now
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.netbios.node.winsdb import WinsDb
from pydaemons.netbios.node.winsrecord import LOCAL
from pydaemons.netbios.winsra import MOST_OWNERS, Owner

BELIEVABLE = 1 << 62
"""The highest version believed: after it there must be room for more."""
_NONE = 1 << 64
VERIFIED_FOR = 3600.0
"""Seconds until an owner's records are looked through again for such as are long unseen."""


class Owners:
    """The map."""

    def __init__(self, db: WinsDb, tunables: NetbiosTunables) -> None:
        self.address = LOCAL
        """Ours, by which partners know us."""
        self._db = db
        self._tunables = tunables
        self._reached: dict[bytes, int] = {}
        """Owner -> version up to which its names were taken, while some below are disputed."""
        self._verified: dict[bytes, float] = {}

    def table(self) -> list[Owner]:
        """Who owns what we know: us first."""
        highest = self._db.highest
        others = [Owner(owner, version) for owner, version in sorted(highest.items()) if owner != LOCAL]
        return [Owner(self.address, highest.get(LOCAL, 0)), *others]

    def wanted(self, told: Iterable[Owner], now: Now) -> deque[Owner]:
        """What of a partner's table is to be asked for. Where it has later versions of ours than we have,
        ours go on from there: we lost our database."""
        wanted: deque[Owner] = deque()
        for owner in told:
            if owner.highest >= BELIEVABLE:
                continue
            if owner.address == self.address:
                self._db.outnumber(owner.highest)
                if self._db.empty_handed and owner.highest:
                    wanted.append(owner._replace(lowest=0))  # the partner has what we lost
            elif not int.from_bytes(owner.address, "big") or owner.address[0] >= 224:
                continue
            elif (missing := self.missing(owner)) is not None:
                if missing.lowest > 1 or len(self._db.highest) + len(wanted) < MOST_OWNERS:
                    wanted.append(missing)
            elif owner.highest == self._known(owner.address) and self._is_stale(owner.address, now):
                wanted.append(owner._replace(lowest=0))
        return wanted

    def missing(self, owner: Owner) -> Owner | None:
        """What of an owner's names up to a version is not known."""
        known = self._known(owner.address)
        return owner._replace(lowest=known + 1) if owner.highest > known else None

    def reached(self, owner: Owner) -> None:
        """Its names were taken; `settle` makes them known."""
        self._reached[owner.address] = max(owner.highest, self._reached.get(owner.address, 0))

    def recovered(self) -> None:
        """Names of ours that a partner had are here again."""
        self._db.empty_handed = False

    def settle(self, disputed: Mapping[bytes, int]) -> bool:
        """`disputed`: owner -> lowest version a host is still asked about. Is anything left to settle?"""
        for owner, highest in list(self._reached.items()):
            lowest = disputed.get(owner, _NONE)
            self._db.raise_version(owner, min(highest, lowest - 1))
            if lowest > highest:
                del self._reached[owner]
        return bool(self._reached)

    def _known(self, owner: bytes) -> int:
        return max(self._db.highest.get(owner, 0), self._reached.get(owner, 0))

    def _is_stale(self, owner: bytes, now: Now) -> bool:
        """Is it long ago that all of an owner's records were seen?"""
        if now.mono - self._verified.get(owner, float("-inf")) < VERIFIED_FOR:
            return False
        self._verified[owner] = now.mono
        return self._db.ends_before(owner, now.wall + self._tunables.wins_verify_interval / 2)
