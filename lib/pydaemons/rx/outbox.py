# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes to clients: answers in packets, acknowledgements, refusals, never more to an address that is not
proved than came from it. Read flush; sender says which packets of an answer are due.
"""

from __future__ import annotations

from collections import Counter

from pydaemons.engine.effects import Effect, Reply
from pydaemons.engine.protocol import Now
from pydaemons.rx.call import Brief, Call
from pydaemons.rx.connection import WANT_ANSWER, Connection
from pydaemons.rx.packet import HEADER_SIZE, Ack, Flag, Reason, Type, pack_ack, pack_code
from pydaemons.rx.receiver import WINDOW
from pydaemons.rx.sender import Outgoing

SMALLEST_PIECE = 32
"""Bytes of an answer worth a packet of their own while the client's address is not proved."""
ACK_SIZE = HEADER_SIZE + 37


class Outbox:
    """All datagrams to send that are not returned at once."""

    def __init__(self, counts: Counter[str]) -> None:
        self.out: list[Effect] = []
        self._counts = counts

    def send(self, connection: Connection, data: bytes) -> None:
        """A packet."""
        self.out.append(Reply(connection.origin, data))

    def abort(self, connection: Connection, call: Call | Brief | None, code: int) -> None:
        """Say how a call ended; none: that the connection has no future."""
        self.send(connection, connection.packet(Type.ABORT, call, pack_code(code)))

    def abort_if_room(self, connection: Connection, call: Call | Brief, code: int) -> None:
        """The same to who asks again after a call that has ended, as often as he may be answered."""
        if connection.room() >= HEADER_SIZE + 4:
            self.abort(connection, call, code)

    def flush(self, call: Call, now: Now) -> None:
        """Send what of the answer may go."""
        sender, connection = call.sender, call.connection
        burst: list[Outgoing] = []
        room = connection.room()
        while (packet := sender.due()) is not None:
            size = HEADER_SIZE + len(packet.payload) + connection.security.overhead
            if size > room:
                fits = room - HEADER_SIZE - connection.security.overhead
                if packet.attempts or fits < SMALLEST_PIECE:
                    break
                sender.shorten(fits)
                if sender.closed:
                    call.end = sender.end.to_bytes(4, "big")
                continue
            room -= size
            sender.sent(packet, connection.serial + 1 + len(burst), now.mono)
            burst.append(packet)
        for index, packet in enumerate(burst, 1):
            flags = Flag.LAST if packet.last else 0
            if index < len(burst):
                flags |= Flag.MORE
            elif not packet.last or packet.attempts > 1:
                flags |= Flag.WANT_ACK
            if packet.attempts > 1:
                self._counts["sent again"] += 1
            self.out.append(
                Reply(connection.origin, connection.data(call, packet.seq, flags, packet.payload))
            )
        if burst:
            call.ack_at = None

    def repeat(self, call: Call, now: Now) -> None:
        """The client asks again although an answer is under way: what is overdue, or soon would be, goes."""
        deadline = call.sender.deadline()
        patience = call.connection.round_trip.timeout(1) / 2
        if deadline is None or now.mono >= deadline - patience:
            call.sender.repeat()
        self.flush(call, now)

    def ack(self, call: Call, reason: Reason, serial: int) -> None:
        """Say what has come of a call's request, if there is room to."""
        receiver, connection = call.receiver, call.connection
        if connection.room() < ACK_SIZE:
            return
        ack = Ack(receiver.first, receiver.previous, serial, reason, receiver.have(), window=WINDOW)
        flags = WANT_ANSWER if reason is Reason.PING else Flag.SLOW_START
        receiver.unacknowledged = 0
        call.ack_at = None
        self.send(connection, connection.packet(Type.ACK, call, pack_ack(ack), flags))
