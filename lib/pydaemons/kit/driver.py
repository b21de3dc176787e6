# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one engine on an asyncio loop: the only caller of the Engine protocol. Read Driver.commit and finish.

Every batch goes the same way, whatever brought it (datagrams of a wakeup, records of a read, events, the
deadline): the clock is read once; the engine takes the packets and returns replies; `commit` drains its
effects and carries out what is to be kept (Persist, then Append); then, and only then, the replies leave;
`finish` carries out the other effects in their order and arms the one timer from `deadline()`. Packets do not
pass through asyncio's protocols: kit.batch and kit.streams read them from `loop.add_reader` callbacks.

A bug of ours in an engine costs the packet that met it: it is logged in hex and dropped. When that repeats,
the daemon leaves, for systemd to restart it.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Any, Protocol, TypeVar

from pydaemons.engine.effects import Append, Effect, Leave, Level, Log, Persist, Reply, Rewrite, Send
from pydaemons.engine.events import AppendFailed, Persisted, PersistFailed
from pydaemons.engine.protocol import Engine, Now, Origin, Prompt, Transport
from pydaemons.kit import clock
from pydaemons.kit.batch import DatagramPort
from pydaemons.kit.datagrams import Datagrams
from pydaemons.kit.log import Log as LogWriter
from pydaemons.kit.notify import Notifier
from pydaemons.kit.route import Route
from pydaemons.kit.streams import StreamListener, Streams

BUGS = 20
"""Exceptions of the engine within BUGS_WITHIN seconds after which a restart is the better way on."""
BUGS_WITHIN = 60.0
HELD_REPLIES = 4096
"""Replies kept while their batch's Persist waits for the disk; the oldest go first."""
PERSIST_RETRY = 1.0
"""Seconds between attempts to write what the disk refused."""
LEAST_WAIT = 0.001
"""Between two ticks, should an engine keep a deadline that has passed."""
RENEWAL_PAUSE = 4.0
"""The next slice of a journal's renewal comes after so many times what the last one took."""
HEX_SHOWN = 2048

BUG_ID = "7c1d0a6f3f0c4f7d9b0f4a2b6f2f6d11"
"""MESSAGE_ID of an exception of the engine."""

JOURNAL_ID = "0e6b6f5d5a2c4c43a1f6f1c0b8a7d9e4"
"""MESSAGE_ID of a journal that cannot be written, or can again."""

EffectType = TypeVar("EffectType", bound=Effect)


class StateWriter(Protocol):
    """What carries out Persist effects (kit.statefile)."""

    def write(self, effects: list[Persist]) -> dict[str, str]:
        """Make them durable; the names that could not be, each with why. Those are kept for `retry`."""

    def retry(self) -> dict[str, str]:
        """Try again what failed; what still fails."""


class JournalWriter(Protocol):
    """What carries out Append and Rewrite effects (kit.journalfile)."""

    def append(self, data: bytes, /) -> str:
        """Add to it; why not, or empty. After a failure only `rewrite` helps."""

    def rewrite(self, parts: Iterable[bytes], /) -> str:
        """Replace it at once; why not, or empty."""

    def renew(self, parts: Iterable[bytes], /) -> None:
        """Begin to replace it, bit by bit. OSError, as of `step`: then all is as it was."""

    def step(self) -> bool:
        """Go on with that; whether there is more to do."""

    @property
    def renewing(self) -> bool:
        """Whether that is going on."""


