# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server sends, and sends again."""

from __future__ import annotations

import pytest

from fakes.rxnet import CID, DOWNLOAD, ECHO, EPOCH, REFUSE, SLOW, Network, ack, content, data
from hosts import rx
from pydaemons.rx.call import State


@pytest.fixture
def net() -> Network:
    return Network()


def test_an_answer_nobody_acknowledges_is_sent_again_and_given_up(net: Network) -> None:
    net.give(data(rx.u32(ECHO) + b"hi"))
    for _ in range(300):
        net.clock.pass_(0.1)
        net.tick()
    assert 3 <= len(net.sent) <= 6, "1, 3, 6, 9 ... s later, as far as the unproved address allows"
    assert net.endpoint.counts["dead clients"] == 1
    assert len({packet.serial for packet in rx.replies(net.sent)}) == len(net.sent)


def test_an_abort_is_kept_for_who_asks_again(net: Network) -> None:
    for serial in (1, 2):
        (abort,) = rx.replies(net.give(data(rx.u32(REFUSE, -7), serial=serial)))
        assert (abort.kind, abort.body) == (rx.ABORT, rx.u32(-7))
    assert len(net.service.begun) == 1


def test_a_ping_is_answered_with_its_serial_number(net: Network) -> None:
    net.give(data(rx.u32(SLOW)))
    (answer,) = rx.replies(net.give(ack(1, reason=rx.PING, flags=rx.WANT_ACK)))
    said = rx.parse_ack(answer.body)
    assert (said.reason, said.serial, answer.flags & rx.WANT_ACK) == (rx.PING_RESPONSE, 9, 0)


def test_an_answer_divided_for_an_unproved_address_ends_with_its_last_part(net: Network) -> None:
    first = rx.replies(net.give(data(rx.u32(ECHO) + bytes(200))))
    assert [packet.flags for packet in first] == [rx.LAST], "it fits"
    said = rx.replies(net.give(data(rx.u32(DOWNLOAD, 1600), call=2)))
    calls = net.endpoint._connections[EPOCH, CID, None].calls
    while said[-1].flags & rx.LAST == 0:
        assert calls[0].state is not State.DONE and len(said) < 99
        said += rx.replies(net.give(ack(said[-1].seq + 1, call=2)))
    assert b"".join(packet.body for packet in said) == content(0, 1600) and len(said) > 3
    net.give(ack(said[-1].seq + 1, call=2))
    assert calls[0].state is State.DONE
