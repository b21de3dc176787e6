# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock engine and its clients on a network in virtual time. Read World, then LockClient.

Clients speak bytes, packed by tests/hosts and not by lib/. A client behaves as Linux does: it takes a GRANTED
only for a lock it waits for, compared by file handle, svid, range and the address it comes from, and only
once. It may also be silent, deaf, or unwilling.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from struct import Struct

from fakes.network import Clock, Origins
from hosts import nlmcalls as nlm
from hosts import rpc
from hosts.nlmcalls import Alock, Result
from pydaemons.engine.effects import Append, Effect, Log, Reply, Rewrite, Send, SendFailed
from pydaemons.engine.protocol import Address, Answers, Buffer, Now, Origin, Run, Transport, how_many
from pydaemons.lockd.access import Access
from pydaemons.lockd.engine import LockEngine
from pydaemons.lockd.localfs import LocalTable
from pydaemons.lockd.settings import PylockdConfiguration

SERVER = "10.0.0.1"
PORT = 4045
DELAY = 0.0001
HOURS = 3600.0
MARK = Struct(">H")


class Monitor:
    """A status monitor that writes down what it is told."""

    def __init__(self) -> None:
        self.state = 1
        self.watched: dict[str, bytes] = {}
        self.hosts = self.watched
        self.calls: list[tuple[str, str]] = []
        self.reports: list[tuple[bytes, int, bytes]] = []

    def watch(
        self, address: str, name: bytes, now: Now, *, local: str, state: int = 0, resumed: bool = False
    ) -> None:
        self.watched[address] = name
        self.calls.append(("watch", address))

    def unwatch(self, address: str, now: Now, *, local: str) -> None:
        del self.watched[address]
        self.calls.append(("unwatch", address))

    def notified(self, mon_name: bytes, state: int, priv: bytes, now: Now) -> None:
        self.reports.append((mon_name, state, priv))

    def begin(self, now: Now) -> None:
        self.calls.append(("begin", ""))

    def crash(self, now: Now) -> None:
        self.watched.clear()
        self.calls.append(("crash", ""))

    def tick(self, now: Now) -> None:
        pass

    def deadline(self) -> float | None:
        return None

    def drain(self) -> Iterator[Effect]:
        return iter(())


@dataclass(slots=True)
class Grant:
    """A GRANTED or GRANTED_MSG that reached a client."""

    moment: float
    procedure: int
    version: int
    send: Send
    cookie: bytes
    exclusive: bool
    lock: Alock
    answer: int | None
    """What the client said; None: nothing."""


@dataclass(slots=True)
class Wait:
    """A blocked lock a client remembers."""

    lock: Alock
    exclusive: bool
    server: str


