# SPDX-License-Identifier: GPL-3.0-or-later
"""One group over several networks: the domain master browser, and how local masters deal with it. Read
DomainMaster.held, then tick.

The office is the name <1b>, which our name table and WINS client claim like any other; who has it with all
who have a say in it (WINS, when there is one, and a network) is domain master. Local masters report to it
(MasterAnnouncement) and fetch everybody's servers; it fetches theirs. Domain masters of different groups
learn of each other from WINS and exchange what groups they know (smb.conf: enhanced browsing).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial

from pydaemons.engine.effects import Level
from pydaemons.engine.protocol import Now
from pydaemons.engine.timers import Timers
from pydaemons.netbios import name
from pydaemons.netbios.browse import MasterAnnouncement
from pydaemons.netbios.codes import GROUP, Suffix
from pydaemons.netbios.node.announce import GROUP_TYPE
from pydaemons.netbios.node.browseground import Ground
from pydaemons.netbios.node.browsesync import Fetches, Wanted
from pydaemons.netbios.node.events import BROWSER_ROLE
from pydaemons.netbios.node.names import State
from pydaemons.netbios.node.serverlist import Told, clean_name
from pydaemons.netbios.nspacket import StatusName

FIRST_FETCH = (1.0, 3.0)
"""Seconds after a master's first announcement: it has just come to office and is asking for its list."""
REPORT_AGAIN = 60.0
"""Seconds until a domain master that was not found is looked for again; then ever more, up to the usual
pause."""
REPORTS = 900.0
"""Seconds between the reports of local masters as [MS-BRWS] and nmbd have them, whatever our own pause is."""
GRACE = 120.0
"""Seconds beyond that before a silent master is forgotten."""
MOST_MASTERS = 256
OTHERS_AGAIN, OTHERS_EVERY = 60.0, 900.0
"""Seconds until WINS is asked anew for all domain masters, at first and in the long run."""
ONE_OTHER_EVERY = 300.0
ALL_MASTERS = name.Name(b"*" + bytes(14) + bytes((Suffix.DOMAIN_MASTER,)))


@dataclass(slots=True)
class Master:
    """A local master that reported to us."""

    host: str
    name: str
    heard: float
    fetch_at: float


class Due(Enum):
    """What the timers are for."""

    REPORT = auto()
    OTHERS = auto()
    ONE_OTHER = auto()


