# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is there: groups, their masters and their servers, as one network's browser or a whole domain's knows
them. Read ServerList.

What is heard by announcements belongs to the host it came from: another host can neither change nor remove an
entry before its owner is overdue. What other masters told belongs to the one who told it and is replaced as a
whole each time. Everything expires, and there is room for so much only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from pydaemons.netbios.browse import LONGEST_COMMENT, LONGEST_NAME, ServerType

LIFETIMES = 3
"""Announcements that may get lost before an entry goes ([MS-BRWS] section 3.3.5.4)."""
LONGEST_PERIOD = 3600.0
"""Seconds; whoever announces a longer period, or none, is expected within this one."""
MOST_GROUPS = 1024


class Told(NamedTuple):
    """One line of a list another master gave: a server, or a group with its master in `comment`."""

    name: str
    type: int
    comment: str
    version: tuple[int, int] = (0, 0)


class Server:
    """A host of a group."""

    __slots__ = ("comment", "expires", "heard", "name", "period", "source", "type", "version")

    def __init__(self, name: str) -> None:
        self.name = name
        self.type = 0
        self.comment = ""
        self.version = (0, 0)
        self.period = 0.0
        self.heard = 0.0
        """When it last was (monotonic)."""
        self.expires = 0.0
        self.source = ""
        """The address that announced it, or the master that told of it."""

    @property
    def shown(self) -> tuple[int, str]:
        """What others see of it."""
        return self.type, self.comment


class Group:
    """A workgroup or domain with what is known of its servers."""

    __slots__ = ("expires", "heard", "master", "name", "period", "servers", "source", "type")

    def __init__(self, name: str) -> None:
        self.name = name
        self.type = 0
        """0: known by its servers alone."""
        self.master = ""
        self.period = 0.0
        self.heard = 0.0
        self.expires = 0.0
        self.source = ""
        self.servers: dict[str, Server] = {}


class ServerList:
    """The groups of one network, or those other masters told of. `most` is how many servers may be kept."""

    def __init__(self, most: Callable[[], int]) -> None:
        self.groups: dict[str, Group] = {}
        self.refused = 0
        """Entries there was no room for, or that belonged to somebody else."""
        self._most = most
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Group]:
        return iter(self.groups.values())

    def find(self, group: str, name: str) -> Server | None:
        """A server, if known."""
        found = self.groups.get(group)
        return None if found is None else found.servers.get(name)

    def hear_server(
        self,
        group: str,
        name: str,
        *,
        type_: int,
        comment: str,
        version: tuple[int, int],
        period: float,
        source: str,
        mono: float,
    ) -> bool:
        """A host announced itself; True when the list shows something new by it."""
        held = self.groups.get(group)
        known = None if held is None else held.servers.get(name)
        if known is not None and known.source != source and mono < known.heard + known.period:
            self.refused += 1
            return False
        if not type_:
            return self._drop(group, name)
        if known is None:
            if self._count >= self._most() or (held is None and len(self.groups) >= MOST_GROUPS):
                self.refused += 1
                return False
            if held is None:
                held = self.groups[group] = Group(group)
            assert held is not None
            known = held.servers[name] = Server(name)
            self._count += 1
        before = known.shown
        known.type, known.comment, known.version = type_, comment, version
        known.period = min(period or LONGEST_PERIOD, LONGEST_PERIOD)
        known.heard, known.source = mono, source
        known.expires = mono + LIFETIMES * known.period
        return known.shown != before

    def hear_group(
        self, group: str, *, type_: int, master: str, period: float, source: str, mono: float
    ) -> bool:
        """A group's master announced it; True when the list shows something new by it."""
        known = self.groups.get(group)
        if (
            known is not None
            and known.master
            and known.source != source
            and mono < known.heard + known.period
        ):
            self.refused += 1
            return False
        if known is None:
            if len(self.groups) >= MOST_GROUPS:
                self.refused += 1
                return False
            known = self.groups[group] = Group(group)
        before = known.type, known.master
        known.type, known.master = type_ | ServerType.DOMAIN_ENUM, master
        known.period = min(period or LONGEST_PERIOD, LONGEST_PERIOD)
        known.heard, known.source = mono, source
        known.expires = mono + LIFETIMES * known.period
        return (known.type, known.master) != before

    def learn(
        self,
        source: str,
        *,
        servers: dict[str, Iterable[Told]],
        groups: Iterable[Told],
        lifetime: float,
        mono: float,
    ) -> bool:
        """What another master told, which replaces all it told before. What two masters tell is kept as the
        one who told it last did."""
        changed = self.forget(source)
        for told in groups:
            known = self.groups.get(told.name)
            if known is None:
                if len(self.groups) >= MOST_GROUPS:
                    self.refused += 1
                    continue
                known = self.groups[told.name] = Group(told.name)
            known.type, known.master = told.type | ServerType.DOMAIN_ENUM, told.comment
            known.source = source
            known.heard, known.expires, changed = mono, mono + lifetime, True
        for group, told_servers in servers.items():
            for told in told_servers:
                held = self.groups.get(group)
                if self._count >= self._most() or (held is None and len(self.groups) >= MOST_GROUPS):
                    self.refused += 1
                    continue
                if held is None:
                    held = self.groups[group] = Group(group)
                server = held.servers.get(told.name)
                if server is None:
                    server = held.servers[told.name] = Server(told.name)
                    self._count += 1
                server.type, server.comment, server.version = told.type, told.comment, told.version
                server.source, server.heard, server.expires = source, mono, mono + lifetime
                changed = True
        return changed

    def forget(self, source: str) -> bool:
        """Drop what one master told."""
        changed = False
        for group in list(self.groups.values()):
            for name in [name for name, server in group.servers.items() if server.source == source]:
                changed = self._drop(group.name, name) or changed
            if group.source == source:
                group.source, group.master, group.type, changed = "", "", 0, True
            self._sweep(group)
        return changed

    def clear(self) -> None:
        """Forget everything."""
        self.groups.clear()
        self._count = 0

    def expire(self, mono: float) -> bool:
        """Drop what was not heard of again; True when that was anything."""
        changed = False
        for group in list(self.groups.values()):
            for server in [each for each in group.servers.values() if each.expires <= mono]:
                changed = self._drop(group.name, server.name) or changed
            if group.type and group.expires <= mono:
                group.master, group.type, changed = "", 0, True
            self._sweep(group)
        return changed

    def _drop(self, group: str, name: str) -> bool:
        held = self.groups.get(group)
        if held is None or held.servers.pop(name, None) is None:
            return False
        self._count -= 1
        self._sweep(held)
        return True

    def _sweep(self, group: Group) -> None:
        if not group.servers and not group.type:
            self.groups.pop(group.name, None)


def clean_text(text: str, longest: int = LONGEST_NAME) -> str:
    """Text that can stand in browse.dat: without padding, control characters and double quotes."""
    return "".join("'" if char == '"' else char for char in text.rstrip(" ") if char.isprintable())[:longest]


def clean_name(raw: bytes, charset: str) -> str:
    """A host's or group's name out of a frame; empty when it is none."""
    return clean_text(raw.decode(charset, "replace")).strip().upper()


def clean_comment(raw: bytes, charset: str) -> str:
    """A comment out of a frame."""
    return clean_text(raw.decode(charset, "replace"), LONGEST_COMMENT)
