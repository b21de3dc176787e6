# SPDX-License-Identifier: GPL-3.0-or-later
"""LOCK and UNLOCK as they come in all day, answered without being taken apart. Read Prompt.answer.

What one client says of a lock it takes again and again differs from call to call in xid, cookie and range
only. All between them (credential, caller name, file handle, owner) comes as the same bytes, and the same
bytes mean what they meant before. So a call is cut up by one struct call, whose layout is *predicted* from
its size, into

    xid | head | cookie | rest

and believed if `head` is that of the prediction and `rest` has been met: then program, caller and procedure,
owner, file, mode and range are known, and also what the journal will say of it: that is its `Deed`. A rest
not met is cut up further,

    body | offset | length | tail

and believed if `tail` is that of the prediction and `body` has been met. The lengths of all variable fields
stand in head and body, so equal bytes prove that the layout was right. A body is learned when it comes for
the second time.

Calls of one size that come together are cut up together, and go through each step as a column (`_Column`):
most of the work of a single one is Python's, not ours.

Nothing is decided here. A call that any rule but the lock table's might have a say in (`Server.calm`), one
that the reply cache may know, one that another's lock forbids: each is left, unchanged, to `Service.receive`,
and what that makes of it is right. What is known of a caller is forgotten when the service forgets it
(`Service.generation`), what is known of a client when that changes (`Host.changes`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from pydaemons.engine.protocol import Buffer, Now, Origin, Run, Transport
from pydaemons.nlm.hosts import Host, Owner
from pydaemons.nlm.journal import EXCLUSIVE, SHARED, UNLOCKED, pack_range
from pydaemons.nlm.ranges import EOF, Span
from pydaemons.nlm.types import NLM_PROGRAM, LockArgs, UnlockArgs
from pydaemons.nlm.versions import NEWEST
from pydaemons.sunrpc.dupcache import Kept
from pydaemons.sunrpc.message import SUCCESS, padded
from pydaemons.sunrpc.program import Call, Procedure, Service

if TYPE_CHECKING:
    from pydaemons.nlm.server import Server

MOST = 8192
"""Bodies remembered, met once or known; beyond that all are forgotten, so that hostile ones cost time but no
memory. As many deeds are, and those beyond that are not;"""
AGAIN = 4
"""with so many times as many, it is tried with others."""
TOGETHER = 3
"""So many calls are worth being handled together, column by column,"""
COLUMN = 64
"""up to so many,"""
LAYOUTS = 256
"""and of what such columns look like so much is remembered."""

GRANTED = bytes(4)
"""How the answers end that are given here."""
_WORD = 4

_kept = tuple.__new__
"""`_kept(Kept, (...))`: one without the detour through its Python-level constructor."""

_Known: TypeAlias = tuple[bytes, Owner, bool]
"""What a body says: file, owner, exclusive."""

Deed: TypeAlias = tuple[bytes, Owner, Span, bool, bytes]
"""What a call does: file, owner, range, exclusive, and the journal's record of it."""


class _Plan:
    """How calls of one size from one origin are expected to look."""

    __slots__ = (
        "deeds",
        "divide",
        "head",
        "known",
        "locks",
        "met",
        "middle",
        "other",
        "procedure",
        "sizes",
        "tail",
        "unpack",
    )

    def __init__(self, call: Call, pieces: _Pieces, other: _Plan | None, *, locks: bool) -> None:
        procedure = call.procedure
        assert procedure is not None
        self.procedure: Procedure = procedure
        self.locks = locks
        """LOCK, or else UNLOCK."""
        self.head = pieces.head
        """Everything behind the xid up to the length of the cookie."""
        self.tail = pieces.tail
        """Everything behind the range."""
        number = "Q" if call.version == NEWEST else "I"
        self.divide = Struct(f">{pieces.body}s{number}{number}{len(pieces.tail)}s")
        """How a rest is cut up."""
        self.sizes = f"4s{len(pieces.head)}s{pieces.cookie}s{self.divide.size}s"
        """How a call is."""
        self.unpack: Callable[[Buffer, int], tuple[bytes, ...]] = Struct(self.sizes).unpack_from
        self.middle = SUCCESS + pieces.cookie.to_bytes(_WORD, "big")
        """Of the answer, what stands between xid and cookie."""
        self.known: dict[bytes, _Known] = {}
        self.met: set[bytes] = set()
        """Bodies that came once."""
        self.deeds: dict[bytes, Deed] = {}
        """What is known of a rest."""
        self.other = other
        """Another plan for calls of this size."""

    def forget(self) -> None:
        """What bodies mean is to be learned again."""
        self.known.clear()
        self.deeds.clear()


class _Lane:
    """All that is known of one origin."""

    __slots__ = ("changes", "generation", "host", "plans")

    def __init__(self, generation: int, host: Host) -> None:
        self.generation = generation
        self.host = host
        self.changes = host.changes
        self.plans: dict[int, _Plan] = {}

    def all_plans(self) -> Iterator[_Plan]:
        for plan in self.plans.values():
            following: _Plan | None = plan
            while following is not None:
                yield following
                following = following.other

    def forget(self, host: Host) -> None:
        """The client is not what it was: what its bodies mean is to be learned again."""
        self.host = host
        self.changes = host.changes
        for plan in self.all_plans():
            plan.forget()