class Driver:
    """One engine, its sockets, its timer. Everything happens in the loop's thread."""

    def __init__(
        self,
        engine: Engine,
        loop: asyncio.AbstractEventLoop,
        *,
        log: LogWriter,
        notify: Notifier,
        state: StateWriter | None = None,
    ) -> None:
        self.engine = engine
        self.loop = loop
        self.log = log
        self.notify = notify
        self.counts: Counter[str] = Counter()
        """What happened in the shell: datagrams, records, replies, drops by reason."""
        self.stirred = True
        """The engine may have effects and another deadline. False only during a batch of which it was shown
        nothing but what `prompt` answered: the ports say so when they begin one, and no more when they hand
        anything to `receive`."""
        self.now = clock.now
        self.changed: Callable[[], None] | None = None
        """Called after each batch (see main: it offers the status line)."""
        self.left: asyncio.Future[Leave] = loop.create_future()
        """Resolved when the daemon shall end."""
        self.prompt: Prompt | None = getattr(engine, "prompt", None)
        """What of the engine answers at a glance, if it has such a thing."""
        self.datagrams = Datagrams(self)
        self.streams = Streams(self)
        self.journal: JournalWriter | None = None
        """Where Append effects go; a daemon whose engine has any puts it there."""
        self._state = state
        self._handlers: dict[type[Effect], Callable[[Any, Now], None]] = {}
        self._effects: list[Effect] = []
        self._events: deque[object] = deque()
        self._events_planned = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = float("inf")
        self._bugs: deque[float] = deque(maxlen=BUGS)
        self._failing: dict[str, str] = {}
        self._retry: asyncio.TimerHandle | None = None
        self._held: deque[tuple[Origin, bytes]] = deque(maxlen=HELD_REPLIES)
        self._unwritten = ""
        """Why the journal cannot be written, as long as it cannot."""
        self._waiting: deque[Effect] = deque(maxlen=HELD_REPLIES)
        """What must not be done before it can."""
        self._unknown: set[type[Effect]] = set()
        self.on(Reply, self._reply)
        self.on(Send, self._send)
        self.on(Log, self._log)
        self.on(Leave, self._leave)

    def on(self, kind: type[EffectType], carry_out: Callable[[EffectType, Now], None]) -> None:
        """Have effects of exactly this type carried out by `carry_out(effect, now)`; a later call replaces an
        earlier one. Persist is not for here: it goes before the replies."""
        self._handlers[kind] = carry_out

    def listen(self, sock: socket.socket) -> DatagramPort | StreamListener:
        """Feed what comes in on a bound UDP or listening TCP socket to the engine. The socket is ours from
        now on; closing what is returned closes it."""
        if sock.type == socket.SOCK_DGRAM:
            return self.datagrams.listen(sock)
        return self.streams.listen(sock)

    def post(self, event: object) -> None:
        """Tell the engine of something, soon. Other threads: loop.call_soon_threadsafe(driver.post, e)."""
        self._events.append(event)
        self._plan_events()

    def leave(self, status: int = 0, reason: str = "") -> None:
        """End the daemon (the first reason counts)."""
        if not self.left.done():
            self.left.set_result(Leave(status, reason))

    def settle(self) -> None:
        """A batch without a packet: for what the engine wants on its own account (at start)."""
        now = self.now()
        self.commit()
        self.finish(now)

    def close(self) -> None:
        """Stop: close all sockets and timers. Replies already sent are the kernel's to deliver."""
        for timer in (self._timer, self._retry):
            if timer is not None:
                timer.cancel()
        self.datagrams.close()
        self.streams.close()

    # ---- a batch: the ports call receive of the engine themselves, then these two

    def commit(self) -> bool:
        """Take the engine's effects and make its Persist ones durable. True: the replies of this batch may
        leave now. False: give them to `hold`."""
        if not self.stirred and self.prompt is not None and self.healthy:
            data = self.prompt.take()
            if data is not None:
                if data:
                    self._append(data)
                return not self._unwritten
        try:
            effects = list(self.engine.drain())
        except Exception as error:
            self.failed(error, None, None)
            effects = []
        if not effects and not self._unwritten:
            return True
        persist: list[Persist] = []
        journal: list[Append | Rewrite] = []
        later = self._effects
        for effect in effects:
            kind = type(effect)
            if kind is Append or kind is Rewrite:
                journal.append(effect)  # type: ignore[arg-type]
            elif isinstance(effect, Persist):  # a daemon may have its own kind (rows of a table)
                persist.append(effect)
            else:
                later.append(effect)
        kept = not persist or self._persist(persist)
        for each in journal:  # behind the state files: whose lock is in it is monitored
            self._write_journal(each)
        if self._unwritten:
            self._waiting += [effect for effect in later if type(effect) is not Log]
            self._effects = [effect for effect in later if type(effect) is Log]
        elif kept:
            return True
        else:
            for effect in later:
                if type(effect) is Reply:
                    self._held.append((effect.origin, effect.data))
            self._effects = [effect for effect in later if type(effect) is not Reply]
        return False

    def finish(self, now: Now) -> None:
        """Carry out the remaining effects and see to the timer."""
        if self._effects:
            effects, self._effects = self._effects, []
            for effect in effects:
                handler = self._handlers.get(type(effect))
                if handler is None:
                    self._nobody_for(type(effect))
                    continue
                try:
                    handler(effect, now)
                except Exception as error:
                    self.failed(error, repr(effect).encode(), None)
        if self.stirred:
            deadline = self.engine.deadline()
            if deadline is not None and deadline < self._timer_at:
                self._arm(deadline)
        self.stirred = True
        if self.changed is not None:
            self.changed()

    def answer(self, origin: Origin, data: bytes) -> None:
        """Send one answer, apart from its batch."""
        handle = origin.handle
        if isinstance(handle, Route):
            handle.send(data)
        else:
            self.counts["replies to nowhere"] += 1

    @property
    def failing(self) -> Mapping[str, str]:
        """State files that cannot be written now, and why."""
        return self._failing

    @property
    def healthy(self) -> bool:
        """Nothing waits for a disk."""
        return not self._unwritten and not self._failing

    def hold(self, replies: list[tuple[Origin, bytes]]) -> None:
        """Keep replies until what they promise is on disk."""
        self._held.extend(replies)
        self.counts["replies held for the disk"] += len(replies)

    def failed(self, error: Exception, data: bytes | None, origin: Origin | None) -> None:
        """An exception came out of the engine: log it with what caused it, and go on, or not."""
        self.counts["exceptions"] += 1
        import traceback  # noqa: PLC0415  # only when it is needed: it costs 10 ms at start

        where = traceback.extract_tb(error.__traceback__)
        last = f" at {where[-1].filename.rpartition('/')[2]}:{where[-1].lineno}" if where else ""
        fields = {"EXCEPTION": "".join(traceback.format_exception(error))}
        if origin is not None:
            fields["PEER"] = f"{origin.transport.value} {origin.peer.host} {origin.peer.port}"
        shown = ""
        if data is not None:
            fields["PACKET"] = data[:HEX_SHOWN].hex()
            shown = f"; dropped: {fields['PACKET']}"
        kind = f"{type(error).__name__}{last}"
        text = f"bug, please report: {type(error).__name__}: {error}{last}{shown}"
        self.log.log(Level.ERROR, text, fields, BUG_ID, kind)
        at = monotonic()
        self._bugs.append(at)
        if len(self._bugs) == BUGS and at - self._bugs[0] < BUGS_WITHIN:
            self.leave(1, f"{BUGS} exceptions within {BUGS_WITHIN:.0f} s")

    # ---- events, timer, effects

    def _plan_events(self) -> None:
        if not self._events_planned:
            self._events_planned = True
            self.loop.call_soon(self._handle_events)

    def _handle_events(self) -> None:
        self._events_planned = False
        events, self._events = self._events, deque()
        now = self.now()
        for event in events:
            try:
                self.engine.handle(event, now)
            except Exception as error:
                self.failed(error, repr(event).encode(), None)
        self.commit()
        self.finish(now)

    def _arm(self, at: float) -> None:
        """One timer, moved only to come earlier: one that comes too early costs a tick, one cancelled and set
        again at each batch would cost more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self.loop.call_at(at, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._timer_at = float("inf")
        now = self.now()
        deadline = self.engine.deadline()
        if deadline is None:
            return
        if deadline > now.mono:
            self._arm(deadline)
            return
        try:
            self.engine.tick(now)
        except Exception as error:
            self.failed(error, None, None)
        self._timer_at = float("-inf")  # finish is not to arm it: see LEAST_WAIT
        self.commit()
        self.finish(now)
        self._timer_at = float("inf")
        deadline = self.engine.deadline()
        if deadline is not None:
            self._arm(max(deadline, now.mono + LEAST_WAIT))

    def _persist(self, effects: list[Persist]) -> bool:
        if self._state is None:
            raise TypeError("the engine has state to keep and the daemon gave nowhere to keep it")
        failures = self._state.write(effects)
        self._persisted({effect.name for effect in effects}, failures)
        return not failures

    def _write_journal(self, effect: Append | Rewrite) -> None:
        if self.journal is None:
            raise TypeError("the engine has a journal and the daemon gave nowhere to keep it")
        if isinstance(effect, Rewrite) and not self._unwritten:
            if not self.journal.renewing:
                self._renew(self.journal, effect.parts)
        elif isinstance(effect, Rewrite):
            error = self.journal.rewrite(effect.parts)
            if error:
                self.counts["journal rewrites failed"] += 1
            else:
                self._unwritten = ""
                self.log.log(Level.NOTICE, "the journal is written again", {}, JOURNAL_ID)
                self._effects[:0] = self._waiting
                self._waiting.clear()
                self._answer_held()
        elif not self._unwritten:  # what follows a gap is worth nothing
            self._append(effect.data)

    def _append(self, data: bytes) -> None:
        if self.journal is None:
            raise TypeError("the engine has a journal and the daemon gave nowhere to keep it")
        error = self.journal.append(data)
        if error:
            self._unwritten = error
            text = f"cannot write the journal: {error}; answers wait, trying again"
            self.log.log(Level.ERROR, text, {}, JOURNAL_ID)
            self._tell_unwritten()

    def _renew(self, journal: JournalWriter, parts: Iterable[bytes] | None = None) -> None:
        """Write the next generation of the journal, a slice between batches now and then."""
        began = monotonic()
        try:
            if parts is None:
                more = journal.step()
            else:
                more = True
                journal.renew(parts)
        except OSError:
            self.counts["journal rewrites failed"] += 1
            return
        except Exception as error:
            self.failed(error, None, None)
            return
        if more:
            self.loop.call_later(RENEWAL_PAUSE * (monotonic() - began), self._renew, journal)

    def _tell_unwritten(self) -> None:
        if self._unwritten:
            self.post(AppendFailed(self._unwritten))
            self.loop.call_later(PERSIST_RETRY, self._tell_unwritten)

    def _answer_held(self) -> None:
        while self._held and not self._failing and not self._unwritten:
            origin, data = self._held.popleft()
            self.answer(origin, data)

    def _persisted(self, names: set[str], failures: dict[str, str]) -> None:
        """Tell of what failed, and of what went right again."""
        for name, error in failures.items():
            if name not in self._failing:
                self.log.error(f"cannot write state {name}: {error}; trying again", STATE_FILE=name)
                self._tell(PersistFailed(name, error))
            self._failing[name] = error
        for name in names - failures.keys():
            if self._failing.pop(name, None) is not None:
                self.log.notice(f"state {name} is written again", STATE_FILE=name)
                self._tell(Persisted(name))
        if self._failing and self._retry is None:
            self._retry = self.loop.call_later(PERSIST_RETRY, self._retry_persist)
        self._answer_held()

    def _tell(self, event: object) -> None:
        """As `post`, but heard at once: before an answer that was held leaves, whose client goes on asking,
        and before the next packet, which may be the same call once more."""
        try:
            self.engine.handle(event, self.now())
        except Exception as error:
            self.failed(error, repr(event).encode(), None)
        self._plan_events()

    def _retry_persist(self) -> None:
        self._retry = None
        if self._state is not None and self._failing:
            self._persisted(set(self._failing), self._state.retry())

    def _reply(self, effect: Reply, now: Now) -> None:
        self.answer(effect.origin, effect.data)

    def _send(self, effect: Send, now: Now) -> None:
        if effect.transport is Transport.UDP:
            self.datagrams.send(effect)
        else:
            self.streams.send(effect)

    def _log(self, effect: Log, now: Now) -> None:
        self.log.log(effect.level, effect.message, effect.fields, effect.message_id)

    def _leave(self, effect: Leave, now: Now) -> None:
        self.leave(effect.status, effect.reason)

    def _nobody_for(self, kind: type[Effect]) -> None:
        if kind not in self._unknown:
            self._unknown.add(kind)
            self.log.error(f"bug, please report: nobody carries out {kind.__name__}")
