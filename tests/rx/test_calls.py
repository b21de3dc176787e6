# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls at the server, packet by packet. The client's are made by hand or by the independent client."""

from __future__ import annotations

import pytest

from fakes.rxnet import (
    CID,
    DOWNLOAD,
    ECHO,
    EPOCH,
    QUICK,
    REFUSE,
    SLOW,
    UPLOAD,
    WRONG,
    Network,
    ack,
    content,
    data,
)
from hosts import rx
from pydaemons.rx.call import Brief, State
from pydaemons.rx.crowd import Limits


@pytest.fixture
def net() -> Network:
    return Network()


def test_a_request_in_one_packet_is_answered_in_one(net: Network) -> None:
    (answer,) = rx.replies(net.give(data(rx.u32(ECHO) + b"hi")))
    assert (answer.kind, answer.seq, answer.flags, answer.body) == (rx.DATA, 1, rx.LAST, b"hi")
    assert (answer.epoch, answer.cid, answer.call) == (EPOCH, CID, 1)


def test_a_repeated_request_is_not_executed_again_but_answered(net: Network) -> None:
    net.give(data(rx.u32(ECHO) + b"hi"))
    net.clock.pass_(1.0)
    (answer,) = rx.replies(net.give(data(rx.u32(ECHO) + b"hi", serial=2, flags=rx.LAST | rx.WANT_ACK)))
    assert (answer.kind, answer.body) == (rx.DATA, b"hi")
    assert len(net.service.begun) == 1


def test_a_request_that_crosses_its_answer_is_not_answered_twice(net: Network) -> None:
    net.give(data(rx.u32(ECHO) + b"hi"))
    net.clock.pass_(0.001)
    assert net.give(data(rx.u32(ECHO) + b"hi", serial=2)) == []


def test_an_acknowledged_answer_is_forgotten(net: Network) -> None:
    net.give(data(rx.u32(ECHO) + b"hi"))
    assert net.give(ack(2)) == []
    net.clock.pass_(2.0)
    assert net.tick() == []
    assert net.give(data(rx.u32(ECHO) + b"hi", serial=3)) == [] and len(net.service.begun) == 1


def quick(code: int = 0, *, call: int = 1, serial: int = 1) -> bytes:
    return data(rx.u32(QUICK, 77, code), call=call, serial=serial)


def test_a_question_answered_at_a_glance_is_sent_again_like_any_other(net: Network) -> None:
    net.give(quick())  # makes the connection
    (answer,) = rx.replies(net.give(quick(call=2)))
    assert (answer.kind, answer.seq, answer.flags, answer.body) == (rx.DATA, 1, rx.LAST, rx.u32(77, 0))
    net.clock.pass_(1.1)
    (again,) = rx.replies(net.tick())
    assert again.body == answer.body and again.serial > answer.serial and again.flags & rx.WANT_ACK
    net.clock.pass_(1.6)
    (once_more,) = rx.replies(net.give(quick(call=2, serial=5)))
    assert once_more.body == answer.body
    net.give(ack(2, call=2))
    net.clock.pass_(9.0)
    assert net.tick() == []


def test_a_question_answered_at_a_glance_is_acknowledged_in_any_way(net: Network) -> None:
    net.give(quick())
    for number, said in enumerate((
        lambda n: ack(2, call=n), lambda n: ack(1, call=n, reason=rx.PING, flags=rx.WANT_ACK),
        lambda n: ack(2, call=n, reason=rx.REQUESTED, serial=net.sent and rx.parse(net.sent[-1]).serial),
        lambda n: rx.Packet(EPOCH, CID, n, 0, 2, rx.ACKALL, rx.CLIENT, 0, 0, 0, 1).bytes(),
        lambda n: rx.Packet(EPOCH, CID, n, 0, 2, rx.ABORT, rx.CLIENT, 0, 0, 0, 1, rx.u32(-1)).bytes(),
    ), 2):  # fmt: skip
        net.give(quick(call=number))
        pong = rx.replies(net.give(said(number)))
        assert [rx.parse_ack(p.body).reason for p in pong] == ([rx.PING_RESPONSE] if number == 3 else [])
        kept = net.endpoint._connections[EPOCH, CID, None].calls[0]
        assert kept is not None and (kept.state is State.DONE) == (number != 3)


def test_a_no_at_a_glance_is_kept_too(net: Network) -> None:
    net.give(quick())
    for serial in (1, 2, 3):
        (abort,) = rx.replies(net.give(quick(-9, call=2, serial=serial)))
        assert (abort.kind, abort.body) == (rx.ABORT, rx.u32(-9))


@pytest.mark.parametrize("size", [200, 1416, 1417, 5000])
def test_what_is_too_long_for_a_glance_is_answered_at_leisure(net: Network, size: int) -> None:
    net.give(quick())
    call = net.start(rx.ClientCall(rx.u32(QUICK, 77, 0, size), epoch=EPOCH, cid=CID, number=2))
    net.run(limit=20)
    assert call.answer == content(0, size)


