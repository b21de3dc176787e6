# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock manager's rules (X/Open XNFS 3W chapter 10, with the choices of Linux where that leaves any). Read
`lock`, then `unlock`: the others are variations. procs.py decodes and dispatches, locktable.py knows the
ranges, waiters.py the queue, grants.py calls clients back.

All rules have the shape `(arguments, call, now) -> result`. A client is where its packets come from
(hosts.py); a lock's owner is a client and an svid.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from pydaemons.engine.entropy import Entropy
from pydaemons.engine.protocol import Now
from pydaemons.nlm.deadlock import would_deadlock
from pydaemons.nlm.grace import Grace
from pydaemons.nlm.grants import Blocked, Grants, Request, key_of, way_back
from pydaemons.nlm.hosts import Host, Hosts, Owner, host_of
from pydaemons.nlm.journal import Journal
from pydaemons.nlm.locktable import Holder, LockTable
from pydaemons.nlm.owed import Owed
from pydaemons.nlm.ranges import EOF, Spans, to_length, to_range
from pydaemons.nlm.shares import Shares
from pydaemons.nlm.types import (
    CancelArgs,
    FreeAllArgs,
    HolderBody,
    LockArgs,
    ProbeArgs,
    ProbeResult,
    Result,
    ShareArgs,
    ShareResult,
    Status,
    StatusArgs,
    UnlockArgs,
)
from pydaemons.nlm.waiters import Waiters
from pydaemons.sunrpc.client import RpcClient
from pydaemons.sunrpc.program import Call
from pydaemons.wire.xdr import NOTHING, Void

GRANTED = int(Status.GRANTED)
LINGER = 300.0
"""Seconds between looks for clients that neither hold nor wait for anything any more. A client stays
monitored until the second such look, so that one that locks and unlocks does not cost a durable write each
time."""
LOCK_MSG = 7
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


