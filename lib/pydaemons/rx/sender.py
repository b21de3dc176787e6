# SPDX-License-Identifier: GPL-3.0-or-later
"""One direction of a call, outgoing: bytes become packets, packets are sent, acknowledged, sent again.

After the Rx draft, "Flow Control" and "Packet retransmission". Which packet is lost is judged by serial
numbers, which count transmissions: when three sent after it have come, it has not (RFC 8985 does so for TCP).
Read Sender.due (what to send now) and acknowledge (what has come). Nothing here knows headers or connections.
"""

from __future__ import annotations

from collections import deque

from pydaemons.rx.packet import HEADER_SIZE, LONGEST_PAYLOAD, Ack, Reason
from pydaemons.rx.roundtrip import RoundTrip

OLD_WINDOW = 15
"""What a peer has room for that has not said otherwise."""
LEAST_THRESHOLD = 2
REORDERED = 3
"""Transmissions by which a packet may be overtaken before it is taken for lost."""
WAITING = 64
"""Packets cut and not sent from which on the writer has to wait."""
SMALLEST = 512
"""Bytes of payload that every network takes."""
_NEVER = float("inf")


class Outgoing:
    """A packet that has been cut."""

    __slots__ = ("arrived", "attempts", "last", "lost", "payload", "sent", "seq", "serial")

    def __init__(self, seq: int, payload: bytes, *, last: bool) -> None:
        self.seq = seq
        self.payload = payload
        self.last = last
        self.serial = 0
        """of its last transmission"""
        self.sent = 0.0
        """when that was"""
        self.attempts = 0
        self.arrived = False
        """acknowledged, but not yet read by the peer's application, which may still drop it"""
        self.lost = False
        """to be sent again"""


