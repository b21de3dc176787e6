# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock manager that answers at a glance what it can, and one that never does: they get the same packets and
must not be told apart. Read Twins."""

from __future__ import annotations

from fakes.locking import World
from fakes.succession import facts
from hosts import nlmcalls as nlm
from hosts import rpc
from hosts.nlmcalls import Alock
from pydaemons.engine.protocol import Transport

HOSTS = ("10.0.0.2", "10.0.0.3")


class Twins:
    """A server that answers at a glance what it can, and one that does not."""

    def __init__(self, **how: object) -> None:
        self.quick, self.slow = World(**how), World(prompt=False, **how)
        self.worlds = self.quick, self.slow
        for world in self.worlds:
            for host in HOSTS:
                world.client(address=host, rpcbind=False)
        self.xid = 5000

    def packet(self, data: bytes, host: str = HOSTS[0], transport: Transport = Transport.UDP) -> bytes | None:
        quick, slow = (world.receive(data, world.origins(host, 700, transport)) for world in self.worlds)
        assert quick == slow
        assert self.quick.locks() == self.slow.locks()
        return quick

    def call(
        self,
        procedure: int,
        arguments: bytes,
        *,
        version: int = 4,
        xid: int | None = None,
        host: str = HOSTS[0],
        transport: Transport = Transport.UDP,
    ) -> int:
        """The status, or -1."""
        self.xid += 1
        message = rpc.call_bytes(rpc.NLM, version, procedure, arguments, xid=self.xid if xid is None else xid)
        data = self.packet(message, host, transport)
        return -1 if data is None else int.from_bytes(data[-4:], "big")

    def lock(self, lock: Alock | None = None, **how: object) -> int:
        where = {key: how.pop(key) for key in ("version", "xid", "host", "transport") if key in how}
        packed = nlm.lock(where.get("version", 4), lock or Alock(), **how)
        return self.call(nlm.LOCK, packed, **where)

    def unlock(self, lock: Alock | None = None, **where: object) -> int:
        return self.call(nlm.UNLOCK, nlm.unlock(where.get("version", 4), lock or Alock()), **where)

    def both(self, do: object) -> None:
        """Something happens to both."""
        for world in self.worlds:
            do(world)
            world.carry()
        self.compare()

    def warm(self, **where: object) -> None:
        """The usual lock of the usual owner, until it is known."""
        for _ in range(3):
            assert self.lock(**where) == self.unlock(**where) == nlm.OK
        assert self.quick.prompted

    def glances(self) -> int:
        """How many calls were answered at a glance since this was asked last."""
        count, self.quick.prompted = self.quick.prompted, 0
        return count

    def compare(self) -> None:
        quick, slow = (self.told(world) for world in self.worlds)
        assert quick == slow

    @staticmethod
    def told(world: World) -> dict[str, object]:
        """All that anybody could ever see of a server."""
        engine, server = world.engine, world.server
        world.carry()
        return {
            "locks": world.locks(),
            "journal": facts(world),
            "counts": server.counts,
            "calls": {
                (version, number): procedure.calls
                for version, table in engine.service.programs[rpc.NLM].versions.items()
                for number, procedure in table.items()
            },
            "failures": engine.service.counts,
            "cache": set(engine.cache.freeze()),
            "hits": engine.cache.hits,
            "hosts": [
                (host.address, host.name, host.state, host.last_seen, host.monitored) for host in server.hosts
            ],
            "owners": sorted((o.svid, o.oh) for host in server.hosts for o in host.owners.values()),
            "waiting": sorted((w.owner.svid, w.start, w.end) for w in server.waiters.waiters()),
            "sent": world.sent,
            "deadline": engine.deadline(),
        }
