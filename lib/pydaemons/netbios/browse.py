# SPDX-License-Identifier: GPL-3.0-or-later
"""What browsers say to each other: the frames of [MS-BRWS] section 2.2 in the mailslot BROWSE, and the older
announcements in LANMAN. Read ROWS and LANMAN_ROWS: one row is one frame.

Each frame is a record whose fields stand in the order of the wire, integers little endian, strings at the
end. `pack` and `unpack` (`unpack_lanman`) are inverse; anything else than a frame is a WireError. Names are
bytes of the sender's code page without their padding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import Enum, IntFlag
from operator import attrgetter
from struct import Struct
from typing import Any

from pydaemons.wire.enums import OpenEnum
from pydaemons.wire.errors import WireError

OS_MAJOR, OS_MINOR = 6, 1
"""The version of itself a host announces; Samba's hosts say 6.1."""
BROWSER_VERSION = 0x010F
"""Byte order of the wire: 15.1, what every browser since Windows NT says."""
SIGNATURE = 0xAA55
LONGEST_COMMENT = 48
"""Bytes of a comment that are kept. [MS-BRWS] section 2.2.1 has 43, Samba's hosts send up to 48."""
LONGEST_NAME = 15
MOST_BACKUPS = 32
"""Names read from one backup list; a datagram holds hardly more."""


class Kind(OpenEnum):
    """The first byte of a browser frame."""

    HOST_ANNOUNCEMENT = 1
    ANNOUNCEMENT_REQUEST = 2
    ELECTION = 8
    BACKUP_LIST_REQUEST = 9
    BACKUP_LIST_RESPONSE = 10
    BECOME_BACKUP = 11
    DOMAIN_ANNOUNCEMENT = 12
    MASTER_ANNOUNCEMENT = 13
    RESET_STATE = 14
    LOCAL_MASTER_ANNOUNCEMENT = 15


class LanmanKind(OpenEnum):
    """The first word of a frame in the mailslot LANMAN."""

    ANNOUNCEMENT = 1
    REQUEST = 2


class ServerType(IntFlag):
    """What a host is and offers ([MS-BRWS] section 2.2.1 and [MS-SRVS] section 2.2.2.7)."""

    WORKSTATION = 0x1
    SERVER = 0x2
    SQL_SERVER = 0x4
    DOMAIN_CONTROLLER = 0x8
    BACKUP_CONTROLLER = 0x10
    TIME_SOURCE = 0x20
    AFP_SERVER = 0x40
    NOVELL = 0x80
    DOMAIN_MEMBER = 0x100
    PRINT_SERVER = 0x200
    DIALIN_SERVER = 0x400
    UNIX = 0x800
    NT = 0x1000
    WINDOWS_FOR_WORKGROUPS = 0x2000
    NETWARE_FILES = 0x4000
    NT_SERVER = 0x8000
    POTENTIAL_BROWSER = 0x10000
    BACKUP_BROWSER = 0x20000
    MASTER_BROWSER = 0x40000
    DOMAIN_MASTER = 0x80000
    WINDOWS_95 = 0x400000
    DFS = 0x800000
    LOCAL_LIST_ONLY = 0x40000000
    DOMAIN_ENUM = 0x80000000


BROWSER_ROLES = (
    ServerType.POTENTIAL_BROWSER
    | ServerType.BACKUP_BROWSER
    | ServerType.MASTER_BROWSER
    | ServerType.DOMAIN_MASTER
)


class Reset(IntFlag):
    """What a ResetBrowserState demands (section 2.2.9)."""

    STEP_DOWN = 0x1
    FORGET_LISTS = 0x2
    STOP_BROWSING = 0x4


class Desire(IntFlag):
    """The lowest byte of an election criterion (section 2.2.3): what one is and wants to be."""

    BACKUP = 0x1
    STANDBY = 0x2
    MASTER = 0x4
    PREFERRED_MASTER = 0x8
    WINS_CLIENT = 0x20
    DOMAIN_MASTER = 0x80


@dataclass(frozen=True, slots=True)
class Frame:
    """Base of all frames."""


