# SPDX-License-Identifier: GPL-3.0-or-later
"""One network and its master browser: who it is, what is heard of it, and when we stand for it. Read
LocalMaster.hear_election and hear_master, then _found.

Whoever wins an election (see election) takes office (see office). Everybody else looks from time to time
whether the master is still there (see masterwatch), and calls an election when it is not.
"""

from __future__ import annotations

from collections.abc import Callable

from pydaemons.engine.effects import Level
from pydaemons.engine.protocol import Now
from pydaemons.netbios import browse
from pydaemons.netbios.browse import ServerType
from pydaemons.netbios.node import election
from pydaemons.netbios.node.announce import Announcer
from pydaemons.netbios.node.backup import Backup, Known
from pydaemons.netbios.node.browseground import Ground
from pydaemons.netbios.node.browsesync import Fetches
from pydaemons.netbios.node.election import Candidacy, Standing
from pydaemons.netbios.node.events import BROWSER_IGNORED, BROWSER_ROLE
from pydaemons.netbios.node.masterwatch import MasterWatch
from pydaemons.netbios.node.names import Holding
from pydaemons.netbios.node.office import Event, Office, Role
from pydaemons.netbios.node.serverlist import ServerList
from pydaemons.netbios.node.subnet import Subnet

FIRST_LOOK = (1.5, 4.0)
"""Seconds after we came to a network: our own names are claimed by then."""
STAND_AT_START = (1.5, 2.0)
"""The same for a preferred master, which holds an election instead of looking."""
OFFICE_WITHIN = (10.0, 14.0)
"""Seconds a winner has to be heard of as master."""
CONTEST = 30.0
"""Seconds from the first frame that beats us to our look for a master: whoever goes on standing and never is
master does not keep the office empty."""
PROVOKE_EVERY = 60.0
ANSWER_WITHIN = 10.0
"""Seconds over which the answers to an AnnouncementRequest are spread; [MS-BRWS] section 3.2.5.1 has 30,
which would keep a new master's list empty for as long."""

GREETING = (0.5, 3.0)
"""Seconds until our group is announced to a master that is new here: it should not wait for our next turn."""


