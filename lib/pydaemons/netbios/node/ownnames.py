# SPDX-License-Identifier: GPL-3.0-or-later
"""Which names we shall have on which network, from the first claim to the last release. Read OwnNames.settle.

How a name is claimed and defended is the name table's business (names), and WINS servers are told by
winsclient; here is what the configuration and our offices want of them, what the process before us had
already, what the next one is told, and the orderly end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydaemons.engine.effects import Effect, Leave
from pydaemons.engine.protocol import Now
from pydaemons.netbios.node.browser import Browser
from pydaemons.netbios.node.handover import Handover
from pydaemons.netbios.node.names import Holding, NameTable, State
from pydaemons.netbios.node.settings import Settings
from pydaemons.netbios.node.subnet import Subnet, Subnets
from pydaemons.netbios.node.winsclient import WinsClient

REPEATS = 3
INTERVAL = 0.25
"""A release is broadcast as often as a registration (RFC 1002 section 5.1.1.4)."""

Inherited = Mapping[tuple[str, bytes], tuple[bool, float]]
"""Our address and a name in wire form -> is it a group, and since when it is ours."""


class OwnNames:
    """All of them, on all networks. `emit` takes the Leave that follows the last release."""

    def __init__(
        self,
        settings: Settings,
        subnets: Subnets,
        names: NameTable,
        *,
        client: WinsClient,
        browser: Browser,
        emit: Callable[[Effect], None],
    ) -> None:
        self._settings = settings
        self._subnets = subnets
        self._names = names
        self._client = client
        self._browser = browser
        self._emit = emit
        self._leaving: list[Holding] = []
        self._told = False
        """Are WINS servers being told, too?"""
        self._left = REPEATS
        self._at: float | None = None

    def configure(self, settings: Settings, inherited: Inherited, now: Now) -> None:
        """Settings or networks changed: as `settle`, everywhere."""
        self._settings = settings
        for subnet in self._subnets.all:
            self.settle(subnet, inherited, now)

    def settle(self, subnet: Subnet, inherited: Inherited, now: Now) -> None:
        """Claim and release until our names on a network are those we shall have there. About what is
        inherited nothing is said."""
        table = self._names
        names = (*self._settings.names(), *self._browser.wanted(subnet))
        wanted = {own.wire: own for own in names}
        held = {holding.own.wire: holding.own for holding in table.on(subnet)}
        for wire in held.keys() - wanted.keys():
            table.release(subnet, wire)
        for wire, own in wanted.items():
            was_group, since = inherited.get((subnet.interface.address, wire), (None, 0.0))
            if was_group is own.group and wire not in held:
                table.inherit(subnet, own, since)
            elif held.get(wire) != own:
                table.claim(subnet, own, now)

    def hand_over(self, now: Now) -> Handover:
        """What the process that takes our place should know."""
        held = {
            (holding.subnet.interface.address, holding.own.wire): (holding.own.group, holding.since)
            for holding in self._names
            if holding.state is State.OWNED
        }
        return Handover(now.wall, held, self._client.registrations(now))

    def leave(self, now: Now) -> None:
        """Give all of them up; a Leave follows when everybody was told."""
        self._told = self._client.release_all(now) > 0
        table = self._names
        self._leaving = [holding for holding in table if table.find(holding.subnet, holding.own.wire)]
        for subnet in self._subnets.all:
            for holding in list(table.on(subnet)):
                table.release(subnet, holding.own.wire)
        self._left -= 1
        self._at = now.mono + (INTERVAL if self._leaving or self._told else 0.0)

    def tick(self, now: Now) -> None:
        """Say it again, or be done."""
        if self._at is None or now.mono < self._at:
            return
        if self._left > 0 and (self._leaving or self._told):
            self._left -= 1
            for holding in self._leaving:
                self._names.say_released(holding)
            self._at = now.mono + INTERVAL
        else:
            self._at = None
            self._emit(Leave(0, "names released"))

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        return self._at
