# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock manager at a glance, for somebody who looks every other second: its busiest files with their holders
and waiters, and its clients. Read `survey`; views.py has the rows.

The cost of a look is bounded whatever the table holds, since packets wait meanwhile: files where somebody
waits are found without searching, of the others the first `LOOK` are seen.
"""

from __future__ import annotations

from collections import Counter
from heapq import nlargest
from itertools import chain, islice

from pydaemons.engine.protocol import Now
from pydaemons.nlm import views
from pydaemons.nlm.server import Server
from pydaemons.nlm.views import Row

LOOK = 10_000
"""Files, locks and waiters that one look goes through: some milliseconds."""
EACH = 20
"""Holders and waiters of one file that are shown."""


def survey(server: Server, now: Now, *, files: int, order: str) -> Row:
    """The `files` first by `order` ("waiting", "locks" or "file"), and all clients. `complete`: everything
    was looked at."""
    return {
        "files": [
            {
                "file": file.hex(),
                "locks": held,
                "shares": sum(1 for _ in islice(server.shares.shares(file), LOOK)),
                "blocked": blocked,
                "holders": views.held_on(server, file, EACH),
                "waiters": views.waiting_on(server, file, now, EACH),
            }
            for file, held, blocked in _files(server, files, order)
        ],
        "clients": _clients(server),
        "complete": max(len(server.table), len(server.shares), len(server.waiters)) <= LOOK,
    }


def _files(server: Server, number: int, order: str) -> list[tuple[bytes, int, int]]:
    """The files to show, with the number of locks on and of waiters for each."""
    table, waiters = server.table, server.waiters
    waited = list(islice(waiters.queues, LOOK))
    shared = (file for file, _ in islice(server.shares.shares(), LOOK))
    seen = dict.fromkeys(chain(waited, islice(table.names(), LOOK), shared))
    found = [(file, table.count(file), waiters.count(file)) for file in seen]
    if order == "file":
        return sorted(found)[:number]
    first, second = (2, 1) if order == "waiting" else (1, 2)
    return nlargest(number, found, key=lambda row: (row[first], row[second]))


def _clients(server: Server) -> list[Row]:
    """As views.clients, counted no further than LOOK."""
    locks = Counter(held.owner.host for _, held in islice(server.table.locks(), LOOK))
    blocked = Counter(waiter.owner.host for waiter in islice(server.waiters.waiters(), LOOK))
    shares = Counter(share.owner[0] for _, share in islice(server.shares.shares(), LOOK))
    return [
        views.client(host, locks=locks[host], shares=shares[host], blocked=blocked[host])
        for host in islice(server.hosts, LOOK)
    ]