class LocalMaster:
    """One network. `changed` is called when our office changed."""

    def __init__(
        self,
        ground: Ground,
        subnet: Subnet,
        *,
        fetches: Fetches,
        changed: Callable[[LocalMaster, Now], None],
    ) -> None:
        self.subnet = subnet
        self.office = Office(ground, subnet, moved=self._moved)
        self.servers = ServerList(lambda: ground.tunables.max_browse_entries)
        """What was heard here."""
        self.master = ""
        """The master's name, as far as it is known; ours when we are it."""
        self.master_host = ""
        """And its address."""
        self.candidacy = Candidacy(
            entropy=ground.entropy, standing=self.standing, send=self._stand, won=self._won
        )
        self.backup = Backup(
            ground,
            subnet,
            fetches=fetches,
            master=lambda: Known(self.master, self.master_host),
            changed=lambda now: self.hurry(now, 1.0),
        )
        self._ground = ground
        self._changed = changed
        self._announcer = Announcer(ground, subnet)
        self._watch = MasterWatch(
            ground,
            subnet,
            known=lambda: self.master_host,
            busy=lambda: self.candidacy.state is not election.State.QUIET,
            found=self._found,
        )
        self._provoked: float | None = None
        self._beaten: float | None = None
        """Since when somebody better stands and there is no master yet."""

    # ---- life

    def begin(self, now: Now) -> None:
        """We came to this network."""
        ground = self._ground
        self._announcer.begin(now.mono, is_master=False)
        if ground.settings.browsing.preferred_master and ground.settings.browsing.local_master:
            self._watch.look(now.mono + FIRST_LOOK[1] + OFFICE_WITHIN[1])
            self.candidacy.call(STAND_AT_START, now)
        else:
            self._watch.look(now.mono + ground.entropy.uniform(*FIRST_LOOK))

    def reconfigured(self, now: Now) -> None:
        """Comment, type, level or the wish to be master may have changed."""
        if not self._ground.settings.browsing.local_master:
            self.candidacy.withdraw()
            self.backup.end(now)
            if self.office.role is not Role.POTENTIAL:
                self.resign(now, "local master = no")
        self.hurry(now, 1.0)

    def retune(self, now: Now) -> None:
        """Tunables changed."""
        for part in (self._announcer, self._watch, self.backup):
            part.retune(now)

    def inherit(self, now: Now) -> None:
        """The process before us was master here, and its names are ours now."""
        self.office.inherit(now)
        self._take_office(now)

    def farewell(self) -> None:
        """We leave: take our names out of the list, and have the others elect a master if we were it."""
        is_master = self.office.role is Role.MASTER
        self._announcer.farewell(is_master=is_master)
        if is_master:
            self._ground.send(self.subnet, election.NOBODY, self._ground.election_wire)
        self.candidacy.withdraw()
        self._watch.stop()
        self.office.leave()

    def type(self, offices: int = 0) -> int:
        """Our type bits here; `offices` are those beyond this network."""
        found = self._ground.base_type() | offices
        if self.office.role is Role.MASTER:
            found = (found & ~ServerType.POTENTIAL_BROWSER) | ServerType.MASTER_BROWSER
        elif self.backup.is_one:
            found |= ServerType.BACKUP_BROWSER
        return found

    # ---- what was heard

    def hear_election(self, frame: browse.Election, host: str, now: Now) -> None:
        """Somebody stands."""
        if not self._ground.settings.browsing.local_master:
            return
        if self.candidacy.hear(frame, host, self._delay(), now):
            self.office.step(Event.LOST, now)
            if self._beaten is None:
                self._beaten = now.mono
            self._look_later(now)

    def hear_master(self, shown: str, host: str, type_: int, now: Now) -> None:
        """Somebody announced itself as this network's master, or (type 0) that it leaves the office."""
        if not type_:
            if host == self.master_host or (shown == self.master and not self.master_host):
                self.lose_master(now)
        elif self.office.role is Role.MASTER:
            if self.candidacy.may_start(now):
                self._ground.log(
                    Level.NOTICE,
                    f"{self.subnet.interface.name}: {shown} ({host}) is master too: electing",
                    BROWSER_ROLE,
                )
                self.office.step(Event.RIVAL, now)
                self.candidacy.call(self._delay(), now)
        else:
            self.office.step(Event.RIVAL, now)
            if host != self.master_host:
                self.backup.moved(now)
            self._know(shown, host)

    def lose_master(self, now: Now) -> None:
        """The master said good-bye: elect one at once."""
        self.master = self.master_host = ""
        if self.office.role is Role.POTENTIAL and self.candidacy.may_start(now):
            self._call(now)

    def promote(self, host: str, now: Now) -> bool:
        """BecomeBackup: the master, and nobody else, may want us to keep a copy of its list; False when we do
        not."""
        if self.office.role is not Role.POTENTIAL or not self._ground.settings.browsing.local_master:
            return False
        if host != self.master_host:
            if not self.master_host:
                self._announcer.ask_master()  # whoever it is will say it again
            return False
        self.backup.promote(now)
        return True

    def reset(self, command: int, now: Now) -> None:
        """ResetBrowserState: an administrator's tool, or a master that thinks we are one too many."""
        if command & browse.Reset.FORGET_LISTS:
            self.servers.clear()
            self._announcer.ask_all()
        if (
            command & browse.Reset.STEP_DOWN
            and self.office.role is not Role.POTENTIAL
            and self.candidacy.may_start(now)
        ):
            self.resign(now, "asked to by ResetBrowserState")

    def named(self, holding: Holding, now: Now) -> None:
        """A name of ours got on, or did not."""
        rival = self.office.named(holding, self.master_host if self.master else "", now)
        if rival:
            self.master_host = rival

    # ---- doing

    def force(self, now: Now) -> None:
        """An administrator wants an election."""
        self._call(now)

    def resign(self, now: Now, why: str) -> None:
        """Give the office up and have the others elect."""
        self._ground.log(Level.NOTICE, f"{self.subnet.interface.name}: master no longer: {why}", BROWSER_ROLE)
        self.office.step(Event.LOST, now)
        self._ground.send(self.subnet, election.NOBODY, self._ground.election_wire)
        self._look_later(now)

    def hurry(self, now: Now, within: float = ANSWER_WITHIN) -> None:
        """Somebody new wants to hear of everybody."""
        at = now.mono + self._ground.entropy.uniform(0.0, within)
        self._announcer.hurry(at, is_master=self.office.role is Role.MASTER)

    def greet(self, now: Now) -> None:
        """Another group's master is new to us, and perhaps we to it."""
        self._announcer.greet(now.mono + self._ground.entropy.uniform(*GREETING))

    def tick(self, now: Now, offices: int) -> None:
        """What is due."""
        self.candidacy.tick(now)
        self.backup.tick(now)
        self._announcer.tick(now, self.type(offices))
        self._watch.tick(now)
        self.office.tick(now)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        times = (
            self.candidacy.deadline(),
            self.backup.deadline(),
            self._announcer.deadline(),
            self._watch.deadline(),
            self.office.deadline(),
        )
        return min((at for at in times if at is not None), default=None)

    # ---- elections

    def _delay(self) -> tuple[float, float]:
        if self.office.role is not Role.POTENTIAL:
            return election.MASTER_DELAY
        return election.BACKUP_DELAY if self.backup.is_one else election.POTENTIAL_DELAY

    def standing(self, now: Now) -> Standing:
        """What we have to say for ourselves."""
        ground = self._ground
        browsing = ground.settings.browsing
        level = election.criterion(
            ground.tunables.os_level,
            preferred=browsing.preferred_master,
            domain_master=browsing.domain_master,
            backup=self.backup.is_one,
        )
        return Standing(election.VERSION, level, ground.uptime_ms(now), ground.label)

    def _stand(self, frame: browse.Election) -> None:
        self._ground.send(self.subnet, frame, self._ground.election_wire)

    def _won(self, now: Now) -> None:
        self.office.step(Event.WON, now)

    def _call(self, now: Now) -> None:
        """There is to be a master: stand, or, if that is not for us, have the others stand."""
        if self._ground.settings.browsing.local_master:
            self.candidacy.call(self._delay(), now)
        elif self._provoked is None or now.mono >= self._provoked + PROVOKE_EVERY:
            self._provoked = now.mono
            self._ground.send(self.subnet, election.NOBODY, self._ground.election_wire)

    # ---- looking

    def _know(self, shown: str, host: str) -> None:
        self.master, self.master_host = shown, host
        self._beaten = None
        self.candidacy.took_office()

    def _look_later(self, now: Now) -> None:
        """Somebody else shall be master: does it come to that?"""
        at = now.mono + self._ground.entropy.uniform(*OFFICE_WITHIN)
        self._watch.look(at if self._beaten is None else min(at, self._beaten + CONTEST))

    def _found(self, hosts: tuple[str, ...], now: Now) -> None:
        """Who answers for the office: the master we knew, or others in its place."""
        self._beaten = None
        if self.office.role is not Role.POTENTIAL:
            return
        if hosts:
            if hosts[0] != self.master_host:
                self.master, self.master_host = "", hosts[0]
                self.backup.moved(now)
            self.candidacy.took_office()
            if not self.master:
                self._announcer.ask_master()
            return
        self.master = self.master_host = ""
        offender = self.candidacy.nobody_took_office(now)
        if offender is not None:
            self._ground.log(
                Level.WARNING,
                f"{self.subnet.interface.name}: {offender} wins elections and never becomes master: its "
                f"frames are ignored for {election.IGNORED_FOR / 60:.0f} minutes",
                BROWSER_IGNORED,
            )
        self._call(now)

    # ---- office

    def _moved(self, before: Role, now: Now) -> None:
        """Our office changed."""
        ground, shown = self._ground, self.subnet.interface.name
        match self.office.role:
            case Role.TAKING:
                self._watch.stop()
            case Role.MASTER:
                self._take_office(now)
            case Role.POTENTIAL:
                self._look_later(now)
        if before is Role.MASTER:
            self.master = self.master_host = ""
            self._announcer.begin(now.mono + ground.entropy.uniform(0.5, 1.5), is_master=False)
            ground.log(Level.NOTICE, f"{shown}: not master browser of {ground.group} any more", BROWSER_ROLE)
        self._changed(self, now)

    def _take_office(self, now: Now) -> None:
        ground, interface = self._ground, self.subnet.interface
        self.backup.end(now)
        self._know(ground.settings.netbios_name, interface.address)
        ground.log(Level.NOTICE, f"{interface.name}: master browser of {ground.group}", BROWSER_ROLE)
        self._announcer.begin(now.mono, is_master=True)
        self._announcer.ask_all()
