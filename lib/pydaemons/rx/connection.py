# SPDX-License-Identifier: GPL-3.0-or-later
"""One client's connection: its address, its serial numbers, its four channels, and how much it may be sent.

Who sends a first packet has proved nothing, not even its address. Until it has, by naming the serial number
of a packet sent there, it is sent at most ALLOWANCE times the bytes that came from it, as QUIC does (RFC 9000
section 8.1): nobody can have somebody else flooded through us. Serial numbers therefore begin anywhere.
"""

from __future__ import annotations

from pydaemons.engine.protocol import Origin
from pydaemons.rx.call import RUNNING, SENDING, Brief, Call
from pydaemons.rx.packet import CHANNELS, HEADER, HEADER_SIZE, Flag, Header, Type
from pydaemons.rx.roundtrip import RoundTrip
from pydaemons.rx.security import Null, Security

ALLOWANCE = 3
FIRST_SERIAL_BITS = 16
"""How many are random at the beginning."""

Key = tuple[int, int, object]
"""Epoch, id without channel, and the peer where it counts."""


class Connection:
    """All that is known of one."""

    __slots__ = (
        "_first_serial",
        "calls",
        "challenged",
        "epoch",
        "heard",
        "id",
        "index",
        "key",
        "origin",
        "plain",
        "proved",
        "received",
        "round_trip",
        "security",
        "sent",
        "serial",
        "service",
        "trusted",
    )

    def __init__(
        self,
        key: Key,
        header: Header,
        origin: Origin,
        *,
        security: Security,
        round_trip: RoundTrip,
        serial: int,
        mono: float,
    ) -> None:
        self.key = key
        self.epoch = header.epoch
        self.id = key[1]
        self.service = header.service
        self.index = header.security
        self.security = security
        self.plain = isinstance(security, Null)
        """its packets travel as they are"""
        self.round_trip = round_trip
        self.origin = origin
        """where answers go: where the newest packet came from"""
        self.calls: list[Call | Brief | None] = [None] * CHANNELS
        self.heard = mono
        self.serial = serial
        """of the last packet sent"""
        self._first_serial = serial
        self.trusted = False
        """it need not answer a challenge, or has"""
        self.challenged = 0.0
        """when it was last asked to"""
        self.proved = False
        """what is sent to its address arrives there"""
        self.received = 0
        self.sent = 0

    @property
    def active(self) -> bool:
        """Has calls under way; without any it is only memory."""
        for call in self.calls:
            if call is not None and (call.state in RUNNING or (self.proved and call.state is SENDING)):
                return True
        return False

    def hear(self, origin: Origin, size: int, mono: float) -> None:
        """A packet of this connection came from there."""
        self.heard = mono
        if origin is not self.origin:
            self.origin = origin
            self.proved = False
            self.received = self.sent = 0
        self.received += size

    def room(self) -> int:
        """Bytes that may be sent now."""
        return 1 << 30 if self.proved else ALLOWANCE * self.received - self.sent

    def prove(self, serial: int) -> None:
        """The other side names a packet by its serial number."""
        if self._first_serial < serial <= self.serial:
            self.proved = True

    def data(self, call: Call | Brief, seq: int, flags: int, payload: bytes) -> bytes:
        """A DATA packet."""
        self.serial = serial = self.serial + 1 & 0xFFFF_FFFF
        channel, number = self.id | call.channel, call.number
        header = (self.epoch, channel, number, seq, serial, _DATA, flags, 0, self.index, 0, self.service)
        if not self.plain:
            sealed, payload = self.security.seal(Header._make(header), payload)
            header = tuple(sealed)  # type: ignore[assignment]
        self.sent += HEADER_SIZE + len(payload)
        return HEADER.pack(*header) + payload

    def packet(self, kind: Type, call: Call | Brief | None, payload: bytes, flags: int = 0) -> bytes:
        """Any other packet, about a call or about the connection."""
        self.serial = serial = self.serial + 1 & 0xFFFF_FFFF
        channel, number = (call.channel, call.number) if call is not None else (0, 0)
        self.sent += HEADER_SIZE + len(payload)
        return (
            HEADER.pack(
                self.epoch, self.id | channel, number, 0, serial, kind, flags, 0, self.index, 0, self.service
            )
            + payload
        )


_DATA = int(Type.DATA)
WANT_ANSWER = Flag.WANT_ACK | Flag.SLOW_START