class DomainMaster:
    """Both sides. `changed` is called when the office came or went."""

    def __init__(self, ground: Ground, fetches: Fetches, *, changed: Callable[[Now], None]) -> None:
        self.is_held = False
        self.masters: dict[str, Master] = {}
        """Local masters that report to us, by address."""
        self.others: dict[str, str] = {}
        """Domain masters of other groups: address to name."""
        self.known = ""
        """The domain master we report to, as `NAME (ADDRESS)`."""
        self._ground = ground
        self._fetches = fetches
        self._changed = changed
        self._timers: Timers[Due] = Timers()
        self._pause = REPORT_AGAIN
        self._others_pause = OTHERS_AGAIN
        self._local = False
        """Are we local master anywhere?"""

    def held(self) -> bool:
        """Is the office ours, by all who have a say in it?"""
        ground = self._ground
        if not ground.settings.browsing.domain_master:
            return False
        wire = ground.domain_wire
        named = any(
            holding.state is State.OWNED
            for subnet in ground.subnets.all
            if (holding := ground.names.find(subnet, wire)) is not None
        )
        return named and ground.is_registered(wire)

    def local_master(self, now: Now, *, is_one: bool) -> None:
        """We became local master of some network, or are none any more."""
        if is_one and not self._local:
            self._pause = REPORT_AGAIN
            self._timers.set(Due.REPORT, now.mono)
        elif not is_one:
            self._timers.cancel(Due.REPORT)
            self.known = ""
        self._local = is_one

    def look(self, now: Now) -> None:
        """Did the office come or go?"""
        held = self.held()
        if held == self.is_held:
            return
        self.is_held = held
        self.known = ""
        ground = self._ground
        if held:
            ground.log(Level.NOTICE, f"domain master browser of {ground.group}", BROWSER_ROLE)
            self._others_pause = OTHERS_AGAIN
            self._timers.set(Due.OTHERS, now.mono)
            self._timers.set(Due.ONE_OTHER, now.mono + ONE_OTHER_EVERY)
        else:
            ground.log(Level.NOTICE, f"not domain master browser of {ground.group} any more", BROWSER_ROLE)
            self.masters.clear()
            self.others.clear()
            self._timers.cancel(Due.OTHERS)
            self._timers.cancel(Due.ONE_OTHER)
            if self._local:
                self._timers.set(Due.REPORT, now.mono)
        self._changed(now)

    def hear(self, shown: str, host: str, now: Now) -> bool:
        """A local master reports (MasterAnnouncement); False when it is none of our business."""
        ground = self._ground
        partner = host in ground.settings.browsing.remote_sync and self._local
        if not self.is_held and not partner:
            return False
        known = self.masters.get(host)
        if known is None:
            if len(self.masters) >= MOST_MASTERS:
                return False
            known = self.masters[host] = Master(
                host, shown, now.mono, now.mono + ground.entropy.uniform(*FIRST_FETCH)
            )
            ground.log(Level.INFO, f"{shown} ({host}) reports as a local master of {ground.group}")
        known.name, known.heard = shown, now.mono
        return True

    def retune(self, now: Now) -> None:
        """Tunables changed: no pause is longer than it would be now."""
        latest = now.mono + self._ground.tunables.browse_sync_interval
        for master in self.masters.values():
            master.fetch_at = min(master.fetch_at, latest)
        report_at = self._timers.at(Due.REPORT)
        if report_at is not None:
            self._timers.set(Due.REPORT, min(report_at, latest))

    def tick(self, now: Now) -> None:
        """What is due."""
        interval = float(self._ground.tunables.browse_sync_interval)
        for host, master in list(self.masters.items()):
            if self._forgotten_at(master) <= now.mono:
                del self.masters[host]
            elif master.fetch_at <= now.mono:
                master.fetch_at = now.mono + interval
                self._fetches.ask(host, master.name, self._ground.group, Wanted.LOCAL, now)
        for due in self._timers.due(now.mono):
            match due:
                case Due.REPORT:
                    self._report(now)
                case Due.OTHERS:
                    self._timers.set(Due.OTHERS, now.mono + self._others_pause)
                    self._others_pause = min(2 * self._others_pause, OTHERS_EVERY)
                    self._ask_for_others(now)
                case Due.ONE_OTHER:
                    self._timers.set(Due.ONE_OTHER, now.mono + ONE_OTHER_EVERY)
                    self._ask_one_other(now)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        times = [min(each.fetch_at, self._forgotten_at(each)) for each in self.masters.values()]
        due = self._timers.deadline()
        return min(times if due is None else [*times, due], default=None)

    def _forgotten_at(self, master: Master) -> float:
        return master.heard + max(REPORTS, self._ground.tunables.browse_sync_interval) + GRACE

    # ---- as a local master

    def _report(self, now: Now) -> None:
        """Find the domain master, tell it of us, and fetch its list."""
        ground = self._ground
        if self.is_held or not self._local:
            return
        self._timers.set(Due.REPORT, now.mono + self._pause)
        self._pause = min(2 * self._pause, float(ground.tunables.browse_sync_interval))
        if ground.uses_wins:
            ground.ask_wins(ground.domain_wire, now, self._found)
        else:
            for subnet in ground.subnets.all:
                ground.ask_network(subnet, ground.domain_wire, now, self._found)

    def _found(self, hosts: tuple[str, ...], now: Now) -> None:
        host = next((host for host in hosts if not self._ground.subnets.is_own(host)), None)
        if host is not None and self._local:
            # not by <1b>: behind a WINS server of another host nmbd hears that from its own networks only
            self._ground.ask_status(host, name.ANY, now, partial(self._met, host))

    def _met(self, host: str, names: tuple[StatusName, ...], now: Now) -> None:
        ground = self._ground
        shown = _host_name(names, ground.settings.charset)
        if not shown or not self._local or self.is_held:
            return
        self._timers.set(Due.REPORT, now.mono + ground.tunables.browse_sync_interval)
        self.known = f"{shown} ({host})"
        destination = ground.settings.wire(shown, Suffix.WORKSTATION)
        ground.send_to(host, MasterAnnouncement(ground.label), destination, unique=True)
        self._fetches.ask(host, shown, ground.group, Wanted.ALL, now)

    # ---- as the domain master

    def _ask_for_others(self, now: Now) -> None:
        ground = self._ground
        if self.is_held and ground.settings.browsing.enhanced and ground.uses_wins:
            ground.ask_wins(name.pack(ALL_MASTERS), now, self._others_found)

    def _others_found(self, hosts: tuple[str, ...], now: Now) -> None:
        ground = self._ground
        self.others = {host: shown for host, shown in self.others.items() if host in hosts}
        self._fetches.stay(hosts, now)
        for host in hosts:
            if not ground.subnets.is_own(host) and host not in self.others:
                ground.ask_status(host, name.ANY, now, partial(self._other_met, host))

    def _other_met(self, host: str, names: tuple[StatusName, ...], now: Now) -> None:
        ground = self._ground
        groups = [entry for entry in names if entry.label[15] == Suffix.DOMAIN_MASTER]
        shown = _host_name(names, ground.settings.charset)
        if not groups or not shown or not self.is_held or len(self.others) >= MOST_MASTERS:
            return
        group = clean_name(groups[0].label[:15], ground.settings.charset)
        self.others[host] = shown
        self._fetches.introduce(host, Told(group, GROUP_TYPE, shown), now)
        self._fetches.ask(host, shown, group, Wanted.GROUPS, now)

    def _ask_one_other(self, now: Now) -> None:
        if self.others:
            host = sorted(self.others)[
                int(self._ground.entropy.uniform(0, len(self.others))) % len(self.others)
            ]
            self._fetches.ask(host, self.others[host], self._ground.group, Wanted.GROUPS, now)


def _host_name(names: tuple[StatusName, ...], charset: str) -> str:
    """The host among a node's names: of the unique ones its server name, or its workstation name."""
    for suffix in (Suffix.SERVER, Suffix.WORKSTATION):
        for entry in names:
            if entry.label[15] == suffix and not entry.flags & GROUP:
                return clean_name(entry.label[:15], charset)
    return ""