@dataclass(frozen=True, slots=True)
class Announcement(Frame):
    """A host or a group is there (sections 2.2.1, 2.2.7, 2.2.10)."""

    updates: int
    """A counter nobody reads."""
    period_ms: int
    """When the next one comes."""
    name: bytes
    """The host; in a DomainAnnouncement the group."""
    os_major: int
    os_minor: int
    type: int
    """ServerType; 0: it is leaving."""
    browser_version: int
    signature: int
    comment: bytes
    """In a DomainAnnouncement the group's local master browser."""


@dataclass(frozen=True, slots=True)
class HostAnnouncement(Announcement):
    """A server is there."""


@dataclass(frozen=True, slots=True)
class DomainAnnouncement(Announcement):
    """A group is there, and who its master is."""


@dataclass(frozen=True, slots=True)
class LocalMasterAnnouncement(Announcement):
    """The sender is this network's master browser of its group."""


@dataclass(frozen=True, slots=True)
class AnnouncementRequest(Frame):
    """All servers are to announce themselves (section 2.2.2)."""

    flags: int
    name: bytes


@dataclass(frozen=True, slots=True)
class Election(Frame):
    """Who is to be master? I would have this to say for me (section 2.2.3)."""

    version: int
    criterion: int
    uptime_ms: int
    unused: int
    name: bytes


@dataclass(frozen=True, slots=True)
class BackupListRequest(Frame):
    """Which browsers can be asked for the list? (section 2.2.4)"""

    count: int
    token: int


@dataclass(frozen=True, slots=True)
class BackupListResponse(Frame):
    """These (section 2.2.5)."""

    count: int
    token: int
    names: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class BecomeBackup(Frame):
    """The master wants this host to keep a copy of the list (section 2.2.6)."""

    name: bytes


@dataclass(frozen=True, slots=True)
class MasterAnnouncement(Frame):
    """To the domain master: the sender is a local master (section 2.2.8)."""

    name: bytes


@dataclass(frozen=True, slots=True)
class ResetState(Frame):
    """An administrator's, or an offended master's, demand (section 2.2.9)."""

    command: int


@dataclass(frozen=True, slots=True)
class LanmanAnnouncement(Frame):
    """A server is there, said the way of LAN Manager."""

    type: int
    os_major: int
    os_minor: int
    period: int
    """Seconds."""
    name: bytes
    comment: bytes


@dataclass(frozen=True, slots=True)
class LanmanRequest(Frame):
    """All servers are to announce themselves, the way of LAN Manager."""

    name: bytes


class _Tail(Enum):
    """The zero-terminated strings at a frame's end."""

    NONE = 0
    ONE = 1
    TWO = 2
    LIST = 3


class _Row:
    """How one frame class looks on the wire behind its number."""

    __slots__ = ("_names", "_struct", "_tail", "_values", "frame", "kind", "longest")

    def __init__(
        self,
        kind: OpenEnum,
        frame: type[Frame],
        fixed: str,
        tail: _Tail = _Tail.NONE,
        *,
        longest: int = LONGEST_NAME,
    ) -> None:
        self.kind = kind
        self.frame = frame
        self._struct = Struct("<" + fixed)
        self._tail = tail
        self.longest = longest
        """Bytes of the last string that are kept."""
        self._names = [field.name for field in fields(frame)]
        self._values: Callable[[Any], tuple[Any, ...]] = attrgetter(*self._names, "__class__")

    def pack(self, frame: Frame) -> bytes:
        values = self._values(frame)[:-1]
        packed: bytes
        match self._tail:
            case _Tail.NONE:
                packed = self._struct.pack(*values)
            case _Tail.ONE:
                packed = self._struct.pack(*values[:-1]) + values[-1] + b"\0"
            case _Tail.TWO:
                packed = self._struct.pack(*values[:-2]) + values[-2] + b"\0" + values[-1] + b"\0"
            case _Tail.LIST:
                packed = self._struct.pack(*values[:-1]) + b"".join(name + b"\0" for name in values[-1])
        return packed

    def unpack(self, data: bytes, at: int) -> Frame:
        end = at + self._struct.size
        if end > len(data):
            raise WireError(f"{self.frame.__name__} is cut short", len(data))
        values: list[Any] = [
            value.partition(b"\0")[0][:LONGEST_NAME] if isinstance(value, bytes) else value
            for value in self._struct.unpack_from(data, at)
        ]
        if self._tail is _Tail.LIST:
            *names, last = data[end:].split(b"\0")[: MOST_BACKUPS + 1]
            values.append(tuple(name[:LONGEST_NAME] for name in (*names, last) if name)[:MOST_BACKUPS])
        elif self._tail is not _Tail.NONE:
            # a last string without its zero, or none at all, is what old hosts send
            strings = data[end:].split(b"\0", 2)
            if self._tail is _Tail.TWO:
                values.append(strings.pop(0)[:LONGEST_NAME])
            values.append(strings[0][: self.longest] if strings else b"")
        return self.frame(*values)