class Sender:
    """What is written goes out in order, within three bounds: the peer's window, the congestion window, and
    whatever `due` is told."""

    __slots__ = (
        "_bytes",
        "_flight",
        "_fresh",
        "_next",
        "_recover",
        "_round_trip",
        "closed",
        "congestion",
        "first",
        "newest_ack",
        "payload",
        "resends",
        "threshold",
        "window",
    )

    def __init__(self, round_trip: RoundTrip) -> None:
        self.first = 1
        """the first packet that the peer's application has not read"""
        self.closed = False
        self.congestion = 1
        self.threshold = 1 << 16
        self.window = OLD_WINDOW
        self.payload = LONGEST_PAYLOAD
        self.resends = 0
        self.newest_ack = 0
        self._round_trip = round_trip
        self._bytes = bytearray()
        """not cut yet"""
        self._fresh: deque[Outgoing] = deque()
        """cut, never sent"""
        self._flight: dict[int, Outgoing] = {}
        """sent and not read by the peer, by sequence number, in order"""
        self._next = 1
        self._recover = 0

    # -- the writer's side

    def write(self, data: bytes) -> None:
        """Only whole packets are cut; the rest waits for more, or for close."""
        self._bytes += data
        while len(self._bytes) > self.payload:
            self._cut(self.payload, last=False)

    def close(self) -> None:
        """There will be no more: the last packet, maybe an empty one, says so."""
        self.closed = True
        while len(self._bytes) > self.payload:
            self._cut(self.payload, last=False)
        self._cut(len(self._bytes), last=True)

    @property
    def full(self) -> bool:
        """Whether the writer should wait."""
        return len(self._fresh) >= WAITING

    @property
    def behind(self) -> bool:
        """Whether a packet waits to be sent for the first time."""
        return bool(self._fresh)

    @property
    def end(self) -> int:
        """The number behind the last packet cut."""
        return self._next

    @property
    def finished(self) -> bool:
        """All is with the peer's application."""
        return self.closed and not self._flight and not self._fresh

    def _cut(self, size: int, *, last: bool) -> None:
        self._fresh.append(Outgoing(self._next, bytes(self._bytes[:size]), last=last))
        del self._bytes[:size]
        self._next += 1

    def shorten(self, size: int) -> None:
        """Divide the next packet so that a first one of `size` bytes can go; nobody has seen it yet."""
        if not self._fresh or len(self._fresh[0].payload) <= size:
            return
        packets = list(self._fresh)
        self._fresh.clear()
        head = packets[0]
        parts = [Outgoing(head.seq, head.payload[:size], last=False)]
        parts.append(Outgoing(head.seq + 1, head.payload[size:], last=head.last))
        for packet in packets[1:]:
            packet.seq += 1
            parts.append(packet)
        self._next += 1
        self._fresh.extend(parts)

    # -- the network's side

    def due(self) -> Outgoing | None:
        """The next packet that may go now: a lost one before a new one. `sent` must be called for it."""
        flying = 0
        for packet in self._flight.values():
            if packet.lost:
                if flying < self.congestion:
                    return packet
                return None
            flying += not packet.arrived
        if not self._fresh or flying >= self.congestion:
            return None
        fresh = self._fresh[0]
        return fresh if fresh.seq < self.first + self.window else None

    def sent(self, packet: Outgoing, serial: int, mono: float) -> None:
        """It went."""
        if packet.attempts:
            self.resends += 1
            packet.lost = False
        else:
            self._fresh.popleft()
            self._flight[packet.seq] = packet
        packet.serial, packet.sent = serial, mono
        packet.attempts += 1

    def acknowledge(self, ack: Ack, serial: int, mono: float) -> bool:
        """The peer said what it has, in a packet with this serial number. Whether anything new has come."""
        if ack.first > self._next or ack.first < self.first:
            return False  # of packets never sent, or overtaken by a newer one
        if self.newest_ack and serial <= self.newest_ack and ack.first == self.first:
            return False
        self.newest_ack = max(self.newest_ack, serial)
        self.window = max(1, ack.window)
        self.payload = max(
            SMALLEST, min(self.payload, ack.longest - HEADER_SIZE, ack.interface - HEADER_SIZE)
        )
        newest, came = self._note(ack, mono)
        lost = self._judge(newest, mono)
        if lost:
            if self.first > self._recover:
                self._recover = self._next
                self.threshold = max(LEAST_THRESHOLD, min(self.congestion, self.window) // 2)
                self.congestion = self.threshold
        elif came:
            self.congestion += came if self.congestion < self.threshold else 1
            self.congestion = min(self.congestion, 2 * self.window)
        return bool(came)

    def _note(self, ack: Ack, mono: float) -> tuple[int, int]:
        """Take what has arrived; the newest serial among it, and how many packets are new."""
        newest = came = 0
        flight = self._flight
        for seq in range(self.first, min(ack.first, self._next)):
            packet = flight.pop(seq, None)
            if packet is not None:
                came += not packet.arrived
                newest = max(newest, packet.serial)
                self._measure(packet, ack, mono)
        self.first = max(self.first, ack.first)
        for offset, has in enumerate(ack.acks):
            packet = flight.get(ack.first + offset)
            if packet is None:
                continue
            if has:
                came += not packet.arrived
                packet.arrived, packet.lost = True, False
                newest = max(newest, packet.serial)
                self._measure(packet, ack, mono)
            else:
                packet.arrived = False
        return newest, came

    def _measure(self, packet: Outgoing, ack: Ack, mono: float) -> None:
        """Only where the acknowledgement says which transmission made it, and was not held back."""
        if packet.serial == ack.serial and ack.serial and ack.reason != Reason.DELAY:
            self._round_trip.measure(mono - packet.sent)

    def _judge(self, newest: int, mono: float) -> bool:
        """Find the lost ones: sent well before something that has come, and not just now."""
        found = False
        before = mono - self._round_trip.average
        for packet in self._flight.values():
            late = packet.serial + REORDERED <= newest and packet.sent <= before
            if late and not packet.arrived and not packet.lost:
                packet.lost = found = True
        return found

    def deadline(self) -> float | None:
        """When the oldest transmission is given up."""
        earliest = _NEVER
        for packet in self._flight.values():
            if not packet.arrived and not packet.lost:
                earliest = min(earliest, packet.sent + self._round_trip.timeout(packet.attempts))
        return None if earliest == _NEVER else earliest

    def expire(self, mono: float) -> None:
        """The deadline passed: what was not acknowledged in time goes again, one packet first."""
        overdue = [
            packet
            for packet in self._flight.values()
            if not packet.arrived and packet.sent + self._round_trip.timeout(packet.attempts) <= mono
        ]
        if overdue:
            self.threshold = max(LEAST_THRESHOLD, min(self.congestion, self.window) // 2)
            self.congestion = 1
            self._recover = self._next
        for packet in overdue:
            packet.lost = True

    def repeat(self) -> None:
        """The peer shows that it has nothing yet: the first packet goes again."""
        for packet in self._flight.values():
            if not packet.arrived:
                packet.lost = True
                return
