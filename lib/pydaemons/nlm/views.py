# SPDX-License-Identifier: GPL-3.0-or-later
"""What people and programs are shown of a lock manager: rows of plain values, ready for JSON. Nothing here
changes state.

File handles are hexadecimal, names and owner handles text as far as they are text, times seconds since 1970.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from pydaemons.engine.protocol import Now
from pydaemons.nlm.grants import Blocked, key_of
from pydaemons.nlm.hosts import Host, Owner
from pydaemons.nlm.locktable import Holder
from pydaemons.nlm.ranges import to_length
from pydaemons.nlm.server import Server
from pydaemons.nlm.shares import Share
from pydaemons.nlm.types import Status

Row = dict[str, Any]
HOLDERS = 50
"""So many owners in the way of one request are named."""
ACCESS = ("none", "read", "write", "read-write")


def text(name: bytes) -> str:
    """Bytes from the network as one line of text; what is not printable ASCII is escaped."""
    return "".join(chr(c) if 32 <= c < 127 and c != 92 else f"\\x{c:02x}" for c in name)


def owner(who: Owner) -> Row:
    """A lock's owner. `server` is the address of ours that its client calls."""
    host = who.host
    return {
        "client": host.address,
        "name": text(host.name),
        "server": host.local,
        "svid": who.svid,
        "oh": text(who.oh),
    }


def span(start: int, end: int) -> Row:
    """A range as NLM gives it; a length of 0 runs to the end of the file."""
    return {"offset": start, "length": to_length(start, end)}


def locks(
    server: Server, *, client: str | None = None, file: bytes | None = None, svid: int | None = None
) -> Iterator[Row]:
    """The locks held now, then the shares; all, or those of one client, file, or owner number. May be read
    while the lock manager goes on."""
    untold = {(grant.file, grant.owner, grant.start, grant.end) for grant in server.grants}
    table = server.table
    held = table.freeze() if file is None else iter([(file, *each) for _, each in list(table.locks(file))])
    shares = [] if svid is not None else list(server.shares.shares(file))
    return chain(
        (
            lock(name, Holder(owner, start, end, exclusive), (name, owner, start, end) not in untold)
            for name, owner, start, end, exclusive in held
            if client in (None, owner.host.address) and svid in (None, owner.svid)
        ),
        (a_share(name, each) for name, each in shares if client in (None, each.owner[0].address)),
    )


def lock(file: bytes, held: Holder[Owner], acknowledged: bool) -> Row:
    """A held lock. `acknowledged`: its client knows that it has it."""
    return {
        "kind": "lock",
        "file": file.hex(),
        "mode": "write" if held.exclusive else "read",
        **span(held.start, held.end),
        **owner(held.owner),
        "acknowledged": acknowledged,
    }


def a_share(file: bytes, share: Share[tuple[Host, bytes]]) -> Row:
    """A share."""
    host, oh = share.owner
    return {
        "kind": "share",
        "file": file.hex(),
        "mode": ACCESS[share.access],
        "deny": ACCESS[share.deny],
        "client": host.address,
        "name": text(host.name),
        "server": host.local,
        "oh": text(oh),
    }


def held_on(server: Server, file: bytes, most: int) -> list[Row]:
    """The first locks and shares on a file."""
    rows = []
    for _, held in islice(server.table.locks(file), most):
        untold = {(grant.start, grant.end) for grant in server.grants.of(file, held.owner)}
        rows.append(lock(file, held, (held.start, held.end) not in untold))
    return rows + [a_share(file, each) for _, each in islice(server.shares.shares(file), most - len(rows))]


def blocked(server: Server, now: Now) -> Iterator[Row]:
    """The requests that wait now, file by file, and for each the owners whose locks are in its way. May be
    read while the lock manager goes on; who got its lock meanwhile is left out."""
    found = sorted(server.waiters.unordered(), key=lambda waiter: (waiter.file, waiter.turn))
    return (
        waiting(server, waiter, now) for waiter in found if server.waiters.find(*key_of(waiter)) is waiter
    )


def waiting_on(server: Server, file: bytes, now: Now, most: int) -> list[Row]:
    """Those who wait longest for a file."""
    return [waiting(server, waiter, now) for waiter in islice(server.waiters.waiters(file), most)]


def waiting(server: Server, waiter: Blocked, now: Now) -> Row:
    """A waiting request. A writer may wait for thousands of readers: the first `HOLDERS` are named."""
    file, start, end = waiter.file, waiter.start, waiter.end
    holders = server.table.conflicts(file, waiter.owner, start, end, waiter.exclusive)
    named = [owner(holder) for holder in islice(holders, HOLDERS)]
    return {
        "file": file.hex(),
        "mode": "write" if waiter.exclusive else "read",
        **span(start, end),
        **owner(waiter.owner),
        "waiting": round(max(0.0, now.wall - waiter.payload.since), 3),
        "holders": named,
        "more_holders": len(named) == HOLDERS and next(holders, None) is not None,
    }


def clients(server: Server) -> list[Row]:
    """Every known client with what it holds and waits for."""
    held = Counter(held.owner.host for _, held in server.table.locks())
    waits = Counter(waiter.owner.host for waiter in server.waiters.waiters())
    shares = Counter(share.owner[0] for _, share in server.shares.shares())
    return [client(host, locks=held[host], shares=shares[host], blocked=waits[host]) for host in server.hosts]


def client(host: Host, *, locks: int, shares: int, blocked: int) -> Row:
    """A client, with what it was counted to hold and wait for."""
    return {
        "client": host.address,
        "name": text(host.name),
        "server": host.local,
        "locks": locks,
        "shares": shares,
        "blocked": blocked,
        "monitored": host.monitored,
        "state": host.state,
        "calls": host.calls,
        "first_seen": host.first_seen,
        "last_seen": host.last_seen,
    }


def decisions(server: Server) -> dict[str, dict[str, int]]:
    """How often each procedure decided what."""
    return {
        name: {Status(status).name: count for status, count in enumerate(counts) if count}
        for name, counts in server.counts.items()
    }


def figures(server: Server, now: Now) -> Row:
    """The numbers of the status line."""
    return {
        "locks": len(server.table),
        "files": server.table.files,
        "shares": len(server.shares),
        "blocked": len(server.waiters),
        "granting": len(server.grants),
        "clients": len(server.hosts),
        "grace": server.grace.active,
        "grace_left": round(server.grace.left(now.mono), 1),
        "refuse": server.refuse,
    }
