# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is to be a network's master browser: elections, after [MS-BRWS] sections 3.3.5.8 and 3.3.6. Read NEXT,
then Standing.

Whoever misses a master asks for one by a frame that says what speaks for itself. Whoever has more to say for
itself answers with its own frame after a moment, which is the shorter the higher its office; who hears a
better one is silent. A frame sent four times that nobody contests has won.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple

from pydaemons.engine.entropy import Entropy
from pydaemons.engine.protocol import Now
from pydaemons.netbios.browse import BROWSER_VERSION, Desire, Election
from pydaemons.netbios.node.bucket import Bucket

VERSION = 1
SENDS = 4
INTERVAL = 1.0
"""Seconds between our frames once we stand ([MS-BRWS] section 3.3.6)."""
MASTER_DELAY = (0.1, 0.1)
BACKUP_DELAY = (0.2, 0.6)
POTENTIAL_DELAY = (0.8, 3.0)
"""Seconds until the first frame, by office: the likely winner speaks first, and most never need to."""
BURST = 6
REFILL = 30.0
"""Elections others can draw us into: so many at once, then one per so many seconds. More are a storm."""
STRIKES = 3
IGNORED_FOR = 900.0
"""Whoever won so many times and never took office is not listened to for so many seconds."""
MOST_OFFENDERS = 256


SAME_UPTIME_MS = 2000
"""Uptimes closer than this count as equal. Ours is read when a frame arrives, theirs when it left: of two
hosts that booted together each would find itself the older one."""
STAY_BEATEN = 6.0
"""Seconds after a better frame in which we leave worse ones to the better host."""


class Standing(NamedTuple):
    """What speaks for a candidate; the greater wins. Fields in the order they are compared."""

    version: int
    criterion: int
    uptime_ms: int
    name: bytes

    def beats(self, other: Standing) -> bool:
        """The higher version, criterion and uptime win; among equals the lower name."""
        mine, theirs = self[:2], other[:2]
        if mine != theirs:
            return mine > theirs
        older = self.uptime_ms - other.uptime_ms
        return older > 0 if abs(older) > SAME_UPTIME_MS else self.name < other.name

    @classmethod
    def of(cls, frame: Election) -> Standing:
        """A frame's."""
        return cls(frame.version, frame.criterion, frame.uptime_ms, frame.name.rstrip(b" ").upper())

    def frame(self) -> Election:
        """The frame that says so."""
        return Election(self.version, self.criterion, self.uptime_ms, 0, self.name)


NOBODY = Election(0, 0, 0, 0, b"")
"""A frame that everybody beats: it calls an election without standing in it."""


def criterion(os_level: int, *, preferred: bool, domain_master: bool, backup: bool = False) -> int:
    """The criterion of a candidate that is able to be master."""
    desire = Desire.STANDBY
    if backup:
        desire |= Desire.BACKUP
    if preferred:
        desire |= Desire.PREFERRED_MASTER
    if domain_master:
        desire |= Desire.DOMAIN_MASTER
    return (os_level & 0xFF) << 24 | BROWSER_VERSION << 8 | desire


class State(Enum):
    """Where an election stands, as seen by one candidate."""

    QUIET = auto()
    PENDING = auto()
    """Our first frame comes in a moment."""
    STANDING = auto()


class Event(Enum):
    """What may happen in it."""

    CALLED = auto()
    """There is to be one."""
    BEATEN = auto()
    """Somebody better stands."""
    CONTESTED = auto()
    """Somebody worse stands."""
    SENT = auto()
    """A frame of ours is out."""
    WON = auto()
    """It was the last one."""


