# SPDX-License-Identifier: GPL-3.0-or-later
"""Browsing of a node ([MS-BRWS]): who is on our networks, told to others and to smbd. Read Browser.configure.

It joins the parts that browseground names: each network has its localmaster, all share what other masters
told and the office of the domain master. Frames come in by hearing, browse.dat goes out by browsedat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydaemons.engine.protocol import Now
from pydaemons.netbios.browse import ServerType
from pydaemons.netbios.node import browsedat
from pydaemons.netbios.node.announce import GROUP_TYPE
from pydaemons.netbios.node.browsedat import Line
from pydaemons.netbios.node.browseground import Ground
from pydaemons.netbios.node.browsesync import Fetches, ListFetched
from pydaemons.netbios.node.domainmaster import DomainMaster
from pydaemons.netbios.node.events import WriteBrowseList
from pydaemons.netbios.node.hearing import Hearing
from pydaemons.netbios.node.localmaster import ANSWER_WITHIN, LocalMaster
from pydaemons.netbios.node.names import Holding
from pydaemons.netbios.node.office import Role
from pydaemons.netbios.node.remote import Lanman, Remote
from pydaemons.netbios.node.serverlist import ServerList
from pydaemons.netbios.node.settings import OwnName, Settings
from pydaemons.netbios.node.subnet import Subnet

EXPIRE_EVERY = 5.0
"""Seconds between looks for what is too old, and at least between two writings of browse.dat."""
REFILLED = ANSWER_WITHIN + 2.0
"""Seconds until everybody has announced itself to a master that asked."""


class Browser:
    """All of browsing. `names_changed` is called when other names are wanted on a network (see wanted)."""

    def __init__(self, ground: Ground, *, names_changed: Callable[[Subnet, Now], None]) -> None:
        self.ground = ground
        self.places: dict[Subnet, LocalMaster] = {}
        self.fetches = Fetches(ground, changed=self._list_changed)
        self.domain = DomainMaster(ground, self.fetches, changed=self._domain_changed)
        self.remote = Remote(ground)
        self.lanman = Lanman(ground)
        self._names_changed = names_changed
        self.hearing = Hearing(
            ground, self.places, domain=self.domain, lanman=self.lanman, touched=self._list_changed
        )
        self._swept = 0.0
        """When it was last looked for what is too old (monotonic)."""
        self._dirty = True
        self._leaving = False

    # ---- life

    def configure(
        self, settings: Settings, inherited: Mapping[tuple[str, bytes], tuple[bool, float]], now: Now
    ) -> None:
        """Settings or networks changed. `inherited` are names that were ours before this process began, by
        address: who was master goes on being it."""
        ground = self.ground
        old = ground.settings
        if ground.started is None:
            ground.started = now.mono
        if (old.workgroup, old.netbios_name, old.scope) != (
            settings.workgroup,
            settings.netbios_name,
            settings.scope,
        ):
            for place in self.places.values():
                place.farewell()
            self.places.clear()
        ground.configure(settings)
        changed = old != settings
        for subnet in self.places.keys() - set(ground.subnets.all):
            self.places.pop(subnet).candidacy.withdraw()
        for subnet in ground.subnets.all:
            if subnet not in self.places:
                place = self.places[subnet] = LocalMaster(
                    ground, subnet, fetches=self.fetches, changed=self._office_changed
                )
                if (subnet.interface.address, ground.master_wire) in inherited:
                    place.inherit(now)
                else:
                    place.begin(now)
            elif changed:
                self.places[subnet].reconfigured(now)
        self.remote.configure(now)
        self.lanman.configure(now)
        # after a restart nothing is known yet, while browse.dat still says what was
        self._swept = now.mono - EXPIRE_EVERY + (REFILLED if inherited else 0.0)
        self._dirty = True
        self._tell_office(now)

    def retune(self, now: Now) -> None:
        """Tunables changed."""
        for place in self.places.values():
            place.retune(now)
        self.domain.retune(now)
        self.lanman.retune(now)

    def wanted(self, subnet: Subnet) -> tuple[OwnName, ...]:
        """The names our office on a network needs."""
        place = self.places.get(subnet)
        return () if place is None else place.office.wanted()

    def named(self, holding: Holding, now: Now) -> None:
        """A name of ours got on, or did not."""
        place = self.places.get(holding.subnet)
        if place is not None:
            place.named(holding, now)
        self.domain.look(now)

    def farewell(self) -> None:
        """We leave."""
        self._leaving = True
        self.hearing.listening = False
        for place in self.places.values():
            place.farewell()
        self.remote.farewell()
        self.lanman.farewell()

    def rewrite(self) -> None:
        """Write browse.dat, changed or not (SIGHUP)."""
        self._dirty = False
        self.ground.emit(WriteBrowseList("".join(line.format() for line in self.lines())))

    # ---- time and events

    def tick(self, now: Now) -> None:
        """What is due."""
        offices = self._offices()
        for place in list(self.places.values()):
            place.tick(now, offices)
        self.domain.tick(now)
        self.remote.tick(now, self.type())
        self.lanman.tick(now, self.type())
        at = self._sweep_at()
        if at is not None and now.mono >= at:
            self._swept = now.mono
            self._expire(now)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        if self._leaving:
            return None
        times = [place.deadline() for place in self.places.values()]
        times += [self.domain.deadline(), self.remote.deadline(), self.lanman.deadline(), self._sweep_at()]
        return min((at for at in times if at is not None), default=None)

    def fetched(self, result: ListFetched, now: Now) -> None:
        """The shell has another master's list."""
        self.fetches.fetched(result, now)
        for place in self.places.values():
            place.backup.fetched(result, now)

    def force_election(self, now: Now) -> int:
        """Hold one on every network; on how many."""
        for place in self.places.values():
            place.force(now)
        return len(self.places)

    # ---- what we are

    def is_master(self) -> bool:
        """Of any network?"""
        return self.masterships() > 0

    def masterships(self) -> int:
        """Of how many?"""
        return sum(place.office.role is Role.MASTER for place in self.places.values())

    def type(self) -> int:
        """Our type bits, all offices together."""
        found = self.ground.base_type() | self._offices()
        for place in self.places.values():
            if place.office.role is Role.MASTER:
                found = place.type(self._offices())
        return found

    def lines(self) -> Iterator[Line]:
        """The list, as browse.dat has it."""
        ground = self.ground
        settings = ground.settings
        masters = [place.master for place in self.places.values() if place.master]
        return browsedat.lines(
            workgroup=ground.group,
            master=settings.netbios_name if self.is_master() else next(iter(masters), ""),
            own=self.own_lines(),
            group_type=GROUP_TYPE,
            local=self.lists(),
            told=self.fetches.told,
        )

    def own_lines(self) -> list[Line]:
        """Ourselves under all our names."""
        ground = self.ground
        settings = ground.settings
        own = [Line(settings.netbios_name, self.type(), ground.comment, ground.group)]
        own += [
            Line(alias, settings.browsing.server_type, ground.comment, ground.group)
            for alias in settings.aliases
        ]
        return own

    def lists(self) -> list[ServerList]:
        """What was heard on each network."""
        return [place.servers for place in self.places.values()]

    def _offices(self) -> int:
        return ServerType.DOMAIN_MASTER if self.domain.is_held else 0

    def _sweep_at(self) -> float | None:
        idle = not self._dirty and not self.ground.settings.browsing.domain_master and not self.fetches.busy
        if idle and not any(servers.groups for servers in (*self.lists(), self.fetches.told)):
            return None
        return self._swept + EXPIRE_EVERY

    def _expire(self, now: Now) -> None:
        self.domain.look(now)
        for servers in self.lists():
            self._dirty = servers.expire(now.mono) or self._dirty
        self._dirty = self.fetches.expire(now) or self._dirty
        if self._dirty:
            self.rewrite()

    def _list_changed(self) -> None:
        self._dirty = True

    def _office_changed(self, place: LocalMaster, now: Now) -> None:
        self._dirty = True
        self._names_changed(place.subnet, now)
        self._tell_office(now)

    def _tell_office(self, now: Now) -> None:
        is_master = self.is_master()
        self.domain.local_master(now, is_one=is_master)
        self.remote.local_master(now, is_one=is_master)

    def _domain_changed(self, now: Now) -> None:
        self._dirty = True
        for place in self.places.values():
            place.hurry(now, 1.0)

    def stats(self) -> dict[str, Any]:
        """Counters, for people."""
        counts = self.hearing.counts
        return {
            "browser frames": counts.frames,
            "browser frames bad": counts.bad,
            "browser frames forged": counts.forged,
            "browser frames beyond the rate": counts.too_many,
            "browser frames ignored": counts.ignored,
            "elections": sum(place.candidacy.held for place in self.places.values()),
            "election frames ignored": sum(place.candidacy.ignored for place in self.places.values()),
            "servers known": sum(map(len, (*self.lists(), self.fetches.told))),
            "entries refused": sum(each.refused for each in (*self.lists(), self.fetches.told)),
            "lists fetched": self.fetches.done,
            "lists not had": self.fetches.failed,
        }
