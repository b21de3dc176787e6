# SPDX-License-Identifier: GPL-3.0-or-later
"""The reader never leaves its part of the packet."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.wire.cursor import Reader
from pydaemons.wire.errors import WireError


def test_integers_come_in_both_byte_orders() -> None:
    reader = Reader(b"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d")
    assert (reader.u8(), reader.u16(), reader.u32()) == (1, 0x0203, 0x04050607)
    assert (reader.u16le(), reader.u32le()) == (0x0908, 0x0D0C0B0A)
    assert reader.remaining() == 0


@given(st.binary(max_size=40), st.lists(st.integers(-3, 20), max_size=10))
def test_taking_more_than_there_is_names_the_offset_and_moves_nothing(data: bytes, sizes: list[int]) -> None:
    reader = Reader(data)
    at = 0
    for size in sizes:
        if 0 <= size <= len(data) - at:
            assert reader.take(size) == data[at : at + size]
            at += size
        else:
            with pytest.raises(WireError) as caught:
                reader.take(size)
            assert caught.value.offset == at
        assert reader.offset == at


def test_a_restricted_reader_ends_with_its_part_and_keeps_whole_packet_offsets() -> None:
    outer = Reader(b"abcdefgh", 2)
    part = outer.restrict(3)
    assert (part.rest(), outer.rest()) == (b"cde", b"fgh")
    with pytest.raises(WireError) as caught:
        part.u8()
    assert caught.value.offset == 5


@pytest.mark.parametrize(("offset", "end"), [(-1, 3), (4, 3), (0, 9)])
def test_a_part_outside_the_packet_is_refused(offset: int, end: int) -> None:
    with pytest.raises(WireError):
        Reader(b"12345678", offset, end)
