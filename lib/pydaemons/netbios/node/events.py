# SPDX-License-Identifier: GPL-3.0-or-later
"""What node and shell tell each other besides packets: events go in through Node.handle, effects come out of
Node.drain. The common effects are in engine.effects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydaemons.engine.effects import Effect, Persist
from pydaemons.netbios.node.settings import Settings
from pydaemons.netbios.node.subnet import Interface


@dataclass(frozen=True, slots=True)
class InterfacesChanged:
    """The interfaces to be on are now exactly these."""

    interfaces: tuple[Interface, ...]


@dataclass(frozen=True, slots=True)
class Reconfigured:
    """The configuration was read anew."""

    settings: Settings


@dataclass(frozen=True, slots=True)
class Resolved:
    """The resolver is done with a Resolve; no addresses: it knows no such host."""

    wire: bytes
    addresses: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Release the names and then Leave."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A control request: `verb` of views.VERBS with its arguments; the result goes to `answer`."""

    verb: str
    arguments: Mapping[str, Any]
    answer: Callable[[dict[str, Any]], None] = field(compare=False)


@dataclass(frozen=True, slots=True)
class Resolve(Effect):
    """Look a host name up and come back with Resolved. Must not keep the loop waiting."""

    wire: bytes
    host: str


@dataclass(frozen=True, slots=True)
class RunHook(Effect):
    """Run a program with exactly these arguments, no shell, and do not wait for it."""

    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoreNames(Persist):
    """Make these WINS records durable before this batch's answers leave; None deletes one."""

    records: Mapping[bytes, bytes | None] = field(default_factory=dict)
