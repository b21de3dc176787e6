# SPDX-License-Identifier: GPL-3.0-or-later
from fakes.browsing import Net, frames, place, say, serve_lists, station
from pydaemons.netbios import mailslot
from pydaemons.netbios.browse import (
    HostAnnouncement,
    LanmanAnnouncement,
    LanmanRequest,
    MasterAnnouncement,
    ServerType,
)
from pydaemons.netbios.node.events import StopRequested
from pydaemons.netbios.node.remote import REMOTE_EVERY
from pydaemons.netbios.node.settings import RemoteMaster


def test_far_masters_are_told_of_us_under_their_own_groups_name():
    net = Net()
    targets = (RemoteMaster("10.0.5.255"), RemoteMaster("10.0.6.7", "OTHER"))
    station(net, "ALPHA", "10.0.0.1", aliases=("SECOND",), remote_announce=targets, comment="hi")
    net.run(30 + 3 * REMOTE_EVERY)
    sent = [each for each in frames(net, HostAnnouncement) if not each.to.startswith("10.0.0.")]
    assert {(each.to, str(each.destination), each.frame.name) for each in sent} == {
        ("10.0.5.255", "GRP<1d>", b"ALPHA"),
        ("10.0.5.255", "GRP<1d>", b"SECOND"),
        ("10.0.6.7", "OTHER<1d>", b"ALPHA"),
        ("10.0.6.7", "OTHER<1d>", b"SECOND"),
    }
    assert len(sent) == 4 * (1 + 4)  # once more as it becomes master
    last = {each.to: each.frame for each in sent}
    assert last["10.0.5.255"].period_ms == REMOTE_EVERY * 1000
    assert last["10.0.5.255"].type & ServerType.MASTER_BROWSER
    assert not last["10.0.6.7"].type & (ServerType.MASTER_BROWSER | ServerType.POTENTIAL_BROWSER)


def test_a_far_master_lists_us_and_hears_our_good_bye():
    net = Net()
    far = station(net, "FAR", "10.0.5.1")
    alpha = station(net, "ALPHA", "10.0.0.1", remote_announce=(RemoteMaster("10.0.5.255"),))
    net.run(30 + REMOTE_EVERY)
    assert place(far).servers.find("GRP", "ALPHA")
    net.tell(alpha, StopRequested())
    net.run(1)
    assert place(far).servers.find("GRP", "ALPHA") is None


def test_masters_of_far_networks_exchange_lists_when_both_name_each_other():
    net = Net()
    serve_lists(net)
    one = station(net, "ONE", "10.0.1.1", remote_sync=("10.0.2.255",))
    two = station(net, "TWO", "10.0.2.1", remote_sync=("10.0.1.1",))
    net.run(30)  # whoever comes to office says so at once
    assert {str(each.destination) for each in frames(net, MasterAnnouncement)} == {"*<00>"}
    assert "ONE" in {line.name for line in two.node.browser.lines()}
    assert "TWO" not in {line.name for line in one.node.browser.lines()}  # it did not name TWO's own address


def test_lan_manager_hosts_are_announced_to_when_one_was_heard():
    net = Net()
    alpha = station(net, "ALPHA", "10.0.0.1", comment="hello")
    old = net.host("10.0.0.9", 138)
    net.run(600)
    assert frames(net, LanmanAnnouncement) == []
    heard = LanmanAnnouncement(3, 37, 0, 60, b"OLD", b"OS/2")
    say(net, old, heard, source="OLD#00", to="GRP#00", slot=mailslot.LANMAN)
    assert place(alpha).servers.find("GRP", "OLD").comment == "OS/2"
    net.run(200)
    sent = frames(net, LanmanAnnouncement, "10.0.0.1")
    assert len(sent) in (3, 4)
    assert (sent[0].frame.name, sent[0].frame.comment, sent[0].frame.period) == (b"ALPHA", b"hello", 60)
    assert str(sent[0].destination) == "GRP<00>"
    net.seen.clear()
    net.tell(alpha, StopRequested())
    assert [each.frame.type for each in frames(net, LanmanAnnouncement)] == [0]


def test_newer_hosts_on_that_mailslot_announce_themselves_elsewhere_too():
    net = Net()
    alpha = station(net, "ALPHA", "10.0.0.1")
    samba = net.host("10.0.0.9", 138)
    net.run(30)
    heard = LanmanAnnouncement(3, 6, 1, 60, b"SAMBA", b"")
    say(net, samba, heard, source="SAMBA#00", to="GRP#00", slot=mailslot.LANMAN)
    assert place(alpha).servers.find("GRP", "SAMBA") is None
    assert not alpha.node.browser.lanman.heard


def test_lm_announce_yes_needs_nobody_and_no_hears_nobody():
    net = Net()
    station(net, "YES", "10.0.0.1", lm_announce=True)
    station(net, "NO", "10.0.0.2", lm_announce=False)
    slow = station(net, "NEVER", "10.0.0.3", lm_announce=True)
    slow.node.tunables.set("lm_interval", "0", "test")
    old = net.host("10.0.0.9", 138)
    net.run(1)
    say(net, old, LanmanRequest(b"OLD"), source="OLD#00", to="GRP#00", slot=mailslot.LANMAN)
    net.run(10)
    assert {each.frame.name for each in frames(net, LanmanAnnouncement)} >= {b"YES"}
    assert b"NO" not in {each.frame.name for each in frames(net, LanmanAnnouncement)}


def test_lm_interval_can_be_set_to_none_and_back():
    net = Net()
    alpha = station(net, "ALPHA", "10.0.0.1", lm_announce=True)
    net.run(100)
    net.tune(alpha, "lm_interval", "0")
    net.seen.clear()
    net.run(300)
    assert frames(net, LanmanAnnouncement) == []
    net.tune(alpha, "lm_interval", "3600")
    net.run(600)
    assert [each.frame.period for each in frames(net, LanmanAnnouncement)] == [3600]
    net.tune(alpha, "lm_interval", "30")
    net.run(31)
    assert [each.frame.period for each in frames(net, LanmanAnnouncement)] == [3600, 30]


def test_who_stops_is_not_announced_again_whatever_is_tuned():
    net = Net()
    alpha = station(net, "ALPHA", "10.0.0.1", lm_announce=True)
    net.run(100)
    net.tell(alpha, StopRequested())
    net.tune(alpha, "lm_interval", "30")
    net.run(100)
    assert frames(net, LanmanAnnouncement)[-1].frame.type == 0
