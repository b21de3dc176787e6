# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that somebody claims and another host has: the owner is asked first, and the claimer told to wait
(the WACK of RFC 1002 section 4.2.16). Read Challenges.begin.

What the owner's answer, or its silence, means for the name is the WINS server's business; here is who is
asked, for whom, and how many at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from pydaemons.engine.protocol import Now
from pydaemons.netbios import nspacket
from pydaemons.netbios.node.claim import Claim
from pydaemons.netbios.node.exchange import Exchanges
from pydaemons.netbios.node.inquiries import Inquiry, listed_in, query_of
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.netbios.node.winsrecord import Record
from pydaemons.netbios.nspacket import Packet

WAIT = 60
"""Seconds a claimer is told to wait while the owner is asked (nmbd's figure)."""
PENDING = 1024
"""Challenges at once; further claimers of taken names hear nothing and come again."""

Decided = Callable[[Claim, Record, set[bytes], str, Now], None]
"""The claim, the owner as it was known when it was asked, the addresses it says it has (none: it has not the
name, or is not there), and where it said so."""


class Challenges:
    """All that are under way, by name. `decided` takes their ends."""

    def __init__(self, exchanges: Exchanges, tunables: NetbiosTunables, *, decided: Decided) -> None:
        self.open: dict[bytes, Claim] = {}
        """Who claims; never replaced: the packet path keeps it."""
        self._exchanges = exchanges
        self._tunables = tunables
        self._decided = decided

    def begin(self, claim: Claim, owner: Record, now: Now) -> bytes | None:
        """Ask the owner; what the claimer is told meanwhile."""
        under_way = self.open.get(claim.wire)
        if under_way is not None:
            if under_way.origin is not claim.origin or under_way.id == claim.id:
                # a repetition of what was told to wait: Samba's clients take a second WACK for an error
                return None
            under_way.id = claim.id
        else:
            if len(self.open) >= PENDING or self._exchanges.full():
                return None
            self.open[claim.wire] = claim
            Inquiry(
                self._exchanges,
                self._tunables,
                [member.address for member in owner.members],
                partial(query_of, claim.wire),
                partial(self._said, claim, owner),
            ).begin(now)
        return nspacket.wait(claim.id, claim.wire, claim.flags, WAIT)

    def _said(self, claim: Claim, owner: Record, packet: Packet | None, host: str, now: Now) -> None:
        del self.open[claim.wire]
        self._decided(claim, owner, set() if packet is None else listed_in(packet, claim.wire), host, now)
