# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests of ours that wait for an answer: sent again until it comes or the tries are used up (RFC 1002
section 5.1.1). Read Exchange first.

An answer belongs to an exchange when its transaction id fits and, for a request to one host, when it comes
from that host: an id has 16 bits only, and whoever can guess it could otherwise answer for the asked.
"""

from __future__ import annotations

from collections.abc import Callable

from pydaemons.engine.effects import Send
from pydaemons.engine.entropy import Entropy
from pydaemons.engine.protocol import Address, Now, Transport
from pydaemons.engine.timers import Timers
from pydaemons.netbios.nspacket import Packet

MOST = 4096
"""Exchanges under way at once; an id has 16 bits, and half of them free keeps the search short."""

OnAnswer = Callable[[Packet, str, Now], bool]
"""Called with the answer and the host it came from; True ends the exchange."""
OnSilence = Callable[[Now], None]


class Exchange:
    """One request under way."""

    __slots__ = ("broadcast", "id", "interval", "on_answer", "on_silence", "request", "source", "to", "tries")

    def __init__(
        self,
        id_: int,
        request: bytes,
        to: Address,
        *,
        source: str | None,
        broadcast: bool,
        tries: int,
        interval: float,
        on_answer: OnAnswer,
        on_silence: OnSilence,
    ) -> None:
        self.id = id_
        self.request = request
        self.to = to
        self.source = source
        self.broadcast = broadcast
        self.tries = tries
        self.interval = interval
        self.on_answer = on_answer
        self.on_silence = on_silence


class Exchanges:
    """All of them, by transaction id."""

    def __init__(self, entropy: Entropy) -> None:
        self.port = 137
        """Where our requests leave from, and where peers answer to."""
        self._entropy = entropy
        self._open: dict[int, Exchange] = {}
        self._timers: Timers[int] = Timers()
        self._sends: list[Send] = []

    def __len__(self) -> int:
        return len(self._open)

    def new_id(self) -> int:
        """A transaction id nobody can guess and no open exchange has."""
        while True:
            id_ = self._entropy.getrandbits(16)
            if id_ not in self._open:
                return id_

    def full(self) -> bool:
        """No more may be started now."""
        return len(self._open) >= MOST

    def start(
        self,
        build: Callable[[int], bytes],
        to: Address,
        now: Now,
        *,
        source: str | None,
        broadcast: bool = False,
        tries: int,
        interval: float,
        on_answer: OnAnswer,
        on_silence: OnSilence,
    ) -> int:
        """Send `build(id)` up to `tries` times, `interval` seconds apart."""
        id_ = self.new_id()
        exchange = Exchange(
            id_,
            build(id_),
            to,
            source=source,
            broadcast=broadcast,
            tries=tries,
            interval=interval,
            on_answer=on_answer,
            on_silence=on_silence,
        )
        self._open[id_] = exchange
        self._transmit(exchange, now)
        return id_

    def send(self, data: bytes, to: Address, *, source: str | None) -> None:
        """Send a packet that expects no answer."""
        self._sends.append(Send(Transport.UDP, to, data, source=source, source_port=self.port))

    def cancel(self, id_: int) -> None:
        """Forget an exchange."""
        if self._open.pop(id_, None) is not None:
            self._timers.cancel(id_)

    def cancel_from(self, source: str) -> None:
        """Forget every exchange that leaves from this address: it is ours no longer."""
        for id_ in [id_ for id_, exchange in self._open.items() if exchange.source == source]:
            self.cancel(id_)

    def receive(self, packet: Packet, host: str, now: Now, *, far: bool = False) -> bool:
        """An answer came in; False when nobody waits for it. What was asked of a network is answered from
        there only, and not from afar."""
        exchange = self._open.get(packet.id)
        if exchange is None or (far if exchange.broadcast else host != exchange.to.host):
            return False
        if exchange.on_answer(packet, host, now):
            self.cancel(packet.id)
        return True

    def awaits(self, data: bytes, peer: Address) -> bool:
        """Is this packet an answer of the one host and port that an open exchange asked?"""
        if len(data) < 3 or not data[2] & 0x80:
            return False
        exchange = self._open.get(int.from_bytes(data[:2], "big"))
        return exchange is not None and not exchange.broadcast and exchange.to == peer

    def extend(self, id_: int, seconds: float, now: Now) -> None:
        """The asked host wants more time (WACK): do not ask again before."""
        exchange = self._open.get(id_)
        if exchange is not None:
            exchange.tries = 0
            self._timers.set(id_, now.mono + seconds)

    def tick(self, now: Now) -> None:
        """Send again, or give up."""
        for id_ in self._timers.due(now.mono):
            exchange = self._open[id_]
            if exchange.tries > 0:
                self._transmit(exchange, now)
            else:
                del self._open[id_]
                exchange.on_silence(now)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        return self._timers.deadline()

    def drain(self) -> list[Send]:
        """What is to be sent."""
        sends = self._sends
        if sends:
            self._sends = []
        return sends

    def _transmit(self, exchange: Exchange, now: Now) -> None:
        exchange.tries -= 1
        self.send(exchange.request, exchange.to, source=exchange.source)
        self._timers.set(exchange.id, now.mono + exchange.interval)
