# SPDX-License-Identifier: GPL-3.0-or-later
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.browsing import Net, frames, masters, place, say, station
from fakes.datagrams import write_in
from fakes.ether import Host, Station
from pydaemons.netbios import browse, dgram, mailslot, name
from pydaemons.netbios.browse import (
    AnnouncementRequest,
    BackupListRequest,
    BackupListResponse,
    BecomeBackup,
    DomainAnnouncement,
    Frame,
    HostAnnouncement,
    LocalMasterAnnouncement,
    MasterAnnouncement,
    ServerType,
)
from pydaemons.netbios.node.hearing import BURST, SOURCES, Hearing
from pydaemons.netbios.node.office import Role


def host_frame(text: str, *, type_: int = 0x9A03, comment: bytes = b"hi") -> HostAnnouncement:
    return HostAnnouncement(0, 60_000, text.encode(), 6, 1, type_, 0x10F, 0xAA55, comment)


@pytest.fixture
def net() -> Net:
    return Net()


@pytest.fixture
def master(net) -> Station:
    alpha = station(net, "ALPHA", "10.0.0.1")
    net.run(30)
    assert masters(net) == [alpha]
    return alpha


@pytest.fixture
def nine(net) -> Host:
    return net.host("10.0.0.9", 138)


def test_every_frame_has_somebody_to_hear_it():
    assert {row.frame for row in (*browse.ROWS.values(), *browse.LANMAN_ROWS.values())} == set(
        Hearing.HANDLERS
    )


def test_a_host_that_announces_itself_is_listed_and_removed_when_it_leaves(net, master, nine):
    say(net, nine, host_frame("NINE"), source="NINE#00", to="GRP#1d")
    found = place(master).servers.find("GRP", "NINE")
    assert (found.type, found.comment, found.version, found.source) == (0x9A03, "hi", (6, 1), "10.0.0.9")
    net.run(5)
    assert '"NINE"                    40009a03 "hi"' in master.lists[-1]
    say(net, nine, host_frame("NINE", type_=0), source="NINE#20", to="GRP#1d")
    net.run(6)
    assert "NINE" not in master.lists[-1]


def test_only_the_master_keeps_the_list(net, nine):
    shy = station(net, "SHY", "10.0.0.1", local_master=False)
    net.run(10)
    say(net, nine, host_frame("NINE"), source="NINE#00", to="GRP#1d")
    say(net, nine, host_frame("NINE"), source="NINE#00", to="GRP#1e")
    assert len(place(shy).servers) == 0


def test_nobody_announces_others_nor_us(net, master, nine):
    say(net, nine, host_frame("VICTIM"), source="NINE#00", to="GRP#1d")
    say(net, nine, host_frame("ALPHA", comment=b"evil"), source="alpha#20", to="GRP#1d")
    say(net, nine, MasterAnnouncement(b"OTHER"), source="NINE#00", to="ALPHA#00")
    forged = DomainAnnouncement(0, 60_000, b"EVIL", 6, 1, 0x1000, 0x10F, 0xAA55, b"OTHER")
    say(net, nine, forged, source="NINE#00", to="\x01\x02__MSBROWSE__\x02#01")
    assert len(place(master).servers) == 0
    assert master.node.browser.hearing.counts.forged >= 3
    assert master.node.browser.own_lines()[0].comment == ""


def test_another_groups_master_makes_its_group_known(net, master, nine):
    frame = DomainAnnouncement(0, 60_000, b"OTHER", 6, 1, 0x80001000, 0x10F, 0xAA55, b"NINE")
    say(net, nine, frame, source="NINE#00", to="\x01\x02__MSBROWSE__\x02#01")
    net.run(5)
    assert '"OTHER"                   c0001000 "NINE"' in master.lists[-1]
    net.run(200)
    assert "OTHER" not in master.lists[-1]


def test_the_master_of_a_new_group_is_told_of_ours_at_once_and_once(net, master, nine):
    net.run(1000)
    net.seen.clear()
    frame = DomainAnnouncement(0, 60_000, b"OTHER", 6, 1, 0x80001000, 0x10F, 0xAA55, b"NINE")
    for _ in range(10):
        say(net, nine, frame, source="NINE#00", to="\x01\x02__MSBROWSE__\x02#01")
    net.run(4)
    assert len(frames(net, DomainAnnouncement, "10.0.0.1")) == 1


def test_our_own_frames_are_not_heard_when_they_come_back(net, master):
    assert master.node.browser.hearing.counts.frames == 0
    assert frames(net, HostAnnouncement)  # they were sent, to everybody on the network


def test_one_source_may_say_so_much_only(net, master, nine):
    for number in range(1000):
        nine.send(raw(host_frame(f"H{number}"), f"H{number}#00", "GRP#1d"), "10.0.0.255", 138)
    net.run(0.5)
    assert BURST <= len(place(master).servers) <= BURST + 2
    assert master.node.browser.hearing.counts.too_many >= 900
    other = net.host("10.0.0.10", 138)
    say(net, other, host_frame("TEN"), source="TEN#00", to="GRP#1d")
    assert place(master).servers.find("GRP", "TEN")


