# SPDX-License-Identifier: GPL-3.0-or-later
import random

import pytest

from fakes.claims import wire
from pydaemons.engine.protocol import Now
from pydaemons.netbios import nspacket
from pydaemons.netbios.codes import NODE_H, Opcode
from pydaemons.netbios.node.exchange import Exchanges
from pydaemons.netbios.node.inquiries import ADDRESSES, AT_ONCE, TRIES, Inquiries
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.netbios.nspacket import Nb

NAME = wire("FILES#20")


def address(number: int) -> bytes:
    return bytes((10, 0, number >> 8, number & 255))


class Desk:
    """Inquiries, their clock, and what they sent."""

    def __init__(self) -> None:
        self.exchanges = Exchanges(random.Random(1))
        self.inquiries = Inquiries(self.exchanges, NetbiosTunables())
        self.mono = 100.0
        self.heard: list[set[bytes]] = []

    @property
    def now(self) -> Now:
        return Now(self.mono, self.mono)

    def challenge(self, *addresses: bytes) -> None:
        self.inquiries.challenge(NAME, addresses, lambda listed, now: self.heard.append(listed))

    def start(self) -> list[tuple[str, nspacket.Packet]]:
        self.inquiries.start(self.now)
        return self.sent()

    def sent(self) -> list[tuple[str, nspacket.Packet]]:
        return [(send.to.host, nspacket.unpack(send.data)) for send in self.exchanges.drain()]

    def wait(self) -> list[tuple[str, nspacket.Packet]]:
        """A second passes."""
        self.mono += 1.0
        self.exchanges.tick(self.now)
        return self.sent()

    def answer(self, host: str, id_: int, *listed: bytes, opcode: int = Opcode.QUERY, rcode: int = 0) -> None:
        data = nspacket.pack_nb(tuple(Nb(NODE_H, each) for each in listed))
        packet = nspacket.unpack(nspacket.answer(opcode, id_, NAME, data, ttl=0, rcode=rcode))
        assert self.exchanges.receive(packet, host, self.now)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_nobody_is_asked_before_it_is_time(desk):
    desk.challenge(address(1))
    assert desk.inquiries.waiting
    assert desk.sent() == []
    ((host, packet),) = desk.start()
    assert (host, packet.opcode, packet.questions[0].name) == ("10.0.0.1", Opcode.QUERY, NAME)
    assert not desk.inquiries.waiting


def test_a_host_says_which_addresses_it_has(desk):
    desk.challenge(address(1))
    ((host, packet),) = desk.start()
    desk.answer(host, packet.id, address(1), address(9))
    assert desk.heard == [{address(1), address(9)}]
    assert len(desk.inquiries) == 0


def test_a_refusal_and_an_answer_about_another_name_list_nothing(desk):
    for rcode in (3, 0):
        desk.challenge(address(1))
        ((host, packet),) = desk.start()
        if rcode:
            desk.answer(host, packet.id, address(1), rcode=rcode)
        else:
            other = nspacket.pack_nb((Nb(NODE_H, address(1)),))
            stray = nspacket.answer(Opcode.QUERY, packet.id, wire("OTHER#20"), other, ttl=0)
            assert desk.exchanges.receive(nspacket.unpack(stray), host, desk.now)
    assert desk.heard == [set(), set()]


def test_a_host_is_sought_at_one_address_after_the_other_and_then_given_up(desk):
    desk.challenge(*map(address, range(1, 9)))
    asked = [host for host, _ in desk.start()]
    while not desk.heard:
        asked += [host for host, _ in desk.wait()]
    assert asked == [f"10.0.0.{number}" for number in range(1, ADDRESSES + 1) for _ in range(TRIES)]
    assert desk.heard == [set()]


def test_a_demand_ends_with_the_first_address_that_answers_it(desk):
    desk.inquiries.demand(NAME, NODE_H, [address(1), address(2)])
    ((host, packet),) = desk.start()
    assert (host, packet.opcode) == ("10.0.0.1", Opcode.RELEASE)
    assert nspacket.unpack_nb(packet.additionals[0].data) == (Nb(NODE_H, address(1)),)
    desk.answer(host, packet.id, address(1), opcode=Opcode.RELEASE)
    assert desk.wait() == []
    assert len(desk.inquiries) == 0


def test_a_demand_nobody_answers_names_the_address_it_goes_to(desk):
    desk.inquiries.demand(NAME, NODE_H, [address(1), address(2)])
    sent = desk.start()
    while len(desk.inquiries):
        sent += desk.wait()
    assert [host for host, _ in sent] == ["10.0.0.1"] * TRIES + ["10.0.0.2"] * TRIES
    for host, packet in sent:
        (nb,) = nspacket.unpack_nb(packet.additionals[0].data)
        assert ".".join(map(str, nb.address)) == host


def test_ten_thousand_inquiries_go_out_a_few_at_a_time_and_none_is_lost(desk):
    for number in range(10_000):
        desk.challenge(address(number))
    waiting = desk.start()
    assert len(waiting) == AT_ONCE
    asked = 0
    while waiting:
        assert len(desk.exchanges) <= AT_ONCE
        asked += len(waiting)
        for host, packet in waiting:
            desk.answer(host, packet.id, address(1))
        waiting = desk.sent()
    assert asked == len(desk.heard) == 10_000


def test_a_host_without_addresses_is_not_there(desk):
    desk.challenge()
    assert desk.start() == []
    assert desk.heard == [set()]
