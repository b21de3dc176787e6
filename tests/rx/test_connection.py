# SPDX-License-Identifier: GPL-3.0-or-later
"""How much a connection may be sent before its address is proved, and what proves it."""

from __future__ import annotations

from fakes.network import Origins
from fakes.rxnet import DOWNLOAD, ECHO, Network, content
from hosts import rx
from pydaemons.rx.connection import ALLOWANCE, Connection
from pydaemons.rx.packet import Type, unpack_header
from pydaemons.rx.roundtrip import RoundTrip
from pydaemons.rx.security import Null

ORIGINS = Origins()


def connection(serial: int = 500) -> Connection:
    header = unpack_header(rx.Packet(1, 6, 1, 1, 1, rx.DATA, rx.CLIENT, 0, 0, 0, 9).bytes())
    return Connection(
        (1, 4, None),
        header,
        ORIGINS("10.0.0.9"),
        security=Null(),
        round_trip=RoundTrip(),
        serial=serial,
        mono=0.0,
    )


def test_an_address_is_sent_three_times_what_came_from_it() -> None:
    one = connection()
    one.hear(one.origin, 100, 1.0)
    assert one.room() == ALLOWANCE * 100
    one.packet(Type.ABORT, None, bytes(72))
    assert one.room() == ALLOWANCE * 100 - 100


def test_only_who_received_a_packet_can_name_its_serial_number() -> None:
    one = connection(serial=500)
    one.packet(Type.ABORT, None, b"")
    for guess in (0, 1, 500, 502):
        one.prove(guess)
        assert not one.proved
    one.prove(501)
    assert one.proved and one.room() > 1 << 20


def test_a_new_address_has_to_prove_itself_again() -> None:
    one = connection()
    one.packet(Type.ABORT, None, b"")
    one.prove(501)
    one.hear(ORIGINS("10.0.0.66"), 50, 1.0)
    assert not one.proved and one.room() == ALLOWANCE * 50


def test_packets_carry_the_numbers_of_their_connection() -> None:
    one = connection()
    header = unpack_header(one.packet(Type.BUSY, None, b""))
    assert (header.epoch, header.id, header.serial, header.service, header.call) == (1, 4, 501, 9, 0)


def asked(size: int) -> bytes:
    return rx.Packet(
        0x80000001, 4, 1, 1, 1, rx.DATA, rx.CLIENT | rx.LAST, 0, 0, 0, 1, rx.u32(DOWNLOAD, size)
    ).bytes()


def test_a_forged_request_for_much_sends_little_for_ever() -> None:
    net = Network()
    request = asked(1_000_000)
    net.give(request)
    for _ in range(400):
        net.clock.pass_(0.1)
        net.tick()
    assert net.bytes_out <= ALLOWANCE * len(request)


def test_a_client_that_answers_gets_it_all() -> None:
    net = Network()
    call = net.start(rx.ClientCall(rx.u32(DOWNLOAD, 100_000), epoch=0x80000001, cid=4))
    net.run()
    assert call.answer == content(0, 100_000)


def test_a_short_answer_needs_no_proof() -> None:
    net = Network()
    data = rx.Packet(
        0x80000001, 4, 1, 1, 1, rx.DATA, rx.CLIENT | rx.LAST, 0, 0, 0, 1, rx.u32(ECHO) + b"x" * 20
    ).bytes()
    (answer,) = rx.replies(net.give(data))
    assert (answer.flags, answer.body) == (rx.LAST, b"x" * 20)