class World:
    """An engine with its clock and its network. Packets take DELAY; `lose(send or reply)` may swallow one."""

    def __init__(
        self,
        *,
        mode: str = "serve",
        allow: tuple[str, ...] = ("*",),
        privileged: bool = False,
        seed: int = 1,
        codec: str = "opaque",
        codec_at: tuple[str, ...] = (),
        local: LocalTable | None = None,
        callout: Callable[..., None] | None = None,
        prompt: bool = True,
        **tunables: int,
    ) -> None:
        self.clock = Clock()
        self.origins = Origins(SERVER, PORT)
        self.settings = PylockdConfiguration()
        self.settings.pylockd.mode = mode
        self.settings.handles.codec = codec
        self.settings.handles.codec_at = codec_at
        self.settings.access.require_privileged_port = privileged
        for name, value in tunables.items():
            self.tune(name, value)
        self.prompt = prompt
        """Whether the server answers at a glance what it can."""
        self.prompted = 0
        """How often it did."""
        self.monitor = Monitor()
        self.asked: list[str] = []
        """Addresses the resolver was asked about."""
        self.engine = LockEngine(
            self.settings,
            access=Access(allow, attached=list, resolve=self.asked.append),
            entropy=random.Random(seed),
            hostname=b"server",
            monitor=lambda rpc, engine: self.monitor,
            programs=[],
            local=local,
            callout=callout,
        )
        self.server = self.engine.server
        self.journal = list(self.engine.snapshot())
        """What a process that is killed now would leave."""
        self.clients: dict[str, LockClient] = {}
        self.sent: list[tuple[float, Send]] = []
        self.logs: list[str] = []
        self.lose: Callable[[object], bool] = lambda packet: False
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._xids = count(1000)

    @property
    def now(self) -> Now:
        return self.clock.now

    def tune(self, name: str, value: object) -> None:
        """Set a tunable as an administrator does, and tell the engine if there is one yet."""
        change = self.settings.tunables.set(name, str(value), "test")
        if change is not None and hasattr(self, "engine"):
            self.engine.handle(change, self.now)

    def client(self, number: int = 2, **behaviour: object) -> LockClient:
        """The client 10.0.0.NUMBER, or one at another address by `address=`."""
        address = str(behaviour.pop("address", f"10.0.0.{number}"))
        behaviour.setdefault("xids", self._xids)
        client = self.clients[address] = LockClient(self, address, **behaviour)
        return client

    def receive(self, data: bytes, origin: Origin) -> bytes | None:
        """A packet arrives at the server; its answer."""
        answers = self.glance(data, [(0, len(data), len(data), 1)], origin) if self.prompt else []
        reply = answers[0] if answers else self.engine.receive(data, origin, self.now)
        self.carry()
        return reply

    def glance(self, data: Buffer, runs: list[Run], origin: Origin) -> list[bytes]:
        """What is answered at a glance, on a transport that wants the size of each answer before it."""
        found: list[Answers] = []
        self.engine.prompt.answer(data, runs, origin, self.now, found, lead=MARK.pack)
        self.prompted += how_many(found)
        replies = []
        for whole, number in found:
            step = len(whole) // number
            for at in range(0, len(whole), step):
                assert MARK.unpack_from(whole, at) == (step - MARK.size,)
                replies.append(whole[at + MARK.size : at + step])
        return replies

    def carry(self) -> None:
        """Do what the engine asks for."""
        for effect in self.engine.drain():
            match effect:
                case Send():
                    self.sent.append((self.clock.mono, effect))
                    if not self.lose(effect):
                        self.later(lambda send=effect: self._deliver(send))
                case Log(message=message):
                    self.logs.append(message)
                case Append(data=data):
                    self.journal.append(data)
                case Rewrite(parts=parts):
                    self.journal = list(parts)
                case Reply():
                    raise AssertionError("the lock manager answers at once or calls")
                case _:
                    raise AssertionError(f"what is {effect}?")

    def later(self, what: Callable[[], None], delay: float = DELAY) -> None:
        heapq.heappush(self._queue, (self.clock.mono + delay, next(self._order), what))

    def run(self, seconds: float = 0.1) -> None:
        """Let time pass: packets travel, deadlines come due."""
        end = self.clock.mono + seconds
        for _ in range(2_000_000):
            self.carry()
            deadline = self.engine.deadline()
            times = [t for t in (deadline, self._queue[0][0] if self._queue else None) if t is not None]
            if not times or min(times) > end:
                self.clock.mono = end
                return
            self.clock.mono = max(self.clock.mono, min(times))
            if self._queue and self._queue[0][0] <= self.clock.mono:
                heapq.heappop(self._queue)[2]()
            else:
                self.engine.tick(self.now)
        raise AssertionError("it never comes to rest")

    def grants_sent(self) -> list[float]:
        """When GRANTED or GRANTED_MSG left, to anybody."""
        return [at for at, send in self.sent if _procedure(send.data) in (nlm.GRANTED, nlm.GRANTED_MSG)]

    def check(self) -> None:
        """What must always be so: no two locks in conflict, nobody waits for what is free, who is being told
        of a lock has it."""
        table, waiters = self.server.table, self.server.waiters
        rows = list(table.locks())
        for file, held in rows:
            for owner in table.conflicts(file, held.owner, held.start, held.end, held.exclusive):
                raise AssertionError(f"{held} and one of {owner}")
        for waiter in waiters.waiters():
            assert table.test(waiter.file, waiter.owner, waiter.start, waiter.end, waiter.exclusive), waiter
        for grant in self.server.grants:
            mine = [
                held
                for file, held in table.locks(grant.file, grant.owner)
                if held.start < grant.end and grant.start < held.end
            ]
            assert mine, grant

    def locks(self) -> set[tuple[str, int, bytes, int, int, bool]]:
        """address, svid, file, start, end, exclusive of every lock held."""
        return {
            (held.owner.host.address, held.owner.svid, file, held.start, held.end, held.exclusive)
            for file, held in self.server.table.locks()
        }

    def _deliver(self, send: Send) -> None:
        client = self.clients.get(send.to.host)
        if client is None or client.gone:
            return
        client.packet(send)


def _procedure(data: bytes) -> int:
    return int.from_bytes(data[20:24], "big") if data[12:16] == rpc.u32(rpc.NLM) else -1


