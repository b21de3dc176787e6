# SPDX-License-Identifier: GPL-3.0-or-later
"""Announcements beyond what a network hears: to masters of far networks, and in the way of LAN Manager. Read
Remote and Lanman."""

from __future__ import annotations

from pydaemons.engine.protocol import Now
from pydaemons.netbios import browse
from pydaemons.netbios.browse import (
    BROWSER_ROLES,
    HostAnnouncement,
    LanmanAnnouncement,
    MasterAnnouncement,
)
from pydaemons.netbios.codes import Suffix
from pydaemons.netbios.node.browseground import Ground

REMOTE_EVERY = 180.0
"""Seconds between remote announcements, and between reports to masters of far networks (nmbd's figure)."""
OS2_VERSIONS = range(36, 39)
"""Major versions of the hosts whose LAN Manager announcements count; everybody else announces itself to the
browser too."""
ANSWER_WITHIN = 3.0


class Remote:
    """smb.conf: remote announce, remote browse sync."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._at: float | None = None
        self._local = False
        """Are we local master anywhere?"""

    def local_master(self, now: Now, *, is_one: bool) -> None:
        """We became local master of some network, or are none any more: partners hear of it at once."""
        if is_one and not self._local and self._at is not None:
            self._at = now.mono
        self._local = is_one

    def configure(self, now: Now) -> None:
        """The settings changed: soon."""
        browsing = self._ground.settings.browsing
        wanted = bool(browsing.remote_announce or browsing.remote_sync)
        self._at = now.mono + 1.0 if wanted else None

    def tick(self, now: Now, type_: int) -> None:
        """What is due; `type_` is what we are to our own group."""
        if self._at is None or now.mono < self._at:
            return
        self._at = now.mono + REMOTE_EVERY
        ground = self._ground
        self.announce(type_, ground.comment, REMOTE_EVERY)
        if self._local:
            for host in ground.settings.browsing.remote_sync:
                destination = ground.settings.wire("*", Suffix.WORKSTATION)
                ground.send_to(host, MasterAnnouncement(ground.label), destination, unique=True)

    def announce(self, type_: int, comment: str, period: float) -> None:
        """Tell far masters of us; type 0: good-bye."""
        ground = self._ground
        settings = ground.settings
        for target in settings.browsing.remote_announce:
            group = target.group or settings.workgroup
            shown_type = type_ if group == settings.workgroup else type_ & ~BROWSER_ROLES
            for shown in (settings.netbios_name, *settings.aliases):
                frame = ground.announcement(
                    HostAnnouncement, shown, type_=shown_type, period=period, comment=comment
                )
                ground.send_to(target.host, frame, settings.wire(group, Suffix.MASTER), unique=False)

    def farewell(self) -> None:
        """We leave."""
        self._at = None
        self.announce(0, "", 0.0)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        return self._at


class Lanman:
    """smb.conf: lm announce, lm interval."""

    def __init__(self, ground: Ground) -> None:
        self.heard = False
        """Is there anybody who would listen?"""
        self._ground = ground
        self._at: float | None = None

    def configure(self, now: Now) -> None:
        """The settings changed."""
        self._at = now.mono if self._wanted() else None

    def retune(self, now: Now) -> None:
        """Tunables changed: no pause is longer than it would be now, and none is for ever any more."""
        if not self._wanted():
            self._at = None
        elif self._at is None:
            self._at = now.mono
        else:
            self._at = min(self._at, now.mono + self._ground.tunables.lm_interval)

    def hear(self, now: Now) -> None:
        """A LAN Manager host spoke."""
        self.heard = True
        if self._wanted() and self._at is None:
            self._at = now.mono + self._ground.entropy.uniform(0.0, ANSWER_WITHIN)

    def asked(self, now: Now) -> None:
        """One wants to hear of us."""
        self.hear(now)
        if self._at is not None:
            self._at = min(self._at, now.mono + self._ground.entropy.uniform(0.0, ANSWER_WITHIN))

    def tick(self, now: Now, type_: int) -> None:
        """What is due."""
        if self._at is None or now.mono < self._at:
            return
        interval = self._ground.tunables.lm_interval
        self._at = now.mono + interval if interval and self._wanted() else None
        if self._at is not None:
            self._announce(type_, interval, self._ground.comment)

    def farewell(self) -> None:
        """We leave."""
        if self._at is not None:
            self._at = None
            self._announce(0, 0, "")

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        return self._at

    def _wanted(self) -> bool:
        mode = self._ground.settings.browsing.lm_announce
        return self._ground.tunables.lm_interval > 0 and (mode is True or (mode is None and self.heard))

    def _announce(self, type_: int, interval: int, comment: str) -> None:
        ground = self._ground
        destination = ground.settings.wire(ground.group, Suffix.WORKSTATION)
        for shown in (ground.settings.netbios_name, *ground.settings.aliases):
            frame = LanmanAnnouncement(
                type_ & 0xFFFFFFFF,
                browse.OS_MAJOR,
                browse.OS_MINOR,
                interval,
                ground.encode(shown)[: browse.LONGEST_NAME],
                ground.encode(comment)[: browse.LONGEST_COMMENT],
            )
            source = ground.settings.wire(shown, Suffix.WORKSTATION)
            for subnet in ground.subnets.all:
                ground.send(subnet, frame, destination, source=source)