@pytest.mark.parametrize(
    ("body", "code"), [(b"", -454), (b"\0\0", -454), (rx.u32(99), -455), (rx.u32(WRONG), -453)]
)
def test_what_cannot_be_read_has_the_codes_of_the_stubs(net: Network, body: bytes, code: int) -> None:
    (abort,) = rx.replies(net.give(data(body)))
    assert (abort.kind, abort.body) == (rx.ABORT, rx.u32(code))


def test_the_next_call_acknowledges_the_last_one(net: Network) -> None:
    net.give(data(rx.u32(ECHO) + b"one"))
    (answer,) = rx.replies(net.give(data(rx.u32(ECHO) + b"two", call=2)))
    assert answer.body == b"two"
    net.clock.pass_(2.0)
    assert [packet.call for packet in rx.replies(net.tick())] == [2]
    assert net.give(data(rx.u32(ECHO) + b"one")) == [] and net.endpoint.counts["of an old call"] == 1


def test_four_channels_work_at_a_time(net: Network) -> None:
    for channel in range(4):
        net.give(data(rx.u32(SLOW) + b"%d" % channel, cid=CID | channel))
    assert len(net.service.waiting) == 4
    for call in reversed(net.service.waiting):
        (answer,) = rx.replies(net.resume(call, b"!"))
        assert answer.body == b"%d!" % (answer.cid & 3)


def test_a_channel_whose_call_is_being_worked_on_is_busy(net: Network) -> None:
    net.give(data(rx.u32(SLOW)))
    (busy,) = rx.replies(net.give(data(rx.u32(ECHO) + b"x", call=2)))
    assert (busy.kind, busy.body) == (rx.BUSY, b"")
    net.resume(net.service.waiting[0], b"!")
    (answer,) = rx.replies(net.give(data(rx.u32(ECHO) + b"x", call=2)))
    assert answer.body == b"x"


def test_who_waits_is_told_so_and_asked_whether_it_does(net: Network) -> None:
    net.give(data(rx.u32(SLOW)))
    net.clock.pass_(0.1)
    (told,) = rx.replies(net.tick())
    assert (told.kind, rx.parse_ack(told.body).reason) == (rx.ACK, rx.DELAY)
    assert rx.parse_ack(told.body).first == 2
    net.give(ack(1, reason=rx.REQUESTED, serial=told.serial))
    net.clock.pass_(4.1)
    (ping,) = rx.replies(net.tick())
    assert rx.parse_ack(ping.body).reason == rx.PING and ping.flags & rx.WANT_ACK


def test_a_ping_for_a_call_that_has_ended_is_told_how(net: Network) -> None:
    ping = ack(1, reason=rx.PING, flags=rx.WANT_ACK)
    net.give(data(rx.u32(REFUSE, 4711)))
    (abort,) = rx.replies(net.give(ping))
    assert (abort.kind, abort.body) == (rx.ABORT, rx.u32(4711)), "the first one may have been lost"
    net.give(data(rx.u32(ECHO), call=2))
    net.clock.pass_(20)
    net.tick()
    (dead,) = rx.replies(net.give(ack(1, call=2, reason=rx.PING, flags=rx.WANT_ACK)))
    assert (dead.kind, dead.body) == (rx.ABORT, rx.u32(-1)), "it was given up"


def test_a_client_that_is_gone_is_told_to_whom_it_concerns(net: Network) -> None:
    ended = []
    net.endpoint.when_ended(lambda call, now: ended.append(call))
    net.give(data(rx.u32(SLOW)))
    (call,) = net.service.waiting
    for _ in range(200):
        net.clock.pass_(0.1)
        net.tick()
    assert ended == [call]
    assert net.resume(call, b"!") == [], "too late"


def test_a_client_that_pings_may_wait_for_ever(net: Network) -> None:
    net.give(data(rx.u32(SLOW)))
    for _ in range(40):
        net.clock.pass_(4.0)
        net.give(ack(1, reason=rx.PING, flags=rx.WANT_ACK))
        net.tick()
    (answer,) = rx.replies(net.resume(net.service.waiting[0], b"!"))
    assert answer.body == b"!"


@pytest.mark.parametrize("number", [0, 1])
def test_a_client_may_end_a_call_or_all(net: Network, number: int) -> None:
    ended = []
    net.endpoint.when_ended(lambda call, now: ended.append(call))
    net.give(data(rx.u32(SLOW)))
    abort = rx.Packet(EPOCH, CID, number, 0, 2, rx.ABORT, rx.CLIENT, 0, 0, 0, 1, rx.u32(-1)).bytes()
    assert net.give(abort) == [] and len(ended) == 1
    assert net.endpoint.deadline() is not None, "the connection is kept a while"


def test_all_is_acknowledged_at_once_by_ackall(net: Network) -> None:
    net.give(data(rx.u32(ECHO) + b"x"))
    net.give(rx.Packet(EPOCH, CID, 1, 0, 2, rx.ACKALL, rx.CLIENT, 0, 0, 0, 1).bytes())
    net.clock.pass_(3.0)
    assert net.tick() == []


