# SPDX-License-Identifier: GPL-3.0-or-later
"""What people and programs are shown of a lock manager: rows of plain values, ready for JSON. Nothing here
changes state.

File handles are hexadecimal, names and owner handles text as far as they are text, times seconds since 1970.
"""

from __future__ import annotations

from typing import Any

from pydaemons.engine.protocol import Now
from pydaemons.nlm.hosts import Owner
from pydaemons.nlm.ranges import to_length
from pydaemons.nlm.server import Server
from pydaemons.nlm.types import Status

Row = dict[str, Any]
ACCESS = ("none", "read", "write", "read-write")


def text(name: bytes) -> str:
    """Bytes from the network as one line of text; what is not printable ASCII is escaped."""
    return "".join(chr(c) if 32 <= c < 127 and c != 92 else f"\\x{c:02x}" for c in name)


def owner(who: Owner) -> Row:
    """A lock's owner."""
    host = who.host
    return {"client": host.address, "name": text(host.name), "svid": who.svid, "oh": text(who.oh)}


def span(start: int, end: int) -> Row:
    """A range as NLM gives it; a length of 0 runs to the end of the file."""
    return {"offset": start, "length": to_length(start, end)}


def locks(server: Server) -> list[Row]:
    """Held locks, then shares."""
    untold = {(g.file, g.owner, g.start, g.end) for g in server.grants}
    rows = [
        {
            "kind": "lock",
            "file": file.hex(),
            "mode": "write" if held.exclusive else "read",
            **span(held.start, held.end),
            **owner(held.owner),
            "acknowledged": (file, held.owner, held.start, held.end) not in untold,
        }
        for file, held in server.table.locks()
    ]
    for file, share in server.shares.shares():
        host, oh = share.owner
        rows.append(
            {
                "kind": "share",
                "file": file.hex(),
                "mode": ACCESS[share.access],
                "deny": ACCESS[share.deny],
                "client": host.address,
                "name": text(host.name),
                "oh": text(oh),
            }
        )
    return rows


def blocked(server: Server, now: Now) -> list[Row]:
    """Waiting requests, and for each the owners whose locks are in its way."""
    return [
        {
            "file": waiter.file.hex(),
            "mode": "write" if waiter.exclusive else "read",
            **span(waiter.start, waiter.end),
            **owner(waiter.owner),
            "waiting": round(max(0.0, now.wall - waiter.payload.since), 3),
            "holders": [
                owner(holder)
                for holder in server.table.conflicts(
                    waiter.file, waiter.owner, waiter.start, waiter.end, waiter.exclusive
                )
            ],
        }
        for waiter in server.waiters.waiters()
    ]


def clients(server: Server) -> list[Row]:
    """Every known client with what it holds and waits for."""
    held: dict[str, int] = {}
    for _, lock in server.table.locks():
        held[lock.owner.host.address] = held.get(lock.owner.host.address, 0) + 1
    waits: dict[str, int] = {}
    for waiter in server.waiters.waiters():
        waits[waiter.owner.host.address] = waits.get(waiter.owner.host.address, 0) + 1
    shares: dict[str, int] = {}
    for _, share in server.shares.shares():
        address = share.owner[0].address
        shares[address] = shares.get(address, 0) + 1
    return [
        {
            "client": host.address,
            "name": text(host.name),
            "locks": held.get(host.address, 0),
            "shares": shares.get(host.address, 0),
            "blocked": waits.get(host.address, 0),
            "monitored": host.monitored,
            "state": host.state,
            "first_seen": host.first_seen,
            "last_seen": host.last_seen,
        }
        for host in server.hosts
    ]


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
