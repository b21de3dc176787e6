# SPDX-License-Identifier: GPL-3.0-or-later
"""One call at the server: its request comes in, a body works on it, its answer goes out. Read Call, then
State; endpoint moves it.

A body is a generator. It yields what it needs (Read, WAIT) or gives (bytes of the answer), and returns how
the call ends: None when all was written, bytes for the rest of the answer, a number other than 0 for an abort
with that code. It never knows about packets.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Protocol

from pydaemons.engine.protocol import Now
from pydaemons.rx.receiver import Receiver
from pydaemons.rx.sender import Sender

if TYPE_CHECKING:  # a call belongs to its connection, which has four
    from pydaemons.rx.connection import Connection

KEEPALIVE = 4.0
"""Seconds of silence after which the client is asked whether it is there, and again (seen of OpenAFS)."""
DEAD = 16.0
"""Seconds of silence after which it is not (seen of OpenAFS)."""
ACK_DELAY = 0.1
"""Seconds an acknowledgement may wait for the answer, which is one (seen of OpenAFS)."""


@dataclass(frozen=True, slots=True)
class Read:
    """A body wants so many bytes of the request; it gets them all, or the call ends."""

    size: int


WAIT: Final = object()
"""A body waits for something else: Endpoint.resume says when, and what it gets."""

Outcome = bytes | int | None
Body = Generator[Any, Any, Outcome]


class State(Enum):
    """How far a call is."""

    RECEIVING = "receiving"
    """its request is coming, and maybe read"""
    WORKING = "working"
    """its body waits for something that is not the client"""
    SENDING = "sending"
    """the answer is complete and on its way"""
    DONE = "done"
    """the client has it, or is gone"""
    ABORTED = "aborted"
    """it ended with a code, which is kept for a client that asks again"""


RUNNING = frozenset({State.RECEIVING, State.WORKING})
RECEIVING, WORKING, SENDING, DONE, ABORTED = State


class Brief:
    """What is left of a call that has ended, or whose request and answer were a packet each and took no time,
    as most do. Anything unusual that happens to it makes a Call of it (Calls.unfold)."""

    __slots__ = ("channel", "code", "connection", "end", "number", "payload", "sent", "serial", "state")

    def __init__(self, connection: Connection, channel: int, number: int) -> None:
        self.connection = connection
        self.channel = channel
        self.number = number
        self.state = DONE
        self.payload = b""
        self.code = 0
        self.serial = 0
        """of its only transmission"""
        self.sent = 0.0
        self.end = b""


class Call:
    """A call, and when something is to be done about it. Compared by identity: it is its own ticket."""

    __slots__ = (
        "ack_at",
        "blocked",
        "body",
        "channel",
        "code",
        "connection",
        "end",
        "heard",
        "host",
        "number",
        "ping_at",
        "receiver",
        "sender",
        "state",
        "wanted",
    )

    def __init__(self, connection: Connection, channel: int, number: int, *, host: str, mono: float) -> None:
        self.connection = connection
        self.channel = channel
        self.number = number
        self.host = host
        """under whose name it is counted"""
        self.state = State.RECEIVING
        self.receiver = Receiver()
        self.sender = Sender(connection.round_trip)
        self.body: Body | None = None
        self.wanted = 0
        """bytes the body waits for"""
        self.blocked = False
        """the body waits until the client has taken some of the answer"""
        self.code = 0
        self.end = b""
        """once the answer is complete: the `first` of an acknowledgement of it all, as it travels"""
        self.heard = mono
        """when the client last gave a sign of life"""
        self.ping_at = mono + KEEPALIVE
        self.ack_at: float | None = None
        """when an acknowledgement that was put off is due"""

    def hear(self, mono: float) -> None:
        """The client is there."""
        self.heard = mono
        self.ping_at = mono + KEEPALIVE

    def deadline(self) -> float | None:
        """When `Endpoint.tick` should look at it again."""
        state = self.state
        if state is DONE or state is ABORTED:
            return None
        at = self.heard + DEAD
        if state is WORKING and self.ping_at < at:
            at = self.ping_at
        if self.ack_at is not None and self.ack_at < at:
            at = self.ack_at
        resend = self.sender.deadline()
        if resend is not None and resend < at:
            at = resend
        return at


class Service(Protocol):
    """What answers the calls of one service number."""

    streaming: frozenset[int]
    """procedures that read their request as it comes"""

    def quick(self, request: bytes) -> bytes | int | None:
        """The answer of a complete request, or its code, if it can be had on the spot and changes nothing (it
        may be asked for twice); else None."""

    def answer(self, request: bytes, call: Call, now: Now) -> Outcome | Body:
        """A complete request; the answer, an abort code, or a body that works it out."""

    def stream(self, procedure: int, call: Call, now: Now) -> Body:
        """A request of a streaming procedure begins."""
