# SPDX-License-Identifier: GPL-3.0-or-later
"""What an engine asks its shell to do, as values. Imperative names; the shell executes them in the order they
come.

The common ones live here; a daemon may add its own (StartUnit, ...) by deriving from Effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a value here, a seam there: the two modules name each other's types only
    from pydaemons.engine.protocol import Address, Origin, Transport


class Effect:
    """Base of everything `Engine.drain` yields."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Reply(Effect):
    """Send `data` back to where a packet came from, from the very socket and local address it reached."""

    origin: Origin
    data: bytes


@dataclass(frozen=True, slots=True)
class Send(Effect):
    """Send `data` (one datagram, or one record of a stream the shell opens and keeps) on our own account."""

    transport: Transport
    to: Address
    data: bytes
    source: str | None = None
    """Local address it must leave from; None lets the routing table choose."""
    privileged: bool = False
    """Leave from a port below 1024 (the peer checks it)."""
    source_port: int | None = None
    """Leave from this port, one that the shell listens on (datagrams only)."""


@dataclass(frozen=True, slots=True)
class Persist(Effect):
    """Make `data` the durable content of the state file `name` (relative; atomic, fsynced); None removes it.
    Answers of the same batch wait for it."""

    name: str
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Append(Effect):
    """Add `data` to the daemon's journal, the state that outlives the process but not the machine. Answers of
    the same batch wait for it, and so does all else the batch led to."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Rewrite(Effect):
    """Replace the journal by `parts`, which say the same as all that was appended until now, and by what is
    appended from now on. Read once; bit by bit, if need be, while the engine goes on."""

    parts: Iterable[bytes]


class Level(IntEnum):
    """syslog(3) priorities."""

    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6
    DEBUG = 7


@dataclass(frozen=True, slots=True)
class Log(Effect):
    """One event, one line; `fields` become journal fields (upper-case names without a leading underscore)."""

    level: Level
    message: str
    fields: Mapping[str, str] = field(default_factory=dict)
    message_id: str | None = None
    """32 hex digits, fixed for each event worth finding again."""


@dataclass(frozen=True, slots=True)
class Leave(Effect):
    """End the daemon: it asked for it itself (exit status 0) or cannot go on (anything else)."""

    status: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SendFailed:
    """Event: a Send could not be delivered (connection refused or lost, network unreachable, ICMP error)."""

    to: Address
    transport: Transport
    error: str
