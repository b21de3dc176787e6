# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.datagrams import golden, write_in
from pydaemons.netbios import browse
from pydaemons.netbios.browse import (
    LANMAN_ROWS,
    LONGEST_COMMENT,
    ROWS,
    AnnouncementRequest,
    BackupListResponse,
    BecomeBackup,
    DomainAnnouncement,
    Election,
    HostAnnouncement,
    Kind,
    LanmanAnnouncement,
    LanmanKind,
    LanmanRequest,
    LocalMasterAnnouncement,
    MasterAnnouncement,
    ServerType,
)
from pydaemons.wire.errors import WireError

u8, u16, u32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))
text = st.binary(max_size=15).map(lambda raw: raw.replace(b"\0", b"x"))
comments = st.binary(max_size=LONGEST_COMMENT).map(lambda raw: raw.replace(b"\0", b"x"))


def announcements(kind, comment):
    return st.builds(
        kind,
        updates=u8, period_ms=u32, name=text, os_major=u8, os_minor=u8, type=u32, browser_version=u16,
        signature=u16, comment=comment,
    )  # fmt: skip


BROWSER_FRAMES = {
    Kind.HOST_ANNOUNCEMENT: announcements(HostAnnouncement, comments),
    Kind.ANNOUNCEMENT_REQUEST: st.builds(AnnouncementRequest, u8, text),
    Kind.ELECTION: st.builds(Election, u8, u32, u32, u32, text),
    Kind.BACKUP_LIST_REQUEST: st.builds(browse.BackupListRequest, u8, u32),
    Kind.BACKUP_LIST_RESPONSE: st.builds(
        BackupListResponse, u8, u32, st.lists(text.filter(bool), max_size=browse.MOST_BACKUPS).map(tuple)
    ),
    Kind.BECOME_BACKUP: st.builds(BecomeBackup, text),
    Kind.DOMAIN_ANNOUNCEMENT: announcements(DomainAnnouncement, text),
    Kind.MASTER_ANNOUNCEMENT: st.builds(MasterAnnouncement, text),
    Kind.RESET_STATE: st.builds(browse.ResetState, u8),
    Kind.LOCAL_MASTER_ANNOUNCEMENT: announcements(LocalMasterAnnouncement, comments),
}
LANMAN_FRAMES = {
    LanmanKind.ANNOUNCEMENT: st.builds(LanmanAnnouncement, u32, u8, u8, u16, text, comments),
    LanmanKind.REQUEST: st.builds(LanmanRequest, text),
}


def test_every_frame_is_tried_here():
    assert set(BROWSER_FRAMES) == set(ROWS) == set(Kind)
    assert set(LANMAN_FRAMES) == set(LANMAN_ROWS) == set(LanmanKind)


@given(st.one_of(*BROWSER_FRAMES.values()))
def test_a_browser_frame_survives_the_wire(frame):
    assert browse.unpack(browse.pack(frame)) == frame


@given(st.one_of(*LANMAN_FRAMES.values()))
def test_a_lanman_frame_survives_the_wire(frame):
    assert browse.unpack_lanman(browse.pack(frame)) == frame


@pytest.mark.parametrize("unpack", [browse.unpack, browse.unpack_lanman])
@given(st.binary(max_size=100) | st.tuples(st.sampled_from(list(Kind)), st.binary(max_size=60)).map(
    lambda pair: bytes([pair[0]]) + pair[1]))  # fmt: skip
def test_anything_is_a_frame_or_a_wire_error(unpack, data):
    try:
        frame = unpack(data)
    except WireError:
        return
    assert unpack(browse.pack(frame)) == frame


@given(st.one_of(*BROWSER_FRAMES.values()), st.integers(0, 60))
def test_a_frame_cut_anywhere_is_a_frame_or_a_wire_error(frame, size):
    try:
        browse.unpack(browse.pack(frame)[:size])
    except WireError:
        pass


@pytest.mark.parametrize(
    ("what", "kind", "name", "type_", "period_ms", "comment"),
    [
        ("host-announcement", HostAnnouncement, b"SUT", None, None, None),
        ("local-master-announcement", LocalMasterAnnouncement, b"SUT", None, None, None),
        ("domain-announcement", DomainAnnouncement, b"TESTGRP", None, None, b"SUT"),
    ],
)
def test_nmbds_announcements_are_read(what, kind, name, type_, period_ms, comment):
    frame = browse.unpack(write_in(golden()[what])[1].data)
    assert type(frame) is kind
    assert frame.name == name
    assert (frame.os_major, frame.os_minor) == (6, 1)
    assert (frame.browser_version, frame.signature) == (0x010F, 0xAA55)
    assert frame.period_ms % 60_000 == 0
    assert frame.type & ServerType.NT
    if comment is not None:
        assert frame.comment == comment
    assert browse.pack(frame) == write_in(golden()[what])[1].data


def test_nmbds_election_is_read():
    frame = browse.unpack(write_in(golden()["election"])[1].data)
    assert isinstance(frame, Election)
    assert frame.criterion >> 24 == 65
    assert frame.criterion >> 8 & 0xFFFF == 0x010F
    assert frame.name == b"SUT"


def test_nmbds_request_and_lanman_announcement_are_read():
    assert browse.unpack(write_in(golden()["announcement-request"])[1].data) == AnnouncementRequest(1, b"")
    frame = browse.unpack_lanman(write_in(golden()["lanman-announcement"])[1].data)
    assert isinstance(frame, LanmanAnnouncement)
    assert (frame.name, frame.period, frame.os_major) == (b"SUT", 10, 6)


def test_a_comment_without_its_end_is_read_and_one_too_long_cut():
    frame = HostAnnouncement(0, 0, b"A", 6, 1, 3, 0x010F, 0xAA55, b"x" * LONGEST_COMMENT)
    packed = browse.pack(frame)
    assert browse.unpack(packed[:-1]) == frame
    assert browse.unpack(packed[:-1] + b"yyyy") == frame


def test_an_empty_frame_and_an_unknown_one_are_wire_errors():
    for data in (b"", b"\x07", b"\xff" * 50):
        with pytest.raises(WireError):
            browse.unpack(data)
        with pytest.raises(WireError):
            browse.unpack_lanman(data)
