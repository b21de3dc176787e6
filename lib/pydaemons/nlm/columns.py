# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of one size that came together, answered together. Read Columns.answer.

What the usual LOCK costs one at a time is mostly the interpreter's work, not ours. So calls that one plan
fits (plans.py) are cut up by one struct call, and each step takes all of them: a field of all calls is a
column, which C loops look through, look up, add and join. The lock table takes a run of exclusive locks in
one go, the journal a record for all, and the reply cache a reference to where calls and answers stand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import add
from struct import Struct
from typing import TYPE_CHECKING

from pydaemons.engine.protocol import Answers, Buffer, Now, Origin, Run, Transport
from pydaemons.nlm.plans import WORD, Known, Lane, Plan, Unpack
from pydaemons.nlm.ranges import EOF
from pydaemons.nlm.records import pack_span
from pydaemons.sunrpc.dupcache import Kept, ReplyCache, new_kept

if TYPE_CHECKING:
    from pydaemons.nlm.server import Server

LEAST = 3
"""So many calls are worth being answered together,"""
MOST = 32
"""up to so many,"""
LAYOUTS = 128
"""and of what they look like so much is remembered."""

GRANTED = bytes(WORD)
"""How the answers end that are given here."""


class Columns:
    """Answers for one server."""

    def __init__(self, server: Server, cache: ReplyCache) -> None:
        self._server = server
        self._cache = cache
        self._layouts: dict[tuple[str, int, int], Unpack] = {}
        self._pieces: dict[tuple[int, bytes, bytes], list[bytes]] = {}

    def answer(
        self,
        plan: Plan | None,
        data: Buffer,
        run: Run,
        origin: Origin,
        now: Now,
        *,
        lane: Lane,
        answers: list[Answers],
        lead: Callable[[int], bytes],
    ) -> int:
        """As many calls of the run as can be, if all have the head of `plan` or of another one behind it: how
        many."""
        at, size, stride, count = run
        while True:
            if plan is None:
                return 0
            unpack = self._layouts.get((plan.sizes, stride - size, count)) or self._layout(
                plan.sizes, stride - size, count
            )
            fields = unpack(data, at)
            if fields[1] == plan.head:
                break
            plan = plan.other
        xids, cookies, starts, lengths = fields[::7], fields[2::7], fields[4::7], fields[5::7]
        order = sorted(xids)  # they are, mostly
        if (
            fields[1::7].count(plan.head) != count
            or fields[6::7].count(plan.tail) != count
            or len(set(xids)) != count
            or not self._cache.are_new(xids, order[0], origin.peer)
        ):
            return 0
        ends = [*map(add, starts, lengths)]
        if 0 in lengths:
            ends = [end if length else EOF for end, length in zip(ends, lengths, strict=True)]
            if max(starts) >= EOF:
                return 0
        if max(ends) > EOF:
            return 0
        known = [*map(plan.known.get, fields[3::7])]
        if None in known:
            del known[known.index(None) :]
            if not known:
                return 0
        done = self._carry_out(plan, known, starts, ends)  # type: ignore[arg-type]  # None has gone
        if done < count:
            if not done:
                return 0
            xids, cookies = xids[:done], cookies[:done]
            order = sorted(xids)
        plan.procedure.calls += done
        host = lane.host
        host.calls += done
        if plan.locks:
            host.last_seen = now.wall
        middle = plan.middle
        ahead = lead(2 * WORD + len(middle) + len(cookies[0]))
        pieces = self._pieces.get((done, ahead, middle)) or self._make_pieces(done, ahead, middle)
        pieces[1::4] = xids
        pieces[3::4] = cookies
        replies = b"".join(pieces)
        if type(data) is not bytes:  # a buffer that others will be received in
            data = b"".join([data[start : start + size] for start in range(at, at + stride * done, stride)])
            at, stride = 0, size
        elif len(data) > 2 * stride * done:
            data = data[at : at + stride * done]  # what else came with them is not to be kept
            at = 0
        where = data, at, size, stride
        outlive = origin.transport is not Transport.TCP
        kept = new_kept(Kept, (origin.peer, *where, replies, len(ahead), done, now.mono, outlive))
        self._cache.keep_new(kept, order[-1])
        answers.append((replies, done))
        return done

    def _carry_out(self, plan: Plan, known: Sequence[Known], starts: Sequence[int], ends: list[int]) -> int:
        """Lock or unlock one after the other, and note it: how many."""
        server = self._server
        table = server.table
        places, owners, owned = zip(*known, strict=True)
        place, count = places[0], len(known)
        done = 0
        if places.count(place) == count and not server.blocking.crowd:
            spans = [*zip(starts, ends, strict=True)]
            if count < len(spans):
                del spans[count:]
            if plan.locks:
                done = table.lock_each(place.file, owners, spans, place.exclusive)
            else:
                done = table.unlock_each(place.file, owners, spans)
            if done == len(ends):
                server.journal.together(place.op, place.file, owned, starts, ends)
            elif done:
                server.journal.together(place.op, place.file, owned[:done], starts[:done], ends[:done])
        if not done:
            done = self.one_by_one(plan, known, starts, ends)
        if plan.locks:
            server.passed(done, 0)
        else:
            server.passed(0, done)
        return done

    def one_by_one(
        self, plan: Plan, known: Sequence[Known], starts: Sequence[int], ends: Sequence[int]
    ) -> int:
        """Lock or unlock in general, and note it, as far as nothing is in the way: how many."""
        table, blocking, note = self._server.table, self._server.blocking, self._server.journal.note
        done = 0
        for (place, owner, owned), start, end in zip(known, starts, ends, strict=False):
            if blocking.crowd and blocking.crowded(place.file):
                break
            if plan.locks:
                changed = table.lock(place.file, owner, start, end, place.exclusive) is None
                if not changed:
                    break
            else:
                changed = table.unlock(place.file, owner, start, end)
            if changed:
                note(place.before + owned + pack_span(start, end) + place.behind)
            done += 1
        return done

    def _make_pieces(self, count: int, ahead: bytes, middle: bytes) -> list[bytes]:
        """What so many answers are joined from, but for xids and cookies."""
        if len(self._pieces) >= LAYOUTS:
            self._pieces.clear()
        pieces = [ahead, *([b"", middle, b"", GRANTED + ahead] * count)]
        pieces[-1] = GRANTED
        self._pieces[count, ahead, middle] = pieces
        return pieces

    def _layout(self, sizes: str, gap: int, count: int) -> Unpack:
        """What cuts up so many calls with gaps between them."""
        if len(self._layouts) >= LAYOUTS:
            self._layouts.clear()
        layout = f">{sizes}" + f"{gap}x{sizes}" * (count - 1)
        unpack = self._layouts[sizes, gap, count] = Struct(layout).unpack_from
        return unpack
