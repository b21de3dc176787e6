# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock manager killed, and the next process that finds its journal."""

from __future__ import annotations

import random
from typing import Any

from fakes.locking import World
from pydaemons.lockd.access import Access
from pydaemons.lockd.engine import LockEngine
from pydaemons.nlm.records import PAIR, RANGE, SPANS, TOGETHER, Op
from pydaemons.nlm.replay import _Replay
from pydaemons.nlm.server import Server


def successor(world: World, parts: list[bytes] | None = None, **options: Any) -> LockEngine:
    """A process that finds the journal of `world`."""
    engine = LockEngine(
        world.settings,
        access=Access(("*",), attached=list, resolve=world.asked.append),
        entropy=random.Random(2),
        hostname=b"server",
        monitor=lambda rpc, engine: world.monitor,
        programs=[],
        **options,
    )
    engine.restore(world.journal if parts is None else parts)
    return engine


def restart(world: World) -> None:
    """Kill it: the next process goes on from the journal, in the same world."""
    world.engine = successor(world)
    world.server = world.engine.server
    world.journal = list(world.engine.snapshot())
    world.engine.begin(world.now)
    world.carry()


def facts(world: World) -> list[bytes]:
    """The records of its journal, those taken together one by one."""
    engine = successor(world, [])
    reading = _Replay(engine.server, engine.cache)
    data = b"".join(bytes(part) for part in world.journal)
    found: list[bytes] = []
    at = 0
    while at < len(data):
        start, at = at, reading.apply[data[at]](data, at)
        if data[start] == Op.TOGETHER:
            _, op, number, size = TOGETHER.unpack_from(data, start)
            head = start + TOGETHER.size
            file, owners = (
                data[head : head + size],
                PAIR.iter_unpack(data[head + size :][: number * PAIR.size]),
            )
            numbers = SPANS[number].unpack(data[at - SPANS[number].size : at])
            for owner, low, high in zip(owners, numbers[:number], numbers[number:], strict=True):
                found.append(RANGE.pack(op, *owner, low, high, size) + file)
        else:
            found.append(data[start:at])
    return found


def known(server: Server) -> dict[str, Any]:
    """All that a lock manager knows and must not forget."""

    def blocked(each: Any) -> tuple[Any, ...]:
        request, origin = each.payload, each.payload.call.origin
        where = each.file, each.owner.host.address, each.owner.svid, each.start, each.end, each.exclusive
        way = origin.peer, origin.local, origin.transport, request.call.version, request.asynchronous
        return *where, *way, request.fh, request.offset, request.length, request.since, each.beneath

    mine = {holder.owner for _, holder in server.table.locks()}
    mine |= {waiter.owner for waiter in server.waiters.waiters()}
    return {
        "locks": {
            (file, held.owner.host.address, held.owner.svid, held.start, held.end, held.exclusive)
            for file, held in server.table.locks()
        },
        "owners": {(owner.host.address, owner.svid, owner.oh) for owner in mine},
        "waiting": {
            file: [blocked(each) for each in server.waiters.waiters(file)]
            for file in {each.file for each in server.waiters.waiters()}
        },
        "telling": {blocked(each) for each in server.grants},
        "shares": {
            (file, host.address, oh, access, deny) for file, (host, oh), access, deny in server.shares.dump()
        },
        "hosts": {
            (host.address, host.name, host.state, host.monitored) for host in server.hosts if host.number
        },
        "grace": (server.grace.active, server.grace.until),
    }
