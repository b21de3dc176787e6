# SPDX-License-Identifier: GPL-3.0-or-later
"""When something is to be done about a call."""

from __future__ import annotations

import pytest

from fakes.network import Origins
from hosts import rx
from pydaemons.rx.call import ACK_DELAY, DEAD, KEEPALIVE, RUNNING, Call, State
from pydaemons.rx.connection import Connection
from pydaemons.rx.packet import unpack_header
from pydaemons.rx.roundtrip import RoundTrip
from pydaemons.rx.security import Null


@pytest.fixture
def call() -> Call:
    header = unpack_header(rx.Packet(1, 4, 1, 1, 1, rx.DATA, rx.CLIENT, 0, 0, 0, 1).bytes())
    connection = Connection(
        (1, 4, None),
        header,
        Origins()("10.0.0.9"),
        security=Null(),
        round_trip=RoundTrip(),
        serial=0,
        mono=100.0,
    )
    return Call(connection, 0, 1, host="10.0.0.9", mono=100.0)


def test_a_silent_client_is_given_up(call: Call) -> None:
    assert call.deadline() == 100.0 + DEAD
    call.hear(105.0)
    assert call.deadline() == 105.0 + DEAD


def test_a_client_that_waits_is_asked_whether_it_still_does(call: Call) -> None:
    call.state = State.WORKING
    assert call.deadline() == 100.0 + KEEPALIVE


def test_an_acknowledgement_put_off_comes_first(call: Call) -> None:
    call.state, call.ack_at = State.WORKING, 100.0 + ACK_DELAY
    assert call.deadline() == 100.0 + ACK_DELAY


def test_an_answer_under_way_is_sent_again(call: Call) -> None:
    call.state = State.SENDING
    call.sender.write(b"x")
    call.sender.close()
    packet = call.sender.due()
    assert packet is not None
    call.sender.sent(packet, 1, 100.0)
    assert call.deadline() == 101.0


@pytest.mark.parametrize(
    "state", [state for state in State if state not in RUNNING and state is not State.SENDING]
)
def test_what_has_ended_needs_nothing(call: Call, state: State) -> None:
    call.state = state
    assert call.deadline() is None
