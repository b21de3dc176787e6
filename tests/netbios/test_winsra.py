# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.netbios import name, winsra
from pydaemons.netbios.name import Name
from pydaemons.netbios.winsra import (
    Command,
    Kind,
    Message,
    NameRecord,
    OwnedAddress,
    Owner,
    RecordKind,
    RecordState,
    Start,
    pack,
    unpack,
)
from pydaemons.wire.errors import WireError

address = st.binary(min_size=4, max_size=4)
versions = st.integers(0, 2**64 - 1)
contexts = st.integers(0, 2**32 - 1)
owners = st.builds(Owner, address, versions, versions)
scopes = st.lists(st.binary(min_size=1, max_size=20).filter(lambda b: not set(b) & {0, 46}), max_size=3).map(
    b".".join
)
# a first byte 1b is told apart from a swapped one by nobody
labels = st.binary(min_size=16, max_size=16).filter(lambda b: b[0] != 0x1B)


@st.composite
def records(draw) -> NameRecord:
    kind = draw(st.sampled_from(RecordKind))
    if kind in (RecordKind.UNIQUE, RecordKind.GROUP):
        addresses = (OwnedAddress(b"", draw(address)),)
    else:
        addresses = tuple(draw(st.lists(st.builds(OwnedAddress, address, address), max_size=4)))
    return NameRecord(
        Name(draw(labels), draw(scopes)),
        kind,
        draw(st.sampled_from(RecordState)),
        draw(st.integers(0, 3)),
        draw(st.booleans()),
        draw(versions),
        addresses,
    )


messages = st.one_of(
    st.builds(
        Message,
        st.sampled_from((Kind.START, Kind.START_REPLY)),
        contexts,
        st.builds(Start, contexts, st.integers(0, 65535), st.integers(0, 65535)),
        st.just(0),
        contexts,
    ),
    st.builds(winsra.stop, contexts, contexts),
    st.builds(
        winsra.replication,
        st.sampled_from(sorted(winsra.TABLES)),
        contexts,
        st.lists(owners, max_size=5).map(tuple),
    ),
    st.builds(winsra.replication, st.just(Command.NAMES_REQUEST), contexts, owners),
    st.builds(
        winsra.replication, st.just(Command.NAMES_REPLY), contexts, st.lists(records(), max_size=4).map(tuple)
    ),
    st.builds(winsra.replication, st.just(Command.TABLE_QUERY), contexts),
)


@given(messages)
def test_bytes_and_message_are_inverse(message: Message):
    assert unpack(pack(message)) == message


@given(messages, st.data())
def test_a_message_cut_short_is_a_wire_error_or_lost_its_padding(message: Message, data):
    packed = pack(message)
    end = data.draw(st.integers(0, len(packed) - 1))
    try:
        assert unpack(packed[:end]) == message
    except WireError:
        pass


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_a_wire_error(data: bytes):
    for head in (b"", bytes.fromhex("00007800 00000001 00000003 000000")):
        try:
            unpack(head + data)
        except WireError:
            pass


@given(messages, st.data())
def test_a_changed_byte_decodes_or_is_a_wire_error(message: Message, data):
    packed = bytearray(pack(message))
    packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    try:
        unpack(bytes(packed))
    except WireError:
        pass


def test_a_start_is_as_long_as_nt4s():
    data = pack(winsra.start(0, 0x11223344))
    assert data == bytes.fromhex("00007800 00000000 00000000 11223344 0002 0005") + bytes(21)


def test_a_record_has_the_shape_windows_gives_it():
    record = NameRecord(
        name.make("FILES", 0x20),
        RecordKind.UNIQUE,
        RecordState.TOMBSTONE,
        3,
        static=True,
        version=0x0102,
        addresses=(OwnedAddress(b"", b"\x0a\0\0\x07"),),
    )
    assert winsra.pack_record(record) == (
        bytes.fromhex("00000011")
        + b"FILES          \x20\0\0\0\0"
        + bytes.fromhex("000000e8 00000000 0000000000000102 0a000007 ffffffff")
    )


def test_first_byte_and_suffix_of_a_domain_masters_name_change_places():
    record = NameRecord(
        name.make("OFFICE", 0x1B), RecordKind.UNIQUE, RecordState.ACTIVE, 0,
        static=False, version=1, addresses=(OwnedAddress(b"", b"\x0a\0\0\x07"),),
    )  # fmt: skip
    assert winsra.pack_record(record)[4:20] == b"\x1bFFICE         O"
    message = winsra.replication(Command.NAMES_REPLY, 1, (record,))
    assert unpack(pack(message)).body == (record,)


def test_members_of_a_special_group_are_counted_in_the_other_byte_order():
    record = NameRecord(
        name.make("OFFICE", 0x1C), RecordKind.SPECIAL_GROUP, RecordState.ACTIVE, 0,
        static=False, version=1, addresses=(OwnedAddress(b"\x0a\0\0\1", b"\x0a\0\0\x07"),),
    )  # fmt: skip
    assert winsra.pack_record(record).endswith(bytes.fromhex("01000000 0a000001 0a000007 ffffffff"))
    assert winsra.pack_record(record)[24:32] == bytes.fromhex("00000002 01000000")


@pytest.mark.parametrize(
    "body",
    ["00000001", "ffffffff", "00000001 0000000f" + "00" * 40, "00000001 00000400" + "00" * 2000],
)
def test_a_wrong_count_or_length_of_names_is_a_wire_error(body: str):
    with pytest.raises(WireError):
        unpack(bytes.fromhex("00007800 00000001 00000003 00000003" + body))


def test_no_more_addresses_are_read_of_a_name_than_windows_gives_one_and_what_follows_is():
    many = tuple(OwnedAddress(b"\x0a\0\0\1", number.to_bytes(4, "big")) for number in range(1000))
    records = [
        NameRecord(
            name.make(text, 0x1C), RecordKind.SPECIAL_GROUP, RecordState.ACTIVE, 0,
            static=False, version=1, addresses=many,
        )
        for text in ("FIRST", "SECOND")
    ]  # fmt: skip
    first, second = unpack(pack(winsra.replication(Command.NAMES_REPLY, 1, tuple(records)))).body
    assert first.addresses == many[: winsra.MOST_ADDRESSES]
    assert second.name == records[1].name