NEXT = {
    (State.QUIET, Event.CALLED): State.PENDING,
    (State.QUIET, Event.BEATEN): State.QUIET,
    (State.QUIET, Event.CONTESTED): State.PENDING,
    (State.QUIET, Event.SENT): State.QUIET,
    (State.QUIET, Event.WON): State.QUIET,
    (State.PENDING, Event.CALLED): State.PENDING,
    (State.PENDING, Event.BEATEN): State.QUIET,
    (State.PENDING, Event.CONTESTED): State.PENDING,
    (State.PENDING, Event.SENT): State.STANDING,
    (State.PENDING, Event.WON): State.QUIET,
    (State.STANDING, Event.CALLED): State.STANDING,
    (State.STANDING, Event.BEATEN): State.QUIET,
    (State.STANDING, Event.CONTESTED): State.STANDING,
    (State.STANDING, Event.SENT): State.STANDING,
    (State.STANDING, Event.WON): State.QUIET,
}


class Candidacy:
    """Our part in the elections of one network."""

    def __init__(
        self,
        *,
        entropy: Entropy,
        standing: Callable[[Now], Standing],
        send: Callable[[Election], None],
        won: Callable[[Now], None],
    ) -> None:
        self.state = State.QUIET
        self.held = 0
        """Elections we took part in."""
        self.ignored = 0
        """Frames not listened to."""
        self._entropy = entropy
        self._standing = standing
        self._send = send
        self._won = won
        self._at: float | None = None
        self._sent = 0
        self._starts = Bucket(rate=1 / REFILL, burst=float(BURST))
        self._beaten_until = 0.0
        self._winner = ""
        """Who beat us last and has yet to take office."""
        self._strikes: dict[str, int] = {}
        self._ignored: dict[str, float] = {}

    def call(self, delay: tuple[float, float], now: Now) -> None:
        """Hold an election for a reason of our own, and stand in it."""
        self._step(Event.CALLED, delay, now)

    def hear(self, frame: Election, host: str, delay: tuple[float, float], now: Now) -> bool:
        """Somebody's frame; True when it beats ours."""
        if self._ignored.get(host, 0.0) > now.mono:
            self.ignored += 1
            return False
        ours = self._standing(now)
        theirs = Standing.of(frame)
        if theirs.beats(ours):
            self._winner = host
            self._beaten_until = now.mono + STAY_BEATEN
            self._step(Event.BEATEN, delay, now)
            return True
        if self.state is State.QUIET and (now.mono < self._beaten_until or not self.may_start(now)):
            self.ignored += 1
            return False
        self._step(Event.CONTESTED, delay, now)
        return False

    def may_start(self, now: Now) -> bool:
        """Others want one: is it too soon after too many?"""
        return self._starts.take(now.mono)

    def took_office(self) -> None:
        """There is a master: whoever won meant it."""
        self._strikes.pop(self._winner, None)
        self._winner = ""

    def nobody_took_office(self, now: Now) -> str | None:
        """The winner is no master; the host that is not listened to any more, if it did so too often."""
        host, self._winner = self._winner, ""
        if not host:
            return None
        if len(self._strikes) >= MOST_OFFENDERS:
            self._strikes.clear()
        self._strikes[host] = self._strikes.get(host, 0) + 1
        if self._strikes[host] < STRIKES:
            return None
        del self._strikes[host]
        if len(self._ignored) >= MOST_OFFENDERS:
            self._ignored.clear()
        self._ignored[host] = now.mono + IGNORED_FOR
        return host

    def withdraw(self) -> None:
        """Stand no longer."""
        self.state = State.QUIET
        self._at = None

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        return self._at

    def tick(self, now: Now) -> None:
        """Send the next frame, or have won."""
        if self._at is None or now.mono < self._at:
            return
        if self._sent >= SENDS:
            self.state, self._at = NEXT[self.state, Event.WON], None
            self._won(now)
            return
        self.state = NEXT[self.state, Event.SENT]
        self._sent += 1
        self._at = now.mono + INTERVAL
        self._send(self._standing(now).frame())

    def _step(self, event: Event, delay: tuple[float, float], now: Now) -> None:
        before, self.state = self.state, NEXT[self.state, event]
        if self.state is State.QUIET:
            self._at = None
        elif before is State.QUIET:
            self.held += 1
            self._sent = 0
            self._at = now.mono + self._entropy.uniform(*delay)
