# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock manager's rules (X/Open XNFS 3W chapter 10, with the choices of Linux where that leaves any). Read
`lock`, then `unlock`: the others are variations. procs.py decodes and dispatches, locktable.py knows the
ranges, waiters.py the queue, grants.py calls clients back.

All rules have the shape `(arguments, call, now) -> result`. A client is where its packets come from
(hosts.py); a lock's owner is a client and an svid.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pydaemons.engine.entropy import Entropy
from pydaemons.engine.protocol import Now
from pydaemons.nlm.blocking import Blocking
from pydaemons.nlm.grace import Grace
from pydaemons.nlm.grants import key_of, way_back
from pydaemons.nlm.hosts import Host, Hosts, Owner, host_of
from pydaemons.nlm.journal import Journal
from pydaemons.nlm.limits import is_known, would_split
from pydaemons.nlm.lingering import Lingering, Monitor
from pydaemons.nlm.locktable import Holder, LockTable
from pydaemons.nlm.owed import Owed
from pydaemons.nlm.ranges import EOF, to_length, to_range
from pydaemons.nlm.shares import Shares
from pydaemons.nlm.sharing import Sharing
from pydaemons.nlm.types import (
    CancelArgs,
    FreeAllArgs,
    HolderBody,
    LockArgs,
    ProbeArgs,
    ProbeResult,
    Result,
    Status,
    StatusArgs,
    UnlockArgs,
)
from pydaemons.sunrpc.client import RpcClient
from pydaemons.sunrpc.program import Call
from pydaemons.wire.xdr import NOTHING, Void

GRANTED = int(Status.GRANTED)
PRIVILEGED_PORTS = 1024
"""Below it a port is only to be had by root."""

_result = tuple.__new__
"""`_result(Result, (cookie, status))`: a Result without the detour through its Python-level constructor."""


class Settings(Protocol):
    """The tunables these rules follow."""

    nlm_timeout: int
    nlm_grace_period: int
    nlm_max_locks: int
    nlm_max_blocked: int
    nlm_max_locks_per_client: int
    nlm_max_blocked_per_client: int


