# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocked locks that became free: telling the client so (GRANTED) until it acknowledges. Read `Grants.tell`
first.

The lock is taken for the client before it is told; the call leaves from the address its LOCK came to, by the
same transport and version, and repeats the client's own file handle, owner and range to the byte, because
that is all a client recognises it by (Linux 6.1 compares those and the server's address, not the cookie). A
client that blocked with LOCK_MSG is told by GRANTED_MSG and answers with GRANTED_RES; every other is told by
GRANTED.

DENIED has two meanings: "I do not wait for this", and, to a repetition whose first answer was lost, "I no
longer wait, I have it". Only to the first telling is it taken for the former, and the lock given to the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from pydaemons.engine.entropy import Entropy
from pydaemons.engine.protocol import Now, Transport
from pydaemons.engine.timers import Timers
from pydaemons.nlm.beneath import Pieces, cut, overlay
from pydaemons.nlm.hosts import Host, Owner
from pydaemons.nlm.journal import Journal
from pydaemons.nlm.procs import BY_NAME, MSG, RESULT
from pydaemons.nlm.types import NLM_PROGRAM, ProbeArgs, Status
from pydaemons.nlm.versions import args_codec
from pydaemons.nlm.waiters import Waiter
from pydaemons.sunrpc.client import (
    Outcome,
    Pending,
    RpcClient,
    Success,
    Target,
    TimedOut,
    Unreachable,
    growing,
)
from pydaemons.sunrpc.program import Call
from pydaemons.wire.errors import WireError

GRANTED = BY_NAME["GRANTED"]
BUSY_CLIENT = 10.0
"""Seconds until a client that answered DENIED_GRACE_PERIOD is told again, as the kernel's server does."""
TRIES = 6
"""GRANTED is sent that often, the n-th wait being n times `nlm_timeout`, before the client counts as gone."""


class Settings(Protocol):
    """The tunable it follows."""

    nlm_timeout: int


class Request(NamedTuple):
    """What must be remembered of a blocked LOCK to call its client back."""

    fh: bytes
    """The handle as the client sent it; the lock table may know the file by another key."""
    offset: int
    length: int
    call: Call
    """The call that asked: transport, addresses and version of the way back."""
    asynchronous: bool
    """It came by LOCK_MSG."""
    since: float
    """Wall clock, to be shown."""


Blocked = Waiter[Owner, Request]
Key = tuple[bytes, Owner, int, int, bool]


def key_of(blocked: Blocked) -> Key:
    """What makes two requests the same."""
    return (blocked.file, blocked.owner, blocked.start, blocked.end, blocked.exclusive)


def way_back(call: Call) -> Target:
    """The lock manager of the client that made `call`, reached from the address and port it was called at:
    clients take no notice of anybody else (Linux compares the address, macOS and BSD the port as well)."""
    origin = call.origin
    return Target(
        host=origin.peer.host,
        program=NLM_PROGRAM,
        version=call.version,
        transport=origin.transport,
        source=origin.local.host,
        source_port=origin.local.port if origin.transport is Transport.UDP else None,
    )


class Grants:
    """Locks granted after waiting whose clients have not acknowledged yet.

    `give_up(blocked, now)` is called when a client refuses the lock or never answers: the bytes of its
    `beneath` must become what that says."""

    def __init__(
        self,
        settings: Settings,
        rpc: RpcClient,
        entropy: Entropy,
        *,
        hostname: bytes,
        journal: Journal,
        give_up: Callable[[Blocked, Now], None],
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._rpc = rpc
        self._hostname = hostname
        self._give_up = give_up
        self.open: dict[Key, Blocked] = {}
        """Those not acknowledged; to be read only. The packet path asks whether there are any."""
        self._handles: dict[Key, Pending] = {}
        self._cookies: dict[bytes, Key] = {}
        self._cookies_of: dict[Key, list[bytes]] = {}
        self._own: dict[tuple[bytes, Owner], dict[Key, Blocked]] = {}
        """By file and owner, oldest first."""
        self.files: Counter[bytes] = Counter()
        """How many there are on each file; to be read only."""
        self._sent: dict[Key, int] = {}
        self._told_before: set[Key] = set()
        """Those an earlier process told of, who knows how often."""
        self._timers: Timers[Key] = Timers()
        self._next_cookie = entropy.getrandbits(63)

    def __len__(self) -> int:
        return len(self.open)

    def __iter__(self) -> Iterator[Blocked]:
        return iter(list(self.open.values()))

    def find(self, key: Key) -> Blocked | None:
        """The unacknowledged grant of exactly this lock."""
        return self.open.get(key)

    def on_file(self, file: bytes) -> list[Blocked]:
        """The unacknowledged grants on one file."""
        return [blocked for blocked in self if blocked.file == file]

    def of(self, file: bytes, owner: Owner) -> list[Blocked]:
        """The unacknowledged grants of one owner on one file, oldest first."""
        return list(self._own.get((file, owner), {}).values())

    def tell(self, blocked: Blocked, now: Now) -> None:
        """The lock was taken for this client: tell it until it says it knows."""
        self._journal.told(blocked)
        key = self._keep(blocked)
        self._told_before.discard(key)
        self._send(key, blocked, now)

    def remember(self, blocked: Blocked) -> None:
        """An earlier process took the lock for this client, and may have told it."""
        self._told_before.add(self._keep(blocked))

    def resume(self, now: Now) -> None:
        """Tell those remembered again."""
        for key in list(self._told_before):
            self._send(key, self.open[key], now)

    def settle(self, key: Key, now: Now) -> None:
        """The client knows, or the lock is gone again: stop telling."""
        blocked = self.open.get(key)
        if blocked is not None:
            self.known(blocked.file, blocked.owner, blocked.start, blocked.end, before=blocked)
            self._stop(key, blocked, now)

    def known(
        self, file: bytes, owner: Owner, start: int, end: int, *, before: Blocked | None = None
    ) -> None:
        """Its client knows of a lock of `owner` on these bytes: they go with no refusal of what else it is
        being told. With `before`: of what it was told earlier than that one; what came later lies on top."""
        for other in self.of(file, owner):
            if other is before:
                return
            self._lay(other, cut(other.beneath, start, end))

    def _stop(self, key: Key, blocked: Blocked, now: Now) -> None:
        self._journal.settled(blocked)
        self.forget(key)
        self._timers.cancel(key)
        handle = self._handles.pop(key, None)
        if handle is not None:
            self._rpc.cancel(handle, now)
        for cookie in self._cookies_of.pop(key, ()):
            del self._cookies[cookie]

    def forget(self, key: Key) -> None:
        """As `settle`, before anything was sent (replay)."""
        blocked = self.open.pop(key, None)
        if blocked is None:
            return
        own = self._own[blocked.file, blocked.owner]
        del own[key]
        if not own:
            del self._own[blocked.file, blocked.owner]
        self.files[blocked.file] -= 1
        if not self.files[blocked.file]:
            del self.files[blocked.file]
        del self._sent[key]
        self._told_before.discard(key)

    def acknowledged(self, cookie: bytes, address: str, status: int, now: Now) -> None:
        """GRANTED_RES came from `address`; one that belongs to nothing, or to another host's lock, is
        ignored."""
        key = self._cookies.get(cookie)
        blocked = None if key is None else self.open.get(key)
        if blocked is not None and blocked.owner.host.address == address:
            self._judge(blocked, status, now, repeated=self._sent[key_of(blocked)] > 1)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        return self._timers.deadline()

    def tick(self, now: Now) -> None:
        """Send again what is due."""
        for key in list(self._timers.due(now.mono)):
            blocked = self.open.get(key)
            if blocked is None:
                continue
            if self._sent[key] >= TRIES:
                self._gone(blocked.owner.host, now)
            else:
                self._send(key, blocked, now)

    def _keep(self, blocked: Blocked) -> Key:
        key = key_of(blocked)
        if key not in self.open:
            self.files[blocked.file] += 1
        self.open[key] = blocked
        self._own.setdefault((blocked.file, blocked.owner), {})[key] = blocked
        self._sent[key] = 0
        return key

    def _schedule(self) -> tuple[float, ...]:
        return growing(self._settings.nlm_timeout, retries=TRIES - 1)

    def _send(self, key: Key, blocked: Blocked, now: Now) -> None:
        self._next_cookie = self._next_cookie + 1 & 2**64 - 1
        cookie = self._next_cookie.to_bytes(8, "big")
        request = blocked.payload
        version = request.call.version
        args = args_codec(GRANTED.args, version).pack(
            ProbeArgs(
                cookie,
                blocked.exclusive,
                self._hostname,
                request.fh,
                blocked.owner.oh,
                blocked.owner.svid,
                request.offset,
                request.length,
            )
        )
        target = way_back(request.call)
        if request.asynchronous:
            sent = self._sent[key]
            self._cookies[cookie] = key
            self._cookies_of.setdefault(key, []).append(cookie)
            self._sent[key] = sent + 1
            self._timers.set(key, now.mono + self._schedule()[sent])
            self._rpc.send(target, GRANTED.number + MSG, args, now=now)
            return

        def done(outcome: Outcome, now: Now) -> None:
            if self.open.get(key) is not blocked:
                return
            pending = self._handles.pop(key)
            if isinstance(outcome, TimedOut | Unreachable):
                self._gone(blocked.owner.host, now)
                return
            try:
                status = RESULT.unpack(outcome.result, 0).status if isinstance(outcome, Success) else None
            except WireError:
                status = None
            self._judge(blocked, status, now, repeated=pending.tries > 1)

        self._handles[key] = self._rpc.call(
            target, GRANTED.number, args, schedule=self._schedule(), done=done, now=now
        )

    def _judge(self, blocked: Blocked, status: int | None, now: Now, *, repeated: bool) -> None:
        """What the client said: None if nothing that can be understood."""
        repeated = repeated or key_of(blocked) in self._told_before
        if status == Status.GRANTED or (status == Status.DENIED and repeated):
            self.settle(key_of(blocked), now)
        elif status == Status.DENIED_GRACE_PERIOD:
            self._sent[key_of(blocked)] = 0
            self._timers.set(key_of(blocked), now.mono + BUSY_CLIENT)
        else:
            self._refused(blocked, now)

    def _gone(self, host: Host, now: Now) -> None:
        """A client was told for minutes and said nothing. What else it is being told goes to others now too,
        and not one lock after the other."""
        for blocked in self:
            if blocked.owner.host is host and self.open.get(key_of(blocked)) is blocked:
                self._refused(blocked, now)

    def _refused(self, blocked: Blocked, now: Now) -> None:
        """Its lock was never had. Where a later one lies on it, that now lies on what was beneath both."""
        own = self.of(blocked.file, blocked.owner)
        for later in own[own.index(blocked) + 1 :]:
            extent = later.beneath
            self._lay(later, overlay(extent, blocked.beneath))
            for low, high, _ in extent:
                blocked.beneath = cut(blocked.beneath, low, high)
        self._stop(key_of(blocked), blocked, now)
        self._give_up(blocked, now)

    def _lay(self, blocked: Blocked, pieces: Pieces) -> None:
        """Something else lies beneath it now."""
        if pieces != blocked.beneath:
            blocked.beneath = pieces
            self._journal.beneath(blocked)
