# SPDX-License-Identifier: GPL-3.0-or-later

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.controller import FOUND
from fakes.datagrams import golden, write_in
from pydaemons.netbios import logon
from pydaemons.netbios.logon import (
    LogonAnswer,
    LogonRequest,
    NtVersion,
    Opcode,
    PrimaryAnswer,
    PrimaryQuery,
    SamAnswer,
    SamAnswer5,
    SamAnswerEx,
    SamRequest,
)
from pydaemons.wire.errors import WireError

u8, u16, u32 = st.integers(0, 0xFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
text = st.binary(max_size=30).map(lambda raw: raw.replace(b"\0", b""))
wide = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20)
label = st.text("abcdefghijklmnopqrstuvwxyzäö0-9$", min_size=1, max_size=20)
dns = st.lists(label, max_size=4).map(".".join)
guid, address = st.binary(min_size=16, max_size=16), st.binary(min_size=4, max_size=4)

requests = st.one_of(
    st.builds(LogonRequest, text, text, text, u8),
    st.builds(PrimaryQuery, text, text, wide, u32),
    st.builds(PrimaryQuery, text, text, st.just(""), st.none()),
    st.builds(SamRequest, u16, wide, wide, text, u32, st.binary(max_size=68), u32),
)
answers = st.one_of(
    st.builds(LogonAnswer, text),
    st.builds(PrimaryAnswer, text, wide, wide, u32),
    st.builds(PrimaryAnswer, text, st.just(""), st.just(""), st.none()),
    st.builds(SamAnswer, st.sampled_from(sorted(logon.ANSWERS)), wide, wide, wide, u32),
    st.builds(
        SamAnswer5,
        st.sampled_from(sorted(logon.ANSWERS)),
        *(wide, wide, wide, guid, dns, dns, dns, address, u32, u32),
    ),
    st.builds(
        SamAnswerEx,
        st.sampled_from(sorted(logon.ANSWERS_EX)),
        *(u32, guid, dns, dns, dns, label, label, dns, label, label, st.none() | address, u32),
    ),
)


@given(requests)
def test_a_request_that_is_packed_is_unpacked(request):
    assert logon.unpack_request(request.pack()) == request


@given(answers)
def test_an_answer_that_is_packed_is_unpacked(answer):
    assert logon.unpack_answer(answer.pack()) == answer


def test_requests_of_smbtorture_are_read():
    query = write_in(golden()["smbtorture-primary-query"])[1].data
    slot = rb"\MAILSLOT\NET\GETDC466"
    assert logon.unpack_request(query) == PrimaryQuery(b"TORTURE_TEST", slot, "TORTURE_TEST", 1)
    sam = write_in(golden()["smbtorture-sam-logon"])[1].data
    slot = rb"\MAILSLOT\NET\GETDC341"
    assert logon.unpack_request(sam) == SamRequest(0, "TORTURE_TEST", "", slot, 0, b"", 11)


def test_answers_of_nmbd_come_out_byte_for_byte():
    sam = write_in(golden()["sam-response"])[1].data
    found = SamAnswer(Opcode.SAM_LOGON_RESPONSE, r"\\SUT", "", "TESTGRP", 1)
    assert logon.unpack_answer(sam) == found
    assert found.pack() == sam
    primary = write_in(golden()["primary-response"])[1].data
    found = PrimaryAnswer(b"SUT", "SUT", "TESTGRP", 1)
    assert logon.unpack_answer(primary) == found
    assert found.pack() == primary


def test_a_version_that_is_not_aligned_is_found():
    aligned = PrimaryAnswer(b"SUT", "SUT", "TESTGRP").pack()
    assert logon.unpack_answer(aligned[:30] + aligned[32:]) == PrimaryAnswer(b"SUT", "SUT", "TESTGRP")


def test_a_sid_begins_at_a_multiple_of_four():
    sid = bytes.fromhex("010400000000000515000000") + bytes(12)
    for computer in ("A", "AB"):
        packed = SamRequest(0, computer, "U$", b"\\MAILSLOT\\X", 0x80, sid, NtVersion.V1).pack()
        assert packed.index(sid) % 4 == 0


def test_a_controllers_address_is_little_endian_in_one_form_and_as_ever_in_the_other():
    address = bytes((10, 1, 2, 3))
    old = SamAnswer5(19, "S", "", "D", bytes(16), "f", "f", "h.f", address, 0)
    assert address[::-1] in old.pack()
    assert b"\x10\x02\0\0\0" + address in FOUND._replace(address=address).pack()


def test_an_ending_that_was_written_before_is_pointed_to():
    packed = FOUND.pack()
    assert packed.count(b"\x02ad\x07example") == 1
    assert packed.count(b"\x04Site") == 1


def test_a_name_of_two_loops_or_without_an_end_is_refused():
    head = FOUND.pack()[:24]
    for names in (b"\xc0\x18", b"\xc0\x40", b"\x05ab", b"\x01", b"\xc0", b"\x01a" * 300):
        with pytest.raises(WireError):
            logon.unpack_answer(head + names)


def test_messages_that_ask_nothing_are_none():
    assert logon.unpack_request(b"\x0a\0" + bytes(40)) is None
    assert logon.unpack_request(b"\x63\0") is None
    with pytest.raises(WireError):
        logon.unpack_answer(b"\x63\0")


@given(st.sampled_from([0, 6, 7, 12, 18, 19, 20, 21, 23, 24, 25]), st.binary(max_size=200))
def test_garbage_is_refused_by_the_one_error(opcode, data):
    for unpack in (logon.unpack_request, logon.unpack_answer):
        try:
            unpack(opcode.to_bytes(2, "little") + data)
        except WireError:
            pass


@given(st.one_of(requests, answers), st.integers())
def test_every_cut_and_every_flipped_byte_is_read_or_refused(message, seed):
    dice = random.Random(seed)
    packed = bytearray(message.pack())
    packed[dice.randrange(len(packed))] = dice.randrange(256)
    for end in (dice.randrange(len(packed)), len(packed)):
        for unpack in (logon.unpack_request, logon.unpack_answer):
            try:
                unpack(bytes(packed[:end]))
            except WireError:
                pass
