# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts of ours are asked and told because of a replica: whether they still have a name (a *challenge*),
and that they must give it up (a release demand, RFC 1002 section 4.2.9). Read Inquiries.start.

A host with several addresses is sought at one after the other, until it speaks at one of them. Inquiries wait
until `start` is called, and only so many are under way at once: a partner that knows our names otherwise may
know ten thousand of them otherwise.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

from pydaemons.engine.protocol import Address, Now
from pydaemons.netbios import nspacket
from pydaemons.netbios.codes import Opcode
from pydaemons.netbios.node.exchange import Exchanges
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.netbios.nspacket import Nb, Packet
from pydaemons.wire.errors import WireError

TRIES = 3
ADDRESSES = 3
"""Addresses of one host that are tried before it counts as gone."""
AT_ONCE = 64

Build = Callable[[bytes, int], bytes]
"""A packet for an address, under a transaction id."""
Said = Callable[[Packet | None, Now], None]
"""What the host said, or None."""


class Inquiry:
    """One host, and what it is asked."""

    __slots__ = ("build", "left", "said")

    def __init__(self, addresses: Iterable[bytes], build: Build, said: Said) -> None:
        self.left = deque(list(addresses)[:ADDRESSES])
        self.build = build
        self.said = said


class Inquiries:
    """All of them."""

    def __init__(self, exchanges: Exchanges, tunables: NetbiosTunables) -> None:
        self._exchanges = exchanges
        self._tunables = tunables
        self._waiting: deque[Inquiry] = deque()
        self._under_way = 0

    def __len__(self) -> int:
        return len(self._waiting) + self._under_way

    @property
    def waiting(self) -> bool:
        """Is there anything `start` should be called for?"""
        return bool(self._waiting)

    def challenge(
        self, wire: bytes, addresses: Iterable[bytes], then: Callable[[set[bytes], Now], None]
    ) -> None:
        """Ask the host at these addresses whether it has the name. `then` gets the addresses it says it has,
        or none: it does not know the name, or is not there."""

        def said(packet: Packet | None, now: Now) -> None:
            then(set() if packet is None else listed_in(packet, wire), now)

        self._waiting.append(Inquiry(addresses, partial(_query_of, wire), said))

    def demand(self, wire: bytes, flags: int, addresses: Iterable[bytes]) -> None:
        """Tell the host at these addresses to give the name up."""
        inquiry = Inquiry(addresses, partial(_release_of, wire, flags), lambda packet, now: None)
        self._waiting.append(inquiry)

    def start(self, now: Now) -> None:
        """Begin with what waits, as far as there is room."""
        while self._waiting and self._under_way < AT_ONCE and not self._exchanges.full():
            inquiry = self._waiting.popleft()
            if inquiry.left:
                self._under_way += 1
                self._ask(inquiry, now)
            else:
                inquiry.said(None, now)

    def clear(self) -> None:
        """Ask nobody who is not asked yet."""
        self._waiting.clear()

    def _ask(self, inquiry: Inquiry, now: Now) -> None:
        address = inquiry.left.popleft()
        self._exchanges.start(
            partial(inquiry.build, address),
            Address(".".join(map(str, address)), self._exchanges.port),
            now,
            source=None,
            tries=TRIES,
            interval=float(self._tunables.challenge_timeout),
            on_answer=partial(self._answered, inquiry),
            on_silence=partial(self._silent, inquiry),
        )

    def _answered(self, inquiry: Inquiry, packet: Packet, host: str, now: Now) -> bool:
        self._end(inquiry, packet, now)
        return True

    def _silent(self, inquiry: Inquiry, now: Now) -> None:
        if inquiry.left:
            self._ask(inquiry, now)
        else:
            self._end(inquiry, None, now)

    def _end(self, inquiry: Inquiry, packet: Packet | None, now: Now) -> None:
        self._under_way -= 1
        inquiry.said(packet, now)
        self.start(now)


def listed_in(packet: Packet, wire: bytes) -> set[bytes]:
    """The addresses an answer lists for a name; none if it is a refusal."""
    listed: set[bytes] = set()
    if packet.rcode:
        return listed
    for record in packet.answers:
        try:
            if record.name == wire:
                listed |= {nb.address for nb in nspacket.unpack_nb(record.data)}
        except WireError:
            continue
    return listed


def _query_of(wire: bytes, _: bytes, id_: int) -> bytes:
    return nspacket.query(id_, wire, broadcast=False, recursion_desired=False)


def _release_of(wire: bytes, flags: int, address: bytes, id_: int) -> bytes:
    nb = Nb(flags, address)
    return nspacket.claim(Opcode.RELEASE, id_, wire, nb, ttl=0, broadcast=False, recursion_desired=False)
