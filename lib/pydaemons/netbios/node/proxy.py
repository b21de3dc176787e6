# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers on behalf of others: the WINS proxy for broadcasting clients, the DNS proxy behind the WINS server.

Read DnsProxy and WinsProxy. Both keep what they learnt for a while, within bounds, and know for whom an
answer is awaited; nothing waits in the packet path.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from pydaemons.engine.effects import Effect, Reply
from pydaemons.engine.protocol import Now, Origin
from pydaemons.netbios import name
from pydaemons.netbios.codes import Suffix
from pydaemons.netbios.node.events import Resolve
from pydaemons.netbios.nspacket import Nb

KNOWN_FOR = 7200.0
MISSING_FOR = 3600.0
"""Seconds a DNS answer and a DNS miss are believed (nmbd's figures)."""
FOUND_FOR = 300.0
UNFOUND_FOR = 60.0
"""The same of a WINS server."""
MOST_KNOWN = 4096
MOST_AWAITED = 256
"""Names being looked up at once; further questions get no answer and come again."""
MOST_WAITING = 32
"""Askers of one name kept waiting."""
_HOST = re.compile(rb"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
PROXIED = frozenset((int(Suffix.WORKSTATION), int(Suffix.SERVER)))
"""Suffixes worth a lookup: hosts, not roles."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Somebody who asked."""

    origin: Origin
    id: bytes


@dataclass(frozen=True, slots=True)
class Known:
    """What a lookup gave; no entries: nobody has the name."""

    entries: tuple[Nb, ...]
    until: float


class Lookups:
    """Lookups under way and what came of them: shared ground of both proxies."""

    def __init__(self) -> None:
        self._known: dict[bytes, Known] = {}
        self._awaited: dict[bytes, list[Waiting]] = {}

    def find(self, wire: bytes, mono: float) -> Known | None:
        """What is known of a name, while it is to be believed."""
        known = self._known.get(wire)
        if known is not None and known.until <= mono:
            del self._known[wire]
            return None
        return known

    def wait(self, wire: bytes, waiting: Waiting) -> bool:
        """Put an asker on the list; True: the lookup must be started."""
        awaited = self._awaited.get(wire)
        if awaited is None:
            if len(self._awaited) >= MOST_AWAITED:
                return False
            self._awaited[wire] = [waiting]
            return True
        if len(awaited) < MOST_WAITING and all(w.origin is not waiting.origin for w in awaited):
            awaited.append(waiting)
        elif len(awaited) <= MOST_WAITING:  # asked again: the newest id counts
            awaited[:] = [waiting if w.origin is waiting.origin else w for w in awaited]
        return False

    def learn(self, wire: bytes, entries: tuple[Nb, ...], until: float) -> list[Waiting]:
        """The lookup is done; who waits for it."""
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[wire] = Known(entries, until)
        return self._awaited.pop(wire, [])


class DnsProxy:
    """A WINS server's last resort: host names the resolver knows (smb.conf: dns proxy)."""

    def __init__(
        self, *, emit: Callable[[Effect], None], answer: Callable[[bytes, bytes, Known], bytes]
    ) -> None:
        self._emit = emit
        self._answer = answer
        self._lookups = Lookups()

    def ask(self, wire: bytes, id_: bytes, origin: Origin, now: Now) -> bytes | None:
        """The answer (which may say there is none), or None: it comes later."""
        known = self._lookups.find(wire, now.mono)
        if known is None:
            label = name.label_of(wire)
            host = label[:15].rstrip(b" ")
            if label[15] not in PROXIED or not _HOST.fullmatch(host):
                known = Known((), 0.0)
        if known is not None:
            return self._answer(id_, wire, known)
        if self._lookups.wait(wire, Waiting(origin, id_)):
            self._emit(Resolve(wire, host.decode("ascii").lower()))
        return None

    def resolved(self, wire: bytes, addresses: tuple[bytes, ...], now: Now) -> None:
        """The resolver's answer."""
        entries = tuple(Nb(0, address) for address in addresses)
        until = now.mono + (KNOWN_FOR if entries else MISSING_FOR)
        for waiting in self._lookups.learn(wire, entries, until):
            answer = self._answer(waiting.id, wire, Known(entries, until))
            self._emit(Reply(waiting.origin, answer))


class WinsProxy:
    """Broadcast questions answered out of a WINS server's database (smb.conf: wins proxy)."""

    def __init__(
        self,
        *,
        emit: Callable[[Effect], None],
        query: Callable[..., None],
        answer: Callable[[Waiting, bytes, Known], bytes | None],
    ) -> None:
        self._emit = emit
        self._query = query
        self._answer = answer
        self._lookups = Lookups()

    def ask(self, wire: bytes, id_: bytes, origin: Origin, now: Now) -> bytes | None:
        """The answer if it is known already; else it comes later, or never if nobody knows the name."""
        if name.suffix_of(wire) not in PROXIED:
            return None
        waiting = Waiting(origin, id_)
        known = self._lookups.find(wire, now.mono)
        if known is not None:
            return self._answer(waiting, wire, known) if known.entries else None
        if self._lookups.wait(wire, waiting):
            self._query(
                wire,
                now,
                on_found=lambda entries, ttl, now: self._learn(
                    wire, entries, now.mono + min(float(ttl), FOUND_FOR)
                ),
                on_missing=lambda now: self._learn(wire, (), now.mono + UNFOUND_FOR),
            )
        return None

    def _learn(self, wire: bytes, entries: tuple[Nb, ...], until: float) -> None:
        for waiting in self._lookups.learn(wire, entries, until):
            answer = self._answer(waiting, wire, Known(entries, until)) if entries else None
            if answer is not None:
                self._emit(Reply(waiting.origin, answer))