_ANNOUNCEMENT = "BI16sBBIHH"
ROWS = {
    row.kind: row
    for row in (
        _Row(Kind.HOST_ANNOUNCEMENT, HostAnnouncement, _ANNOUNCEMENT, _Tail.ONE, longest=LONGEST_COMMENT),
        _Row(Kind.ANNOUNCEMENT_REQUEST, AnnouncementRequest, "B", _Tail.ONE),
        _Row(Kind.ELECTION, Election, "BIII", _Tail.ONE),
        _Row(Kind.BACKUP_LIST_REQUEST, BackupListRequest, "BI"),
        _Row(Kind.BACKUP_LIST_RESPONSE, BackupListResponse, "BI", _Tail.LIST),
        _Row(Kind.BECOME_BACKUP, BecomeBackup, "", _Tail.ONE),
        _Row(Kind.DOMAIN_ANNOUNCEMENT, DomainAnnouncement, _ANNOUNCEMENT, _Tail.ONE),
        _Row(Kind.MASTER_ANNOUNCEMENT, MasterAnnouncement, "", _Tail.ONE),
        _Row(Kind.RESET_STATE, ResetState, "B"),
        _Row(
            Kind.LOCAL_MASTER_ANNOUNCEMENT,
            LocalMasterAnnouncement,
            _ANNOUNCEMENT,
            _Tail.ONE,
            longest=LONGEST_COMMENT,
        ),
    )
}
"""The frames of the mailslot BROWSE."""
LANMAN_ROWS = {
    row.kind: row
    for row in (
        _Row(LanmanKind.ANNOUNCEMENT, LanmanAnnouncement, "IBBH", _Tail.TWO, longest=LONGEST_COMMENT),
        _Row(LanmanKind.REQUEST, LanmanRequest, "", _Tail.ONE),
    )
}
"""The frames of the mailslot LANMAN."""
_BY_FRAME = {row.frame: row for row in (*ROWS.values(), *LANMAN_ROWS.values())}


def pack(frame: Frame) -> bytes:
    """The wire form of any frame, of either mailslot."""
    row = _BY_FRAME[type(frame)]
    number = row.kind.to_bytes(2 if isinstance(row.kind, LanmanKind) else 1, "little")
    return number + row.pack(frame)


def unpack(data: bytes) -> Frame:
    """A frame of the mailslot BROWSE, or WireError."""
    if not data:
        raise WireError("an empty browser frame", 0)
    row = ROWS.get(Kind(data[0]))
    if row is None:
        raise WireError(f"browser frame {data[0]}", 0)
    return row.unpack(data, 1)


def unpack_lanman(data: bytes) -> Frame:
    """A frame of the mailslot LANMAN, or WireError."""
    if len(data) < 2:
        raise WireError("shorter than a LANMAN frame", len(data))
    number = int.from_bytes(data[:2], "little")
    row = LANMAN_ROWS.get(LanmanKind(number))
    if row is None:
        raise WireError(f"LANMAN frame {number}", 0)
    return row.unpack(data, 2)
