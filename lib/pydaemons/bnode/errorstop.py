# SPDX-License-Identifier: GPL-3.0-or-later
"""When a bnode has failed too often, exact to the exit. Facts: bosserver's rule, and 1.8's retries.

Exits are counted in a window of whole seconds that an exit opens: one that comes more than `window`
seconds after the opening opens the next. With a limit of 11 the 12th exit in a window trips. Under
`stop` that is all; under `backoff` trip n is followed by a retry after 1, 2, 4 ... seconds, the last
trip is final, and a process that stayed up long enough after a retry makes all trips forgotten.

    exits after the opening at 0 s               state after the last one
    11 within 30 s                               running
    12 within 30 s                               stopped at the 12th
    11 within 30 s, the next in second 31        running, a new window
    one each 2.6 s                               stopped at 28.6 s
    one each 3.2 s                               never stopped
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol

_LONGEST_SHIFT = 20


class Rules(Protocol):
    """The tunables this needs."""

    error_stop_limit: int
    error_stop_window: int
    backoff_max: int
    backoff_trips: int


class Verdict(Enum):
    """What an exit means."""

    GO_ON = "go on"
    LAST = "last"
    """the next one in this window trips: systemd must not answer it by a restart"""
    TRIP = "trip"


class Window:
    """The count of one bnode."""

    __slots__ = ("count", "opened", "opened_wall", "trips")

    def __init__(self) -> None:
        self.opened: int | None = None
        """monotonic second of the exit that opened it"""
        self.opened_wall = 0
        """the same as people see it (the peer's rsTime)"""
        self.count = 0
        self.trips = 0
        """trips that led to a retry and are not forgotten"""

    def open_for(self, mono: float, wall: float, rules: Rules) -> None:
        """An exit happened at `mono`: open a new window when the old one is over. Before the notifier is run,
        who is told the count without this exit."""
        second = int(mono)
        if self.opened is None or second > self.opened + rules.error_stop_window:
            self.opened = second
            self.opened_wall = int(wall)
            self.count = 0

    def add(self, rules: Rules) -> Verdict:
        """Count the exit that `open_for` was called for."""
        tripped = self.count >= rules.error_stop_limit
        self.count += 1
        if tripped:
            return Verdict.TRIP
        return Verdict.LAST if self.count >= rules.error_stop_limit else Verdict.GO_ON

    def last_chance(self, mono: float, rules: Rules) -> bool:
        """Would an exit now trip?"""
        return self.count >= rules.error_stop_limit and mono < self.ends(rules)

    def ends(self, rules: Rules) -> float:
        """The first monotonic time that belongs to the next window."""
        return 0.0 if self.opened is None else float(self.opened + rules.error_stop_window + 1)

    def retry_after(self, rules: Rules) -> float | None:
        """Count a trip under `backoff`: seconds until the retry, None when it was the last one."""
        self.trips += 1
        if self.trips > rules.backoff_trips:
            return None
        return float(min(1 << min(self.trips - 1, _LONGEST_SHIFT), rules.backoff_max))

    def clear(self) -> None:
        """A person started it after a stop: it gets a full allowance."""
        self.opened = None
        self.count = 0
        self.trips = 0