def test_a_request_in_pieces_is_put_together_in_any_order(net: Network) -> None:
    pieces = [rx.u32(ECHO) + b"aa", b"bb", b"cc"]
    (told,) = rx.replies(net.give(data(pieces[2], seq=3)))
    assert rx.parse_ack(told.body)[3:5] == (rx.OUT_OF_SEQUENCE, b"\0\0\1")
    net.give(data(pieces[0], seq=1, flags=0))
    (answer,) = rx.replies(net.give(data(pieces[1], seq=2, flags=0)))
    assert answer.body == b"aabbcc"


def test_a_request_that_never_ends_is_refused(net: Network) -> None:
    said = []
    for seq in range(1, 60):
        said += rx.replies(net.give(data(rx.u32(ECHO) + bytes(1400), seq=seq, flags=0)))
    assert (said[-1].kind, said[-1].body) == (rx.ABORT, rx.u32(-453))


def test_a_packet_longer_than_agreed_is_dropped(net: Network) -> None:
    assert net.give(data(rx.u32(ECHO) + bytes(1500))) == []
    assert net.endpoint.counts["too long"] == 1


def test_an_upload_is_held_back_while_nobody_reads_and_goes_on_then(net: Network) -> None:
    call = net.start(
        rx.ClientCall(rx.u32(UPLOAD, 300_000) + content(0, 300_000), epoch=EPOCH, cid=CID, window=40)
    )
    net.finish_after = 2.0
    net.run()
    assert call.answer == b"done" and net.service.uploaded == content(0, 300_000)
    assert rx.EXCEEDS in call.acks_seen, "there was more than there is room for"


def test_an_upload_shorter_than_announced_is_refused(net: Network) -> None:
    call = net.start(rx.ClientCall(rx.u32(UPLOAD, 5000) + bytes(4000), epoch=EPOCH, cid=CID))
    net.run()
    assert call.code == -453


def test_jumbograms_are_understood(net: Network) -> None:
    call = net.start(
        rx.ClientCall(rx.u32(UPLOAD, 50_000) + content(0, 50_000), epoch=EPOCH, cid=CID, jumbo=4)
    )
    net.run()
    assert call.answer == b"done" and net.service.uploaded == content(0, 50_000)


def test_a_long_answer_waits_for_who_reads_it(net: Network) -> None:
    net.give(data(rx.u32(DOWNLOAD, 10_000_000) + bytes(1400)))
    assert len(net.sent) == 1, "one packet, until it is acknowledged"
    sender = net.endpoint._connections[EPOCH, CID, None].calls[0].sender
    assert len(sender._fresh) < 200, "and not the whole of it in memory"


def test_nothing_is_kept_ready_for_who_has_not_proved_to_be_there(net: Network) -> None:
    net.give(data(rx.u32(DOWNLOAD, 10_000_000)))
    call = net.endpoint._connections[EPOCH, CID, None].calls[0]
    assert call.sender.end < 50 and call.blocked, "one step of the body, and no second"
    before = call.sender.end
    net.give(ack(2, serial=rx.replies(net.sent)[-1].serial))
    assert call.connection.proved and call.sender.end > before


def test_what_has_ended_keeps_no_data(net: Network) -> None:
    for cid in (4, 8):
        for seq in range(1, 11):
            net.give(data(rx.u32(UPLOAD, 300_000) + bytes(1400), seq=seq, flags=0, cid=cid))
    net.give(rx.Packet(EPOCH, 8, 1, 0, 99, rx.ABORT, rx.CLIENT, 0, 0, 0, 1, rx.u32(-1)).bytes())
    net.clock.pass_(20)
    net.tick()
    for cid in (4, 8):
        call = net.endpoint._connections[EPOCH, cid, None].calls[0]
        assert isinstance(call, Brief) and call.state is State.DONE and not call.payload


def test_too_many_calls_of_one_host_are_not_begun(net: Network) -> None:
    net = Network(limits=Limits(calls_of_host=3))
    for number in range(5):
        net.give(data(rx.u32(SLOW), cid=CID * (number + 1)))
    assert len(net.service.waiting) == 3 and net.endpoint.counts["too many calls"] == 2
    net.resume(net.service.waiting[0], b"!")
    net.give(data(rx.u32(SLOW), cid=CID * 9))
    assert len(net.service.waiting) == 4
    net.give(data(rx.u32(ECHO) + b"x", cid=CID * 10), host="10.0.0.10")
    assert len(net.service.begun) == 5


def test_requests_that_never_become_complete_make_room_for_others() -> None:
    net = Network(limits=Limits(calls=3))
    for number in range(10):
        net.give(data(b"", seq=2, cid=CID * (number + 1)), host=f"10.9.9.{number}")
    (answer,) = rx.replies(net.give(data(rx.u32(ECHO) + b"x", cid=400)))
    assert answer.body == b"x"
