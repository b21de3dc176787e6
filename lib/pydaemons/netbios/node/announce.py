# SPDX-License-Identifier: GPL-3.0-or-later
"""Announcing ourselves on a network: often at first, then ever less ([MS-BRWS] sections 3.2.6 and 3.3.6).
Read Schedule, then Announcer."""

from __future__ import annotations

from pydaemons.engine.protocol import Now
from pydaemons.netbios.browse import (
    AnnouncementRequest,
    DomainAnnouncement,
    HostAnnouncement,
    LocalMasterAnnouncement,
    ServerType,
)
from pydaemons.netbios.codes import Suffix
from pydaemons.netbios.node.browseground import Ground
from pydaemons.netbios.node.subnet import Subnet

HOST_STEPS = (60.0, 60.0, 120.0, 240.0, 480.0, 720.0)
"""Seconds between a host's announcements, and those of a local master."""
GROUP_STEPS = (60.0, 60.0, 300.0, 300.0, 600.0, 600.0, 900.0)
"""Seconds between a group's announcements."""
ASKED_AGAIN = 2
"""After an AnnouncementRequest the pauses begin anew at this step: whoever asked is new here."""
GROUP_TYPE = ServerType.DOMAIN_ENUM | ServerType.NT
"""The type bits of a group."""


class Schedule:
    """One thing that is announced."""

    __slots__ = ("_at", "_steps", "count", "period")

    def __init__(self, steps: tuple[float, ...]) -> None:
        self._steps = steps
        self._at: float | None = None
        self.count = 0
        """Announcements so far, since the pauses began."""
        self.period = steps[0]
        """What the announcement now due says: when the next one comes."""

    def begin(self, at: float) -> None:
        """Announce at `at`, and from then on as at the start."""
        self.count = 0
        self._at = at

    def hurry(self, at: float) -> None:
        """Announce at `at` unless that happens before, and be no rarer than a newcomer would be."""
        self.count = min(self.count, ASKED_AGAIN)
        self._at = at if self._at is None else min(self._at, at)

    def stop(self) -> None:
        """Announce no more."""
        self._at = None

    def hasten(self, at: float) -> None:
        """Announce no later than at `at`, if at all."""
        if self._at is not None:
            self._at = min(self._at, at)

    def due(self, now: Now, longest: float) -> bool:
        """Is it time? If so `period` is set and the next time is known."""
        if self._at is None or now.mono < self._at:
            return False
        step = self._steps[min(self.count, len(self._steps) - 1)]
        self.period = min(step, max(longest, 1.0))
        self.count += 1
        self._at = now.mono + self.period
        return True

    def deadline(self) -> float | None:
        """When the next one is due."""
        return self._at


class Announcer:
    """All we announce on one network, as a host or as its master."""

    def __init__(self, ground: Ground, subnet: Subnet) -> None:
        self._ground = ground
        self._subnet = subnet
        self._hosts = Schedule(HOST_STEPS)
        self._group = Schedule(GROUP_STEPS)

    def begin(self, at: float, *, is_master: bool) -> None:
        """We came, or changed office."""
        self._hosts.begin(at)
        if is_master:
            self._group.begin(at)
        else:
            self._group.stop()

    def hurry(self, at: float, *, is_master: bool) -> None:
        """Somebody new wants to hear of us."""
        self._hosts.hurry(at)
        if is_master:
            self._group.hurry(at)

    def greet(self, at: float) -> None:
        """Announce the group at `at`, if we do at all."""
        if self._group.deadline() is not None:
            self._group.hurry(at)

    def retune(self, now: Now) -> None:
        """Tunables changed: no pause is longer than it would be now."""
        at = now.mono + self._ground.tunables.announce_interval
        self._hosts.hasten(at)
        self._group.hasten(at)

    def tick(self, now: Now, type_: int) -> None:
        """What is due; `type_` is what we are here now."""
        longest = float(self._ground.tunables.announce_interval)
        if self._hosts.due(now, longest):
            self._announce(type_)
        if self._group.due(now, longest):
            self._announce_group()

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        hosts, group = self._hosts.deadline(), self._group.deadline()
        return hosts if group is None else group if hosts is None else min(hosts, group)

    def farewell(self, *, is_master: bool) -> None:
        """We leave: type 0 takes our names out of every list."""
        self._hosts.stop()
        self._group.stop()
        ground = self._ground
        for shown in (ground.settings.netbios_name, *ground.settings.aliases):
            self._announce_host(shown, type_=0, comment="")
        if is_master:
            self._announce_master(0)

    def ask_all(self) -> None:
        """Have everybody announce itself."""
        ground = self._ground
        ground.send(self._subnet, AnnouncementRequest(0, ground.label), ground.election_wire)

    def ask_master(self) -> None:
        """Have the master alone do so: who is it?"""
        ground = self._ground
        ground.send(self._subnet, AnnouncementRequest(0, ground.label), ground.master_wire)

    def _announce(self, type_: int) -> None:
        ground = self._ground
        settings = ground.settings
        if type_ & ServerType.MASTER_BROWSER:
            self._announce_master(type_)
        else:
            self._announce_host(settings.netbios_name, type_=type_, comment=ground.comment)
        for alias in settings.aliases:
            self._announce_host(alias, type_=settings.browsing.server_type, comment=ground.comment)

    def _announce_master(self, type_: int) -> None:
        ground = self._ground
        frame = ground.announcement(
            LocalMasterAnnouncement,
            ground.settings.netbios_name,
            type_=type_,
            period=self._hosts.period,
            comment=ground.comment if type_ else "",
        )
        ground.send(self._subnet, frame, ground.election_wire)

    def _announce_host(self, shown: str, *, type_: int, comment: str) -> None:
        ground = self._ground
        frame = ground.announcement(
            HostAnnouncement, shown, type_=type_, period=self._hosts.period, comment=comment
        )
        source = ground.settings.wire(shown, Suffix.WORKSTATION)
        ground.send(self._subnet, frame, ground.master_wire, source=source)

    def _announce_group(self) -> None:
        ground = self._ground
        frame = ground.announcement(
            DomainAnnouncement,
            ground.group,
            type_=GROUP_TYPE,
            period=self._group.period,
            comment=ground.settings.netbios_name,
        )
        ground.send(self._subnet, frame, ground.masters_wire)
