# SPDX-License-Identifier: GPL-3.0-or-later
"""Security classes: none, and what the endpoint does for one that asks for proof."""

from __future__ import annotations

from fakes.rxnet import ECHO, Network
from hosts import rx
from pydaemons.rx.packet import HEADER_SIZE, Header
from pydaemons.rx.security import Null
from pydaemons.wire.errors import WireError


class Password:
    """Wants the challenge back, and turns every payload's bits over."""

    overhead = 1
    user = ""

    def challenge(self) -> bytes | None:
        return b"who are you?"

    def respond(self, response: bytes) -> int:
        if response != b"?uoy era ohw":
            return 4711
        self.user = "me"
        return 0

    def open(self, header: Header, payload: bytes) -> bytes:
        if not payload.endswith(b"~"):
            raise WireError("no seal", len(payload))
        return payload[:-1].translate(FLIP)

    def seal(self, header: Header, payload: bytes) -> tuple[Header, bytes]:
        return header._replace(checksum=7), payload.translate(FLIP) + b"~"


FLIP = bytes(255 - n for n in range(256))


def test_none_asks_for_nothing_and_changes_nothing() -> None:
    null, header = Null(), Header(*range(11))
    assert null.challenge() is None and null.respond(b"?") == 0
    assert null.open(header, b"x") == b"x" and null.seal(header, b"x") == (header, b"x")


def packet(kind: int, body: bytes, *, call: int = 1, seq: int = 0, flags: int = rx.LAST) -> bytes:
    return rx.Packet(0x80000001, 4, call, seq, 1, kind, rx.CLIENT | flags, 0, 5, 0, 1, body).bytes()


def secured() -> Network:
    return Network(securities={0: Null, 5: Password})


def request(text: bytes) -> bytes:
    return packet(rx.DATA, (rx.u32(ECHO) + text).translate(FLIP) + b"~", seq=1)


def test_calls_begin_when_the_challenge_was_answered() -> None:
    net = secured()
    (challenge,) = rx.replies(net.give(request(b"hello")))
    assert (challenge.kind, challenge.call, challenge.body) == (rx.CHALLENGE, 0, b"who are you?")
    assert net.give(request(b"hello")) == [], "one challenge at a time"
    assert net.give(packet(rx.RESPONSE, b"?uoy era ohw", call=0)) == []
    (answer,) = rx.replies(net.give(request(b"hello")))
    assert (answer.kind, answer.checksum) == (rx.DATA, 7)
    assert answer.body == b"hello".translate(FLIP) + b"~"


def test_a_challenge_that_was_lost_is_repeated_with_the_request() -> None:
    net = secured()
    net.give(request(b"hello"))
    net.clock.pass_(1.0)
    (challenge,) = rx.replies(net.give(request(b"hello")))
    assert challenge.kind == rx.CHALLENGE


def test_a_wrong_answer_ends_the_connection_with_its_code() -> None:
    net = secured()
    net.give(request(b"hello"))
    (abort,) = rx.replies(net.give(packet(rx.RESPONSE, b"mallory", call=0)))
    assert (abort.kind, abort.call, abort.body) == (rx.ABORT, 0, rx.u32(4711))
    assert len(net.endpoint) == 0 and not net.service.begun


def test_a_packet_without_its_seal_is_dropped() -> None:
    net = secured()
    net.give(request(b"hello"))
    net.give(packet(rx.RESPONSE, b"?uoy era ohw", call=0))
    assert net.give(packet(rx.DATA, b"forged", seq=1)) == []
    assert net.endpoint.counts["malformed"] == 1 and not net.service.begun


def test_the_challenge_is_not_larger_than_what_may_be_sent_to_an_unproved_address() -> None:
    net = secured()
    said = net.give(request(b""))
    assert sum(map(len, said)) <= 3 * (HEADER_SIZE + 5)