class Monitor(Protocol):
    """The status monitor, ours or the host's: who must be told when we, or who tells us when they, lost their
    memory."""

    def watch(self, address: str, name: bytes, now: Now, *, local: str | None = None, state: int = 0) -> None:
        """Monitor this client; durable before the answer that depends on it leaves. `local` is the address of
        ours it talks to, `state` its NSM state number if it told."""

    def unwatch(self, address: str, now: Now) -> None:
        """No longer."""

    def notified(self, mon_name: bytes, state: int, priv: bytes, now: Now) -> None:
        """The host's status monitor reports a restarted client (procedure 16)."""


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
        self.waiters: Waiters[Owner, Request] = Waiters(host_of)
        self.shares: Shares[tuple[Host, bytes]] = Shares()
        self.journal = journal or Journal()
        self.owed: Owed | None = None
        """What was lost and is known; when all of it was reclaimed the grace period ends."""
        self.grants = Grants(
            settings, rpc, entropy, hostname=hostname, journal=self.journal, give_up=self._not_wanted
        )
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
        self._refusal = refusal
        self._idle: set[Host] = set()
        self._look_at: float | None = None

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
        if span is None or not fh or self.refuse or (self._room <= 0 and self._is_full()):
            return self._no_lock(cookie, self._locks, fh, span)
        start, end = span
        file = fh if self._key is None else self._key(fh, call.origin.local.host)
        if self._refusal is not None and (status := self._refusal(file, exclusive)):
            self._locks[status] += 1
            return Result(cookie, status)
        host = self.hosts.get(call.origin.peer.host, name, now)
        if host.number and not host.noted:
            self.journal.host(host)  # it has another name, whatever comes of this call
        limit = self.settings.nlm_max_locks_per_client
        if limit and self.table.held_by(host_of, host) >= limit:
            return self._no_lock(cookie, self._locks, fh, span)
        known = len(host.owners)
        owner = host.owner(svid, oh)
        holder = self.table.lock(file, owner, start, end, exclusive)
        if holder is not None:
            if block:
                return self._wait(args, call, owner, (file, start, end), now)
            if len(host.owners) > known:
                del host.owners[svid]
            self._locks[Status.DENIED] += 1
            return Result(cookie, Status.DENIED)
        if state and state != host.state:
            host.state, host.noted = state, False
            host.changes += 1
        if not host.monitored:
            self._watch(host, call, now, monitored=monitored)
        self.journal.locked(owner, file, start, end, exclusive)
        if reclaim and self.owed is not None:
            self.owed.locked(owner, file, start, end)
            self._repaid(now)
        if self._untold or file in self._queues:
            key = (file, owner, start, end, exclusive)
            self.grants.settle(key, now)
            self.grants.known(file, owner, start, end)
            self._cancel(key)
            if not exclusive:
                self._serve(file, start, end, now)
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
        host = self.hosts.find(call.origin.peer.host)
        owner = None if host is None else host.owners.get(svid)
        if owner is not None:
            start, end = span
            file = fh if self._key is None else self._key(fh, call.origin.local.host)
            if self.table.unlock(file, owner, start, end):
                self._room -= 1  # what was one lock may be two now
                self.journal.unlocked(owner, file, start, end)
                if self._untold:
                    self._settle_freed(file, owner, span, now)
                if file in self._queues:
                    self._serve(file, start, end, now)
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
        host = self.hosts.find(call.origin.peer.host)
        asker = None if host is None else host.owners.get(args.svid)
        file = args.fh if self._key is None else self._key(args.fh, call.origin.local.host)
        if self._refusal is not None and (status := self._refusal(file, args.exclusive)):
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
            host = self.hosts.find(call.origin.peer.host)
            owner = None if host is None else host.owners.get(args.svid)
            if owner is not None:
                file = args.fh if self._key is None else self._key(args.fh, call.origin.local.host)
                key = (file, owner, span[0], span[1], args.exclusive)
                if not self._cancel(key) and self.grants.find(key) is not None:
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

    def share(self, args: ShareArgs, call: Call, now: Now) -> ShareResult:
        """SHARE: open a file and forbid others some ways of opening it (DOS sharing modes)."""
        status: int = Status.GRANTED
        file = args.fh if self._key is None else self._key(args.fh, call.origin.local.host)
        if self.refuse:
            status = Status.DENIED_NOLOCKS
        elif self.grace.active and not args.reclaim:
            status = Status.DENIED_GRACE_PERIOD
        elif self._is_full():
            status = Status.DENIED_NOLOCKS
        elif not args.fh:
            status = Status.STALE_FH
        elif args.mode > 3 or args.access > 3:
            status = Status.FAILED
        elif self._refusal is not None and (refusal := self._refusal(file, False)):
            status = refusal
        else:
            host = self.hosts.get(call.origin.peer.host, args.caller_name, now)
            if host.number and not host.noted:
                self.journal.host(host)
            self._room = 0
            if not self.shares.share(file, (host, args.oh), args.access, args.mode):
                status = Status.DENIED
            else:
                if not host.monitored:
                    self._watch(host, call, now)
                self.journal.shared(host, file, args.oh, args.access, args.mode)
                if self.owed is not None:
                    self.owed.shared(host, file, args.oh, args.access, args.mode)
                    self._repaid(now)
        self.counts["SHARE"][status] += 1
        return ShareResult(args.cookie, status, 0)

    def unshare(self, args: ShareArgs, call: Call, now: Now) -> ShareResult:
        """UNSHARE: take back one SHARE. Nothing to take back is a success, as UNLOCK has it."""
        status = Status.GRANTED
        if self.grace.active:
            status = Status.DENIED_GRACE_PERIOD
        else:
            host = self.hosts.find(call.origin.peer.host)
            if host is not None:
                file = args.fh if self._key is None else self._key(args.fh, call.origin.local.host)
                if self.shares.unshare(file, (host, args.oh), args.access, args.mode):
                    self.journal.unshared(host, file, args.oh, args.access, args.mode)
        self.counts["UNSHARE"][status] += 1
        return ShareResult(args.cookie, status, 0)

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
        freed = 0
        host = self.hosts.find(address)
        if host is not None:
            freed = self.release(lambda owner: owner.host is host, now)
            freed += self.release_shares(lambda other: other is host)
            host.state, host.noted = state, False
            host.changes += 1
            self.journal.host(host)
        self._forget(address)
        self.journal.forgotten(address)
        if self.owed is not None:
            self.owed.forgiven(address)
            self._repaid(now)
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
            self._serve(file, 0, EOF, now)
        return freed

    def retry(self, file: bytes, now: Now) -> None:
        """Bytes of a file may have become free by none of our doing: serve those who wait for it."""
        self._serve(file, 0, EOF, now)

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
        self._serve(file, 0, EOF, now)
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
        for host in self.hosts:
            if host.monitored:
                self._monitor.watch(host.address, host.name, now, state=host.state)
        if len(self.hosts):
            self._look_at = now.mono + LINGER
        self.grants.resume(now)

    def tick(self, now: Now) -> bool:
        """Do what is due; True when the grace period ended just now."""
        self.grants.tick(now)
        if self._look_at is not None and now.mono >= self._look_at:
            self._look_for_idle(now)
        return self.grace.tick(now.mono)

    def _repaid(self, now: Now) -> None:
        """Something was reclaimed: if that was the last, nobody needs the grace period any more. It ends at
        the next tick."""
        if self.owed is not None and self.owed.settled:
            self.owed = None
            if self.grace.active:
                self.grace.until = now.mono

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        times = [t for t in (self.grants.deadline(), self.grace.until, self._look_at) if t is not None]
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

    def limits_changed(self) -> None:
        """`nlm_max_locks` is another number now."""
        self._room = 0

    def _is_full(self) -> bool:
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
            or self._refusal is not None
            or self.settings.nlm_max_locks_per_client
            or (self._room <= calls and (self._is_full() or self._room <= calls))
        )

    def crowded(self, file: bytes) -> bool:
        """Whether somebody waits for bytes of this file, or is being told that it has them."""
        return file in self._queues or file in self.grants.files

    @property
    def crowd(self) -> bool:
        """Whether that is so of any file."""
        return bool(self._queues or self._untold)

    def passed(self, locks: int, unlocks: int) -> None:
        """So many calls passed and were granted."""
        self._locks[GRANTED] += locks
        self._unlocks[GRANTED] += unlocks
        self._room -= locks + unlocks

    def file(self, fh: bytes, call: Call) -> bytes:
        """What the lock table knows a file by."""
        return fh if self._key is None else self._key(fh, call.origin.local.host)

    def _wait(
        self, args: LockArgs, call: Call, owner: Owner, wanted: tuple[bytes, int, int], now: Now
    ) -> Result:
        """A blocking LOCK that cannot be had now. The client may repeat it as often as it likes: it waits
        once."""
        file, start, end = wanted
        blockers = self.table.conflicts(file, owner, start, end, args.exclusive)
        waiting = self.waiters.find(file, owner, start, end, args.exclusive)
        if waiting is None and would_deadlock(
            owner, blockers, lambda other: self.waiters.blockers(self.table, other)
        ):
            self._locks[Status.DEADLCK] += 1
            return Result(args.cookie, Status.DEADLCK)
        procedure: Any = call.procedure
        asynchronous = procedure.number == LOCK_MSG
        request = Request(args.fh, args.offset, args.length, call, asynchronous, now.wall)
        if waiting is not None:
            waiting.payload = request._replace(since=waiting.payload.since)
        elif len(self.waiters) >= self.settings.nlm_max_blocked or (
            (limit := self.settings.nlm_max_blocked_per_client)
            and self.waiters.waiting_of(owner.host) >= limit
        ):
            self._locks[Status.DENIED_NOLOCKS] += 1
            return Result(args.cookie, Status.DENIED_NOLOCKS)
        else:
            waiting = self.waiters.add(file, owner, start, end, args.exclusive, payload=request)
            # so that GRANTED can leave at once when its time comes
            self._rpc.prepare(way_back(call), now)
        if args.state and args.state != owner.host.state:
            owner.host.state, owner.host.noted = args.state, False
            owner.host.changes += 1
        if not owner.host.monitored:
            self._watch(owner.host, call, now)
        self.journal.waits(waiting)
        self._locks[Status.BLOCKED] += 1
        return Result(args.cookie, Status.BLOCKED)

    def _cancel(self, key: tuple[bytes, Owner, int, int, bool]) -> bool:
        """Take a blocked lock out of the queue; whether it was there."""
        waiting = self.waiters.cancel(*key)
        if waiting is not None:
            self.journal.cancelled(waiting)
        return waiting is not None

    def _serve(self, file: bytes, start: int, end: int, now: Now) -> None:
        """Bytes became free: whoever waited for them and can have its lock now has it, and is told."""
        self._room = 0
        for blocked in self.waiters.ready(self.table, file, start, end):
            self.grants.tell(blocked, now)

    def _settle_freed(self, file: bytes, owner: Owner, span: tuple[int, int], now: Now) -> None:
        """The client unlocked what it was being told it has: it knows."""
        start, end = span
        for blocked in self.grants.of(file, owner):
            if blocked.start < end and start < blocked.end:
                self.grants.settle(key_of(blocked), now)

    def _not_wanted(self, blocked: Blocked, now: Now) -> None:
        """A client refused the lock it was granted, or never answered: what that added goes to the next."""
        file, owner = blocked.file, blocked.owner
        for start, end, before in blocked.beneath:
            if before is None:
                if self.table.unlock(file, owner, start, end):
                    self.journal.unlocked(owner, file, start, end)
            elif before is not blocked.exclusive:
                self._give_back(file, owner, start, end, before)
        self._serve(file, blocked.start, blocked.end, now)

    def _give_back(self, file: bytes, owner: Owner, start: int, end: int, exclusive: bool) -> None:
        """Bytes become what they were before an upgrade or a downgrade nobody wanted; of a downgrade only
        those that nobody reads by now."""
        free = Spans(((start, end),))
        if exclusive:
            for other in list(self.table.held(file, start, end)):
                if other.owner is not owner:
                    free.cut(other.start, other.end)
        for low, high in free:
            if self.table.lock(file, owner, low, high, exclusive) is None:
                self.journal.locked(owner, file, low, high, exclusive)

    def _watch(self, host: Host, call: Call, now: Now, *, monitored: bool = True) -> None:
        """A client has something to lose now: monitor it, if it wants that, and look after it."""
        if monitored:
            host.monitored, host.noted = True, False
            local = call.origin.local.host
            self._monitor.watch(host.address, host.name, now, local=local, state=host.state)
        if self._look_at is None:
            self._look_at = now.mono + LINGER

    def _look_for_idle(self, now: Now) -> None:
        """Forget owners that hold nothing, and hosts that held nothing at two looks in a row."""
        busy = self.table.owners()
        busy.update(waiter.owner for waiter in self.waiters.waiters())
        sharers = {share.owner[0] for _, share in self.shares.shares()}
        idle = set()
        for host in self.hosts:
            host.owners = {svid: owner for svid, owner in host.owners.items() if owner in busy}
            host.changes += 1
            if host.owners or host in sharers:
                continue
            if host not in self._idle:
                idle.add(host)
                continue
            self.hosts.remove(host)
            self.journal.gone(host)
            if host.monitored:
                self._monitor.unwatch(host.address, now)
        self._idle = idle
        self._look_at = now.mono + LINGER if len(self.hosts) else None


def holder_body(holder: Holder[Owner]) -> HolderBody:
    """A held lock as TEST reports it."""
    return HolderBody(
        holder.exclusive,
        holder.owner.svid,
        holder.owner.oh,
        holder.start,
        to_length(holder.start, holder.end),
    )
