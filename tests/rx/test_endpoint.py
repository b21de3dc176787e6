# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoint: connections, limits, packets of nobody, and everything over bad networks."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.rxnet import DOWNLOAD, ECHO, QUICK, REFUSE, SLOW, UPLOAD, Network, content
from hosts import rx
from pydaemons.rx.crowd import Limits

EPOCH = 0x80000001


def packet(kind: int, body: bytes = b"", **fields: int) -> bytes:
    values = {
        "epoch": EPOCH, "cid": 4, "call": 1, "seq": 1, "serial": 1, "kind": kind, "status": 0, "checksum": 0,
        "flags": rx.CLIENT | rx.LAST, "security": 0, "service": 1,
    }  # fmt: skip
    return rx.Packet(**{**values, **fields}, body=body).bytes()


HELLO = rx.u32(ECHO) + b"hi"


@pytest.fixture
def net() -> Network:
    return Network()


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"service": 2}, -2), ({"security": 2}, -2), ({"security": 9}, -2), ({"call": 0}, -5)],
)
def test_what_is_not_here_is_refused_as_the_peer_does(
    net: Network, fields: dict[str, int], code: int
) -> None:
    (abort,) = rx.replies(net.give(packet(rx.DATA, HELLO, **fields)))
    assert (abort.kind, abort.serial, abort.flags, abort.body) == (rx.ABORT, 0, 0, rx.u32(code))
    assert len(net.endpoint) == 0


@pytest.mark.parametrize(
    "data",
    [
        b"", bytes(27), packet(rx.DATA, HELLO, flags=rx.LAST), packet(rx.DATA, HELLO, seq=0),
        packet(rx.DATA, HELLO, seq=4000), packet(rx.DATA, b"", service=2),
        *(packet(kind, rx.ack_body(1, 0, rx.PING)) for kind in (2, 3, 4, 5, 6, 7, 9, 200)),
    ],
)  # fmt: skip
def test_what_is_nothing_is_not_answered_and_leaves_nothing(net: Network, data: bytes) -> None:
    assert net.give(data) == [] and len(net.endpoint) == 0
    assert sum(net.endpoint.counts.values()) == 1


def test_a_question_that_overtook_its_request_does_no_harm(net: Network) -> None:
    assert net.give(packet(rx.ACK, rx.ack_body(1, 0, rx.PING), flags=rx.CLIENT | rx.WANT_ACK)) == []
    (answer,) = rx.replies(net.give(packet(rx.DATA, HELLO, serial=2)))
    assert answer.body == b"hi"


def test_a_version_is_told_as_far_as_the_question_was_long(net: Network) -> None:
    for size, said in (
        (0, None),
        (1, b"\0"),
        (5, b"test\0"),
        (65, b"test 1.0".ljust(65, b"\0")),
        (99, b"test 1.0".ljust(65, b"\0")),
    ):
        answers = rx.replies(net.give(packet(rx.VERSION, bytes(size), epoch=999, cid=0, call=101, service=0)))
        assert [(a.kind, a.call, a.flags & rx.CLIENT, a.body) for a in answers] == (
            [] if said is None else [(rx.VERSION, 101, 0, said)]
        )


def test_a_debug_question_is_answered_that_it_is_not_known(net: Network) -> None:
    (answer,) = rx.replies(net.give(packet(rx.DEBUG, rx.u32(1, 0), epoch=999, cid=0, call=101, service=0)))
    assert (answer.kind, answer.call, answer.body) == (rx.DEBUG, 101, b"\xff\xff\xff\xf8" * 2)
    assert net.give(packet(rx.DEBUG)) == []


