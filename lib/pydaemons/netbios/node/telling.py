# SPDX-License-Identifier: GPL-3.0-or-later
"""What partners are told when they ask: the table of owners and versions, and an owner's names of some
versions ([MS-WINSRA] section 3.2.5). Read Jobs, Telling.

There may be a hundred thousand names, and packets of clients wait meanwhile: answers are made in slices.
Requests on one connection are answered in the order they came in, as the partner cannot tell answers apart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from pydaemons.netbios import winsra
from pydaemons.netbios.node.association import Job, Link, Links
from pydaemons.netbios.node.owners import Owners
from pydaemons.netbios.node.replicas import Replicas
from pydaemons.netbios.node.winsdb import WinsDb
from pydaemons.netbios.node.winsrecord import LOCAL, State
from pydaemons.netbios.winsra import Command, Owner
from pydaemons.wire.errors import WireError

SLICE = 500
"""Names taken or told between two looks at the network: a few milliseconds."""
REQUESTS = 64
"""Requests of a partner that may wait for their turn on one connection."""
_ANY = 0xFFFFFFFFFFFFFFFF


class Jobs:
    """Work that is done slice by slice. On one link it is done in order; links take turns."""

    def __init__(self, failed: Callable[[Link, str], None]) -> None:
        self._failed = failed
        self._busy: deque[Link] = deque()

    def __bool__(self) -> bool:
        return bool(self._busy)

    def do(self, link: Link, job: Job) -> None:
        """Begin a job, if none is before it on its link."""
        link.jobs.append(job)
        if len(link.jobs) == 1:
            self._slice(link)
        elif len(link.jobs) > REQUESTS:
            self._failed(link, "asks for more than it takes")

    def go_on(self) -> None:
        """Another slice of what was begun."""
        if self._busy:
            self._slice(self._busy.popleft())

    def _slice(self, link: Link) -> None:
        try:
            for _ in link.jobs[0]:
                self._busy.append(link)
                return
        except WireError as error:
            self._failed(link, f"sent nonsense: {error}")
        link.jobs.popleft()
        if link.jobs:
            self._busy.append(link)


class Telling:
    """The answers, as jobs."""

    def __init__(self, db: WinsDb, replicas: Replicas, owners: Owners, links: Links) -> None:
        self._db = db
        self._replicas = replicas
        self._owners = owners
        self._links = links

    def table(self, link: Link) -> Job:
        """Who owns names, and up to which version."""
        if link in self._links:
            self._links.say(link, Command.TABLE_REPLY, tuple(self._owners.table()))
        yield from ()

    def names(self, link: Link, asked: Owner, wall: Callable[[], float]) -> Job:
        """An owner's names. Released ones stay here: they may come back any moment."""
        owner = LOCAL if asked.address == self._owners.address else asked.address
        packed: list[bytes] = []
        found = self._db.of_owner(owner, asked.lowest, asked.highest or _ANY)
        for number, (version, wire) in enumerate(found, 1):
            if number % SLICE == 0:
                yield
                if link not in self._links:
                    return
            record = self._db.find(wire)
            if record is None or record.version != version or record.state == State.RELEASED:
                continue
            if record.state == State.TOMBSTONE or record.expires > wall():
                packed.append(winsra.pack_record(self._replicas.told(wire, record)))
        if link in self._links:
            self._links.send(link, winsra.names_reply(link.peer_context, packed))