class Server:
    """State and rules of one lock manager. `forget(address)` is called when what was answered to a host means
    nothing any more; `refuse` makes every new lock fail with DENIED_NOLOCKS, so that clients fail fast
    instead of hanging. `key(fh, local)` gives the lock table's name of a file, from its handle and the
    address of ours that it came to; without it that is the handle. `table` is where locks are kept, and
    `refusal(file, exclusive)` the status to refuse one with for what the file is, or 0."""

    def __init__(
        self,
        settings: Settings,
        *,
        monitor: Monitor,
        rpc: RpcClient,
        entropy: Entropy,
        hostname: bytes,
        forget: Callable[[str | None], None] = lambda address: None,
        key: Callable[[bytes, str], bytes] | None = None,
        table: LockTable[Owner] | None = None,
        refusal: Callable[[bytes, bool], int] | None = None,
        journal: Journal | None = None,
        refuse: bool = False,
    ) -> None:
        self.settings = settings
        self.refuse = refuse
        self.grace = Grace(settings)
        self.hosts = Hosts()
        self.table: LockTable[Owner] = LockTable() if table is None else table
        self.shares: Shares[tuple[Host, bytes]] = Shares()
        self.journal = journal or Journal()
        self.owed: Owed | None = None
        """What was lost and is known; when all of it was reclaimed the grace period ends."""
        self.lingering = Lingering(self, monitor)
        self.blocking = Blocking(
            settings,
            table=self.table,
            journal=self.journal,
            rpc=rpc,
            entropy=entropy,
            hostname=hostname,
            watch=self.lingering.watch,
            taken=self.limits_changed,
        )
        self.waiters, self.grants = self.blocking.waiters, self.blocking.grants
        self.counts: dict[str, list[int]] = {
            name: [0] * len(Status) for name in ("TEST", "LOCK", "CANCEL", "UNLOCK", "SHARE", "UNSHARE")
        }
        """How often each rule decided what, by status number."""
        self._locks, self._unlocks = self.counts["LOCK"], self.counts["UNLOCK"]
        self._untold, self._queues = self.grants.open, self.waiters.queues
        self._room = 0
        """So many locks can surely be taken before `nlm_max_locks` is reached."""
        self._monitor = monitor
        self._rpc = rpc
        self._forget = forget
        self._key = key
        self.refusal = refusal
        sharing = Sharing(self)
        self.share, self.unshare = sharing.share, sharing.unshare

    # -- the rules

    def null(self, args: Void, call: Call, now: Now) -> Void:
        """NULL: here I am."""
        return NOTHING

    def lock(self, args: LockArgs, call: Call, now: Now, *, monitored: bool = True) -> Result:
        """LOCK: take a lock, or wait for it."""
        cookie, block, exclusive, name, fh, oh, svid, offset, length, reclaim, state = args
        if self.grace.active is not reclaim and not self.refuse:
            # in grace only what was held before; afterwards it is too late to claim it
            self._locks[Status.DENIED_GRACE_PERIOD] += 1
            return Result(cookie, Status.DENIED_GRACE_PERIOD)
        span = to_range(offset, length)
        if span is None or not fh or self.refuse:
            return self._no_lock(cookie, self._locks, fh, span)
        start, end = span
        file = fh if self._key is None else self._key(fh, call.origin.local.host)
        if self.refusal is not None and (status := self.refusal(file, exclusive)):
            self._locks[status] += 1
            return Result(cookie, status)
        host = self.hosts.get(call.origin.peer.host, call.origin.local.host, name, now)
        if host.number and not host.noted:
            self.journal.host(host)  # it has another name, whatever comes of this call
        if (self._room <= 0 or self.settings.nlm_max_locks_per_client) and self._at_limit(host):
            wanted = file, host.owners.get(svid), span, exclusive
            if not is_known(self.table, self.waiters, wanted):
                self.hosts.leave(host)
                return self._no_lock(cookie, self._locks, fh, span)
        if len(host.owners) >= host.room and svid not in host.owners:
            self.lingering.thin(host)
        known = len(host.owners)
        owner = host.owner(svid, oh)
        holder = self.table.lock(file, owner, start, end, exclusive)
        if holder is not None:
            status = int(Status.DENIED)
            if block:
                status = self.blocking.wait(args, call, owner, (file, start, end), now)
            if status != Status.BLOCKED and len(host.owners) > known:
                del host.owners[svid]
                self.hosts.leave(host)
            self._locks[status] += 1
            return Result(cookie, status)
        if state != host.state:
            host.learn_state(state)
        if not host.monitored:
            self.lingering.watch(host, call, now, monitored=monitored)
        self.journal.locked(owner, file, start, end, exclusive)
        if reclaim and self.owed is not None:
            self.owed.locked(owner, file, start, end)
            self.repaid(now)
        if self._untold or file in self._queues:
            key = (file, owner, start, end, exclusive)
            self.grants.settle(key, now)
            self.grants.known(file, owner, start, end)
            self.blocking.cancel(key)
            if not exclusive:
                self.blocking.serve(file, start, end, now)
        self._room -= 1
        self._locks[GRANTED] += 1
        return _result(Result, (cookie, GRANTED))

    def nm_lock(self, args: LockArgs, call: Call, now: Now) -> Result:
        """NM_LOCK: a lock of a client that is not monitored; it never blocks (XNFS, NLM_NM_LOCK)."""
        return self.lock(args._replace(block=False), call, now, monitored=False)

    def unlock(self, args: UnlockArgs, call: Call, now: Now) -> Result:
        """UNLOCK: free a range, all or part of what is held. Nothing held there is a success too."""
        cookie, _, fh, _, svid, offset, length = args
        if self.grace.active:
            self._unlocks[Status.DENIED_GRACE_PERIOD] += 1
            return Result(cookie, Status.DENIED_GRACE_PERIOD)
        span = to_range(offset, length)
        if span is None:
            self._unlocks[Status.FBIG] += 1
            return Result(cookie, Status.FBIG)
        host = self.hosts.find((call.origin.peer.host, call.origin.local.host))
        owner = None if host is None else host.owners.get(svid)
        if owner is not None:
            start, end = span
            file = fh if self._key is None else self._key(fh, call.origin.local.host)
            if (
                (self._room <= 0 or self.settings.nlm_max_locks_per_client)
                and self._at_limit(owner.host)
                and would_split(self.table, file, owner, span)
            ):
                return self._no_lock(cookie, self._unlocks, fh, span)
            if self.table.unlock(file, owner, start, end):
                self._room -= 1  # what was one lock may be two now
                self.journal.unlocked(owner, file, start, end)
                if self._untold:
                    self.blocking.settle_freed(file, owner, span, now)
                if file in self._queues:
                    self.blocking.serve(file, start, end, now)
        self._unlocks[GRANTED] += 1
        return _result(Result, (cookie, GRANTED))

    def test(self, args: ProbeArgs, call: Call, now: Now) -> ProbeResult:
        """TEST: would this lock be granted? If not, who is in the way."""
        counts = self.counts["TEST"]
        if self.grace.active and not self.refuse:
            counts[Status.DENIED_GRACE_PERIOD] += 1
            return ProbeResult(args.cookie, Status.DENIED_GRACE_PERIOD, None)
        span = to_range(args.offset, args.length)
        if span is None or not args.fh or self.refuse:
            return ProbeResult(args.cookie, self._no_lock(args.cookie, counts, args.fh, span).status, None)
        host = self.hosts.find((call.origin.peer.host, call.origin.local.host))
        asker = None if host is None else host.owners.get(args.svid)
        file = args.fh if self._key is None else self._key(args.fh, call.origin.local.host)
        if self.refusal is not None and (status := self.refusal(file, args.exclusive)):
            counts[status] += 1
            return ProbeResult(args.cookie, status, None)
        holder = self.table.test(file, asker, span[0], span[1], args.exclusive)
        if holder is None:
            counts[GRANTED] += 1
            return ProbeResult(args.cookie, GRANTED, None)
        counts[Status.DENIED] += 1
        return ProbeResult(args.cookie, Status.DENIED, holder_body(holder))

    def cancel(self, args: CancelArgs, call: Call, now: Now) -> Result:
        """CANCEL: no longer wait. What was granted meanwhile is DENIED, so that the client unlocks it; what
        never waited is a success (both as Linux has it)."""
        counts = self.counts["CANCEL"]
        status = Status.GRANTED
        span = to_range(args.offset, args.length)
        if self.grace.active:
            status = Status.DENIED_GRACE_PERIOD
        elif span is None:
            status = Status.FBIG
        else:
            host = self.hosts.find((call.origin.peer.host, call.origin.local.host))
            owner = None if host is None else host.owners.get(args.svid)
            if owner is not None:
                file = args.fh if self._key is None else self._key(args.fh, call.origin.local.host)
                key = (file, owner, span[0], span[1], args.exclusive)
                if not self.blocking.cancel(key) and self.grants.find(key) is not None:
                    self.grants.settle(key, now)
                    status = Status.DENIED
        counts[status] += 1
        return Result(args.cookie, status)

    def granted(self, args: ProbeArgs, call: Call, now: Now) -> Result:
        """GRANTED: a server tells that a lock we waited for is ours. We are nobody's client."""
        return Result(args.cookie, Status.DENIED)

    def granted_result(self, args: Result, call: Call, now: Now) -> Void:
        """GRANTED_RES: a client acknowledges our GRANTED_MSG."""
        self.grants.acknowledged(args.cookie, call.origin.peer.host, args.status, now)
        return NOTHING

    def free_all(self, args: FreeAllArgs, call: Call, now: Now) -> Void:
        """FREE_ALL: the caller lost its memory of all it held. Only its own: whatever name it gives, it is
        the host the packet comes from."""
        self.host_restarted(call.origin.peer.host, args.state, now)
        return NOTHING

    def sm_notify(self, args: StatusArgs, call: Call, now: Now) -> Void:
        """SM_NOTIFY: this host's status monitor says that a client restarted. From nowhere else, and from no
        user of this host either: hence the port."""
        peer = call.origin.peer
        if peer.host in {"127.0.0.1", "::1"} and peer.port < PRIVILEGED_PORTS:
            self._monitor.notified(args.mon_name, args.state, args.priv, now)
        return NOTHING

    # -- what others tell

    def answer(self, call: Call, procedure: int, result: bytes, now: Now) -> None:
        """Bring the result of a `*_MSG` call back by its `*_RES` procedure, once: whoever misses it asks
        again."""
        self._rpc.send(way_back(call), procedure, result, now=now)

    def host_restarted(self, address: str, state: int, now: Now) -> int:
        """All locks, shares and waits of a client are void. The number of locks and shares freed."""
        freed = self.release(lambda owner: owner.host.address == address, now)
        freed += self.release_shares(lambda host: host.address == address)
        for host in self.hosts:
            if host.address == address:
                host.state, host.noted = state, False
                host.changes += 1
                self.journal.host(host)
        self._forget(address)
        self.journal.forgotten(address)
        if self.owed is not None:
            self.owed.forgiven(address)
            self.repaid(now)
        return freed

    def release(self, match: Callable[[Owner], bool], now: Now) -> int:
        """Free every lock and forget every wait of the owners that match; how many locks were freed."""
        before = len(self.table)
        for blocked in self.grants:
            if match(blocked.owner):
                self.grants.settle(key_of(blocked), now)
        self.journal.dropped(owner for host in self.hosts for owner in host.owners.values() if match(owner))
        self.waiters.drop(match)
        files = self.table.drop(match)
        freed = before - len(self.table)
        for file in files:
            self.blocking.serve(file, 0, EOF, now)
        return freed

    def retry(self, file: bytes, now: Now) -> None:
        """Bytes of a file may have become free by none of our doing: serve those who wait for it."""
        self.blocking.serve(file, 0, EOF, now)

    def release_shares(self, match: Callable[[Host], bool]) -> int:
        """Free every share of the hosts that match; how many."""
        for host in self.hosts:
            if match(host):
                self.journal.shares_dropped(host)
        return self.shares.drop(lambda owner: match(owner[0]))

    def release_file(self, file: bytes, now: Now) -> int:
        """Free every lock and share on a file (by the lock table's key) and serve those who wait for it."""
        self.journal.file_released(file)
        freed = self.table.release_file(file) + self.shares.release_file(file)
        for blocked in self.grants.on_file(file):
            self.grants.settle(key_of(blocked), now)
        self.blocking.serve(file, 0, EOF, now)
        return freed

    def drop_all(self, now: Now) -> int:
        """Void everything and start a grace period, as the kernel's lockd does at SIGKILL. How many locks and
        shares there were."""
        freed = len(self.table) + len(self.shares)
        for blocked in self.grants:
            self.grants.settle(key_of(blocked), now)
        self.waiters.drop(lambda owner: True)
        self.owed = Owed(self.table, self.shares)
        self.table.clear()
        self.shares.clear()
        self.journal.cleared()
        for host in self.hosts:
            host.monitored = False
            host.changes += 1
        self._forget(None)
        self.journal.forgotten(None)
        self.grace.end()
        self.grace.start(now.mono)
        return freed

    def resume(self, now: Now) -> None:
        """Go on where the last process stopped, after a replay: monitor who is monitored, tell whom it
        told."""
        self.lingering.resume(now)
        self.grants.resume(now)

    def tick(self, now: Now) -> bool:
        """Do what is due; True when the grace period ended just now."""
        self.grants.tick(now)
        self.lingering.tick(now)
        return self.grace.tick(now.mono)

    def repaid(self, now: Now) -> None:
        """Something was reclaimed: if that was the last, nobody needs the grace period any more. It ends at
        the next tick."""
        if self.owed is not None and self.owed.settled:
            self.owed = None
            if self.grace.active:
                self.grace.until = now.mono

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        times = [t for t in (self.grants.deadline(), self.grace.until, self.lingering.due) if t is not None]
        return min(times, default=None)

    # -- how it is done

    def _no_lock(self, cookie: bytes, counts: list[int], fh: bytes, span: tuple[int, int] | None) -> Result:
        """Why nothing can be locked: the range, the file, or we."""
        if self.refuse or (fh and span is not None):
            status = Status.DENIED_NOLOCKS
        else:
            status = Status.FBIG if fh else Status.STALE_FH
        counts[status] += 1
        return Result(cookie, status)

    def _at_limit(self, host: Host) -> bool:
        """Whether there are as many locks as there may be, or the client has as many as one may."""
        limit = self.settings.nlm_max_locks_per_client
        if limit and self.table.held_by(host_of, host) >= limit:
            return True
        return self._room <= 0 and self.is_full()

    def limits_changed(self) -> None:
        """`nlm_max_locks` is another number now."""
        self._room = 0

    def is_full(self) -> bool:
        """Whether no lock or share more may be held. Counted afresh; until `_room` locks more are granted the
        packet path need not ask."""
        self._room = self.settings.nlm_max_locks - len(self.table) - len(self.shares)
        return self._room <= 0

    def calm(self, calls: int) -> bool:
        """Whether so many calls of LOCK and UNLOCK may pass without any other rule than the lock table's
        having a say, if they are of known owners and their files have no `crowd`."""
        return not (
            self.grace.active
            or self.refuse
            or self.refusal is not None
            or self.settings.nlm_max_locks_per_client
            or (self._room <= calls and (self.is_full() or self._room <= calls))
        )

    def passed(self, locks: int, unlocks: int) -> None:
        """So many calls passed and were granted."""
        self._locks[GRANTED] += locks
        self._unlocks[GRANTED] += unlocks
        self._room -= locks + unlocks

    def file(self, fh: bytes, call: Call) -> bytes:
        """What the lock table knows a file by."""
        return fh if self._key is None else self._key(fh, call.origin.local.host)


def holder_body(holder: Holder[Owner]) -> HolderBody:
    """A held lock as TEST reports it."""
    return HolderBody(
        holder.exclusive,
        holder.owner.svid,
        holder.owner.oh,
        holder.start,
        to_length(holder.start, holder.end),
    )
