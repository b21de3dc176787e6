# SPDX-License-Identifier: GPL-3.0-or-later
from itertools import pairwise

from fakes.browsing import Net, frames, station
from pydaemons.engine.protocol import Now
from pydaemons.netbios.browse import AnnouncementRequest, DomainAnnouncement, HostAnnouncement
from pydaemons.netbios.browse import LocalMasterAnnouncement as Master
from pydaemons.netbios.node.announce import ASKED_AGAIN, GROUP_STEPS, HOST_STEPS, Schedule
from pydaemons.netbios.node.events import StopRequested


def times(steps: tuple[float, ...], hours: float = 2.0, longest: float = 1e9) -> list[float]:
    schedule, mono, found = Schedule(steps), 0.0, []
    schedule.begin(0.0)
    while (mono := schedule.deadline()) < hours * 3600:
        assert schedule.due(Now(mono, 0.0), longest)
        assert not schedule.due(Now(mono, 0.0), longest)
        found.append(mono)
    return found


def test_pauses_grow_as_the_specification_has_them():
    assert times(HOST_STEPS)[:8] == [0, 60, 120, 240, 480, 960, 1680, 2400]
    assert times(GROUP_STEPS)[:9] == [0, 60, 120, 420, 720, 1320, 1920, 2820, 3720]


def test_the_longest_pause_can_be_set():
    assert times(HOST_STEPS, hours=0.2, longest=100.0)[:5] == [0, 60, 120, 220, 320]


def test_who_is_asked_announces_soon_and_then_as_a_newcomer():
    schedule = Schedule(HOST_STEPS)
    schedule.begin(0.0)
    for _ in range(10):
        schedule.due(Now(schedule.deadline(), 0.0), 1e9)
    schedule.hurry(schedule.deadline() - 100.0)
    assert schedule.due(Now(schedule.deadline(), 0.0), 1e9)
    assert schedule.period == HOST_STEPS[ASKED_AGAIN]
    schedule.hurry(schedule.deadline() + 50.0)  # no later than it would be anyway
    assert schedule.period == HOST_STEPS[ASKED_AGAIN]


def test_a_host_announces_itself_and_its_aliases_each_in_its_own_name():
    net = Net()
    station(net, "ALPHA", "10.0.0.1", aliases=("OTHER",), local_master=False, comment="hello")
    net.run(1)
    sent = frames(net, HostAnnouncement)
    assert [(str(each.source), str(each.destination), each.frame.name) for each in sent] == [
        ("ALPHA<00>", "GRP<1d>", b"ALPHA"),
        ("OTHER<00>", "GRP<1d>", b"OTHER"),
    ]
    first = sent[0].frame
    assert (first.type, first.comment, first.period_ms) == (0x809A03, b"hello", 60_000)
    assert (first.os_major, first.os_minor, first.browser_version, first.signature) == (6, 1, 0x10F, 0xAA55)


def test_a_day_of_announcements_names_each_pause_truly():
    net = Net()
    station(net, "ALPHA", "10.0.0.1", local_master=False)
    net.run(86400)
    sent = frames(net, HostAnnouncement)
    gaps = [after.at - before.at for before, after in pairwise(sent)]
    assert [round(gap * 1000) for gap in gaps] == [each.frame.period_ms for each in sent[:-1]]
    assert max(gaps) == 720


def test_a_master_announces_itself_to_all_and_its_group_to_other_masters():
    net = Net()
    station(net, "ALPHA", "10.0.0.1")
    net.run(20)
    (master,), (group,), (request,) = (
        frames(net, kind) for kind in (Master, DomainAnnouncement, AnnouncementRequest)
    )
    assert str(master.destination) == "GRP<1e>"
    assert master.frame.type == 0x849A03
    assert group.destination.label == b"\x01\x02__MSBROWSE__\x02\x01"
    assert (group.frame.name, group.frame.comment, group.frame.type) == (b"GRP", b"ALPHA", 0x80001000)
    assert str(request.destination) == "GRP<1e>"


def test_who_stops_takes_its_names_out_of_the_lists():
    net = Net()
    alpha = station(net, "ALPHA", "10.0.0.1", aliases=("OTHER",))
    net.run(20)
    net.seen.clear()
    net.tell(alpha, StopRequested())
    assert [(each.frame.name, each.frame.type) for each in frames(net, HostAnnouncement)] == [
        (b"ALPHA", 0),
        (b"OTHER", 0),
    ]
    assert [each.frame.type for each in frames(net, Master)] == [0]
    net.run(3600)
    assert alpha.left
    assert len(frames(net, HostAnnouncement)) == 2


def test_a_shorter_pause_holds_from_the_moment_it_is_set():
    net = Net()
    alpha = station(net, "ALPHA", "10.0.0.1")
    net.run(3 * 3600)
    net.tune(alpha, "announce_interval", "20")
    net.seen.clear()
    net.run(21)
    assert len(frames(net, Master)) == len(frames(net, DomainAnnouncement)) == 1
