# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pydaemons.netbios.node import winsrecord
from pydaemons.netbios.node.winsrecord import Member, Record, State
from pydaemons.netbios.winsra import RecordKind
from pydaemons.wire.errors import WireError

u32 = st.integers(0, 0xFFFFFFFF)
address = st.binary(min_size=4, max_size=4)
plain = st.tuples(
    st.sampled_from(State),
    st.integers(0, 0xFFFF),
    u32,
    st.lists(st.tuples(address, u32).map(lambda parts: Member(*parts)), max_size=25).map(tuple),
).map(lambda parts: Record(*parts))
versioned = st.builds(
    Record,
    st.sampled_from(State),
    st.integers(0, 0xFFFF),
    u32,
    st.lists(st.builds(Member, address, u32, address), max_size=25).map(tuple),
    st.sampled_from(RecordKind),
    address,
    st.integers(1, 2**64 - 1),
    st.booleans(),
)
records = plain | versioned


@given(records)
def test_packing_and_unpacking_are_inverse(record: Record):
    assert winsrecord.unpack(record.pack()) == record


@given(st.binary(max_size=60))
@example(b"\xb4" + bytes(17) + b"\1")
def test_what_a_store_holds_is_a_record_or_a_wire_error(data: bytes):
    try:
        record = winsrecord.unpack(data)
    except WireError:
        return
    assert record.pack() == data


@pytest.mark.parametrize("first", [0x03, 0x10, 0x40, 0x7F])
def test_a_record_in_a_state_nobody_has_defined_is_none(first):
    with pytest.raises(WireError):
        winsrecord.unpack(bytes([first]) + bytes(14))
