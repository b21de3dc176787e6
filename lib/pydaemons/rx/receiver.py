# SPDX-License-Identifier: GPL-3.0-or-later
"""One direction of a call, incoming: packets in any order become bytes in order. After the Rx draft, "Call
Layer". Read Receiver.take, which also says how to acknowledge.

`first` moves when the reader takes a packet and not when it comes: that is what holds back a sender whose
data nobody wants yet.
"""

from __future__ import annotations

from collections import deque

from pydaemons.rx.packet import Flag, Reason

WINDOW = 32
"""Packets from `first` on there is room for."""
AT_ONCE = 2
"""Packets after which an acknowledgement is due without being asked for."""


class Receiver:
    """The packets of one call from the other side."""

    __slots__ = ("_early", "_queue", "_size", "_taken", "first", "last", "next", "previous", "unacknowledged")

    def __init__(self) -> None:
        self.first = 1
        """the first packet the reader has not taken"""
        self.next = 1
        """the first packet that has not come, or came too early"""
        self.last = 0
        """the last packet, once it has come"""
        self.previous = 0
        self.unacknowledged = 0
        """packets in order since something was said about them"""
        self._early: dict[int, bytes] = {}
        self._queue: deque[bytes] = deque()
        self._taken = bytearray()
        self._size = 0

    def take(self, seq: int, flags: int, payload: bytes) -> Reason | None:
        """A packet came. The acknowledgement it needs at once; None when it can wait a little."""
        if seq < self.next or seq in self._early:
            return Reason.DUPLICATE
        if seq >= self.first + WINDOW or (self.last and seq > self.last):
            return Reason.EXCEEDS_WINDOW
        self.previous = seq
        if flags & Flag.LAST and not self.last and (not self._early or max(self._early) < seq):
            self.last = seq
        if seq != self.next:
            self._early[seq] = payload
            return Reason.OUT_OF_SEQUENCE
        self._append(payload)
        self.unacknowledged += 1
        if self._early:  # the sender waits to hear that its packet was not lost a second time
            self.unacknowledged = AT_ONCE
            while self.next in self._early:
                self._append(self._early.pop(self.next))
        if flags & Flag.WANT_ACK:
            return Reason.REQUESTED
        return Reason.IDLE if self.unacknowledged >= AT_ONCE else None

    def _append(self, payload: bytes) -> None:
        self._queue.append(payload)
        self._size += len(payload)
        self.next += 1

    @property
    def complete(self) -> bool:
        """All has come."""
        return bool(self.last) and self.next > self.last

    @property
    def available(self) -> int:
        """Bytes that can be read."""
        return self._size + len(self._taken)

    def read(self, size: int) -> bytes:
        """The next `size` bytes, which must be available; their packets are taken."""
        taken = self._taken
        while len(taken) < size:
            payload = self._queue.popleft()
            self._size -= len(payload)
            self.first += 1
            if not taken and len(payload) == size:
                return payload
            taken += payload
        data = bytes(taken[:size])
        del taken[:size]
        if not self._queue:
            self.first = self.next
        return data

    def swallow(self, limit: int) -> None:
        """Take what has come out of the window, for a reader that wants it whole; up to `limit` bytes."""
        while self._queue and len(self._taken) < limit:
            payload = self._queue.popleft()
            self._size -= len(payload)
            self._taken += payload
            self.first += 1

    def have(self) -> bytes:
        """What has come from `first` on, a byte for each packet, as acknowledgements list it."""
        if not self._early:
            return b"\1" * min(self.next - self.first, WINDOW)
        end = max(self._early) + 1
        return bytes(seq < self.next or seq in self._early for seq in range(self.first, end))
