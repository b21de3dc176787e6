# SPDX-License-Identifier: GPL-3.0-or-later
"""The office of a network's master browser: two names, won by an election and claimed like any other. Read
NEXT: it is the whole life of the office.

The group's <1d> is the office; __MSBROWSE__ is the group by which masters of all groups hear each other.
Whoever cannot have <1d> is no master, whatever an election said.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from pydaemons.engine.protocol import Now
from pydaemons.netbios.node.browseground import Ground
from pydaemons.netbios.node.names import Holding
from pydaemons.netbios.node.names import State as NameState
from pydaemons.netbios.node.settings import OwnName
from pydaemons.netbios.node.subnet import Subnet

CLAIM_AGAIN = 3.0
CLAIMS = 3
"""The old master may need a moment to give <1d> up."""


class Role(Enum):
    """What we are on a network."""

    POTENTIAL = auto()
    TAKING = auto()
    """Elected, claiming the names."""
    MASTER = auto()


class Event(Enum):
    """What may happen to it."""

    WON = auto()
    LOST = auto()
    """Somebody better stands, or an administrator says so."""
    NAMED = auto()
    """<1d> is ours."""
    REFUSED = auto()
    """Somebody else has <1d>."""
    RIVAL = auto()
    """Another master announced itself."""


NEXT = {
    (Role.POTENTIAL, Event.WON): Role.TAKING,
    (Role.POTENTIAL, Event.LOST): Role.POTENTIAL,
    (Role.POTENTIAL, Event.NAMED): Role.POTENTIAL,
    (Role.POTENTIAL, Event.REFUSED): Role.POTENTIAL,
    (Role.POTENTIAL, Event.RIVAL): Role.POTENTIAL,
    (Role.TAKING, Event.WON): Role.TAKING,
    (Role.TAKING, Event.LOST): Role.POTENTIAL,
    (Role.TAKING, Event.NAMED): Role.MASTER,
    (Role.TAKING, Event.REFUSED): Role.POTENTIAL,
    (Role.TAKING, Event.RIVAL): Role.TAKING,  # the names tell who it is
    (Role.MASTER, Event.WON): Role.MASTER,
    (Role.MASTER, Event.LOST): Role.POTENTIAL,
    (Role.MASTER, Event.NAMED): Role.MASTER,
    (Role.MASTER, Event.REFUSED): Role.POTENTIAL,
    (Role.MASTER, Event.RIVAL): Role.POTENTIAL,
}


class Office:
    """Ours on one network, or not. `moved` is called with the role before when it changed."""

    def __init__(self, ground: Ground, subnet: Subnet, *, moved: Callable[[Role, Now], None]) -> None:
        self.role = Role.POTENTIAL
        self.since = 0.0
        """When the role last changed (wall clock)."""
        self._ground = ground
        self._subnet = subnet
        self._moved = moved
        self._claim_at: float | None = None
        self._claims = 0

    def wanted(self) -> tuple[OwnName, ...]:
        """The names it needs."""
        if self.role is Role.POTENTIAL:
            return ()
        return OwnName(self._ground.masters_wire, group=True), OwnName(self._ground.master_wire, group=False)

    def step(self, event: Event, now: Now) -> None:
        """Something happened."""
        before, self.role = self.role, NEXT[self.role, event]
        if self.role is before:
            return
        self.since = now.wall
        self._claim_at = None
        self._claims = 0
        self._moved(before, now)

    def inherit(self, now: Now) -> None:
        """The process before us had it, and its names are ours now."""
        self.role = NEXT[NEXT[self.role, Event.WON], Event.NAMED]
        self.since = now.wall

    def named(self, holding: Holding, known: str, now: Now) -> str:
        """A name of ours got on, or did not. `known` is the master's address so far as one announced itself:
        that one will not give way. Whoever has the office instead of us, by its address."""
        if holding.own.wire != self._ground.master_wire or self.role is Role.POTENTIAL:
            return ""
        if holding.state is NameState.OWNED:
            self.step(Event.NAMED, now)
        elif holding.state is NameState.CONFLICT:
            self._claims += 1
            if self.role is Role.TAKING and self._claims < CLAIMS and holding.rival != known:
                self._claim_at = now.mono + CLAIM_AGAIN
            else:
                self.step(Event.REFUSED, now)
                return holding.rival
        return ""

    def leave(self) -> None:
        """We go: nothing more is claimed."""
        self._claim_at = None

    def tick(self, now: Now) -> None:
        """Claim again what somebody still had."""
        if self._claim_at is not None and now.mono >= self._claim_at:
            self._claim_at = None
            if self.role is Role.TAKING:
                own = OwnName(self._ground.master_wire, group=False)
                self._ground.names.claim(self._subnet, own, now)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        return self._claim_at
