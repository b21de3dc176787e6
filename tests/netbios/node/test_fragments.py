# SPDX-License-Identifier: GPL-3.0-or-later
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.claims import wire
from pydaemons.netbios import dgram
from pydaemons.netbios.dgram import FIRST, MORE, USUAL, Datagram, Kind
from pydaemons.netbios.node.fragments import BYTES, OPEN, PER_SOURCE, PIECES, TIMEOUT, Fragments

HOST = "10.0.0.9"


def whole(data: bytes, id_: int = 1) -> Datagram:
    return Datagram(
        Kind.DIRECT_UNIQUE, id_, bytes(4), 138, wire("A#20"), wire("B#20"), data, flags=USUAL & ~MORE
    )


def piece(data: bytes, offset: int, *, more: bool, id_: int = 1) -> Datagram:
    flags = (MORE if more else 0) | (FIRST if offset == 0 else 0)
    return whole(data, id_)._replace(offset=offset, flags=flags)


@given(st.integers(300, 2000), st.integers(), st.booleans())
def test_pieces_in_any_order_and_twice_make_the_datagram(size, seed, twice):
    dice = random.Random(seed)
    data = dice.randbytes(size)
    pieces = dgram.split(whole(data), 300)
    pieces *= 2 if twice else 1
    dice.shuffle(pieces)
    fragments = Fragments()
    found = [got.data for each in pieces if (got := fragments.add(each, HOST, 0.0)) is not None]
    assert data in found
    assert set(found) == {data}
    assert fragments.dropped == 0


def test_pieces_of_different_senders_and_datagrams_do_not_mix():
    fragments = Fragments()
    assert fragments.add(piece(b"one", 0, more=True), HOST, 0.0) is None
    assert fragments.add(piece(b"two", 3, more=False), "10.0.0.8", 0.0) is None
    assert fragments.add(piece(b"two", 3, more=False, id_=2), HOST, 0.0) is None
    assert fragments.add(piece(b"two", 3, more=False), HOST, 0.0).data == b"onetwo"


@pytest.mark.parametrize(
    "pieces",
    [
        [(b"abcd", 0, True), (b"xyz", 2, False)],
        [(b"abcd", 0, True), (b"other", 0, True)],
        [(b"end", 8, False), (b"later", 20, True)],
        [(b"end", 8, False), (b"end2", 30, False)],
        [(b"far", 20, True), (b"end", 8, False)],
        [(b"", 0, True)],
        [(b"x" * 10, BYTES - 5, True)],
    ],
    ids=["overlap", "other data", "behind the end", "two ends", "end before others", "empty", "too long"],
)
def test_pieces_that_make_no_sense_drop_their_datagram(pieces):
    fragments = Fragments()
    for data, offset, more in pieces:
        assert fragments.add(piece(data, offset, more=more), HOST, 0.0) is None
    assert len(fragments) == 0
    assert fragments.dropped == 1


def test_a_datagram_has_so_many_pieces_only():
    fragments = Fragments()
    for i in range(PIECES + 1):
        fragments.add(piece(b"x", 2 * i, more=True), HOST, 0.0)
    assert (len(fragments), fragments.dropped) == (0, 1)


def test_the_rest_may_take_two_seconds():
    fragments = Fragments()
    fragments.add(piece(b"one", 0, more=True), HOST, 0.0)
    fragments.add(piece(b"one", 0, more=True, id_=2), HOST, 1.0)
    assert fragments.add(piece(b"two", 3, more=False), HOST, TIMEOUT) is None
    assert fragments.add(piece(b"two", 3, more=False, id_=2), HOST, TIMEOUT).data == b"onetwo"
    assert fragments.dropped == 1


def test_neither_one_host_nor_many_make_it_grow():
    fragments = Fragments()
    for id_ in range(100):
        fragments.add(piece(b"x", 0, more=True, id_=id_), HOST, 0.0)
    assert len(fragments) == PER_SOURCE
    for i in range(1000):
        fragments.add(piece(b"x", 0, more=True), f"10.0.{i >> 8}.{i & 255}", 0.0)
    assert len(fragments) == OPEN
    # the newest are those that are kept
    assert fragments.add(piece(b"y", 1, more=False), "10.0.3.231", 0.0).data == b"xy"


def test_random_pieces_never_break_it():
    dice = random.Random(8)
    fragments = Fragments()
    for i in range(20000):
        data = bytes(dice.randrange(0, 400))
        each = whole(data, dice.randrange(8))._replace(flags=dice.randrange(4), offset=dice.randrange(6000))
        fragments.add(each, f"10.0.0.{dice.randrange(8)}", i / 1000)
        assert len(fragments) <= OPEN
