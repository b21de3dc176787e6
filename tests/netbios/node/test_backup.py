# SPDX-License-Identifier: GPL-3.0-or-later
from dataclasses import replace

import pytest

from fakes.browsing import Net, frames, masters, place, say, serve_lists, station
from fakes.ether import Host, Station
from pydaemons.netbios.browse import BecomeBackup, Desire, Election, HostAnnouncement, ServerType
from pydaemons.netbios.node.browsesync import FetchList
from pydaemons.netbios.node.events import Reconfigured
from pydaemons.netbios.node.serverlist import LIFETIMES

INTERVAL = 900.0
"""The default of browse_sync_interval."""


class Site:
    """ALPHA is master, BETA and GAMMA may become it, OLD only announces itself."""

    def __init__(self, silent: frozenset[str] = frozenset()) -> None:
        self.net = Net()
        self.asked: list[FetchList] = serve_lists(self.net, silent=silent)
        self.alpha = station(self.net, "ALPHA", "10.0.0.1", level=40)
        self.beta = station(self.net, "BETA", "10.0.0.2")
        self.gamma = station(self.net, "GAMMA", "10.0.0.3")
        self.old = station(self.net, "OLD", "10.0.0.4", local_master=False)
        self.net.run(60)
        assert masters(self.net) == [self.alpha]
        self.voice: Host = self.net.host("10.0.0.1", 138)
        """Speaks with the master's address."""

    def promote(self, text: bytes = b"BETA", host: Host | None = None) -> None:
        say(self.net, host or self.voice, BecomeBackup(text), source="ALPHA#00")
        self.net.run(10)

    def known(self, of: Station) -> set[str]:
        return {line.name for line in of.node.browser.lines() if line.group == "GRP"}


def test_a_host_that_is_told_to_keeps_a_copy_and_says_so():
    site = Site()
    assert site.known(site.beta) == {"GRP", "ALPHA", "BETA"}
    site.promote()
    assert [(each.host, each.name) for each in site.asked] == [("10.0.0.1", "ALPHA")]
    assert site.known(site.beta) == {"GRP", "ALPHA", "BETA", "GAMMA", "OLD"}
    entry = place(site.alpha).servers.find("GRP", "BETA")
    assert entry.type & ServerType.BACKUP_BROWSER
    assert entry.type & ServerType.POTENTIAL_BROWSER
    assert not place(site.alpha).servers.find("GRP", "GAMMA").type & ServerType.BACKUP_BROWSER
    assert any("backup browser of GRP" in line for line in site.beta.logs)


def test_the_copy_is_fetched_anew_at_each_interval():
    site = Site()
    site.promote()
    site.promote()  # said twice is done once
    site.net.run(3 * INTERVAL)
    assert len(site.asked) == 1 + 3
    assert "OLD" in site.known(site.beta)


def test_who_cannot_get_the_list_is_no_backup():
    site = Site(silent=frozenset({"10.0.0.1"}))
    site.promote()
    assert len(site.asked) == 1
    assert not place(site.beta).backup.is_one
    site.net.run(3 * INTERVAL)
    assert len(site.asked) == 1, "tried again when it is told again"
    site.promote()
    assert len(site.asked) == 2
    types = {each.frame.type for each in frames(site.net, HostAnnouncement, "10.0.0.2")}
    assert types and not any(type_ & ServerType.BACKUP_BROWSER for type_ in types)


def test_a_backup_whose_copy_became_too_old_is_none_any_more():
    site = Site()
    site.promote()
    serve_lists(site.net, silent=frozenset({"10.0.0.1"}))
    site.net.run((LIFETIMES - 1) * INTERVAL)
    assert place(site.beta).backup.is_one
    site.net.run(2 * INTERVAL)
    assert not place(site.beta).backup.is_one
    assert not place(site.alpha).servers.find("GRP", "BETA").type & ServerType.BACKUP_BROWSER
    assert any("not backup browser of GRP any more" in line for line in site.beta.logs)


def test_nobody_but_the_master_may_want_it_and_only_of_a_potential_master():
    site = Site()
    site.promote(host=site.net.host("10.0.0.66", 138))
    site.promote(b"OLD")
    site.promote(b"NOBODY")
    assert site.asked == []


@pytest.mark.parametrize("told", [True, False])
def test_after_a_crash_the_backup_is_elected_and_has_the_list(told):
    site = Site()
    if told:
        site.promote(b"GAMMA")
    site.net.remove(site.alpha)
    site.net.seen.clear()
    site.net.run(50)
    (winner,) = masters(site.net)
    assert winner is (site.gamma if told else site.beta), "among equals the lower name, but for a backup"
    sent = frames(site.net, Election)
    assert any(each.frame.criterion & Desire.BACKUP for each in sent) == told
    if told:
        assert site.known(winner) >= {"BETA", "GAMMA", "OLD"}
        assert not place(winner).backup.is_one
        assert not place(winner).type() & ServerType.BACKUP_BROWSER


def test_when_the_office_moves_the_new_masters_list_is_copied():
    site = Site()
    site.promote()
    delta = station(site.net, "DELTA", "10.0.0.5", level=60, preferred_master=True)
    site.net.run(60)
    assert masters(site.net) == [delta]
    assert site.asked[-1].host == "10.0.0.5"
    assert place(site.beta).backup.is_one


def test_a_host_that_may_be_master_no_longer_keeps_no_copy_either():
    site = Site()
    site.promote()
    settings = site.beta.node.settings
    meek = replace(settings, browsing=replace(settings.browsing, local_master=False))
    site.net.tell(site.beta, Reconfigured(meek))
    asked = len(site.asked)
    site.net.run(3 * INTERVAL)
    assert not place(site.beta).backup.is_one
    assert len(site.asked) == asked
    assert site.known(site.beta) == {"GRP", "ALPHA", "BETA"}, "and the copy is gone with its age"


def test_a_shorter_interval_holds_from_the_moment_it_is_set():
    site = Site()
    site.promote()
    assert len(site.asked) == 1
    site.net.tune(site.beta, "browse_sync_interval", "30")
    site.net.run(31)
    assert len(site.asked) == 2