@dataclass(slots=True)
class LockClient:
    """A client host: its calls, its rpcbind, its lock manager that takes callbacks."""

    world: World
    address: str
    port: int = 5000
    """Where its lock manager listens, by UDP and TCP."""
    rpcbind: bool = True
    """False: nothing answers at port 111."""
    gone: bool = False
    """Nothing answers anywhere, nor is anything refused."""
    silent: bool = False
    """Callbacks are seen and not answered."""
    willing: bool = True
    """False: every GRANTED is refused."""
    says: int | None = None
    """The status to answer every GRANTED with, whatever it waits for."""
    error: int | None = None
    """The accept_stat (RFC 5531) its lock manager answers every call with, executing none."""
    version: int = 4
    transport: Transport = Transport.UDP
    name: bytes = b"client"
    xids: Iterator[int] = field(default_factory=lambda: count(1000))
    waits: list[Wait] = field(default_factory=list)
    grants: list[Grant] = field(default_factory=list)
    results: list[tuple[int, Result, Send]] = field(default_factory=list)
    """*_RES calls that came back: procedure, what they carried, how they came."""
    asked: int = 0
    """Questions its rpcbind had."""
    accepted: Callable[[Alock, bool], None] = lambda lock, exclusive: None
    """Told of every lock it learns by a callback to have."""

    # ---- calls

    def origin(self, port: int = 700, local: str = SERVER) -> Origin:
        return self.world.origins(self.address, port, self.transport, local)

    def call(
        self,
        procedure: int,
        arguments: bytes,
        *,
        xid: int | None = None,
        port: int = 700,
        local: str = SERVER,
        version: int | None = None,
        credential: bytes | None = None,
    ) -> rpc.Reply | None:
        """The reply, or None when there was none."""
        message = rpc.call_bytes(
            rpc.NLM,
            self.version if version is None else version,
            procedure,
            arguments,
            xid=next(self.xids) if xid is None else xid,
            credential=credential,
        )
        data = self.world.receive(message, self.origin(port, local))
        return None if data is None else rpc.Reply.parse(data)

    def result(self, procedure: int, arguments: bytes, **how: object) -> Result:
        reply = self.call(procedure, arguments, **how)
        assert reply is not None and reply.accepted == 0, reply
        found = nlm.read(procedure, reply.body, self.version)
        assert found is not None and found.cookie == nlm.COOKIE
        return found

    def alock(self, **where: object) -> Alock:
        return Alock(caller=self.name).but(**where)

    def lock(
        self,
        *,
        block: bool = False,
        exclusive: bool = True,
        reclaim: bool = False,
        state: int = 1,
        xid: int | None = None,
        local: str = SERVER,
        procedure: int = nlm.LOCK,
        **where: object,
    ) -> int:
        alock = self.alock(**where)
        arguments = nlm.lock(
            self.version, alock, block=block, exclusive=exclusive, reclaim=reclaim, state=state
        )
        status = self.result(procedure, arguments, xid=xid, local=local).status
        if status == nlm.BLOCKED:
            self.remember(alock, exclusive, local)
        elif status == nlm.OK:
            self.forget(alock, exclusive)
        return status

    def wait(self, **where: object) -> int:
        """A blocking LOCK."""
        return self.lock(block=True, **where)

    def test(self, *, exclusive: bool = True, **where: object) -> Result:
        return self.result(nlm.TEST, nlm.test(self.version, self.alock(**where), exclusive=exclusive))

    def unlock(self, *, xid: int | None = None, **where: object) -> int:
        return self.result(nlm.UNLOCK, nlm.unlock(self.version, self.alock(**where)), xid=xid).status

    def cancel(self, *, exclusive: bool = True, block: bool = True, **where: object) -> int:
        alock = self.alock(**where)
        self.forget(alock, exclusive)
        arguments = nlm.cancel(self.version, alock, exclusive=exclusive, block=block)
        return self.result(nlm.CANCEL, arguments).status

    def share(self, *, mode: int = 0, access: int = 1, reclaim: bool = False, **where: object) -> int:
        arguments = nlm.share(self.alock(**where), mode=mode, access=access, reclaim=reclaim)
        return self.result(nlm.SHARE, arguments).status

    def unshare(self, *, mode: int = 0, access: int = 1, **where: object) -> int:
        arguments = nlm.share(self.alock(**where), mode=mode, access=access)
        return self.result(nlm.UNSHARE, arguments).status

    def free_all(self, name: bytes | None = None, *, xid: int | None = None) -> None:
        reply = self.call(nlm.FREE_ALL, nlm.free_all(name or self.name), xid=xid)
        assert reply is not None and reply.accepted == 0 and reply.body == b""

    def remember(self, lock: Alock, exclusive: bool, server: str = SERVER) -> None:
        self.forget(lock, exclusive)
        self.waits.append(Wait(lock, exclusive, server))

    def forget(self, lock: Alock, exclusive: bool) -> None:
        self.waits = [wait for wait in self.waits if (wait.lock, wait.exclusive) != (lock, exclusive)]

    # ---- what comes to it

    def packet(self, send: Send) -> None:
        if send.to.port == 111:
            if self.rpcbind:
                self._asked(send)
        elif send.to.port != self.port:
            self.world.later(
                lambda: self.world.engine.handle(
                    SendFailed(send.to, send.transport, "Connection refused"), self.world.now
                )
            )
        elif self.error is not None:
            self._answer(send, send.data[:4] + rpc.u32(rpc.REPLY, 0, 0, 0, self.error))
        elif _procedure(send.data) == nlm.NULL:
            self._answer(send, send.data[:4] + rpc.u32(rpc.REPLY, 0, 0, 0, 0))
        elif _procedure(send.data) in (nlm.GRANTED, nlm.GRANTED_MSG):
            self._granted(send)
        elif nlm.TEST_RES <= _procedure(send.data) <= nlm.GRANTED_RES:
            reader, version, procedure = _arguments(send.data)
            found = nlm.read(procedure, reader.rest, version)
            assert found is not None
            self.results.append((procedure, found, send))

    def _answer(self, send: Send, data: bytes) -> None:
        origin = Origin(send.transport, send.to, Address(send.source or SERVER, PORT))
        if not self.world.lose(data):
            self.world.later(lambda: self.world.receive(data, origin) and None)

    def _asked(self, send: Send) -> None:
        self.asked += 1
        reader, version, procedure = _arguments(send.data)
        head = send.data[:4] + rpc.u32(rpc.REPLY, 0, 0, 0)
        assert procedure == 3  # GETPORT of version 2, GETADDR of 3 and 4
        assert reader.u32() == rpc.NLM
        if version == 2:
            answer = rpc.u32(self.port)
        else:
            answer = rpc.opaque(f"{self.address}.{self.port >> 8}.{self.port & 255}")
        self._answer(send, head + rpc.u32(0) + answer)

    def _granted(self, send: Send) -> None:
        reader, version, procedure = _arguments(send.data)
        cookie, exclusive = reader.opaque(), bool(reader.u32())
        lock = Alock.read(reader, version)
        reader.done()
        mine = [
            wait
            for wait in self.waits
            if (wait.lock.fh, wait.lock.svid, wait.lock.offset, wait.lock.length, wait.exclusive, wait.server)
            == (lock.fh, lock.svid, lock.offset, lock.length, exclusive, send.source)
        ]
        status: int | None = nlm.OK if mine else nlm.DENIED
        status = None if self.silent else nlm.DENIED if not self.willing else status
        status = status if self.says is None else self.says
        grant = Grant(self.world.clock.mono, procedure, version, send, cookie, exclusive, lock, None)
        self.grants.append(grant)
        if status == nlm.OK:
            self.waits = [wait for wait in self.waits if wait not in mine]
            self.accepted(lock, exclusive)
        if status is not None:
            self.answer(grant, status)

    def answer(self, grant: Grant, status: int) -> None:
        """Say this to a GRANTED or GRANTED_MSG."""
        grant.answer = status
        answer = nlm.result(status, grant.cookie)
        if grant.procedure == nlm.GRANTED:
            self._answer(grant.send, grant.send.data[:4] + rpc.u32(rpc.REPLY, 0, 0, 0, 0) + answer)
        else:
            message = rpc.call_bytes(rpc.NLM, grant.version, nlm.GRANTED_RES, answer, xid=next(self.xids))
            if not self.world.lose(message):
                self.world.later(lambda: self.world.receive(message, self.origin()) and None)


def _arguments(data: bytes) -> tuple[rpc.Unpacker, int, int]:
    """A reader at the arguments, the version, the procedure."""
    reader = rpc.Unpacker(data)
    words = [reader.u32() for _ in range(6)]
    assert words[1:3] == [rpc.CALL, 2]
    for _ in range(2):
        reader.u32()
        reader.opaque()
    return reader, words[4], words[5]
