# SPDX-License-Identifier: GPL-3.0-or-later
"""Browser frames heard: who may say what, and what it leads to. Read Hearing.receive, then HANDLERS.

Frames are heard within bounds: so many per source, only in a name the sender calls itself by, and from far
networks only those that are meant to come from there. All of it can be forged on one's own network; what
a forger gains is bounded here, in serverlist and in election.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from pydaemons.engine.protocol import Now
from pydaemons.netbios import browse, mailslot, name
from pydaemons.netbios.browse import (
    Announcement,
    AnnouncementRequest,
    BackupListRequest,
    BackupListResponse,
    BecomeBackup,
    DomainAnnouncement,
    Election,
    Frame,
    HostAnnouncement,
    LanmanAnnouncement,
    LanmanRequest,
    LocalMasterAnnouncement,
    MasterAnnouncement,
    ResetState,
    ServerType,
)
from pydaemons.netbios.node.browseground import Ground
from pydaemons.netbios.node.bucket import Bucket
from pydaemons.netbios.node.domainmaster import DomainMaster
from pydaemons.netbios.node.localmaster import LocalMaster
from pydaemons.netbios.node.mailslots import Received
from pydaemons.netbios.node.office import Role
from pydaemons.netbios.node.remote import OS2_VERSIONS, Lanman
from pydaemons.netbios.node.serverlist import clean_comment, clean_name
from pydaemons.netbios.node.subnet import Subnet
from pydaemons.wire.errors import WireError

RATE = 2.0
BURST = 60.0
"""Frames per second, and at once, that one source may send."""
SOURCES = 4096


class Counts:
    """What came in and what became of it."""

    __slots__ = ("bad", "forged", "frames", "ignored", "too_many")

    def __init__(self) -> None:
        self.frames = 0
        self.bad = 0
        """No frames of browsers."""
        self.forged = 0
        """In the name of others, or from where such frames do not come from."""
        self.too_many = 0
        """Beyond what one source may send."""
        self.ignored = 0
        """Not for us in our present office."""


class Hearing:
    """All of it. `listening` is whether frames are taken at all, `touched` called when a list may show
    something new."""

    def __init__(
        self,
        ground: Ground,
        places: Mapping[Subnet, LocalMaster],
        *,
        domain: DomainMaster,
        lanman: Lanman,
        touched: Callable[[], None],
    ) -> None:
        self.ground = ground
        self.counts = Counts()
        self.listening = True
        self._places = places
        self._domain = domain
        self._lanman = lanman
        self._touched = touched
        self._sources: dict[str, Bucket] = {}
        ground.mailslots.on(mailslot.BROWSE, lambda received, now: self.receive(received, browse.unpack, now))
        ground.mailslots.on(
            mailslot.LANMAN, lambda received, now: self.receive(received, browse.unpack_lanman, now)
        )

    def receive(self, received: Received, unpack: Callable[[bytes], Frame], now: Now) -> None:
        """A write into one of our mailslots. WireError when it is no frame."""
        host = received.origin.peer.host
        place = self._places.get(received.subnet)
        if not self.listening or place is None or self.ground.subnets.is_own(host):
            return
        self.counts.frames += 1
        if not self._may_send(host, now):
            self.counts.too_many += 1
            return
        try:
            frame = unpack(received.data)
        except WireError:
            self.counts.bad += 1
            raise
        handler, from_far = self.HANDLERS[type(frame)]
        if not (received.near or from_far) or not self._is_in_own_name(frame, received.source):
            self.counts.forged += 1
            return
        handler(self, frame, place, received, now)

    def _may_send(self, host: str, now: Now) -> bool:
        bucket = self._sources.get(host)
        if bucket is None:
            if len(self._sources) >= SOURCES:
                self._sources.clear()
            bucket = self._sources[host] = Bucket(rate=RATE, burst=BURST)
        return bucket.take(now.mono)

    def _is_in_own_name(self, frame: Frame, wire: bytes) -> bool:
        """Does the frame say what its sender calls itself? Whoever forges both is told from the owner of an
        entry by its address (see serverlist)."""
        match frame:
            case DomainAnnouncement(comment=said):
                pass
            case Announcement(name=said) | LanmanAnnouncement(name=said) | MasterAnnouncement(name=said):
                pass
            case _:
                return True
        return said.rstrip(b" ").upper() == name.label_of(wire)[:15].rstrip(b" ").upper()

    def _host(self, frame: HostAnnouncement, place: LocalMaster, received: Received, now: Now) -> None:
        """Somebody announces itself to the master."""
        if received.destination != self.ground.master_wire or place.office.role is not Role.MASTER:
            self.counts.ignored += 1
            return
        shown = self._hear_server(frame, place, received, period=frame.period_ms / 1000, now=now)
        if shown and not frame.type and shown == place.master:
            place.lose_master(now)

    def _master(
        self, frame: LocalMasterAnnouncement, place: LocalMaster, received: Received, now: Now
    ) -> None:
        """The master announces itself, or leaves."""
        if received.destination != self.ground.election_wire:
            self.counts.ignored += 1
            return
        shown = self._hear_server(frame, place, received, period=frame.period_ms / 1000, now=now)
        if shown:
            is_master = frame.type & ServerType.MASTER_BROWSER
            place.hear_master(shown, received.origin.peer.host, frame.type if is_master else 0, now)

    def _hear_server(
        self,
        frame: Announcement | LanmanAnnouncement,
        place: LocalMaster,
        received: Received,
        *,
        period: float,
        now: Now,
    ) -> str:
        """Note who announced itself; its name, or nothing when it is none or ours."""
        charset = self.ground.settings.charset
        shown = clean_name(frame.name, charset)
        if not shown or self.ground.is_own(shown):
            self.counts.forged += 1
            return ""
        news = place.servers.hear_server(
            self.ground.group,
            shown,
            type_=frame.type & ~(ServerType.LOCAL_LIST_ONLY | ServerType.DOMAIN_ENUM),
            comment=clean_comment(frame.comment, charset),
            version=(frame.os_major, frame.os_minor),
            period=period,
            source=received.origin.peer.host,
            mono=now.mono,
        )
        if news:
            self._touched()
        return shown

    def _group(self, frame: DomainAnnouncement, place: LocalMaster, received: Received, now: Now) -> None:
        """Another group's master announces it to all masters."""
        charset = self.ground.settings.charset
        group, master = clean_name(frame.name, charset), clean_name(frame.comment, charset)
        if place.office.role is not Role.MASTER or not group or not master or group == self.ground.group:
            self.counts.ignored += 1
            return
        if group not in place.servers.groups:
            place.greet(now)
        news = place.servers.hear_group(
            group,
            type_=frame.type & ~ServerType.LOCAL_LIST_ONLY,
            master=master,
            period=frame.period_ms / 1000,
            source=received.origin.peer.host,
            mono=now.mono,
        )
        if news:
            self._touched()

    def _election(self, frame: Election, place: LocalMaster, received: Received, now: Now) -> None:
        """Somebody stands for master."""
        if received.destination != self.ground.election_wire:
            self.counts.ignored += 1
            return
        place.hear_election(frame, received.origin.peer.host, now)

    def _announce(self, frame: AnnouncementRequest, place: LocalMaster, received: Received, now: Now) -> None:
        """Somebody wants to hear of everybody."""
        place.hurry(now)

    def _backups(self, frame: BackupListRequest, place: LocalMaster, received: Received, now: Now) -> None:
        """A client wants to know whom to ask for the list: us first, then hosts that keep copies."""
        if place.office.role is not Role.MASTER:
            self.counts.ignored += 1
            return
        ground = self.ground
        names = [ground.label]
        group = place.servers.groups.get(ground.group)
        for server in group.servers.values() if group is not None else ():
            if server.type & ServerType.BACKUP_BROWSER:
                names.append(ground.encode(server.name))
        kept = tuple(names[: max(1, min(frame.count, browse.MOST_BACKUPS))])
        response = BackupListResponse(len(kept), frame.token, kept)
        ground.mailslots.answer(received, mailslot.BROWSE, browse.pack(response), source=ground.source)

    def _reports(self, frame: MasterAnnouncement, place: LocalMaster, received: Received, now: Now) -> None:
        """A local master reports to the domain master."""
        shown = clean_name(frame.name, self.ground.settings.charset)
        if not shown or not self._domain.hear(shown, received.origin.peer.host, now):
            self.counts.ignored += 1

    def _reset(self, frame: ResetState, place: LocalMaster, received: Received, now: Now) -> None:
        place.reset(frame.command, now)
        self._touched()

    def _promoted(self, frame: BecomeBackup, place: LocalMaster, received: Received, now: Now) -> None:
        """The master wants somebody to keep a copy of its list."""
        shown = clean_name(frame.name, self.ground.settings.charset)
        if shown != self.ground.settings.netbios_name or not place.promote(received.origin.peer.host, now):
            self.counts.ignored += 1

    def _ignore(self, frame: Frame, place: LocalMaster, received: Received, now: Now) -> None:
        """We ask for no backup lists: whoever needs the list here asks the master."""
        self.counts.ignored += 1

    def _lanman_host(
        self, frame: LanmanAnnouncement, place: LocalMaster, received: Received, now: Now
    ) -> None:
        """A LAN Manager host announces itself."""
        if frame.os_major not in OS2_VERSIONS or frame.os_minor:
            self.counts.ignored += 1
            return
        self._lanman.hear(now)
        self._hear_server(frame, place, received, period=float(frame.period), now=now)

    def _lanman_asks(self, frame: LanmanRequest, place: LocalMaster, received: Received, now: Now) -> None:
        self._lanman.asked(now)

    HANDLERS: ClassVar[dict[type[Frame], tuple[Callable[..., None], bool]]] = {
        HostAnnouncement: (_host, True),
        AnnouncementRequest: (_announce, False),
        Election: (_election, False),
        BackupListRequest: (_backups, False),
        BackupListResponse: (_ignore, False),
        BecomeBackup: (_promoted, False),
        DomainAnnouncement: (_group, False),
        MasterAnnouncement: (_reports, True),
        ResetState: (_reset, False),
        LocalMasterAnnouncement: (_master, False),
        LanmanAnnouncement: (_lanman_host, False),
        LanmanRequest: (_lanman_asks, False),
    }
    """Frame: who takes it, and may it come from beyond our networks?"""
