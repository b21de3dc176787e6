# SPDX-License-Identifier: GPL-3.0-or-later
import random

from fakes.claims import wire
from pydaemons.engine.protocol import Address, Now
from pydaemons.netbios import nspacket
from pydaemons.netbios.node.exchange import Exchanges
from pydaemons.netbios.nspacket import Packet

TO = Address("10.0.0.1", 137)


class Asker:
    """Starts exchanges and notes what becomes of them."""

    def __init__(self) -> None:
        self.exchanges = Exchanges(random.Random(1))
        self.events: list[str] = []

    def start(self, *, broadcast: bool = False, tries: int = 3, mono: float = 0.0) -> int:
        def answered(packet: Packet, host: str, now: Now) -> bool:
            self.events.append(f"answer from {host}")
            return packet.rcode == 0

        return self.exchanges.start(
            lambda id_: nspacket.query(id_, wire("A#20"), broadcast=broadcast),
            TO,
            Now(mono, 0.0),
            source=None,
            broadcast=broadcast,
            tries=tries,
            interval=2.0,
            on_answer=answered,
            on_silence=lambda now: self.events.append(f"silence at {now.mono}"),
        )

    def sent(self) -> int:
        return len(list(self.exchanges.drain()))


def answer(id_: int, rcode: int = 0) -> Packet:
    return Packet(id_, 0x8000 | rcode)


def test_a_request_is_sent_again_until_its_tries_are_used_up():
    asker = Asker()
    asker.start()
    times = []
    for tenth in range(100):
        asker.exchanges.tick(Now(tenth / 10, 0.0))
        times += [tenth / 10] * asker.sent()
    assert times == [0.0, 2.0, 4.0]
    assert asker.events == ["silence at 6.0"]
    assert len(asker.exchanges) == 0


def test_an_answer_ends_an_exchange_when_it_is_accepted():
    asker = Asker()
    id_ = asker.start()
    assert asker.exchanges.receive(answer(id_, rcode=3), TO.host, Now(0.1, 0.0))
    assert len(asker.exchanges) == 1
    assert asker.exchanges.receive(answer(id_), TO.host, Now(0.2, 0.0))
    assert len(asker.exchanges) == 0
    assert not asker.exchanges.receive(answer(id_), TO.host, Now(0.3, 0.0)), "a duplicate"
    asker.exchanges.tick(Now(100.0, 0.0))
    assert asker.events == ["answer from 10.0.0.1"] * 2


def test_only_the_asked_host_can_answer_unless_all_were_asked():
    asker = Asker()
    assert not asker.exchanges.receive(answer(asker.start()), "10.0.0.2", Now(0.1, 0.0))
    assert asker.exchanges.receive(answer(asker.start(broadcast=True)), "10.0.0.2", Now(0.1, 0.0))


def test_an_extension_stops_the_repetition():
    asker = Asker()
    id_ = asker.start()
    asker.exchanges.extend(id_, 60.0, Now(1.0, 0.0))
    asker.sent()
    asker.exchanges.tick(Now(59.0, 0.0))
    assert asker.sent() == 0
    asker.exchanges.tick(Now(61.0, 0.0))
    assert asker.events == ["silence at 61.0"]


def test_ids_of_open_exchanges_are_not_given_out_again():
    asker = Asker()
    ids = {asker.start() for _ in range(2000)}
    assert len(ids) == 2000
    assert all(asker.exchanges.new_id() not in ids for _ in range(2000))


def test_an_answer_is_awaited_of_the_host_that_was_asked_and_of_nobody_else():
    exchanges = Exchanges(random.Random(1))
    how = {"source": None, "tries": 1, "interval": 1.0}
    nobody = {"on_answer": lambda *_: True, "on_silence": lambda now: None}
    to = Address("192.0.2.7", 137)
    id_ = exchanges.start(lambda id_: b"", to, Now(0.0, 0.0), **how, **nobody)
    answer = id_.to_bytes(2, "big") + b"\x84\0"
    assert exchanges.awaits(answer, to)
    assert not exchanges.awaits(answer, Address("192.0.2.8", 137))
    assert not exchanges.awaits(answer, Address("192.0.2.7", 1370))
    assert not exchanges.awaits(id_.to_bytes(2, "big") + b"\0\0", to), "a request"
    assert not exchanges.awaits((id_ ^ 1).to_bytes(2, "big") + b"\x84\0", to)
    assert not exchanges.awaits(b"", to)
    exchanges.cancel(id_)
    assert not exchanges.awaits(answer, to)
    everybody = Address("192.0.2.255", 137)
    id_ = exchanges.start(lambda id_: b"", everybody, Now(0.0, 0.0), broadcast=True, **how, **nobody)
    assert not exchanges.awaits(id_.to_bytes(2, "big") + b"\x84\0", everybody)
