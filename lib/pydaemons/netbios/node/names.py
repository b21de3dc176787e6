# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own names on broadcast networks: claimed, defended, released (RFC 1002 section 5.1.1). Read NEXT first:
it is the whole life of a name.

A name is claimed by three broadcast requests 250 ms apart; when nobody objects, a last one without the wish
for an answer (the overwrite demand) tells everybody it is ours. It is answered for from the first request on:
a client that asks while we start should not wait for us. Conflict demands of others are logged and otherwise
ignored: one forged packet could take any name away, and a real rival objects when the name is claimed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum, auto

from pydaemons.engine.effects import Level
from pydaemons.engine.protocol import Address, Now
from pydaemons.engine.timers import Timers
from pydaemons.netbios import name, nspacket
from pydaemons.netbios.codes import Opcode
from pydaemons.netbios.node.events import NAME_TAKEN, Say
from pydaemons.netbios.node.exchange import Exchanges
from pydaemons.netbios.node.settings import OwnName, Settings
from pydaemons.netbios.node.subnet import Subnet
from pydaemons.netbios.nspacket import Nb, Packet

TRIES = 3
INTERVAL = 0.25
"""BCAST_REQ_RETRY_COUNT and BCAST_REQ_RETRY_TIMEOUT of RFC 1002 section 6."""
CLAIM_AGAIN = 300.0
"""Seconds until a name somebody else had is claimed again: the rival may have left."""


class State(Enum):
    """What a name is to us on one network."""

    CLAIMING = auto()
    OWNED = auto()
    CONFLICT = auto()
    RELEASED = auto()


class Event(Enum):
    """What may happen to it."""

    REFUSED = auto()
    UNOPPOSED = auto()
    CLAIMED = auto()
    INHERITED = auto()
    DROPPED = auto()


NEXT = {
    (State.CLAIMING, Event.REFUSED): State.CONFLICT,
    (State.CLAIMING, Event.UNOPPOSED): State.OWNED,
    (State.CLAIMING, Event.CLAIMED): State.CLAIMING,
    (State.CLAIMING, Event.INHERITED): State.OWNED,
    (State.CLAIMING, Event.DROPPED): State.RELEASED,
    (State.OWNED, Event.REFUSED): State.OWNED,  # an objection that comes after the demand is too late
    (State.OWNED, Event.UNOPPOSED): State.OWNED,
    (State.OWNED, Event.CLAIMED): State.CLAIMING,
    (State.OWNED, Event.INHERITED): State.OWNED,
    (State.OWNED, Event.DROPPED): State.RELEASED,
    (State.CONFLICT, Event.REFUSED): State.CONFLICT,
    (State.CONFLICT, Event.UNOPPOSED): State.CONFLICT,
    (State.CONFLICT, Event.CLAIMED): State.CLAIMING,
    (State.CONFLICT, Event.INHERITED): State.CONFLICT,
    (State.CONFLICT, Event.DROPPED): State.RELEASED,
    (State.RELEASED, Event.REFUSED): State.RELEASED,
    (State.RELEASED, Event.UNOPPOSED): State.RELEASED,
    (State.RELEASED, Event.CLAIMED): State.CLAIMING,
    (State.RELEASED, Event.INHERITED): State.OWNED,
    (State.RELEASED, Event.DROPPED): State.RELEASED,
}
ANSWERED = frozenset((State.CLAIMING, State.OWNED))
"""States in which we answer for the name and defend it."""


class Holding:
    """One of our names on one network."""

    __slots__ = ("exchange", "own", "rival", "since", "state", "subnet")

    def __init__(self, own: OwnName, subnet: Subnet) -> None:
        self.own = own
        self.subnet = subnet
        self.state = State.RELEASED
        self.exchange: int | None = None
        self.rival = ""
        """Who objected, while in conflict."""
        self.since = 0.0
        """When it was claimed (wall clock)."""