def test_sources_without_number_do_not_make_it_grow(net, master):
    hearing = master.node.browser.hearing
    for number in range(SOURCES + 50):
        assert hearing._may_send(f"10.{number >> 8}.{number & 255}.1", net.now)
    assert len(hearing._sources) <= SOURCES


def test_far_hosts_announce_themselves_and_no_more(net, master):
    far = net.host("10.0.7.7", 138)
    say(net, far, host_frame("FAR"), source="FAR#00", to="GRP#1d", address="10.0.0.1")
    assert place(master).servers.find("GRP", "FAR")
    before = net.mono
    for frame in (
        browse.Election(1, 0xFFFFFFFF, 0xFFFFFFFF, 0, b"FAR"),
        browse.ResetState(3),
        LocalMasterAnnouncement(0, 60_000, b"FAR", 6, 1, 0x49A03, 0x10F, 0xAA55, b""),
    ):
        say(net, far, frame, source="FAR#00", to="GRP#1e", address="10.0.0.1")
    assert place(master).office.role is Role.MASTER
    assert master.node.browser.hearing.counts.forged == 3
    assert net.mono - before < 1


def test_a_request_for_announcements_is_answered_within_seconds(net, master, nine):
    net.run(600)
    net.seen.clear()
    say(net, nine, AnnouncementRequest(0, b"NINE"), source="NINE#00")
    net.run(11)
    assert frames(net, LocalMasterAnnouncement)
    assert frames(net, DomainAnnouncement)


def test_a_thousand_requests_are_answered_as_one(net, master, nine):
    net.run(600)
    net.seen.clear()
    for _ in range(1000):
        nine.send(raw(AnnouncementRequest(0, b"NINE"), "NINE#00", "GRP#1e"), "10.0.0.255", 138)
    net.run(11)
    assert len(frames(net, LocalMasterAnnouncement)) <= 2


def test_a_client_is_told_whom_to_ask_for_the_list(net, master, nine):
    for text, type_ in (("NINE", 0x9A03 | ServerType.BACKUP_BROWSER), ("PLAIN", 0x9A03)):
        say(net, nine, host_frame(text, type_=type_), source=f"{text}#00", to="GRP#1d")
    nine.got.clear()
    say(net, nine, BackupListRequest(4, 0xDEADBEEF), source="NINE#00", to="GRP#1d")
    (answer,) = [data for source, data in nine.got if source.host == "10.0.0.1"]
    packet = dgram.unpack(answer)
    assert packet.kind == dgram.Kind.DIRECT_UNIQUE
    assert browse.unpack(write_in(answer)[1].data) == BackupListResponse(2, 0xDEADBEEF, (b"ALPHA", b"NINE"))
    nine.got.clear()
    say(net, nine, BackupListRequest(1, 5), source="NINE#00", to="GRP#1d")
    assert browse.unpack(write_in(nine.got[0][1])[1].data).names == (b"ALPHA",)


def test_what_we_do_not_do_is_counted_and_harmless(net, master, nine):
    for frame in (BackupListResponse(1, 1, (b"X",)), BecomeBackup(b"ALPHA")):
        say(net, nine, frame, source="NINE#00")
    assert master.node.browser.hearing.counts.ignored == 2


def raw(frame: Frame, source: str, to: str, slot: bytes = mailslot.BROWSE) -> bytes:
    names = (name.pack(name.parse(each)) for each in (source, to))
    write = mailslot.Write(slot, browse.pack(frame)).pack()
    return dgram.Datagram(dgram.Kind.DIRECT_GROUP, 7, bytes(4), 138, *names, write).pack()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(st.sampled_from([*browse.ROWS, 0, 77]), st.binary(max_size=60), st.booleans()), max_size=40
    ),
    st.integers(0, 2**32),
)
def test_no_frame_does_harm_and_bad_ones_are_counted(said, seed):
    net = Net(seed)
    alpha = station(net, "ALPHA", "10.0.0.1")
    net.run(30)
    dice = random.Random(seed)
    for number, data, lanman in said:
        host = net.host(f"10.0.0.{dice.randrange(2, 250)}", 138)
        slot = mailslot.LANMAN if lanman else mailslot.BROWSE
        to = dice.choice(("GRP#1d", "GRP#1e", "GRP#00", "ALPHA#00", "*#00"))
        say(net, host, bytes([number]) + data, source="NINE#00", to=to, slot=slot)
    net.run(400)
    assert masters(net) == [alpha]
    counts = alpha.node.browser.hearing.counts
    heard = counts.frames + alpha.node.mailslots.counts.not_for_us  # a reset may take names away
    assert counts.bad + counts.forged + counts.ignored <= counts.frames
    assert heard >= len(said)
