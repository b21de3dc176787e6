# SPDX-License-Identifier: GPL-3.0-or-later
"""Who sends to us: met once, then remembered with all that decides about its next packet. Read Sources.meet.

A packet of a source already met costs one look-up by its Origin. Whoever changes what the decision stands on
(networks, tunables, configuration) calls `retune`, and everybody is met anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Network

from pydaemons.engine.protocol import Now, Origin
from pydaemons.netbios.node.logon import Logons
from pydaemons.netbios.node.mailslots import Mailslots
from pydaemons.netbios.node.settings import Settings
from pydaemons.netbios.node.subnet import Source, Standing, Subnet, Subnets
from pydaemons.netbios.node.tunables import NetbiosTunables

MOST = 16384
"""Sources remembered; forged ones in number make us look again at each, they do not make us grow."""


class Sources:
    """All of them. `prepared` gives a network's prepared answers (see query)."""

    def __init__(
        self,
        subnets: Subnets,
        *,
        prepared: Callable[[Subnet], dict[bytes, bytes]],
        mailslots: Mailslots,
        logons: Logons,
    ) -> None:
        self.met: dict[Origin, Source] = {}
        """Never replaced: whoever looks packets up may keep it."""
        self._subnets = subnets
        self._prepared = prepared
        self._mailslots = mailslots
        self._logons = logons
        self._allow: tuple[IPv4Network, ...] = ()
        self._wins_allow: tuple[IPv4Network, ...] = ()
        self._dgram_allow: tuple[IPv4Network, ...] = ()
        self._rate = 1.0
        self._burst = 1.0

    def retune(self, settings: Settings, tunables: NetbiosTunables, *, servers: Iterable[str]) -> None:
        """What decides changed. `servers` are our WINS servers, which challenge us as well as answer us,
        wherever they are."""
        self._rate = float(tunables.query_rate)
        self._burst = float(tunables.query_burst)
        self._allow = _networks(tunables.allow) + _networks(servers)
        self._wins_allow = _networks(tunables.wins_allow) if settings.wins_support else ()
        self._dgram_allow = _networks(tunables.dgram_allow)
        if settings.browsing.domain_master and not settings.wins_support:
            self._wins_allow = self._dgram_allow  # far masters ask who the domain master is (rules)
        self.met.clear()

    def meet(self, origin: Origin, now: Now) -> Source:
        """Decide about a source on its first packet."""
        datagrams = origin.local.port == self._mailslots.port
        standing, subnet = self._subnets.admit(
            origin,
            port=origin.local.port,
            allow=self._allow,
            wins_allow=self._dgram_allow if datagrams else self._wins_allow,
        )
        source = Source(standing, subnet, 0.0 if standing <= Standing.REFUSED else self._burst, now.mono)
        if datagrams:
            source.taker = self._mailslots.receive
        elif self._logons.is_controller(origin):
            source = Source(Standing.FULL, subnet, self._burst, now.mono)
            source.taker = self._logons.pong
        elif standing is Standing.FULL and subnet is not None:
            source.answers = self._prepared(subnet)
        if len(self.met) >= MOST:
            self.met.clear()
        self.met[origin] = source
        return source

    def refill(self, source: Source, now: Now) -> bool:
        """The bucket is dry: has time brought enough for a packet?"""
        if source.standing <= Standing.REFUSED:
            return False
        source.tokens = min(self._burst, source.tokens + (now.mono - source.filled) * self._rate)
        source.filled = now.mono
        return source.tokens >= 1.0


def _networks(patterns: Iterable[str]) -> tuple[IPv4Network, ...]:
    """The IPv4 networks among client patterns; `*` is all of them, names are not looked up."""
    found = []
    for pattern in patterns:
        try:
            found.append(IPv4Network("0.0.0.0/0" if pattern == "*" else pattern))
        except ValueError:
            continue
    return tuple(found)
