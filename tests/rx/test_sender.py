# SPDX-License-Identifier: GPL-3.0-or-later
"""The outgoing half of a call: windows, losses, timeouts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.rx.packet import LONGEST_PAYLOAD, Ack, Reason
from pydaemons.rx.roundtrip import RoundTrip
from pydaemons.rx.sender import SMALLEST, WAITING, Sender


class Wire:
    """Counts serial numbers, as a connection does."""

    def __init__(self) -> None:
        self.sender = Sender(RoundTrip())
        self.serial = 0
        self.mono = 10.0
        self.acks = 0

    def send(self) -> list[tuple[int, int]]:
        """What may go now: sequence and serial numbers."""
        sent = []
        while (packet := self.sender.due()) is not None:
            self.serial += 1
            self.sender.sent(packet, self.serial, self.mono)
            sent.append((packet.seq, self.serial))
        return sent

    def ack(self, first: int, acks: bytes = b"", *, serial: int = 0, **fields: int) -> bool:
        self.acks += 1
        reason = fields.pop("reason", Reason.REQUESTED)
        ack = Ack(first, 0, serial, reason, acks, **{"window": 32, **fields})
        return self.sender.acknowledge(ack, 1000 + self.acks, self.mono)


@pytest.fixture
def wire() -> Wire:
    return Wire()


def packets(wire: Wire, count: int) -> None:
    wire.sender.write(b"x" * (count * LONGEST_PAYLOAD))
    wire.sender.close()


def test_it_begins_with_one_packet_and_doubles_with_each_answer(wire: Wire) -> None:
    packets(wire, 20)
    sizes = []
    for _ in range(4):
        sent = wire.send()
        sizes.append(len(sent))
        wire.ack(sent[-1][0] + 1, serial=sent[-1][1])
    assert sizes == [1, 2, 4, 8]


def test_an_empty_answer_is_one_empty_last_packet(wire: Wire) -> None:
    wire.sender.close()
    packet = wire.sender.due()
    assert packet is not None and (packet.seq, packet.payload, packet.last) == (1, b"", True)
    wire.send()
    assert wire.ack(2) and wire.sender.finished


def test_the_last_packet_is_the_one_that_says_so(wire: Wire) -> None:
    wire.sender.write(b"x" * LONGEST_PAYLOAD)
    assert wire.sender.due() is None, "whether it is the last one is not known yet"
    wire.sender.close()
    packet = wire.sender.due()
    assert packet is not None and packet.last and len(packet.payload) == LONGEST_PAYLOAD


def test_never_more_is_under_way_than_the_peer_has_room_for(wire: Wire) -> None:
    packets(wire, 50)
    wire.sender.congestion = 1000
    assert len(wire.send()) == 15, "a peer that said nothing is an old one"
    wire.ack(1, b"\1" * 15, window=20)
    assert [seq for seq, _ in wire.send()] == [16, 17, 18, 19, 20], "what it has not read takes room"


def test_three_later_ones_that_came_mean_a_loss(wire: Wire) -> None:
    packets(wire, 30)
    wire.sender.congestion = 8
    first = wire.send()
    wire.mono += 0.1
    wire.ack(2, b"\0\1\1", serial=first[3][1])
    assert 2 not in [seq for seq, _ in wire.send()], "two may have overtaken it"
    wire.ack(2, b"\0\1\1\1", serial=first[4][1])
    again = wire.send()
    assert again[0] == (2, wire.serial - len(again) + 1) and wire.sender.resends == 1
    assert wire.sender.threshold < 8, "and the network is full"


def test_a_packet_just_sent_is_not_lost_because_another_path_was_shorter(wire: Wire) -> None:
    packets(wire, 30)
    wire.sender.congestion = 8
    sent = wire.send()
    wire.mono += 0.2
    wire.ack(2, serial=sent[0][1])
    wire.sender.congestion = 12
    wire.send()
    wire.ack(9, b"\0\1\1\1\1", serial=0)
    assert not wire.send() or 9 not in [seq for seq, _ in wire.send()]


def test_what_the_peer_drops_again_is_sent_again(wire: Wire) -> None:
    packets(wire, 4)
    wire.sender.congestion = 4
    wire.send()
    wire.ack(1, b"\1\1\1\1")
    assert wire.sender.deadline() is None
    wire.ack(1, b"\1\0\1\1")
    assert wire.sender.deadline() is not None


def test_a_timeout_sends_the_first_again_alone_and_waits_twice_as_long(wire: Wire) -> None:
    packets(wire, 10)
    wire.sender.congestion = 4
    wire.send()
    at = wire.sender.deadline()
    assert at == wire.mono + 1.0
    wire.mono = at
    wire.sender.expire(wire.mono)
    assert [seq for seq, _ in wire.send()] == [1]
    assert wire.sender.deadline() == wire.mono + 2.0
    wire.ack(3, serial=wire.serial)
    assert [seq for seq, _ in wire.send()][:1] == [3], "the others follow as it answers"


def test_an_acknowledgement_that_was_overtaken_changes_nothing(wire: Wire) -> None:
    packets(wire, 10)
    wire.sender.congestion = 4
    wire.send()
    wire.ack(4)
    assert wire.sender.first == 4 and not wire.ack(2, b"\0\0")
    assert wire.sender.first == 4


def test_packets_never_sent_cannot_be_acknowledged(wire: Wire) -> None:
    packets(wire, 3)
    assert not wire.ack(100)
    assert not wire.ack(0xFFFF_FFFF) and wire.send()


def test_only_what_says_which_packet_made_it_measures_the_round_trip() -> None:
    for serial, reason, measured in (
        (1, Reason.REQUESTED, True),
        (0, Reason.DELAY, False),
        (1, Reason.DELAY, False),
    ):
        wire = Wire()
        packets(wire, 3)
        wire.send()
        wire.mono += 0.25
        wire.ack(2, serial=serial, reason=reason)
        assert wire.sender._round_trip.measured is measured
        assert not measured or wire.sender._round_trip.average == 0.25


def test_a_peer_may_want_smaller_packets_but_not_absurd_ones(wire: Wire) -> None:
    packets(wire, 1)
    wire.send()
    wire.ack(1, longest=1000, interface=1444)
    assert wire.sender.payload == 972
    wire.ack(1, longest=1, interface=1)
    assert wire.sender.payload == SMALLEST


def test_a_writer_is_told_to_wait(wire: Wire) -> None:
    wire.sender.write(b"x" * (WAITING * LONGEST_PAYLOAD))
    assert not wire.sender.full
    wire.sender.write(b"x" * (2 * LONGEST_PAYLOAD))
    assert wire.sender.full


def test_the_first_packet_can_be_divided(wire: Wire) -> None:
    packets(wire, 3)
    wire.sender.shorten(100)
    wire.sender.congestion = 10
    parts = []
    while (packet := wire.sender.due()) is not None:
        wire.sender.sent(packet, 1, 0.0)
        parts.append((packet.seq, len(packet.payload), packet.last))
    assert parts == [
        (1, 100, False),
        (2, LONGEST_PAYLOAD - 100, False),
        (3, LONGEST_PAYLOAD, False),
        (4, LONGEST_PAYLOAD, True),
    ]
    assert wire.sender.end == 5


@given(st.data(), st.integers(0, 40_000))
def test_any_answers_whatever_make_no_trouble(data: st.DataObject, size: int) -> None:
    wire = Wire()
    wire.sender.write(b"x" * size)
    wire.sender.close()
    for _ in range(20):
        flying = [seq for seq, _ in wire.send()]
        assert all(seq < wire.sender.first + max(wire.sender.window, 15) for seq in flying)
        wire.mono += data.draw(st.floats(0, 3))
        wire.ack(
            data.draw(st.integers(0, 40)),
            data.draw(st.binary(max_size=20)),
            serial=data.draw(st.integers(0, 40)),
            window=data.draw(st.integers(0, 300)),
            longest=data.draw(st.integers(0, 0xFFFF_FFFF)),
        )
        deadline = wire.sender.deadline()
        if deadline is not None and deadline <= wire.mono:
            wire.sender.expire(wire.mono)