class NameTable:
    """Our names on all networks. `changed` is called when what is answered changes, `moved` when a claim
    came to its end."""

    def __init__(
        self,
        exchanges: Exchanges,
        *,
        changed: Callable[[], None],
        log: Say,
        moved: Callable[[Holding, Now], None] = lambda holding, now: None,
    ) -> None:
        self._exchanges = exchanges
        self._changed = changed
        self._moved = moved
        self._log = log
        self._held: dict[Subnet, dict[bytes, Holding]] = {}
        self._again: Timers[tuple[Subnet, bytes]] = Timers()
        self.settings: Settings | None = None
        self.ttl = 0

    def __iter__(self) -> Iterator[Holding]:
        for held in self._held.values():
            yield from held.values()

    def __len__(self) -> int:
        return sum(holding.state in ANSWERED for holding in self)

    def on(self, subnet: Subnet) -> Iterable[Holding]:
        """All our names on a network, in any state."""
        return self._held.get(subnet, {}).values()

    def find(self, subnet: Subnet | None, wire: bytes) -> Holding | None:
        """The name on this network, if we answer for it."""
        if subnet is None:
            return None
        holding = self._held.get(subnet, {}).get(wire)
        return holding if holding is not None and holding.state in ANSWERED else None

    def addresses(self, wire: bytes, nearest: Subnet) -> list[bytes]:
        """Our addresses with this name, the one on `nearest` first."""
        found = [
            subnet.address
            for subnet, held in self._held.items()
            if (holding := held.get(wire)) is not None and holding.state in ANSWERED
        ]
        found.sort(key=lambda address: address != nearest.address)
        return found

    def claim(self, subnet: Subnet, own: OwnName, now: Now) -> None:
        """Begin to claim a name on a network."""
        holding = self._held.setdefault(subnet, {}).setdefault(own.wire, Holding(own, subnet))
        self._stop(holding)
        holding.own = own
        holding.rival = ""
        holding.since = now.wall
        holding.state = NEXT[holding.state, Event.CLAIMED]
        self._changed()

        def answered(packet: Packet, host: str, now: Now) -> bool:
            if not packet.rcode:
                return False
            self._refused(holding, host, now)
            return True

        def silence(now: Now) -> None:
            self._unopposed(holding, now)

        holding.exchange = self._exchanges.start(
            lambda id_: self._request(Opcode.REGISTRATION, id_, holding, recursion_desired=True),
            Address(subnet.interface.broadcast, self._exchanges.port),
            now,
            source=subnet.interface.address,
            broadcast=True,
            tries=TRIES,
            interval=INTERVAL,
            on_answer=answered,
            on_silence=silence,
        )

    def inherit(self, subnet: Subnet, own: OwnName, since: float) -> None:
        """Have a name that was ours before this process began (see handover): nothing is said about it."""
        holding = self._held.setdefault(subnet, {}).setdefault(own.wire, Holding(own, subnet))
        holding.since = since
        holding.state = NEXT[holding.state, Event.INHERITED]
        self._changed()

    def release(self, subnet: Subnet, wire: bytes) -> None:
        """Give a name up and say so on the network."""
        holding = self._held.get(subnet, {}).pop(wire, None)
        if holding is None:
            return
        self._stop(holding)
        self._again.cancel((subnet, wire))
        if holding.state in ANSWERED:
            self.say_released(holding)
        holding.state = NEXT[holding.state, Event.DROPPED]
        self._changed()

    def say_released(self, holding: Holding) -> None:
        """Broadcast that a name is free."""
        request = self._request(Opcode.RELEASE, self._exchanges.new_id(), holding, recursion_desired=False)
        to = Address(holding.subnet.interface.broadcast, self._exchanges.port)
        self._exchanges.send(request, to, source=holding.subnet.interface.address)

    def forget(self, subnet: Subnet) -> None:
        """A network is gone, and with it who could be told."""
        for wire, holding in self._held.pop(subnet, {}).items():
            self._stop(holding)
            self._again.cancel((subnet, wire))
        self._changed()

    def tick(self, now: Now) -> None:
        """Claim again what was in conflict."""
        for subnet, wire in self._again.due(now.mono):
            self.claim(subnet, self._held[subnet][wire].own, now)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        return self._again.deadline()

    def _request(self, opcode: Opcode, id_: int, holding: Holding, *, recursion_desired: bool) -> bytes:
        assert self.settings is not None
        nb = Nb(self.settings.nb_flags(holding.own), holding.subnet.address)
        ttl = 0 if opcode is Opcode.RELEASE else self.ttl
        return nspacket.claim(
            opcode, id_, holding.own.wire, nb, ttl=ttl, broadcast=True, recursion_desired=recursion_desired
        )

    def _refused(self, holding: Holding, host: str, now: Now) -> None:
        holding.exchange = None
        holding.rival = host
        holding.state = NEXT[holding.state, Event.REFUSED]
        if holding.state is State.CONFLICT:
            shown = name.unpack(holding.own.wire)
            self._log(
                Level.ERROR,
                f"{holding.subnet.interface.name}: {host} has the name {shown} already: it is not ours there",
                NAME_TAKEN,
            )
            self._again.set((holding.subnet, holding.own.wire), now.mono + CLAIM_AGAIN)
        self._changed()
        self._moved(holding, now)

    def _unopposed(self, holding: Holding, now: Now) -> None:
        holding.exchange = None
        holding.state = NEXT[holding.state, Event.UNOPPOSED]
        if holding.state is State.OWNED:
            demand = self._request(
                Opcode.REGISTRATION, self._exchanges.new_id(), holding, recursion_desired=False
            )
            to = Address(holding.subnet.interface.broadcast, self._exchanges.port)
            self._exchanges.send(demand, to, source=holding.subnet.interface.address)
        self._changed()
        self._moved(holding, now)

    def _stop(self, holding: Holding) -> None:
        if holding.exchange is not None:
            self._exchanges.cancel(holding.exchange)
            holding.exchange = None
