# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts are asked and told about their names: whether they still have one (a *challenge*), and that they
must give it up (a release demand, RFC 1002 section 4.2.9). Read Inquiry, then Inquiries.start.

A host with several addresses is sought at one after the other, until it speaks at one of them. What replicas
give cause for waits until `start` is called, and only so many are under way at once: a partner that knows our
names otherwise may know ten thousand of them otherwise.
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
Said = Callable[[Packet | None, str, Now], None]
"""What the host said, or None, and at which address."""


class Inquiry:
    """One host, and what it is asked."""

    __slots__ = ("_build", "_exchanges", "_left", "_said", "_tunables")

    def __init__(
        self,
        exchanges: Exchanges,
        tunables: NetbiosTunables,
        addresses: Iterable[bytes],
        build: Build,
        said: Said,
    ) -> None:
        self._exchanges = exchanges
        self._tunables = tunables
        self._left = deque(list(addresses)[:ADDRESSES])
        self._build = build
        self._said = said

    def begin(self, now: Now) -> bool:
        """Ask at the first address; False when there is none, and nothing will be said."""
        if self._left:
            self._ask(now)
            return True
        return False

    def _ask(self, now: Now) -> None:
        address = self._left.popleft()
        self._exchanges.start(
            partial(self._build, address),
            Address(".".join(map(str, address)), self._exchanges.port),
            now,
            source=None,
            tries=TRIES,
            interval=float(self._tunables.challenge_timeout),
            on_answer=self._answered,
            on_silence=self._silent,
        )

    def _answered(self, packet: Packet, host: str, now: Now) -> bool:
        self._said(packet, host, now)
        return True

    def _silent(self, now: Now) -> None:
        if self._left:
            self._ask(now)
        else:
            self._said(None, "", now)


class Inquiries:
    """Those that replicas give cause for."""

    def __init__(self, exchanges: Exchanges, tunables: NetbiosTunables) -> None:
        self._exchanges = exchanges
        self._tunables = tunables
        self._waiting: deque[tuple[Inquiry, Said]] = deque()
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

        def said(packet: Packet | None, host: str, now: Now) -> None:
            then(set() if packet is None else listed_in(packet, wire), now)

        self._put(addresses, partial(query_of, wire), said)

    def demand(self, wire: bytes, flags: int, addresses: Iterable[bytes]) -> None:
        """Tell the host at these addresses to give the name up."""
        self._put(addresses, partial(_release_of, wire, flags), lambda packet, host, now: None)

    def start(self, now: Now) -> None:
        """Begin with what waits, as far as there is room."""
        while self._waiting and self._under_way < AT_ONCE and not self._exchanges.full():
            inquiry, then = self._waiting.popleft()
            if inquiry.begin(now):
                self._under_way += 1
            else:
                then(None, "", now)

    def clear(self) -> None:
        """Ask nobody who is not asked yet."""
        self._waiting.clear()

    def _put(self, addresses: Iterable[bytes], build: Build, then: Said) -> None:
        ended = partial(self._ended, then)
        self._waiting.append((Inquiry(self._exchanges, self._tunables, addresses, build, ended), then))

    def _ended(self, then: Said, packet: Packet | None, host: str, now: Now) -> None:
        self._under_way -= 1
        then(packet, host, now)
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


def query_of(wire: bytes, _: bytes, id_: int) -> bytes:
    """The challenge: a plain query, as anybody's."""
    return nspacket.query(id_, wire, broadcast=False, recursion_desired=False)


def _release_of(wire: bytes, flags: int, address: bytes, id_: int) -> bytes:
    nb = Nb(flags, address)
    return nspacket.claim(Opcode.RELEASE, id_, wire, nb, ttl=0, broadcast=False, recursion_desired=False)
