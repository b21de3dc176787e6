# SPDX-License-Identifier: GPL-3.0-or-later
"""All calls of an endpoint: what comes for them, and what their bodies do. Read piece (DATA), acknowledge
(ACK), then _advance and _run; call.State says how far a call is, and outbox what goes to clients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from pydaemons.engine.protocol import Now
from pydaemons.engine.timers import Timers
from pydaemons.rx.call import (
    ABORTED,
    ACK_DELAY,
    DEAD,
    KEEPALIVE,
    RECEIVING,
    RUNNING,
    SENDING,
    WAIT,
    WORKING,
    Brief,
    Call,
    Outcome,
    Read,
    Service,
    State,
)
from pydaemons.rx.connection import Connection
from pydaemons.rx.crowd import Crowd, Limits
from pydaemons.rx.outbox import Outbox
from pydaemons.rx.packet import (
    CHANNEL_MASK,
    HEADER_SIZE,
    LONGEST_PAYLOAD,
    Ack,
    Failure,
    Flag,
    Header,
    Piece,
    Reason,
    Type,
    pack_code,
)
from pydaemons.wire.errors import WireError

ALL_OF_ONE = (2).to_bytes(4, "big")
"""The `first` of an acknowledgement of an answer of one packet."""


class Calls:
    """Calls under way, and their timers."""

    def __init__(
        self, services: Mapping[int, Service], limits: Limits, outbox: Outbox, counts: Counter[str]
    ) -> None:
        self.ended: Callable[[Call, Now], None] = lambda call, now: None
        """Told when a client is gone while its call waits for something."""
        self.timers: Timers[Call | Brief] = Timers()
        self._outbox = outbox
        self._services = services
        self._counts = counts
        self._largest = limits.request
        self.crowd = Crowd(limits)

    # -- beginning and end

    def begin(self, connection: Connection, channel: int, number: int, now: Now) -> Call | None:
        """A new call; None when there are too many under way."""
        host = connection.origin.peer.host
        if self.crowd.full(host):
            victim = self.crowd.find_victim(host)
            if victim is None:
                self._counts["too many calls"] += 1
                return None
            self._counts["never complete"] += 1
            self.end(victim, State.DONE, now)
        call = Call(connection, channel, number, host=host, mono=now.mono)
        self.crowd.enter(call)
        self._counts["calls"] += 1
        return call

    def brief(self, connection: Connection, header: Header, data: bytes, now: Now) -> bytes | None:
        """A new call that is one packet and can be answered by one, at once; None when it has to be begun."""
        channel = header.id & CHANNEL_MASK
        old = connection.calls[channel]
        if old is not None and (header.call <= old.number or old.state is RECEIVING or old.state is WORKING):
            return None
        try:
            outcome = self._services[connection.service].quick(data[HEADER_SIZE:])
        except WireError:
            return None
        if outcome is None:
            return None
        size = 4 if isinstance(outcome, int) else len(outcome)
        if size > LONGEST_PAYLOAD or HEADER_SIZE + size > connection.room():
            return None
        if old is not None:
            self.timers.cancel(old)
        self._counts["calls"] += 1
        call = connection.calls[channel] = Brief(connection, channel, header.call)
        if isinstance(outcome, int):
            call.state, call.code = ABORTED, outcome
            return connection.packet(Type.ABORT, call, pack_code(outcome))
        call.state, call.payload, call.end = SENDING, outcome, ALL_OF_ONE
        answer = connection.data(call, 1, Flag.LAST, outcome)
        call.serial, call.sent = connection.serial, now.mono
        self.timers.set(call, now.mono + connection.round_trip.timeout(1))
        return answer

    def unfold(self, brief: Brief) -> Call:
        """The same as a Call."""
        connection = brief.connection
        host = connection.origin.peer.host
        call = Call(connection, brief.channel, brief.number, host=host, mono=brief.sent)
        call.receiver.take(1, Flag.LAST, b"")
        call.receiver.swallow(1)
        call.state, call.code, call.end = brief.state, brief.code, brief.end
        if brief.state is SENDING:
            call.sender.write(brief.payload)
            call.sender.close()
            packet = call.sender.due()
            assert packet is not None
            call.sender.sent(packet, brief.serial, brief.sent)
        self.timers.cancel(brief)
        connection.calls[brief.channel] = call
        return call

    def end(self, call: Call | Brief, state: State, now: Now) -> None:
        """Nothing more is done about a call; its body, if it still waits, is closed."""
        if isinstance(call, Brief):
            call.state, call.payload = state, b""
            self.timers.cancel(call)
            return
        if call.state in RUNNING:
            self.crowd.leave(call)
            if call.state is State.WORKING:
                self.ended(call, now)
        if call.body is not None:
            call.body.close()
            call.body = None
        call.state = state
        self.timers.cancel(call)
        connection = call.connection
        if connection.calls[call.channel] is call:  # what came and what was to go is of no use any more
            brief = connection.calls[call.channel] = Brief(connection, call.channel, call.number)
            brief.state, brief.code = state, call.code

    def resume(self, call: Call, value: object, now: Now) -> None:
        """What the body of a call waited for has come."""
        if call.state is State.WORKING:
            call.state = State.RECEIVING
            self._run(call, value, now)
            if call.wanted:  # the client may have had to stop meanwhile
                self._outbox.ack(call, Reason.DELAY, 0)
            self.arm(call)

    # -- what comes

    def piece(self, call: Call, header: Header, piece: Piece, now: Now) -> None:
        """One DATA packet of a known call."""
        connection, receiver = call.connection, call.receiver
        if call.state is State.DONE:
            return
        if call.state is State.ABORTED:
            self._outbox.abort_if_room(connection, call, call.code)
            return
        payload = connection.security.open(header, piece.payload)
        if len(payload) > LONGEST_PAYLOAD:
            self._counts["too long"] += 1
            return
        reason = receiver.take(piece.seq, piece.flags, payload)
        if reason is Reason.DUPLICATE:
            self._counts["duplicates"] += 1
            if call.state is State.SENDING:
                self._outbox.repeat(call, now)
            else:
                self._outbox.ack(call, reason, piece.serial)
            return
        if call.state is State.RECEIVING:
            self._advance(call, piece, now)
        if call.state not in RUNNING:
            return  # the answer says it all
        if reason is None:
            call.ack_at = now.mono + ACK_DELAY
        else:
            self._outbox.ack(call, reason, piece.serial)

    def acknowledge(self, call: Call, ack: Ack, serial: int, now: Now) -> None:
        """The client has some of the answer, or all."""
        sender = call.sender
        if call.state is State.DONE or call.state is State.ABORTED:
            return
        sender.acknowledge(ack, serial, now.mono)
        if sender.finished:
            self.end(call, State.DONE, now)
            return
        if call.blocked and not _enough(call):
            call.blocked = False
            self._run(call, None, now)
        else:
            self._outbox.flush(call, now)
        self.arm(call)

    # -- the work

    def _advance(self, call: Call, piece: Piece, now: Now) -> None:
        """More of a request is there."""
        receiver, service = call.receiver, self._services[call.connection.service]
        if call.body is not None:
            if call.wanted:
                self._run(call, None, now)
            return
        if piece.seq == 1:
            procedure = int.from_bytes(piece.payload[:4], "big")
            if procedure in service.streaming:
                call.body = service.stream(procedure, call, now)
                self._run(call, None, now)
                return
        if not receiver.complete:
            self.crowd.wait(call)
            receiver.swallow(self._largest)
            if receiver.available > self._largest:
                self._finish(call, Failure.SERVER_UNMARSHAL, now)
            return
        self.crowd.come(call)
        request = receiver.read(receiver.available)
        procedure = int.from_bytes(request[:4], "big")
        if len(request) < 4:
            self._finish(call, Failure.DECODE, now)
            return
        try:
            outcome = service.answer(request, call, now)
        except WireError:
            outcome = Failure.SERVER_UNMARSHAL
        if outcome is None or isinstance(outcome, bytes | int):
            self._finish(call, outcome, now)
        else:
            call.body = outcome
            self._run(call, None, now)

    def _run(self, call: Call, value: object, now: Now) -> None:
        """Let a body go on until it needs something that is not there."""
        body, receiver = call.body, call.receiver
        assert body is not None
        while True:
            if call.wanted:
                if receiver.available < call.wanted:
                    if receiver.complete:
                        self._finish(call, Failure.SERVER_UNMARSHAL, now)
                    else:
                        receiver.swallow(call.wanted)
                        self.crowd.wait(call)
                        self._outbox.flush(call, now)
                    return
                value, call.wanted = receiver.read(call.wanted), 0
            try:
                step: Any = body.send(value)
            except StopIteration as stop:
                self._finish(call, stop.value, now)
                return
            except WireError:
                self._finish(call, Failure.SERVER_UNMARSHAL, now)
                return
            value = None
            if isinstance(step, Read):
                call.wanted = step.size
            elif step is WAIT:
                self.crowd.come(call)
                call.state = State.WORKING
                call.ping_at = now.mono + KEEPALIVE
                self._outbox.flush(call, now)
                return
            else:
                call.sender.write(step)
                if not call.connection.proved:
                    self._outbox.flush(call, now)
                if _enough(call):
                    call.blocked = True
                    self._outbox.flush(call, now)
                    return

    def _finish(self, call: Call, outcome: Outcome, now: Now) -> None:
        """The call ends with an answer or with a code."""
        connection = call.connection
        if isinstance(outcome, int) and outcome != 0:
            call.code = int(outcome)
            self.end(call, State.ABORTED, now)
            self._outbox.abort(connection, call, call.code)
            return
        self.crowd.leave(call)
        call.state, call.body, call.ack_at = State.SENDING, None, None
        if isinstance(outcome, bytes):
            call.sender.write(outcome)
        call.sender.close()
        call.end = call.sender.end.to_bytes(4, "big")
        self._outbox.flush(call, now)

    # -- time

    def arm(self, call: Call) -> None:
        """See to its timer. One that comes too early does no harm."""
        at = call.deadline()
        if at is None:
            self.timers.cancel(call)
            return
        armed = self.timers.at(call)
        if armed is None or at < armed:
            self.timers.set(call, at)

    def due(self, call: Call | Brief, now: Now) -> None:
        if isinstance(call, Brief):
            call = self.unfold(call)
        mono = now.mono
        if mono >= call.heard + DEAD:
            self._counts["dead clients"] += 1
            self.end(call, State.DONE, now)
            return
        if call.ack_at is not None and mono >= call.ack_at:
            call.ack_at = None
            self._outbox.ack(call, Reason.DELAY, 0)
        if call.state is State.WORKING and mono >= call.ping_at:
            call.ping_at = mono + KEEPALIVE
            self._outbox.ack(call, Reason.PING, 0)
        resend = call.sender.deadline()
        if resend is not None and mono >= resend:
            call.sender.expire(mono)
            self._outbox.flush(call, now)
        self.arm(call)


def _enough(call: Call) -> bool:
    """Whether its body should wait before it gives more: what waits to be sent waits in memory, and for a
    client that has not even proved to be there nothing does that need not."""
    return call.sender.full or (call.sender.behind and not call.connection.proved)
