# SPDX-License-Identifier: GPL-3.0-or-later
"""The seam between the engines (rules and state) and their shell (all I/O). Read Engine first; kit.driver is
its only caller.

An engine never opens a socket, reads a clock or sleeps. The shell tells it what came in and what time it is,
asks when it wants to be called again, and carries out what it hands back. Two engines and a list of datagrams
thus make a network, and hours of protocol time pass in milliseconds of test time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import NamedTuple, Protocol, TypeAlias

from pydaemons.engine.effects import Effect


class Transport(Enum):
    """How a packet travelled."""

    UDP = "udp"
    TCP = "tcp"


class Now(NamedTuple):
    """The time of a batch, read once by the shell."""

    mono: float
    """CLOCK_MONOTONIC in seconds: every timer runs on it."""
    wall: float
    """Seconds since 1970: only where people or formats set it (shown stamps, files on disk)."""


class Address(NamedTuple):
    """A numeric host and a port, IPv4-mapped IPv6 addresses already folded to IPv4."""

    host: str
    port: int


class Origin:
    """Where a packet came from and where it arrived. Interned by the shell: one object per peer, local
    address and transport, compared by identity, so that engines may key caches by it."""

    __slots__ = ("__weakref__", "handle", "local", "peer", "transport")

    def __init__(self, transport: Transport, peer: Address, local: Address, handle: object = None) -> None:
        self.transport = transport
        self.peer = peer
        self.local = local
        self.handle = handle
        """The shell's own business: how to send something back there (see effects.Reply)."""

    def __repr__(self) -> str:
        peer, local = self.peer, self.local
        return f"Origin({self.transport.value} {peer.host}:{peer.port} -> {local.host}:{local.port})"


class Engine(Protocol):
    """What the shell needs from an engine, and all it needs."""

    def receive(self, data: bytes, origin: Origin, now: Now) -> bytes | None:
        """A packet came in. Bytes returned are its answer, sent to `origin` once the batch's Persist effects
        are written."""

    def tick(self, now: Now) -> None:
        """The deadline passed (or may have: being called early does no harm)."""

    def deadline(self) -> float | None:
        """When `tick` is wanted next, in monotonic seconds; None: not before something else happens."""

    def handle(self, event: object, now: Now) -> None:
        """Something happened that is not a packet: a tunable changed, a connection failed, an effect is
        done."""

    def drain(self) -> Iterator[Effect]:
        """What the shell must do now, in this order. Each effect is handed out once."""


Run: TypeAlias = tuple[int, int, int, int]
"""Where in a buffer packets of one size stand: at, size, stride, count. The first begins at `at`, each one
`stride` bytes behind the one before it."""


def behind(runs: Sequence[Run], count: int) -> list[Run]:
    """The runs without their first `count` packets."""
    for number, (at, size, stride, length) in enumerate(runs):
        if count < length:
            return [(at + stride * count, size, stride, length - count), *runs[number + 1 :]]
        count -= length
    return []


Answers: TypeAlias = tuple[bytes, int]
"""Answers of one size, one behind the other, each led by what its transport wants before it; and how many."""


def how_many(answers: Sequence[Answers]) -> int:
    """The number of answers in all."""
    return answers[0][1] if len(answers) == 1 else sum([count for _, count in answers])


class Buffer(Protocol):
    """Bytes that stand somewhere: bytes, or a memory map."""

    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __getitem__(self, part: slice, /) -> bytes: ...


class Prompt(Protocol):
    """What an engine may offer besides: to answer the packets that come in all the time without looking at
    each of them from the beginning. The answers are those `receive` would have given; of all effects they
    have Append alone, and the deadline stays what it was."""

    def take(self) -> bytes | None:
        """What the answers given since the last drain have the journal append, perhaps nothing; None: ask
        `drain` this time."""

    def answer(
        self,
        data: Buffer,
        runs: Sequence[Run],
        origin: Origin,
        now: Now,
        answers: list[Answers],
        *,
        lead: Callable[[int], bytes],
    ) -> None:
        """Packets of one origin came in together. Append the answers to those at the beginning, as far as
        every one is easily answered, each behind what `lead` gives for its size: the first that is not, and
        all behind it, are left to `receive`, or to another try. After an exception it is the packet behind
        those answered that caused it."""
