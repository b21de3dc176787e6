# SPDX-License-Identifier: GPL-3.0-or-later
"""Names are fetched from a partner whose table has come: owner by owner those with versions not known yet
([MS-WINSRA] section 3.2.5). Read Pulling.begin, then what follows it.

A pull that ended leaves disputes behind: hosts of ours that the partner knows otherwise. They are asked a
moment later, and until they have spoken an owner is known only up to the first disputed version (`owners`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address

from pydaemons.engine.effects import Level
from pydaemons.engine.protocol import Now
from pydaemons.netbios import winsra
from pydaemons.netbios.node.association import Job, Link, Links, Phase
from pydaemons.netbios.node.events import WINS_FULL, Say
from pydaemons.netbios.node.owners import Owners
from pydaemons.netbios.node.replicas import Replicas
from pydaemons.netbios.node.telling import SLICE, Jobs
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.netbios.winsra import Command, Owner

ASK_AFTER = 0.25
"""Seconds from the end of a pull to the first question to hosts whose names are disputed: what comes next may
settle it (another partner's word), and a partner that lent us its connection has it back by then."""
LOOK_AGAIN = 1.0
"""Seconds between looks at what is disputed."""


class Pulling:
    """All pulls. `ended` is told when one is over, `settled` when a dispute left something new to tell."""

    def __init__(
        self,
        replicas: Replicas,
        owners: Owners,
        links: Links,
        jobs: Jobs,
        tunables: NetbiosTunables,
        *,
        ended: Callable[[Link, Now], None],
        settled: Callable[[Now], object],
        log: Say,
    ) -> None:
        self._replicas = replicas
        self._owners = owners
        self._links = links
        self._jobs = jobs
        self._tunables = tunables
        self._ended = ended
        self._settled = settled
        self._log = log
        self._look_at: float | None = None
        """When disputes are looked at."""
        self._full_until = float("-inf")
        self._now = Now(0.0, 0.0)

    def wants(self, told: Iterable[Owner], now: Now) -> bool:
        """Is there anything in a partner's table that is not known, and room for it?"""
        return now.mono >= self._full_until and bool(self._owners.wanted(told, now))

    def begin(self, link: Link, told: Iterable[Owner], now: Now) -> None:
        """A partner's table came on a link that is to be used for a pull."""
        link.wanted = self._owners.wanted(told, now)
        self._next(link, now)

    def received(self, link: Link, data: bytes, now: Now) -> None:
        """Names came: a message as long as it likes to be."""
        if link.phase is Phase.ASKED_NAMES:
            self._now = now
            self._links.has(link, Phase.TAKING)
            self._jobs.do(link, self._take(link, data))

    def tick(self, now: Now) -> None:
        """Look into disputes when it is time."""
        self._now = now
        if self._look_at is None or now.mono < self._look_at:
            return
        self._look_at = None
        inquiries, before = self._replicas.inquiries, self._owners.table()
        inquiries.start(now)
        if self._owners.settle(self._replicas.disputed()) or inquiries.waiting:
            self._look_at = now.mono + LOOK_AGAIN
        if self._owners.table() != before:
            self._settled(now)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        return self._look_at

    def _next(self, link: Link, now: Now) -> None:
        """Ask for the next owner's names; or that was all."""
        while link.wanted:
            owner: Owner | None = link.wanted.popleft()
            if owner is not None and owner.lowest:
                owner = self._owners.missing(owner)  # another partner may have told them meanwhile
            if owner is not None:
                link.asked = owner
                self._links.say(link, Command.NAMES_REQUEST, owner)
                self._links.expect(link, Phase.ASKED_NAMES, now)
                return
        self._links.has(link, Phase.RESTING)
        self._ended(link, now)

    def _take(self, link: Link, data: bytes) -> Job:
        replicas, owner = self._replicas, link.asked
        if owner.address == self._owners.address:
            yield from self._recover(link, data)
            return
        left_out = replicas.left_out
        try:
            for number, told in enumerate(winsra.names_in(data), 1):
                if owner.lowest <= told.version <= owner.highest:
                    link.news += replicas.take(told, owner.address, self._now)
                if number % SLICE == 0:
                    yield
        finally:
            if replicas.inquiries.waiting:
                self._look_at = self._now.mono + ASK_AFTER
        if replicas.left_out > left_out:
            self._full(owner, replicas.left_out - left_out)
        else:
            self._owners.reached(owner)
            if self._owners.settle(replicas.disputed()):
                self._look_at = self._now.mono + ASK_AFTER
        if link in self._links:
            self._next(link, self._now)

    def _recover(self, link: Link, data: bytes) -> Job:
        """Take names of our own that we had before we lost our database."""
        recovered = 0
        for number, told in enumerate(winsra.names_in(data), 1):
            recovered += self._replicas.recover(told, self._now)
            if number % SLICE == 0:
                yield
        self._owners.recovered()
        if recovered:
            self._log(Level.NOTICE, f"WINS: {recovered} names of ours are back, from {link.host}")
        if link in self._links:
            self._next(link, self._now)

    def _full(self, owner: Owner, left_out: int) -> None:
        """There was no room. The owner is not known up to there: all is asked for again, but not at every
        word of a partner."""
        now, tunables = self._now, self._tunables
        if now.mono >= self._full_until:
            self._log(
                Level.WARNING,
                f"WINS: no room for {left_out} names of {IPv4Address(owner.address)}: "
                f"net.netbios.max_names is {tunables.max_names}",
                WINS_FULL,
            )
        self._full_until = now.mono + tunables.wins_pull_interval
