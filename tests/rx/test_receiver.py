# SPDX-License-Identifier: GPL-3.0-or-later
"""The incoming half of a call."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pydaemons.rx.packet import Flag, Reason
from pydaemons.rx.receiver import WINDOW, Receiver


def test_packets_in_order_are_read_as_bytes() -> None:
    receiver = Receiver()
    assert receiver.take(1, 0, b"abc") is None
    assert receiver.take(2, Flag.WANT_ACK, b"def") is Reason.REQUESTED
    assert receiver.take(3, Flag.LAST, b"g") is Reason.IDLE, "two nobody has heard of"
    assert receiver.complete and receiver.available == 7
    assert (receiver.read(2), receiver.read(3), receiver.read(2)) == (b"ab", b"cde", b"fg")
    assert receiver.first == 4


def test_early_packets_wait_and_are_told() -> None:
    receiver = Receiver()
    assert receiver.take(3, Flag.LAST, b"c") is Reason.OUT_OF_SEQUENCE
    assert receiver.have() == b"\0\0\1" and receiver.available == 0
    assert receiver.take(1, 0, b"a") is Reason.IDLE, "good news for who sends again"
    assert receiver.have() == b"\1\0\1"
    assert receiver.take(3, Flag.LAST, b"c") is Reason.DUPLICATE
    assert receiver.take(2, 0, b"b") is Reason.IDLE
    assert receiver.complete and receiver.read(3) == b"abc"


def test_room_is_made_by_the_reader_alone() -> None:
    receiver = Receiver()
    for seq in range(1, WINDOW + 1):
        receiver.take(seq, 0, b"x")
    assert receiver.take(WINDOW + 1, 0, b"x") is Reason.EXCEEDS_WINDOW
    assert receiver.have() == b"\1" * WINDOW
    receiver.read(5)
    assert receiver.first == 6 and receiver.take(WINDOW + 1, 0, b"x") is Reason.IDLE


def test_a_reader_that_wants_it_whole_swallows() -> None:
    receiver = Receiver()
    for seq in range(1, 101):
        assert receiver.take(seq, 0, b"xy") is not Reason.EXCEEDS_WINDOW
        receiver.swallow(1000)
    assert receiver.first == 101 and receiver.read(200) == b"xy" * 100


def test_nothing_comes_behind_the_last_packet() -> None:
    receiver = Receiver()
    receiver.take(2, Flag.LAST, b"b")
    assert receiver.take(3, 0, b"c") is Reason.EXCEEDS_WINDOW
    receiver.take(5, Flag.LAST, b"?")
    receiver.take(1, 0, b"a")
    assert receiver.complete and receiver.read(2) == b"ab"


def test_a_last_packet_in_front_of_others_is_not_believed() -> None:
    receiver = Receiver()
    receiver.take(3, 0, b"c")
    receiver.take(2, Flag.LAST, b"b")
    receiver.take(1, 0, b"a")
    assert not receiver.complete and receiver.available == 3


@given(st.lists(st.integers(1, 20), max_size=200), st.lists(st.integers(1, 40)))
def test_any_order_gives_the_bytes_in_order(order: list[int], reads: list[int]) -> None:
    pieces = {seq: bytes([seq]) * (seq % 5) for seq in range(1, 21)}
    receiver, got, wanted = Receiver(), b"", iter(reads)
    for seq in [*order, *range(1, 21)]:
        receiver.take(seq, Flag.LAST if seq == 20 else 0, pieces[seq])
        size = next(wanted, 0)
        if size and receiver.available >= size:
            got += receiver.read(size)
        assert receiver.first <= receiver.next
    assert receiver.complete
    assert got + receiver.read(receiver.available) == b"".join(pieces.values())
