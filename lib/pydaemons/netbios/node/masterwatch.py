# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking whether a network's master browser is there, from time to time. Read MasterWatch.tick.

Whoever is known to be master is asked for the office's name alone, all the network only when there is no
answer: looking costs the others nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from pydaemons.engine.protocol import Now
from pydaemons.netbios.node.browseground import Ground, OnFound
from pydaemons.netbios.node.subnet import Subnet

SPREAD = 0.9, 1.1
"""Of the pause: hosts that started together do not look together for ever."""


class MasterWatch:
    """On one network. `known` is the master's address, empty for none; `busy` tells whether an election is
    held just now; `found` takes the known master's address when it answered, else those that did, or none."""

    def __init__(
        self,
        ground: Ground,
        subnet: Subnet,
        *,
        known: Callable[[], str],
        busy: Callable[[], bool],
        found: OnFound,
    ) -> None:
        self._ground = ground
        self._subnet = subnet
        self._known = known
        self._busy = busy
        self._found = found
        self._at: float | None = None
        self._looking = False
        self._asked = ""
        """The master that is asked."""

    def look(self, at: float) -> None:
        """Look at this (monotonic) time, and no earlier."""
        self._at = at

    def stop(self) -> None:
        """Look no more."""
        self._at = None

    def retune(self, now: Now) -> None:
        """Tunables changed: no pause is longer than it would be now."""
        if self._at is not None:
            self._at = min(self._at, now.mono + self._ground.tunables.master_check * SPREAD[1])

    def tick(self, now: Now) -> None:
        """Is it time?"""
        if self._at is None or now.mono < self._at:
            return
        ground = self._ground
        self._at = now.mono + ground.tunables.master_check * ground.entropy.uniform(*SPREAD)
        if self._busy() or self._looking:
            return
        self._looking = True
        host = self._asked = self._known()
        if host and not ground.subnets.is_own(host):
            ground.ask_host(host, ground.master_wire, now, self._answered)
        else:
            self._ask_all(now)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        return self._at

    def _answered(self, hosts: tuple[str, ...], now: Now) -> None:
        if hosts:
            self._told((self._asked,), now)
        else:
            self._ask_all(now)

    def _ask_all(self, now: Now) -> None:
        self._ground.ask_network(self._subnet, self._ground.master_wire, now, self._told)

    def _told(self, hosts: tuple[str, ...], now: Now) -> None:
        self._looking = False
        self._found(hosts, now)
