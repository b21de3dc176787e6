# SPDX-License-Identifier: GPL-3.0-or-later
"""Records: what is packed comes back, whatever the guess; any other bytes are a WireError."""

from struct import pack
from typing import Annotated, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.wire.errors import WireError
from pydaemons.wire.record import SHAPES, Array, Clamped, Codec, Fixed, Nested, Opaque, Optional, Truth


class Inner(NamedTuple):
    number: Annotated[int, Fixed("I")]
    label: Annotated[bytes, Opaque(8)]


class Simple(NamedTuple):
    head: Annotated[int, Fixed("Q")]
    name: Annotated[bytes, Opaque(20)]
    flag: Annotated[bool, Truth()]
    tail: Annotated[bytes, Opaque(20)]
    sign: Annotated[int, Fixed("i")]


class Rich(NamedTuple):
    items: Annotated[tuple[int, ...], Array(Fixed("I"), 4)]
    maybe: Annotated[int | None, Optional(Fixed("I"))]
    inner: Inner
    many: Annotated[tuple[Inner, ...], Array(Nested(Codec(Inner)), 3)]


SIMPLE, RICH = Codec(Simple), Codec(Rich)
simple = st.builds(
    Simple,
    st.integers(0, 2**64 - 1),
    st.binary(max_size=20),
    st.booleans(),
    st.binary(max_size=20),
    st.integers(-(2**31), 2**31 - 1),
)
inner = st.builds(Inner, st.integers(0, 2**32 - 1), st.binary(max_size=8))
u32 = st.integers(0, 2**32 - 1)
rich = st.builds(
    Rich,
    st.lists(u32, max_size=4).map(tuple),
    st.none() | u32,
    inner,
    st.lists(inner, max_size=3).map(tuple),
)


@given(st.lists(simple, min_size=1, max_size=8), st.binary(max_size=9))
def test_what_was_packed_is_unpacked_again_whatever_sizes_came_before(
    values: list[Simple], before: bytes
) -> None:
    for value in values:
        data = before + SIMPLE.pack(value)
        assert SIMPLE.unpack(data, len(before)) == value
        assert SIMPLE.unpack_from(data, len(before)) == (value, len(data))


@given(rich)
def test_nested_optional_and_array_fields_come_back(value: Rich) -> None:
    data = RICH.pack(value)
    assert RICH.unpack_from(data, 0) == (value, len(data))


def test_the_wire_form_is_xdr() -> None:
    data = SIMPLE.pack(Simple(1, b"abcde", True, b"", -1))
    assert data == pack(">QI5s3xIIi", 1, 5, b"abcde", 1, 0, -1)


def test_two_records_of_one_size_but_other_lengths_are_told_apart() -> None:
    first, second = Simple(0, b"aaaa", True, b"", 0), Simple(0, b"", True, b"bbbb", 0)
    for value in (first, second, first, second):
        assert SIMPLE.unpack(SIMPLE.pack(value), 0) == value


def test_surplus_bytes_are_ignored() -> None:
    value = Simple(0, b"xyz", False, b"q", 5)
    for surplus in range(9):
        assert SIMPLE.unpack(SIMPLE.pack(value) + bytes(surplus), 0) == value


def test_any_number_but_zero_is_true() -> None:
    data = bytearray(SIMPLE.pack(Simple(0, b"", False, b"", 0)))
    data[12:16] = pack(">I", 7)
    assert SIMPLE.unpack(bytes(data), 0).flag is True


@given(simple, st.data())
def test_a_cut_record_is_an_error_and_never_another_record(value: Simple, data: st.DataObject) -> None:
    whole = SIMPLE.pack(value)
    SIMPLE.unpack(whole, 0)
    size = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(WireError):
        SIMPLE.unpack(whole[:size], 0)


@given(st.binary(max_size=120))
def test_any_bytes_decode_or_raise_wire_error(data: bytes) -> None:
    for codec in (SIMPLE, RICH):
        try:
            value, end = codec.unpack_from(data, 0)
        except WireError as error:
            assert 0 <= error.offset <= len(data) + 4
        else:
            assert end <= len(data)
            assert codec.unpack(data, 0) == value


@pytest.mark.parametrize("size", [21, 2**31, 2**32 - 1])
def test_a_field_longer_than_its_limit_is_refused_both_ways(size: int) -> None:
    with pytest.raises(WireError, match="20 are allowed"):
        SIMPLE.unpack(pack(">QI", 0, size) + bytes(64), 0)
    with pytest.raises(WireError):
        SIMPLE.pack(Simple(0, bytes(21), True, b"", 0))


def test_a_variant_exchanges_wire_kinds_and_keeps_the_python_side() -> None:
    narrow = SIMPLE.variant({Fixed("Q"): Clamped("I", 99)})
    data = narrow.pack(Simple(2**40, b"a", True, b"", 0))
    assert narrow.unpack(data, 0).head == 99
    assert len(SIMPLE.pack(Simple(0, b"a", True, b"", 0))) == len(data) + 4


def test_hostile_sizes_do_not_make_the_memory_of_sizes_grow() -> None:
    class Wide(NamedTuple):
        body: Annotated[bytes, Opaque(4 * SHAPES + 8)]

    codec = Codec(Wide)
    for size in range(0, 4 * SHAPES + 8, 4):
        assert codec.unpack(codec.pack(Wide(bytes(size))), 0).body == bytes(size)
    predicted = codec.unpack.__globals__["predicted"]
    assert len(predicted) <= SHAPES


def test_a_field_without_a_wire_kind_is_a_mistake_at_definition() -> None:
    class Vague(NamedTuple):
        number: int

    with pytest.raises(TypeError, match="number"):
        Codec(Vague)
