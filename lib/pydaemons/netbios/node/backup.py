# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup browser: a host that keeps a copy of its network's list because the master wants it to ([MS-BRWS]
section 3.3.5.1). Read Backup.promote, then fetched.

The copy is fetched as local masters fetch a domain master's list, and is served to clients as everything in
browse.dat is. Whoever cannot get it does not call itself a backup: clients would ask it in vain. It helps
when the master crashes: among equals the backup is elected, and has the list already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pydaemons.engine.effects import Level
from pydaemons.engine.protocol import Now
from pydaemons.netbios.node.browseground import Ground
from pydaemons.netbios.node.browsesync import Fetches, ListFetched, Wanted
from pydaemons.netbios.node.events import BROWSER_ROLE
from pydaemons.netbios.node.serverlist import LIFETIMES
from pydaemons.netbios.node.subnet import Subnet


class Known(NamedTuple):
    """A master browser, as far as it is known."""

    name: str
    host: str


class Backup:
    """Our part on one network. `master` is whose list is copied, `changed` is called when we became a backup
    or are none any more."""

    def __init__(
        self,
        ground: Ground,
        subnet: Subnet,
        *,
        fetches: Fetches,
        master: Callable[[], Known],
        changed: Callable[[Now], None],
    ) -> None:
        self.is_one = False
        self._ground = ground
        self._shown = subnet.interface.name
        self._fetches = fetches
        self._master = master
        self._changed = changed
        self._at: float | None = None
        """When the list is fetched next."""
        self._had = 0.0
        """When it last was."""

    def promote(self, now: Now) -> None:
        """The master wants it."""
        if self._at is None:
            self._at = now.mono

    def moved(self, now: Now) -> None:
        """There is another master: its list counts from now on."""
        if self._at is not None:
            self._at = now.mono

    def end(self, now: Now) -> None:
        """Keep no copy any more."""
        self._at = None
        if self.is_one:
            self.is_one = False
            self._ground.log(
                Level.NOTICE,
                f"{self._shown}: not backup browser of {self._ground.group} any more",
                BROWSER_ROLE,
            )
            self._changed(now)

    def fetched(self, result: ListFetched, now: Now) -> None:
        """Some master's list came, or did not."""
        if self._at is None or result.host != self._master().host:
            return
        if not result.error:
            self._had = now.mono
            if not self.is_one:
                self.is_one = True
                self._ground.log(
                    Level.NOTICE, f"{self._shown}: backup browser of {self._ground.group}", BROWSER_ROLE
                )
                self._changed(now)
        elif not self.is_one or now.mono - self._had >= LIFETIMES * self._interval:
            self.end(now)

    def retune(self, now: Now) -> None:
        """Tunables changed: no pause is longer than it would be now."""
        if self._at is not None:
            self._at = min(self._at, now.mono + self._interval)

    def tick(self, now: Now) -> None:
        """Fetch when it is due."""
        if self._at is None or now.mono < self._at:
            return
        self._at = now.mono + self._interval
        master = self._master()
        if master.host:
            self._fetches.ask(master.host, master.name, self._ground.group, Wanted.ALL, now)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        return self._at

    @property
    def _interval(self) -> float:
        return float(self._ground.tunables.browse_sync_interval)
