# SPDX-License-Identifier: GPL-3.0-or-later
"""What calls of LOCK and UNLOCK are expected to look like, learned from those that were answered. Read Plan.

What one client says of a lock it takes again and again differs from call to call in xid, cookie and range
only. All between them (credential, caller name, file handle, owner) comes as the same bytes, and the same
bytes mean what they meant before. So a call is cut up by one struct call, whose layout is *predicted* from
its size, into

    xid | head | cookie | body | offset | length | tail

and believed if `head` and `tail` are those of the prediction and `body` has been met: then program, caller
and procedure, owner, file and mode are known. The lengths of all variable fields stand in head and body, so
equal bytes prove that the layout was right. A body is learned when it comes for the second time.

What is known of a caller is forgotten when the service forgets it (`Service.generation`), what is known of a
client when that changes (`Host.changes`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pydaemons.engine.protocol import Buffer, Origin
from pydaemons.nlm.hosts import Host, Owner
from pydaemons.nlm.records import EXCLUSIVE, SHARED, UNLOCKED, around_range, pack_owned
from pydaemons.nlm.types import NLM_PROGRAM, LockArgs, UnlockArgs
from pydaemons.nlm.versions import NEWEST
from pydaemons.sunrpc.message import SUCCESS, padded
from pydaemons.sunrpc.program import Call, Procedure, Service

if TYPE_CHECKING:
    from pydaemons.nlm.server import Server

MOST = 8192
"""Bodies remembered, met once or known; beyond that all are forgotten, so that hostile ones cost time but no
memory."""
WORD = 4
_LOCK, _UNLOCK = 2, 4

Unpack: TypeAlias = Callable[[Buffer, int], tuple[Any, ...]]


class Place(NamedTuple):
    """What bodies about one file have in common; a plan has each but once."""

    file: bytes
    exclusive: bool
    op: int
    """What the journal calls it,"""
    before: bytes
    behind: bytes
    """and what its record has before the owner and behind the range."""


Known: TypeAlias = tuple[Place, Owner, bytes]
"""What a body says: where, who, and that owner as the journal has it."""


class Plan:
    """How calls of one size from one origin are expected to look."""

    __slots__ = (
        "head",
        "known",
        "locks",
        "met",
        "middle",
        "other",
        "places",
        "procedure",
        "sizes",
        "tail",
        "unpack",
    )

    def __init__(self, call: Call, pieces: _Pieces, other: Plan | None, *, locks: bool) -> None:
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
        self.unpack: Unpack = Struct(f">{self.sizes}").unpack_from
        self.middle = SUCCESS + pieces.cookie.to_bytes(WORD, "big")
        """Of the answer, what stands between xid and cookie."""
        self.known: dict[bytes, Known] = {}
        self.places: dict[Place, Place] = {}
        """Those in `known`."""
        self.met: set[bytes] = set()
        """Bodies that came once."""
        self.other = other
        """Another plan for calls of this size."""


class Lane:
    """All that is known of one origin."""

    __slots__ = ("changes", "generation", "host", "plans")

    def __init__(self, generation: int, host: Host) -> None:
        self.generation = generation
        self.host = host
        self.changes = host.changes
        self.plans: dict[int, Plan] = {}
        """By the size of calls."""

    def all_plans(self) -> Iterator[Plan]:
        for plan in self.plans.values():
            following: Plan | None = plan
            while following is not None:
                yield following
                following = following.other

    def forget(self, host: Host) -> None:
        """The client is not what it was: what its bodies mean is to be learned again."""
        self.host = host
        self.changes = host.changes
        for plan in self.all_plans():
            plan.known.clear()
            plan.places.clear()


class Plans:
    """What is known of all origins."""

    def __init__(self, server: Server, service: Service) -> None:
        self._server = server
        self._service = service
        self.lanes: dict[Origin, Lane] = {}
        self._size = 0

    def met(self, data: bytes, origin: Origin, reply: bytes) -> None:
        """`Service.receive` answered this call so: know it when it comes again."""
        if not reply.startswith(SUCCESS, WORD):
            return
        call = self._service.known(data, origin)
        if call is None or call.failure is not None:
            return
        program, procedure = call.program, call.procedure
        if program is None or procedure is None or program.number != NLM_PROGRAM:
            return
        if procedure.number not in (_LOCK, _UNLOCK):
            return
        host = self._server.hosts.find((origin.peer.host, origin.local.host))
        if host is None:
            return
        lane = self.lanes.get(origin)
        if lane is None or lane.generation != self._service.generation:
            lane = self.lanes[origin] = Lane(self._service.generation, host)
        elif lane.host is not host or lane.changes != host.changes:
            lane.forget(host)
        plan = self._plan(lane, data, call)
        if plan is None:
            return
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
                op = (EXCLUSIVE if exclusive else SHARED) if plan.locks else UNLOCKED
                place = Place(file, exclusive, op, *around_range(op, file))
                plan.known[body] = plan.places.setdefault(place, place), owner, pack_owned(owner)

    def _plan(self, lane: Lane, data: bytes, call: Call) -> Plan | None:
        """That of a call, perhaps a new one; None if there can be none."""
        size = len(data)
        first = plan = lane.plans.get(size)
        while plan is not None:
            if plan.unpack(data, 0)[1] == plan.head:
                return plan
            plan = plan.other
        procedure = call.procedure
        assert procedure is not None
        pieces = _pieces(data, call, procedure.unpack(data, call.args_at))
        if pieces is None:
            return None
        plan = lane.plans[size] = Plan(call, pieces, first, locks=procedure.number == _LOCK)
        self._count()
        return plan

    def _count(self) -> None:
        self._size += 1
        if self._size > MOST:
            self._size = 0
            self.lanes.clear()

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
    if cookie % WORD:
        return None  # whatever it is padded with, the answer's cookie is padded with zeros
    cookie_at = call.args_at + WORD
    flags = 2 * WORD if isinstance(args, LockArgs) else 0
    names = sum(WORD + padded(len(name)) for name in (args.caller_name, args.fh, args.oh))
    body = flags + names + WORD
    tail_at = cookie_at + cookie + body + (16 if call.version == NEWEST else 8)
    return _Pieces(data[4:cookie_at], cookie, body, data[tail_at:])
