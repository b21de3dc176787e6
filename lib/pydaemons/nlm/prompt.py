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

Calls of one size that come together are cut up together, and go through each step as a column (`_Column`):
most of the work of a single one is Python's, not ours.

Nothing is decided here. A call that any rule but the lock table's might have a say in (`Server.calm`), one
that the reply cache may know, one that another's lock forbids: each is left, unchanged, to `Service.receive`,
and what that makes of it is right. What is known of a caller is forgotten when the service forgets it
(`Service.generation`), what is known of a client when that changes (`Host.changes`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import compress, islice, repeat
from operator import add
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pydaemons.engine.protocol import Buffer, Now, Origin, Run, Transport
from pydaemons.nlm.hosts import Host, Owner
from pydaemons.nlm.journal import EXCLUSIVE, SHARED, UNLOCKED, around_range, pack_span
from pydaemons.nlm.ranges import EOF, Span
from pydaemons.nlm.types import NLM_PROGRAM, LockArgs, UnlockArgs
from pydaemons.nlm.versions import NEWEST
from pydaemons.sunrpc.dupcache import Kept, new_kept
from pydaemons.sunrpc.message import SUCCESS, padded
from pydaemons.sunrpc.program import Call, Procedure, Service

if TYPE_CHECKING:
    from pydaemons.nlm.server import Server

MOST = 8192
"""Bodies remembered, met once or known; beyond that all are forgotten, so that hostile ones cost time but no
memory."""
TOGETHER = 3
"""So many calls are worth being handled together, column by column,"""
COLUMN = 32
"""up to so many,"""
LAYOUTS = 128
"""and of what such columns look like so much is remembered."""

GRANTED = bytes(4)
"""How the answers end that are given here."""
_WORD = 4

_Known: TypeAlias = tuple[bytes, Owner, bool, bytes, bytes]
"""What a body says: file, owner, exclusive; and of the journal's record what goes before and behind the
range."""


class _Plan:
    """How calls of one size from one origin are expected to look."""

    __slots__ = (
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
        fixed = f"4s{len(pieces.head)}s{pieces.cookie}s{pieces.body}s"
        self.sizes = f"{fixed}{number}{number}{len(pieces.tail)}s"
        """How a call is cut up, in struct's terms."""
        self.unpack: Callable[[Buffer, int], tuple[Any, ...]] = Struct(f">{self.sizes}").unpack_from
        self.middle = SUCCESS + pieces.cookie.to_bytes(_WORD, "big")
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
            plan.known.clear()


class Prompt:
    """The engine.protocol.Prompt of the lock manager."""

    def __init__(self, server: Server, service: Service) -> None:
        self._server = server
        self._service = service
        self._lanes: dict[Origin, _Lane] = {}
        self._size = 0
        self._layouts: dict[tuple[str, int, int], Callable[[Buffer, int], tuple[Any, ...]]] = {}

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
                    xid, head, cookie, body, start, length, tail = plan.unpack(data, at)
                    while head != plan.head:
                        if plan.other is None:
                            return
                        plan = plan.other
                        xid, head, cookie, body, start, length, tail = plan.unpack(data, at)
                    if left >= TOGETHER:
                        together = at, size, stride, min(left, COLUMN)
                        done = self._answer_together(plan, data, together, answers, origin=origin, now=now)
                        if done:
                            took = took or plan.locks
                            at += stride * done  # where the rest of the run begins
                            left -= done
                            continue
                    known = plan.known.get(body)
                    end = start + length if length else EOF
                    if known is None or tail != plan.tail or end > EOF or start >= EOF:
                        return
                    if xid in new or xid in old:
                        return
                    file, owner, exclusive, before_range, behind_range = known
                    if crowd and blocking.crowded(file):
                        return
                    if plan.locks:
                        if lock(file, owner, start, end, exclusive) is not None:
                            return
                        locks += 1
                        note(before_range + pack_span(start, end) + behind_range)
                    else:
                        unlocks += 1
                        if unlock(file, owner, start, end):
                            note(before_range + pack_span(start, end) + behind_range)
                    plan.procedure.calls += 1
                    reply = xid + plan.middle + cookie + GRANTED
                    kept = new_kept(Kept, (peer, data[at : at + size], 0, size, 0, (reply,), mono))
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
        xids, starts, lengths = fields[::7], fields[4::7], fields[5::7]
        cache = self._service.cache
        if (
            fields[1::7].count(plan.head) != count
            or fields[6::7].count(plan.tail) != count
            or len(set(xids)) != count
            or not cache.new.keys().isdisjoint(xids)
            or not cache.old.keys().isdisjoint(xids)
        ):
            return 0
        ends = [*map(add, starts, lengths)]
        if 0 in lengths:
            ends = [end if length else EOF for end, length in zip(ends, lengths, strict=True)]
        if max(ends) > EOF or max(starts) >= EOF:
            return 0
        known = [*map(plan.known.get, fields[3::7])]
        if None in known:
            del known[known.index(None) :]
            if not known:
                return 0
        files, owners, modes, before, behind = zip(*known, strict=True)
        spans = [*zip(starts[: len(known)], ends, strict=False)]
        records = map(b"".join, zip(before, map(pack_span, starts, ends), behind, strict=False))
        if plan.locks:
            done = self._lock_all(files, owners, spans, modes)
            self._server.journal.note_all(islice(records, done))
        else:
            freed = self._unlock_all(files, owners, spans)
            done = len(freed)
            self._server.journal.note_all(compress(records, freed))
        if not done:
            return 0
        plan.procedure.calls += done
        replies = [*map(b"".join, zip(xids[:done], repeat(plan.middle), fields[2::7], repeat(GRANTED)))]
        if not isinstance(data, bytes):  # a buffer that others will be received in
            data = b"".join([data[start : start + size] for start in range(at, at + stride * done, stride)])
            at, stride = 0, size
        elif len(data) > 2 * stride * done:
            data = data[at : at + stride * done]  # what else came with them is not to be kept
            at = 0
        kept = new_kept(Kept, (origin.peer, data, at, size, stride, replies, now.mono))
        cache.new.update(zip(xids[:done], repeat(kept)))
        if cache.fresh is not None and origin.transport is not Transport.TCP:
            cache.fresh.append(kept)
        answers += replies
        return done

    def _lock_all(
        self, files: Sequence[bytes], owners: Sequence[Owner], spans: Sequence[Span], modes: Sequence[bool]
    ) -> int:
        """How many locks were taken, from the first on."""
        server = self._server
        table, blocking = server.table, server.blocking
        file, exclusive, count = files[0], modes[0], len(files)
        done = 0
        if files.count(file) == count and modes.count(exclusive) == count and not blocking.crowd:
            done = table.lock_each(file, owners, spans, exclusive)
        while done < count:
            file = files[done]
            if blocking.crowd and blocking.crowded(file):
                break
            if table.lock(file, owners[done], *spans[done], modes[done]) is not None:
                break
            done += 1
        server.passed(done, 0)
        return done

    def _unlock_all(
        self, files: Sequence[bytes], owners: Sequence[Owner], spans: Sequence[Span]
    ) -> list[bool]:
        """Of each call to unlock that was carried out, from the first on, whether it freed anything."""
        server = self._server
        table, blocking = server.table, server.blocking
        file, count = files[0], len(files)
        done = 0
        if files.count(file) == count and not blocking.crowd:
            done = table.unlock_each(file, owners, spans)
        freed = [True] * done
        for file, owner, span in zip(files[done:], owners[done:], spans[done:], strict=True):
            if blocking.crowd and blocking.crowded(file):
                break
            freed.append(table.unlock(file, owner, *span))
        server.passed(0, len(freed))
        return freed

    def _layout(self, plan: _Plan, gap: int, count: int) -> Callable[[Buffer, int], tuple[Any, ...]]:
        """What cuts up so many calls with gaps between them."""
        key = plan.sizes, gap, count
        unpack = self._layouts.get(key)
        if unpack is None:
            if len(self._layouts) >= LAYOUTS:
                self._layouts.clear()
            layout = f">{plan.sizes}" + f"{gap}x{plan.sizes}" * (count - 1)
            unpack = self._layouts[key] = Struct(layout).unpack_from
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
            _, head, _, body, _, _, tail = plan.unpack(data, 0)
            if head == plan.head:
                break
            plan = plan.other
        else:
            pieces = _pieces(data, call, procedure.unpack(data, call.args_at))
            if pieces is None:
                return
            plan = lane.plans[size] = _Plan(call, pieces, first, locks=locks)
            self._count()
            _, _, _, body, _, _, tail = plan.unpack(data, 0)
        if tail != plan.tail:  # the client's state number is another
            if self._learn(host, procedure.unpack(data, call.args_at), call) is None:
                return
            plan.tail = tail
        if body not in plan.met:
            plan.met.add(body)
            self._count()
        elif body not in plan.known:
            said = self._learn(host, procedure.unpack(data, call.args_at), call)
            if said is not None:
                file, owner, exclusive = said
                op = (EXCLUSIVE if exclusive else SHARED) if locks else UNLOCKED
                plan.known[body] = *said, *around_range(op, owner, file)

    def _count(self) -> None:
        self._size += 1
        if self._size > MOST:
            self._size = 0
            self._lanes.clear()

    def _learn(self, host: Host, args: LockArgs | UnlockArgs, call: Call) -> tuple[bytes, Owner, bool] | None:
        """File, owner, exclusive: what a call says, if it says nothing that is news: of one repeated late,
        that may be. Nor if the journal does not know its owner."""
        owner = host.owners.get(args.svid)
        if owner is None or not (owner.noted and host.noted):
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