class Prompt:
    """The engine.protocol.Prompt of the lock manager."""

    def __init__(self, server: Server, service: Service) -> None:
        self._server = server
        self._service = service
        self._lanes: dict[Origin, _Lane] = {}
        self._size = 0
        self._deeds = 0
        """How many deeds have been made out since all were forgotten."""
        self._layouts: dict[tuple[str, int, int], Callable[[Buffer, int], tuple[bytes, ...]]] = {}

    def answer(
        self, data: Buffer, runs: Sequence[Run], origin: Origin, now: Now, answers: list[bytes]
    ) -> None:
        """The packet path."""
        lane = self._lanes.get(origin)
        server, cache = self._server, self._service.cache
        if (
            lane is None
            or lane.generation != self._service.generation
            or lane.changes != lane.host.changes
            or not lane.host.noted
            or cache.remembered
            or not server.calm(sum([count for _, _, _, count in runs]))
        ):
            return
        plans, new, old, blocking = lane.plans, cache.new, cache.old, server.blocking
        crowd = blocking.crowd
        lock, unlock, note = server.table.lock, server.table.unlock, server.journal.note
        peer, mono = origin.peer, now.mono
        fresh = None if origin.transport is Transport.TCP else cache.fresh
        took = False
        locks = unlocks = 0
        before = len(answers)
        try:
            for at, size, stride, left in runs:
                first = plans.get(size)
                if first is None:
                    return
                while left:
                    plan = first
                    xid, head, cookie, rest = plan.unpack(data, at)
                    while head != plan.head:
                        if plan.other is None:
                            return
                        plan = plan.other
                        xid, head, cookie, rest = plan.unpack(data, at)
                    if left >= TOGETHER:
                        together = at, size, stride, min(left, COLUMN)
                        done = self._answer_together(plan, data, together, answers, origin=origin, now=now)
                        if done:
                            took = took or plan.locks
                            at += stride * done  # where the rest of the run begins
                            left -= done
                            continue
                    deed = plan.deeds.get(rest) or self._understand(plan, rest)
                    if deed is None or xid in new or xid in old:
                        return
                    file, owner, (start, end), exclusive, record = deed
                    if crowd and blocking.crowded(file):
                        return
                    if plan.locks:
                        if lock(file, owner, start, end, exclusive) is not None:
                            return
                        locks += 1
                        note(record)
                    else:
                        unlocks += 1
                        if unlock(file, owner, start, end):
                            note(record)
                    plan.procedure.calls += 1
                    reply = xid + plan.middle + cookie + GRANTED
                    kept = _kept(Kept, (peer, data[at : at + size], 0, size, 0, (reply,), mono))
                    new[xid] = kept
                    if fresh is not None:
                        fresh.append(kept)
                    answers.append(reply)
                    at += stride
                    left -= 1
        finally:
            server.passed(locks, unlocks)
            host = lane.host
            host.calls += len(answers) - before
            if locks or took:
                host.last_seen = now.wall
            cache.bound()

    def _answer_together(
        self, plan: _Plan, data: Buffer, run: Run, answers: list[bytes], *, origin: Origin, now: Now
    ) -> int:
        """As many calls of the run as can be, if all have the head of `plan`: how many."""
        at, size, stride, count = run
        fields = self._layout(plan, stride - size, count)(data, at)
        xids, rests = fields[::4], fields[3::4]
        cache = self._service.cache
        if (
            fields[1::4].count(plan.head) != count
            or len(set(xids)) != count
            or not cache.new.keys().isdisjoint(xids)
            or not cache.old.keys().isdisjoint(xids)
        ):
            return 0
        deeds = self._understand_all(plan, rests)
        done, notes = (self._lock_all if plan.locks else self._unlock_all)(deeds) if deeds else (0, ())
        if not done:
            return 0
        self._server.journal.note_all(notes)
        plan.procedure.calls += done
        replies = [*map(b"".join, zip(xids[:done], repeat(plan.middle), fields[2::4], repeat(GRANTED)))]
        if not isinstance(data, bytes):  # a buffer that others will be received in
            data = b"".join([data[start : start + size] for start in range(at, at + stride * done, stride)])
            at, stride = 0, size
        elif len(data) > 2 * stride * done:
            data = data[at : at + stride * done]  # what else came with them is not to be kept
            at = 0
        kept = _kept(Kept, (origin.peer, data, at, size, stride, replies, now.mono))
        cache.new.update(zip(xids[:done], repeat(kept)))
        if cache.fresh is not None and origin.transport is not Transport.TCP:
            cache.fresh.append(kept)
        answers += replies
        return done

    def _lock_all(self, deeds: Sequence[Deed]) -> tuple[int, Sequence[bytes]]:
        """How many locks were taken, from the first on, and what the journal is to say of that."""
        server = self._server
        files, owners, spans, modes, notes = zip(*deeds, strict=True)
        file, exclusive, count = files[0], modes[0], len(deeds)
        done = 0
        if files.count(file) == count and modes.count(exclusive) == count and not server.blocking.crowd:
            done = server.table.lock_each(file, owners, spans, exclusive)
        blocking, lock = server.blocking, server.table.lock
        for file, owner, (start, end), exclusive, _ in deeds[done:]:
            if (blocking.crowd and blocking.crowded(file)) or lock(file, owner, start, end, exclusive):
                break
            done += 1
        server.passed(done, 0)
        return done, notes[:done]

    def _unlock_all(self, deeds: Sequence[Deed]) -> tuple[int, Sequence[bytes]]:
        """How many calls to unlock were carried out, from the first on, and what the journal is to say."""
        server = self._server
        files, owners, spans, _, notes = zip(*deeds, strict=True)
        file, count = files[0], len(deeds)
        done = 0
        if files.count(file) == count and not server.blocking.crowd:
            done = server.table.unlock_each(file, owners, spans)
        blocking, unlock = server.blocking, server.table.unlock
        said = list(notes[:done])
        for file, owner, (start, end), _, note in deeds[done:]:
            if blocking.crowd and blocking.crowded(file):
                break
            if unlock(file, owner, start, end):
                said.append(note)
            done += 1
        server.passed(0, done)
        return done, said

    def _understand(self, plan: _Plan, rest: bytes) -> Deed | None:
        """What a call does of which only the body may have been met."""
        body, offset, length, tail = plan.divide.unpack(rest)
        known = plan.known.get(body)
        end = offset + length if length else EOF
        if known is None or tail != plan.tail or end > EOF or offset >= EOF:
            return None
        file, owner, exclusive = known
        if not owner.noted:
            return None
        op = (EXCLUSIVE if exclusive else SHARED) if plan.locks else UNLOCKED
        deed = file, owner, (offset, end), exclusive, pack_range(op, owner, file, offset, end)
        self._deeds += 1
        if self._deeds > AGAIN * MOST:
            self._deeds = 0
            for lane in self._lanes.values():
                for each in lane.all_plans():
                    each.deeds.clear()
        if self._deeds <= MOST:
            plan.deeds[rest] = deed
        return deed

    def _understand_all(self, plan: _Plan, rests: Sequence[bytes]) -> Sequence[Deed]:
        """The deeds, from the first on, as far as they can be understood."""
        deeds = [*map(plan.deeds.get, rests)]
        for i, deed in enumerate(deeds) if None in deeds else ():
            if deed is None:
                deeds[i] = deed = self._understand(plan, rests[i])
            if deed is None:
                del deeds[i:]
                break
        return deeds  # type: ignore[return-value]  # none is None

    def _layout(self, plan: _Plan, gap: int, count: int) -> Callable[[Buffer, int], tuple[bytes, ...]]:
        """What cuts up so many calls with gaps between them."""
        key = plan.sizes, gap, count
        unpack = self._layouts.get(key)
        if unpack is None:
            if len(self._layouts) >= LAYOUTS:
                self._layouts.clear()
            unpack = self._layouts[key] = Struct(plan.sizes + f"{gap}x{plan.sizes}" * (count - 1)).unpack_from
        return unpack

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
        host = self._server.hosts.find((origin.peer.host, origin.local.host))
        if host is None:
            return
        lane = self._lanes.get(origin)
        if lane is None or lane.generation != self._service.generation:
            lane = self._lanes[origin] = _Lane(self._service.generation, host)
        elif lane.host is not host or lane.changes != host.changes:
            lane.forget(host)
        size = len(data)
        first = lane.plans.get(size)
        plan = first
        while plan is not None:
            _, head, _, rest = plan.unpack(data, 0)
            if head == plan.head:
                break
            plan = plan.other
        else:
            pieces = _pieces(data, call, procedure.unpack(data, call.args_at))
            if pieces is None:
                return
            plan = lane.plans[size] = _Plan(call, pieces, first, locks=locks)
            self._count()
            *_, rest = plan.unpack(data, 0)
        body, _, _, tail = plan.divide.unpack(rest)
        if tail != plan.tail:  # the client's state number is another
            if self._learn(host, procedure.unpack(data, call.args_at), call) is None:
                return
            plan.tail = tail
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


class _Pieces(NamedTuple):
    """Where a call is cut up."""

    head: bytes
    cookie: int
    """Its length,"""
    body: int
    """and that of the body."""
    tail: bytes


def _pieces(data: bytes, call: Call, args: LockArgs | UnlockArgs) -> _Pieces | None:
    """Of a call that was understood; None if its cookie is an odd one."""
    cookie = len(args.cookie)
    if cookie % _WORD:
        return None  # whatever it is padded with, the answer's cookie is padded with zeros
    cookie_at = call.args_at + _WORD
    flags = 2 * _WORD if isinstance(args, LockArgs) else 0
    names = sum(_WORD + padded(len(name)) for name in (args.caller_name, args.fh, args.oh))
    body = flags + names + _WORD
    tail_at = cookie_at + cookie + body + (16 if call.version == NEWEST else 8)
    return _Pieces(data[4:cookie_at], cookie, body, data[tail_at:])
