# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a lock as a kernel client does: LOCK with `block`, BLOCKED, and later the server's GRANTED.
Read Waiting.run, then Waiting._ask.

Whatever ends the wait otherwise (time is up, Ctrl-C), the request is cancelled, and the lock released should
the server have granted it meanwhile. The repetitions are those of Linux 6.1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

from pydaemons.cli.lockctl_callbacks import Callbacks
from pydaemons.cli.lockctl_calls import Calls, CommandError, InterruptedCommandError, NotServedError
from pydaemons.cli.lockctl_engine import Awaited, Heard, LockClient
from pydaemons.cli.lockctl_report import Report, holder_row, holder_words
from pydaemons.nlm.types import Status

TIMED_OUT = 3
REPEAT = 30.0
"""Seconds after which a blocked LOCK is sent again: the server may have lost it."""
REPEAT_UNCALLED = 1.0
"""The same where no callback can reach us."""
REPEAT_GRACE = 5.0
"""Seconds between attempts while the server is in its grace period."""
FAREWELL = 1.5
"""Seconds that the acknowledgement of a GRANTED_MSG may still take when everything else is done."""


class Waiting:
    """One blocking LOCK. `patience` is how many seconds it may take."""

    def __init__(
        self,
        calls: Calls,
        engine: LockClient,
        callbacks: Callbacks,
        report: Report,
        *,
        patience: float,
        say: Callable[[str], None],
    ) -> None:
        self._calls = calls
        self._engine = engine
        self._callbacks = callbacks
        self._report = report
        self._patience = patience
        self._say = say
        self._deadline = 0.0
        self._news = asyncio.Event()
        self._granted: Heard | None = None
        self._late = False
        """A GRANTED came when it was not wanted any more."""
        self._blocked = False
        engine.heard = self._heard

    async def run(self) -> Status:
        """Wait. The server's last word; CommandError when it is none."""
        request, engine, report = self._calls.request, self._engine, self._report
        begun = monotonic()
        self._deadline = begun + self._patience
        try:
            await self._callbacks.open()
            report.callback = self._callbacks.how
            # known before the LOCK leaves: its GRANTED may overtake the BLOCKED
            engine.awaited = Awaited(request.fh, request.svid, request.offset, request.length)
            try:
                status = await self._ask()
            except CommandError as error:
                if not isinstance(error, NotServedError):
                    await self._give_up()
                if error.status == TIMED_OUT:
                    report.holder = await find_holder(self._calls)
                raise
            report.waited = monotonic() - begun
            if status == Status.GRANTED:
                report.holder = None
                report.by = "reply" if self._granted is None else self._granted.procedure
            return status
        finally:
            await self._see_off()
            await self._callbacks.close()

    async def _ask(self) -> Status:
        """Send LOCK, again and again as clients do, until it is decided."""
        told = False
        while True:
            status, problem = await self._ask_once()
            if self._granted is not None:
                return Status.GRANTED
            pause = REPEAT
            match status:
                case Status.BLOCKED if not self._blocked:
                    self._blocked = True
                    problem = await self._words_of_blocked()
                    told = False
                case Status.BLOCKED | None:
                    pass
                case Status.DENIED_GRACE_PERIOD if not self._calls.request.reclaim:
                    problem = "the server is in its grace period; waiting for its end"
                    pause = REPEAT_GRACE
                case _:
                    return status
            if self._callbacks.missing and self._blocked:
                pause = REPEAT_UNCALLED
            if problem and not told:
                told = True
                self._say(problem)
            await self._pause(pause)
            if self._granted is not None:
                return Status.GRANTED

    async def _ask_once(self) -> tuple[Status | None, str]:
        """One LOCK: the server's word, or why there is none. Before anything waits there, there is nothing to
        be patient for."""
        try:
            return await self._calls.lock(block=True), ""
        except InterruptedCommandError:
            raise
        except CommandError as error:
            if not self._blocked:
                raise
            return None, f"{error}; asking again"

    async def _words_of_blocked(self) -> str:
        holder = self._report.holder = await find_holder(self._calls)
        words = f"blocked: {holder_words(holder) if holder else 'by whom is not told'}"
        if self._callbacks.missing:
            words += f"; callbacks cannot reach this command ({self._callbacks.missing}): asking every second"
        return words

    async def _pause(self, seconds: float) -> None:
        """Until a callback comes, or it is time to ask again."""
        left = max(self._deadline - monotonic(), 0.0)
        await self._calls.until(self._news.wait(), min(seconds, left), interruptible=True)
        if self._granted is None and monotonic() >= self._deadline:
            raise CommandError(f"not granted within {self._patience:g} s; request cancelled", TIMED_OUT)

    def _heard(self, callback: Heard) -> None:
        """The engine answered a GRANTED."""
        if not callback.wrong:
            self._granted = self._granted or callback
            self._news.set()
        elif self._engine.awaited is None:
            self._late = True
        else:
            self._say(f"refused a {callback.procedure} from {callback.host}: {callback.wrong}")

    async def _give_up(self) -> None:
        """CANCEL. From here on a GRANTED is refused; if one came nevertheless, or the server says that there
        is nothing left to cancel, the lock is released: servers differ in what they make of a refusal."""
        self._engine.awaited = None
        self._calls.interrupted.clear()
        try:
            status = await self._calls.cancel()
            if status != Status.GRANTED or self._late or self._granted is not None:
                await self._calls.unlock()
        except CommandError as error:
            self._say(f"the request may still wait at the server: {error}")

    async def _see_off(self) -> None:
        """Let the acknowledgements of GRANTED_MSG arrive."""
        end = monotonic() + FAREWELL
        while self._engine.acknowledging and monotonic() < end:
            await asyncio.sleep(0.01)


async def find_holder(calls: Calls) -> dict[str, object] | None:
    """Who is in the way: LOCK says only that somebody is. No matter if it cannot be told."""
    try:
        result = await calls.test()
    except InterruptedCommandError:
        raise
    except CommandError:
        return None
    return None if result.holder is None else holder_row(result.holder)
