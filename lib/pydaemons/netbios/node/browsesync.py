# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of other masters, fetched by the shell over SMB. Read Fetches.ask.

A list is asked for by an effect and comes back as an event, some seconds later or never; two hosts at most
are asked at once, the others wait their turn. What a host told stays until it tells anew or, should it fall
silent, for three times the usual pause.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from pydaemons.engine.effects import Effect, Level
from pydaemons.engine.protocol import Now
from pydaemons.netbios.browse import ServerType
from pydaemons.netbios.node.browseground import Ground
from pydaemons.netbios.node.events import BROWSE_SYNC_FAILED
from pydaemons.netbios.node.serverlist import LIFETIMES, ServerList, Told

AT_ONCE = 2
MOST_WAITING = 256
LOST_AFTER = 120.0
"""Seconds after which the shell has forgotten a fetch: it gives up itself well before."""


class Wanted(Enum):
    """What of a list: the types asked for, of servers and of groups (None: not asked)."""

    ALL = (0xFFFFFFFF & ~ServerType.DOMAIN_ENUM & ~ServerType.LOCAL_LIST_ONLY, int(ServerType.DOMAIN_ENUM))
    """Everything the domain master knows."""
    LOCAL = (
        int(ServerType.LOCAL_LIST_ONLY),
        int(ServerType.DOMAIN_ENUM | ServerType.LOCAL_LIST_ONLY),
    )
    """What a local master heard on its own network."""
    GROUPS = (None, int(ServerType.DOMAIN_ENUM))
    """What groups another group's domain master knows."""

    @property
    def servers(self) -> int | None:
        """Types of servers."""
        found: int | None = self.value[0]
        return found

    @property
    def groups(self) -> int:
        """Types of groups."""
        found: int = self.value[1]
        return found


@dataclass(frozen=True, slots=True)
class FetchList(Effect):
    """Ask a master for its list and come back with ListFetched. Must not keep the loop waiting."""

    host: str
    name: str
    """What it is called, for session setup on port 139."""
    group: str
    servers: int | None
    groups: int


@dataclass(frozen=True, slots=True)
class ListFetched:
    """Event: what a master told, or why it did not."""

    host: str
    group: str
    servers: tuple[Told, ...] = ()
    groups: tuple[Told, ...] = ()
    error: str = ""


class Fetches:
    """All of them. `changed` is called when what was told is news."""

    def __init__(self, ground: Ground, *, changed: Callable[[], None]) -> None:
        self.told = ServerList(lambda: ground.tunables.max_browse_entries)
        """What other masters told."""
        self.done = 0
        self.failed = 0
        self._ground = ground
        self._changed = changed
        self._open: dict[str, float] = {}
        """Hosts being asked, and since when."""
        self._waiting: dict[str, FetchList] = {}
        self._groups: dict[str, Told] = {}
        """Domain masters' own groups, by host, as they are known without any list."""
        self._failing: set[str] = set()
        """Hosts whose failure was said."""

    @property
    def busy(self) -> bool:
        """Is any host being asked?"""
        return bool(self._open)

    def ask(self, host: str, name: str, group: str, wanted: Wanted, now: Now) -> None:
        """Fetch a list, now or soon."""
        if host not in self._waiting and len(self._waiting) >= MOST_WAITING:
            return
        self._waiting[host] = FetchList(host, name, group, wanted.servers, wanted.groups)
        self._begin(now)

    def introduce(self, host: str, group: Told, now: Now) -> None:
        """`host` is the master of this group: that is known and listed whether it gives a list or not."""
        if host not in self._groups and len(self._groups) >= MOST_WAITING:
            return
        self._groups[host] = group
        self._renew(host, now)

    def stay(self, hosts: Collection[str], now: Now) -> None:
        """Of the domain masters that were introduced these are still there."""
        for host in list(self._groups):
            if host in hosts:
                self._renew(host, now)
            else:
                del self._groups[host]

    def fetched(self, result: ListFetched, now: Now) -> None:
        """The shell is done."""
        self._open.pop(result.host, None)
        ground = self._ground
        if result.error:
            self.failed += 1
            if result.host not in self._failing:
                if len(self._failing) >= MOST_WAITING:
                    self._failing.clear()
                self._failing.add(result.host)
                ground.log(
                    Level.WARNING, f"{result.host} does not give its list: {result.error}", BROWSE_SYNC_FAILED
                )
        else:
            self.done += 1
            self._failing.discard(result.host)
            self._learn(result, now)
        self._begin(now)

    def expire(self, now: Now) -> bool:
        """Drop what is too old; True when that was anything."""
        for host in [host for host, since in self._open.items() if since + LOST_AFTER <= now.mono]:
            del self._open[host]
        self._begin(now)
        return self.told.expire(now.mono)

    def _renew(self, host: str, now: Now) -> None:
        known = self.told.groups.get(self._groups[host].name)
        if known is None or not known.type:
            self._learn(ListFetched(host, self._groups[host].name), now)
        elif known.source == host:
            known.expires = max(known.expires, now.mono + self._lifetime)

    def _learn(self, result: ListFetched, now: Now) -> None:
        groups, own = result.groups, self._groups.get(result.host)
        if own is not None:
            # as long as it is master of no network it may not list its own group, or without a master
            groups = tuple(told for told in groups if told.name != own.name or told.comment)
            if all(told.name != own.name for told in groups):
                groups = (*groups, own)
        news = self.told.learn(
            result.host,
            servers={result.group: self._foreign(result.servers)},
            groups=groups,
            lifetime=self._lifetime,
            mono=now.mono,
        )
        if news:
            self._changed()

    @property
    def _lifetime(self) -> float:
        return LIFETIMES * float(self._ground.tunables.browse_sync_interval)

    def _foreign(self, servers: Sequence[Told]) -> Iterable[Told]:
        """Without ourselves: others know us less well."""
        return [told for told in servers if not self._ground.is_own(told.name)]

    def _begin(self, now: Now) -> None:
        for host in list(self._waiting):
            if len(self._open) >= AT_ONCE:
                return
            if host not in self._open:
                self._open[host] = now.mono
                self._ground.emit(self._waiting.pop(host))
