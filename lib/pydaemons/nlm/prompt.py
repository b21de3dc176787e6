# SPDX-License-Identifier: GPL-3.0-or-later
"""LOCK and UNLOCK as they come in all day, answered without being taken apart. Read Prompt.answer.

What one client says of a lock it takes again and again differs from call to call in xid, cookie and range
only. All between them (credential, caller name, file handle, owner) comes as the same bytes, and the same
bytes mean what they meant before. So a call is cut up by one struct call, whose layout is *predicted* from
its size, into

    xid | head | cookie | body | offset | length | tail

and believed if `head` and `tail` are those of the prediction and `body` has been met: then program, caller
and procedure, owner, file and mode are known. The lengths of all variable fields stand in head and body, so
equal bytes prove that the layout was right. A body is learned when it comes for the second time.

Nothing is decided here. A call that any rule but the lock table's might have a say in (`Server.calm`), one
that the reply cache may know, one that another's lock forbids: each is left, unchanged, to `Service.receive`,
and what that makes of it is right. What is known of a caller is forgotten when the service forgets it
(`Service.generation`), what is known of a client when that changes (`Host.changes`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import TYPE_CHECKING, Any, TypeAlias

from pydaemons.engine.protocol import Buffer, Now, Origin, Place, Transport
from pydaemons.nlm.hosts import Host, Owner
from pydaemons.nlm.ranges import EOF
from pydaemons.nlm.types import NLM_PROGRAM, LockArgs, UnlockArgs
from pydaemons.nlm.versions import NEWEST
from pydaemons.sunrpc.message import SUCCESS, padded
from pydaemons.sunrpc.program import Call, Procedure, Service

if TYPE_CHECKING:
    from pydaemons.nlm.server import Server

MOST = 8192
"""Bodies remembered, met once or known; beyond that all are forgotten, so that hostile ones cost time but no
memory."""

GRANTED = bytes(4)
"""How the answers end that are given here."""
_WORD = 4


_Known: TypeAlias = tuple[bytes, Owner, bool]
"""What a body says: file, owner, exclusive."""


class _Plan:
    """How calls of one size from one origin are expected to look."""

    __slots__ = ("head", "known", "locks", "met", "middle", "other", "procedure", "tail", "unpack")

    def __init__(
        self, call: Call, pieces: tuple[bytes, int, int, bytes], other: _Plan | None, *, locks: bool
    ) -> None:
        head, cookie, body, tail = pieces
        procedure = call.procedure
        assert procedure is not None
        self.procedure: Procedure = procedure
        self.locks = locks
        """LOCK, or else UNLOCK."""
        self.head = head
        """Everything behind the xid up to the length of the cookie."""
        self.tail = tail
        """Everything behind the range."""
        number = "Q" if call.version == NEWEST else "I"
        layout = Struct(f">4s{len(head)}s{cookie}s{body}s{number}{number}{len(tail)}s")
        self.unpack: Callable[[Buffer, int], tuple[Any, ...]] = layout.unpack_from
        self.middle = SUCCESS + cookie.to_bytes(_WORD, "big")
        """Of the answer, what stands between xid and cookie."""
        self.known: dict[bytes, _Known] = {}
        self.met: set[bytes] = set()
        """Bodies that came once."""
        self.other = other
        """Another plan for calls of this size."""


class _Lane:
    """All that is known of one origin."""

    __slots__ = ("changes", "generation", "host", "plans")

    def __init__(self, generation: int, host: Host) -> None:
        self.generation = generation
        self.host = host
        self.changes = host.changes
        self.plans: dict[int, _Plan] = {}

    def forget(self, host: Host) -> None:
        """The client is not what it was: what its bodies mean is to be learned again."""
        self.host = host
        self.changes = host.changes
        for first in self.plans.values():
            plan: _Plan | None = first
            while plan is not None:
                plan.known.clear()
                plan = plan.other


class Prompt:
    """The engine.protocol.Prompt of the lock manager."""

    def __init__(self, server: Server, service: Service) -> None:
        self._server = server
        self._service = service
        self._lanes: dict[Origin, _Lane] = {}
        self._size = 0

    def answer(
        self, data: Buffer, places: Sequence[Place], origin: Origin, now: Now, answers: list[bytes]
    ) -> None:
        """The packet path."""
        lane = self._lanes.get(origin)
        server = self._server
        if (
            lane is None
            or lane.generation != self._service.generation
            or lane.changes != lane.host.changes
            or not server.calm(len(places))
        ):
            return
        plans = lane.plans
        blocking = server.blocking
        crowd = blocking.crowd
        lock, unlock = server.table.lock, server.table.unlock
        locked, unlocked = server.journal.locked, server.journal.unlocked
        cache = self._service.cache
        if cache.remembered:
            return
        new, old, peer, mono = cache.new, cache.old, origin.peer, now.mono
        fresh = None if origin.transport is Transport.TCP else cache.fresh
        keep = answers.append
        locks = unlocks = 0
        try:
            for at, size in places:
                plan = plans.get(size)
                while plan is not None:
                    xid, head, cookie, body, start, length, tail = plan.unpack(data, at)
                    if head == plan.head and tail == plan.tail:
                        break
                    plan = plan.other
                else:
                    return
                known = plan.known.get(body)
                if known is None or xid in new or xid in old:
                    return
                end = start + length if length else EOF
                if end > EOF or start >= EOF:
                    return
                file, owner, exclusive = known
                if crowd and blocking.crowded(file):
                    return
                if plan.locks:
                    if lock(file, owner, start, end, exclusive) is not None:
                        return
                    locks += 1
                    locked(owner, file, start, end, exclusive)
                else:
                    unlocks += 1
                    if unlock(file, owner, start, end):
                        unlocked(owner, file, start, end)
                plan.procedure.calls += 1
                reply = xid + plan.middle + cookie + GRANTED
                call = data[at : at + size]
                new[xid] = peer, call, reply, mono
                if fresh is not None:
                    fresh.append((peer.host, call, reply, mono))
                keep(reply)
        finally:
            server.passed(locks, unlocks)
            if locks:
                lane.host.last_seen = now.wall
            cache.bound()

    def take(self) -> bytes | None:
        """What the answers have the journal append."""
        journal = self._server.journal
        return None if journal.overgrown else journal.take(self._service.cache, self._server.grace)

    def met(self, data: bytes, origin: Origin, reply: bytes) -> None:
        """`Service.receive` answered this call so: know it when it comes again."""
        if not reply.startswith(SUCCESS, 4):
            return
        call = self._service.known(data, origin)
        if call is None or call.failure is not None:
            return
        program, procedure = call.program, call.procedure
        if program is None or procedure is None or program.number != NLM_PROGRAM:
            return
        locks = procedure.number == 2
        if not locks and procedure.number != 4:
            return
        host = self._server.hosts.find(origin.peer.host)
        if host is None:
            return
        lane = self._lanes.get(origin)
        if lane is None or lane.generation != self._service.generation:
            lane = self._lanes[origin] = _Lane(self._service.generation, host)
        elif lane.host is not host or lane.changes != host.changes:
            lane.forget(host)
        size = len(data)
        first = plan = lane.plans.get(size)
        while plan is not None:
            _, head, _, body, _, _, tail = plan.unpack(data, 0)
            if head == plan.head and tail == plan.tail:
                break
            plan = plan.other
        else:
            pieces = _pieces(data, call, procedure.unpack(data, call.args_at))
            if pieces is None:
                return
            plan = lane.plans[size] = _Plan(call, pieces, first, locks=locks)
            _, _, _, body, _, _, _ = plan.unpack(data, 0)
            self._count()
        if body not in plan.met:
            plan.met.add(body)
            self._count()
        elif body not in plan.known:
            known = self._learn(host, procedure.unpack(data, call.args_at), call)
            if known is not None:
                plan.known[body] = known

    def _count(self) -> None:
        self._size += 1
        if self._size > MOST:
            self._size = 0
            self._lanes.clear()

    def _learn(self, host: Host, args: LockArgs | UnlockArgs, call: Call) -> _Known | None:
        """What a call says, if it says nothing that is news: of one repeated late, that may be."""
        owner = host.owners.get(args.svid)
        if owner is None:
            return None
        file = self._server.file(args.fh, call)
        if isinstance(args, UnlockArgs):
            return file, owner, False
        if (
            not args.fh
            or args.reclaim
            or args.oh != owner.oh
            or args.caller_name not in (b"", host.name)
            or args.state not in (0, host.state)
        ):
            return None
        return file, owner, args.exclusive


def _pieces(data: bytes, call: Call, args: LockArgs | UnlockArgs) -> tuple[bytes, int, int, bytes] | None:
    """head, length of the cookie, length of the body, tail."""
    cookie = len(args.cookie)
    if cookie % _WORD:
        return None  # whatever it is padded with, the answer's cookie is padded with zeros
    cookie_at = call.args_at + _WORD
    flags = 2 * _WORD if isinstance(args, LockArgs) else 0
    names = sum(_WORD + padded(len(name)) for name in (args.caller_name, args.fh, args.oh))
    body = flags + names + _WORD
    tail_at = cookie_at + cookie + body + (16 if call.version == NEWEST else 8)
    return data[4:cookie_at], cookie, body, data[tail_at:]