def test_an_epoch_may_mean_that_the_address_counts_or_not(net: Network) -> None:
    net.give(packet(rx.DATA, rx.u32(SLOW), epoch=7))
    net.give(packet(rx.DATA, rx.u32(SLOW), epoch=7), host="10.0.0.66")
    assert len(net.endpoint) == 2 and len(net.service.waiting) == 2
    net.give(packet(rx.DATA, rx.u32(SLOW)))
    net.give(packet(rx.DATA, rx.u32(SLOW)), port=701)
    assert len(net.endpoint) == 3 and len(net.service.waiting) == 3


def test_a_client_that_moves_gets_its_answer_where_it_is(net: Network) -> None:
    net.give(packet(rx.DATA, rx.u32(SLOW)), port=700)
    net.give(packet(rx.ACK, rx.ack_body(1, 0, rx.PING), flags=rx.CLIENT), port=701)
    net.endpoint.resume(net.service.waiting[0], b"!", net.now)
    (reply,) = net.endpoint.drain()
    assert reply.origin.peer.port == 701


def test_connections_that_nobody_uses_are_forgotten(net: Network) -> None:
    net.give(packet(rx.DATA, HELLO))
    net.give(packet(rx.DATA, rx.u32(SLOW), cid=8))
    for _ in range(100):
        net.clock.pass_(1.0)
        net.give(packet(rx.ACK, rx.ack_body(1, 0, rx.PING), cid=8, flags=rx.CLIENT | rx.WANT_ACK))
        net.tick()
    assert len(net.endpoint) == 1
    net.resume(net.service.waiting[0], b"!")
    for _ in range(100):
        net.clock.pass_(1.0)
        net.tick()
    assert len(net.endpoint) == 0 and net.endpoint.deadline() is None, "an idle daemon is not woken"


def test_a_new_connection_takes_the_place_of_the_one_used_longest_ago() -> None:
    net = Network(limits=Limits(connections=3))
    for cid in (4, 8, 12):
        net.give(packet(rx.DATA, HELLO, cid=cid))
    net.give(packet(rx.DATA, HELLO, cid=4, call=2))
    net.give(packet(rx.DATA, HELLO, cid=16))
    assert [key[1] for key in net.endpoint._connections] == [12, 4, 16]


def test_connections_with_calls_under_way_are_kept() -> None:
    net = Network(limits=Limits(connections=2))
    for cid in (4, 8, 12):
        net.give(packet(rx.DATA, rx.u32(SLOW), cid=cid))
    assert len(net.service.waiting) == 2 and net.endpoint.counts["too many connections"] == 1


KINDS = st.sampled_from(("echo", "long echo", "slow", "upload", "download", "refuse", "quick", "quick no"))


@given(
    st.lists(KINDS, min_size=1, max_size=4),
    st.floats(0, 0.2),
    st.floats(0, 0.4),
    st.floats(0.0005, 0.3),
    st.integers(0, 1 << 30),
    st.sampled_from((0.3, 3.6, 4.5)),
)
@settings(max_examples=60)
def test_every_call_ends_as_it_should_over_any_network(
    kinds: list[str], loss: float, double: float, jitter: float, seed: int, patience: float
) -> None:
    net = Network(loss=loss, double=double, delay=(0.0005, jitter), seed=seed)
    upload = content(0, 70_000 if patience < 1 else 3000)
    requests = {
        "echo": HELLO,
        "long echo": rx.u32(ECHO) + content(0, 20_000),
        "slow": rx.u32(SLOW) + b"x",
        "upload": rx.u32(UPLOAD, len(upload)) + upload,
        "download": rx.u32(DOWNLOAD, 60_001),
        "refuse": rx.u32(REFUSE, 4711),
        "quick": rx.u32(QUICK, 1, 0),
        "quick no": rx.u32(QUICK, 1, 4711),
    }
    calls = [
        net.start(
            rx.ClientCall(
                requests[kind], epoch=EPOCH, cid=4 * (port + 1), jumbo=1 + port % 2, patience=patience
            ),
            port=port,
        )
        for port, kind in enumerate(kinds)
    ]
    net.run(limit=3000)
    answers = {
        "echo": b"hi", "long echo": content(0, 20_000), "slow": b"x!", "upload": b"done",
        "download": content(0, 60_001), "refuse": 4711, "quick": rx.u32(1, 0), "quick no": 4711,
    }  # fmt: skip
    for kind, call in zip(kinds, calls, strict=True):
        assert (call.answer if call.code is None else call.code) == answers[kind], kind
    if "upload" in kinds:
        assert net.service.uploaded == upload
    quick = kinds.count("quick") + kinds.count("quick no")
    assert len(net.service.begun) == len(kinds) - quick, "each was executed once"


