# SPDX-License-Identifier: GPL-3.0-or-later
"""What node and shell tell each other besides packets: events go in through Node.handle, effects come out of
Node.drain. The common effects are in engine.effects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydaemons.engine.effects import Effect, Level, Persist
from pydaemons.engine.protocol import Address
from pydaemons.netbios.node.settings import Settings
from pydaemons.netbios.node.subnet import Interface

NAME_TAKEN = "fda896b4abc76ea19499938144301b29"
"""MESSAGE_ID: Another host has one of our names."""
NAME_CLAIMED = "4d66dead1560692116845abc088f938e"
"""MESSAGE_ID: Another host claimed one of our names and was refused."""
NAME_DEMANDED = "8cc268fc0b9b50af937b668a6fefb6bd"
"""MESSAGE_ID: Somebody demanded that a name of ours be given up."""
CONTROLLER_SILENT = "5d2c7ac1e0b94c0f8a3f2b6e91c7d84a"
"""MESSAGE_ID: The domain controller behind us does not answer."""
WINS_REFUSED_NAME = "981576e76c8e4121b519f566fb1b9deb"
"""MESSAGE_ID: Somebody tried to register a name nobody may have."""
WINS_DEFENDED = "4e9213909a84a3ee7fdb9340d1aed2b9"
"""MESSAGE_ID: A claimed WINS name stayed with its owner."""
WINS_TAKEN_OVER = "bfa0bf388519edcd8ca8758ee66238a2"
"""MESSAGE_ID: A WINS name went to another host."""
WINS_NO_HOOK = "3d3bd52d1808120df052a7cb7e43c370"
"""MESSAGE_ID: A name was not passed to the hook."""

PARTNER_LOST = "602e600ba90a4082aef81e7c1ddd3cb0"
"""MESSAGE_ID: A WINS partner cannot be reached or does not do its part."""
WINS_FULL = "83604264e6d84d40a4dd1f6e5c569370"
"""MESSAGE_ID: There is no room for the names a partner knows."""
BROWSER_ROLE = "2f0c1d4b9a5e4c6f8d7b3a1e6c5f4d20"
"""MESSAGE_ID: We became master browser of a network or domain, or backup browser, or are it no more."""
BROWSER_IGNORED = "7b1e9c3a5d2f4e8896a0c4d1f3b7e5a2"
"""MESSAGE_ID: A host that wins elections without taking office is ignored for a while."""
BROWSE_SYNC_FAILED = "c4a8f1d60e3b4b7f95d2e6a1b8c3f709"
"""MESSAGE_ID: Another master's list could not be fetched."""


class Say(Protocol):
    """How the parts of a node log; messages that peers can cause have an id, which also bounds their
    number."""

    def __call__(self, level: Level, message: str, message_id: str | None = None) -> None: ...


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
class AccountFound:
    """What became of a FindAccount."""

    account: str
    known: bool


@dataclass(frozen=True, slots=True)
class Awaited:
    """Programs of this machine now wait for answers with exactly these transaction ids."""

    ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class LinkOpened:
    """A connection for WINS replication stands: one we asked for (OpenLink) or one that `host` made."""

    link: int
    host: str
    ours: bool


@dataclass(frozen=True, slots=True)
class LinkProgressed:
    """A part of a long message has come on it; the rest is under way."""

    link: int


@dataclass(frozen=True, slots=True)
class LinkReceived:
    """A message came on a link, without its length."""

    link: int
    data: bytes


@dataclass(frozen=True, slots=True)
class LinkClosed:
    """A link has ended, or could not be had."""

    link: int
    reason: str


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


NAME_KIND, DATAGRAM_KIND = 0, 1
"""What kind of packet local programs mean, by the numbers Samba's library uses."""


@dataclass(frozen=True, slots=True)
class LocalPacket(Effect):
    """Give a packet to the programs of this machine that wait for its id or its mailslot."""

    kind: int
    id: int
    data: bytes
    peer: Address
    mailslot: str = ""


@dataclass(frozen=True, slots=True)
class FindAccount(Effect):
    """Look whether the machine has this account and come back with AccountFound. Must not keep the loop
    waiting."""

    account: str


@dataclass(frozen=True, slots=True)
class OpenLink(Effect):
    """Connect to a host's replication port and come back with LinkOpened or LinkClosed. `link` is negative:
    the shell numbers those that come in from 1."""

    link: int
    host: str
    source: str


@dataclass(frozen=True, slots=True)
class SendLink(Effect):
    """Send a message on a link."""

    link: int
    data: bytes


@dataclass(frozen=True, slots=True)
class CloseLink(Effect):
    """End a link when all is sent; no LinkClosed follows."""

    link: int


@dataclass(frozen=True, slots=True)
class RunHook(Effect):
    """Run a program with exactly these arguments, no shell, and do not wait for it."""

    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WriteBrowseList(Effect):
    """Replace browse.dat, where smbd reads it, by this text."""

    text: str


@dataclass(frozen=True, slots=True)
class StoreNames(Persist):
    """Make these WINS records durable before this batch's answers leave; None deletes one."""

    records: Mapping[bytes, bytes | None] = field(default_factory=dict)
