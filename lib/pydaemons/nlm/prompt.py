# SPDX-License-Identifier: GPL-3.0-or-later
"""LOCK and UNLOCK as they come in all day, answered without being taken apart. Read Prompt.answer.

plans.py says how they are known, columns.py answers several at once. Nothing is decided here. A call that any
rule but the lock table's might have a say in (`Server.calm`), one that the reply cache may know, one that
another's lock forbids: each is left, unchanged, to `Service.receive`, and what that makes of it is right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pydaemons.engine.protocol import Answers, Buffer, Now, Origin, Run, Transport
from pydaemons.nlm.columns import GRANTED, LEAST, MOST, Columns
from pydaemons.nlm.plans import Lane, Plan, Plans
from pydaemons.nlm.ranges import EOF
from pydaemons.sunrpc.dupcache import Kept, new_kept
from pydaemons.sunrpc.program import Service

if TYPE_CHECKING:
    from pydaemons.nlm.server import Server


class Prompt:
    """The engine.protocol.Prompt of the lock manager."""

    def __init__(self, server: Server, service: Service) -> None:
        self._server = server
        self._service = service
        self._cache = service.cache
        self._columns = Columns(server, service.cache)
        plans = Plans(server, service)
        self._lanes = plans.lanes
        self.met = plans.met
        """Told of each call that `Service.receive` answered, and how."""

    def answer(
        self,
        data: Buffer,
        runs: Sequence[Run],
        origin: Origin,
        now: Now,
        answers: list[Answers],
        *,
        lead: Callable[[int], bytes],
    ) -> None:
        """The packet path."""
        lane = self._lanes.get(origin)
        server = self._server
        if (
            lane is None
            or lane.generation != self._service.generation
            or lane.changes != lane.host.changes
            or not lane.host.noted
            or self._cache.remembered
        ):
            return
        calls = 0
        for run in runs:
            calls += run[3]
        if not server.calm(calls):
            return
        plans, together = lane.plans, self._columns.answer
        for at, size, stride, left in runs:
            plan = plans.get(size)
            if plan is None:
                return
            while left:
                if left >= LEAST:
                    run = at, size, stride, (left if left < MOST else MOST)
                    done = together(plan, data, run, origin, now, lane=lane, answers=answers, lead=lead)
                    if done:
                        at += stride * done  # where the rest of the run begins
                        left -= done
                        continue
                one = data, at, size
                answer = self._answer(plan, one, origin, now, lane=lane, lead=lead)
                if answer is None:
                    return
                answers.append((answer, 1))
                at += stride
                left -= 1

    def _answer(
        self,
        plan: Plan,
        one: tuple[Buffer, int, int],
        origin: Origin,
        now: Now,
        *,
        lane: Lane,
        lead: Callable[[int], bytes],
    ) -> bytes | None:
        """One call: the buffer it stands in, where, its size."""
        data, at, size = one
        xid, head, cookie, body, start, length, tail = plan.unpack(data, at)
        while head != plan.head:
            if plan.other is None:
                return None
            plan = plan.other
            xid, head, cookie, body, start, length, tail = plan.unpack(data, at)
        known = plan.known.get(body)
        end = start + length if length else EOF
        if known is None or tail != plan.tail or end > EOF or start >= EOF:
            return None
        cache = self._cache
        if not cache.are_new((xid,), xid, origin.peer):
            return None
        if not self._columns.one_by_one(plan, (known,), (start,), (end,)):
            return None
        host = lane.host
        if plan.locks:
            self._server.passed(1, 0)
            host.last_seen = now.wall
        else:
            self._server.passed(0, 1)
        host.calls += 1
        plan.procedure.calls += 1
        reply: bytes = xid + plan.middle + cookie + GRANTED
        ahead = lead(len(reply))
        whole = ahead + reply
        call = data[at : at + size]
        outlive = origin.transport is not Transport.TCP
        kept = new_kept(Kept, (origin.peer, call, 0, size, size, whole, len(ahead), 1, now.mono, outlive))
        cache.keep_new(kept, xid)
        return whole

    def take(self) -> bytes | None:
        """What the answers have the journal append."""
        journal = self._server.journal
        return None if journal.overgrown else journal.take(self._cache, self._server.grace)
