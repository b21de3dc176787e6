# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to WINS partners and the associations on them ([MS-WINSRA] section 3.1). Read Phase and
Links.

A link is one TCP connection with one association: each side names it by a number of its own, the context. Who
waits for an answer waits for so long; what is said on a link, and when, is replication's business.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum, auto

from pydaemons.engine.effects import Effect
from pydaemons.engine.entropy import Entropy
from pydaemons.engine.protocol import Now
from pydaemons.engine.timers import Timers
from pydaemons.netbios import winsra
from pydaemons.netbios.node.events import CloseLink, OpenLink, SendLink
from pydaemons.netbios.winsra import NameRecord, Owner

PATIENCE = 30.0
"""Seconds a partner may be silent while an answer, or the rest of one, is owed."""
LINKS = 4
"""Connections of one partner; it gets along with two."""

Job = Iterator[None]


class Phase(Enum):
    """What happens on a link."""

    OPENING = auto()
    STARTING = auto()
    RESTING = auto()
    ASKED_TABLE = auto()
    ASKED_NAMES = auto()
    TAKING = auto()
    """Names came and are being taken."""


class Link:
    """One connection."""

    __slots__ = (
        "asked",
        "context",
        "host",
        "id",
        "jobs",
        "news",
        "ours",
        "peer_context",
        "phase",
        "then_stop",
        "wanted",
    )

    def __init__(self, id_: int, host: str, *, ours: bool, context: int) -> None:
        self.id = id_
        self.host = host
        self.ours = ours
        self.context = context
        """What the partner calls this association, and we."""
        self.peer_context = 0
        self.phase = Phase.OPENING if ours else Phase.RESTING
        self.wanted: deque[Owner] = deque()
        """Owners whose names are to be asked for."""
        self.asked = Owner(b"", 0)
        self.then_stop = False
        """The partner lent us its connection for one pull."""
        self.news = 0
        self.jobs: deque[Job] = deque()
        """Work this link gave cause for, in its order."""


class Links:
    """All of them. They are numbered by the shell, those we open by us: `numbers` gives negative ones, none
    twice while the shell may know it."""

    def __init__(self, numbers: Iterator[int], *, entropy: Entropy, emit: Callable[[Effect], None]) -> None:
        self._entropy = entropy
        self._emit = emit
        self._open: dict[int, Link] = {}
        self._timers: Timers[int] = Timers()
        self._numbers = numbers

    def __contains__(self, link: Link) -> bool:
        return link.id in self._open

    def find(self, id_: int) -> Link | None:
        """The link of this number."""
        return self._open.get(id_)

    def of(self, host: str) -> list[Link]:
        """All links with a host, oldest first."""
        return [link for link in self._open.values() if link.host == host]

    def find_associated(self, host: str, context: int) -> Link | None:
        """The association of a host that has this context. It may be spoken to over another connection of the
        same host, and answers over its own (smbtorture's assoc_ctx1)."""
        return next((link for link in self.of(host) if link.context == context), None)

    # ---- begin and end

    def call(self, host: str, source: str, now: Now) -> Link:
        """Connect to a partner."""
        id_ = next(self._numbers)
        link = self._open[id_] = Link(id_, host, ours=True, context=self._new_context())
        self.expect(link, Phase.OPENING, now)
        self._emit(OpenLink(link.id, host, source))
        return link

    def accept(self, id_: int, host: str) -> None:
        """A partner connected to us. Its oldest connection makes room if it has too many."""
        theirs = [link for link in self.of(host) if not link.ours]
        if len(theirs) >= LINKS:
            self.hang_up(theirs[0])
        self._open[id_] = Link(id_, host, ours=False, context=self._new_context())

    def refuse(self, id_: int) -> None:
        """Nobody we know."""
        self._emit(CloseLink(id_))

    def hang_up(self, link: Link, *, tell: bool = True) -> None:
        """Forget a link; `tell`: and end its connection."""
        self._open.pop(link.id, None)
        self._timers.cancel(link.id)
        if tell:
            self._emit(CloseLink(link.id))

    # ---- messages

    def start(self, link: Link, now: Now) -> None:
        """Ask for an association."""
        self.expect(link, Phase.STARTING, now)
        self.send(link, winsra.pack(winsra.start(0, link.context)))

    def agree(self, link: Link, context: int) -> None:
        """Agree to the association a partner asked for."""
        link.peer_context = context
        self.send(link, winsra.pack(winsra.start(context, link.context, reply=True)))

    def stop(self, link: Link, reason: int) -> None:
        """End an association, and its connection."""
        self.send(link, winsra.pack(winsra.stop(link.peer_context, reason)))
        self.hang_up(link)

    def say(
        self, link: Link, command: int, body: tuple[Owner, ...] | Owner | tuple[NameRecord, ...] | None
    ) -> None:
        """A replication message."""
        self.send(link, winsra.pack(winsra.replication(command, link.peer_context, body)))

    def send(self, link: Link, data: bytes) -> None:
        """A packed message."""
        self._emit(SendLink(link.id, data))

    # ---- patience

    def expect(self, link: Link, phase: Phase, now: Now) -> None:
        """The partner owes an answer."""
        link.phase = phase
        self._timers.set(link.id, now.mono + PATIENCE)

    def go_on(self, id_: int, now: Now) -> None:
        """A piece of a long message came: the rest has its time from now."""
        if id_ in self._timers:
            self._timers.set(id_, now.mono + PATIENCE)

    def has(self, link: Link, phase: Phase) -> None:
        """The answer is here."""
        link.phase = phase
        self._timers.cancel(link.id)

    def overdue(self, now: Now) -> list[Link]:
        """Links on which an answer is owed for too long."""
        return [link for id_ in self._timers.due(now.mono) if (link := self._open.get(id_)) is not None]

    def deadline(self) -> float | None:
        """When `overdue` is to be looked at."""
        return self._timers.deadline()

    def _new_context(self) -> int:
        return self._entropy.getrandbits(31) | 1