def test_many_calls_over_one_connection_on_a_bad_network() -> None:
    net = Network(loss=0.1, double=0.1, delay=(0.001, 0.02), seed=5)
    serial = 0
    for number in range(1, 120):
        request = rx.u32(QUICK if number % 3 else ECHO, number)
        call = net.start(rx.ClientCall(request, epoch=EPOCH, cid=4, number=number, serial=serial))
        net.run()
        assert call.answer == rx.u32(number)
        serial = call.serial
    assert len(net.service.begun) == 39


def valid() -> list[bytes]:
    """One of each."""
    return [
        packet(rx.DATA, HELLO),
        packet(rx.DATA, rx.u32(DOWNLOAD, 100_000)),
        packet(rx.DATA, rx.u32(SLOW)),
        packet(rx.DATA, rx.u32(UPLOAD, 9000) + bytes(1000), flags=rx.CLIENT),
        packet(rx.DATA, HELLO, seq=3),
        packet(rx.DATA, bytes(1412) + bytes(4) + b"x", flags=rx.CLIENT | rx.JUMBO),
        packet(rx.ACK, rx.ack_body(1, 1, rx.PING), flags=rx.CLIENT | rx.WANT_ACK),
        packet(rx.ABORT, rx.u32(-1)),
        packet(rx.DEBUG, rx.u32(1, 0)),
        packet(rx.VERSION, b"\0"),
        packet(rx.ACKALL),
        packet(rx.BUSY),
        packet(rx.RESPONSE, bytes(100)),
    ]


def test_mutated_packets_make_neither_trouble_nor_memory_nor_traffic() -> None:
    net = Network(limits=Limits(connections=50, calls=20))
    dice = random.Random(8)
    samples = valid()
    for number in range(20_000):
        data = bytearray(dice.choice(samples))
        for _ in range(dice.choice((0, 1, 1, 2, 8))):
            data[dice.randrange(len(data))] = dice.choice((0, 1, 4, 5, 255, dice.randrange(256)))
        if dice.random() < 0.1:
            del data[dice.randrange(len(data) + 1) :]
        known = set(net.endpoint._connections)
        before = net.bytes_out
        said = net.give(bytes(data), port=number % 500 + 1, host=f"10.0.{number % 7}.9")
        if set(net.endpoint._connections) <= known and not established(net, bytes(data), known):
            assert sum(map(len, said)) <= len(data)
        net.service.waiting.clear()
        if number % 50 == 0:
            net.clock.pass_(0.2)
            net.tick()
        assert len(net.endpoint) <= 50 and len(net.endpoint._calls.timers) <= 200
        assert len(net.endpoint._calls.crowd) <= 20
        assert net.bytes_out - before < 20_000
    assert net.bytes_out <= 3 * net.bytes_in
    for _ in range(40):
        net.clock.pass_(4.0)
        net.tick()
    assert len(net.endpoint) == 0 and len(net.endpoint._calls.crowd) == 0
    assert not net.endpoint._calls.crowd._coming and not net.endpoint._calls.crowd._hosts


def established(net: Network, data: bytes, known: set[object]) -> bool:
    """Whether a datagram belongs to a connection there was before it."""
    if len(data) < 28:
        return False
    epoch, cid = rx.parse(data)[:2]
    return any(key[:2] == (epoch, cid & ~3) for key in known)
