# SPDX-License-Identifier: GPL-3.0-or-later
"""What the last process left: the journal's shell side, and whether it is believed. Read Memory.recall.

Believed is a journal of this boot of the machine, whole, and of a process that lived less than a minute ago;
then nobody is notified and nobody needs a grace period. In all other cases clients have to reclaim.
"""

from __future__ import annotations

from collections.abc import Callable

from pydaemons.engine.effects import Level
from pydaemons.engine.protocol import Now
from pydaemons.kit.journalfile import STAMP_EVERY, JournalFile, outdated
from pydaemons.kit.log import Log
from pydaemons.lockd.engine import LockEngine
from pydaemons.nlm.journal import KIND, VERSION
from pydaemons.nlm.views import figures
from pydaemons.nsm.store import Beginning, Start
from pydaemons.wire.errors import WireError

KEPT_ID = "4b0b8f0d6c8f4a0c9a7d1f6e2b5c3a90"
"""MESSAGE_ID of locks that survived."""
DAMAGED_ID = "d3b8a5f27e1c4e61b0c97f2a6d4e8f15"
"""MESSAGE_ID of a journal that cannot be read."""


class Memory:
    """The journal in the runtime folder."""

    def __init__(self, run_dir: str, log: Log) -> None:
        self.file = JournalFile(f"{run_dir}/journal", kind=KIND, version=VERSION)
        self._log = log

    def recall(
        self, begin: Callable[[bool], Start], compose: Callable[[Start], LockEngine], now: Now
    ) -> LockEngine:
        """The engine of this life. `begin(kept)` is what the state folder says when the locks are kept, or
        not; `compose` makes an engine of that."""
        engine = self._kept(begin, compose, now)
        if engine is None:
            self.file.discard()
            engine = compose(begin(False))
        error = self.file.rewrite(engine.snapshot())
        if error:
            self._log.error(f"cannot write the journal of locks: {error}")
        return engine

    def stamp(self, call_later: Callable[[float, Callable[[], None]], object]) -> None:
        """Note that we live, now and then."""
        self.file.stamp()
        call_later(STAMP_EVERY, lambda: self.stamp(call_later))

    def _kept(
        self, begin: Callable[[bool], Start], compose: Callable[[Start], LockEngine], now: Now
    ) -> LockEngine | None:
        """An engine that knows what the last one knew."""
        payloads = self._payloads()
        start = begin(True)
        if payloads is None or start.beginning is Beginning.LOST:
            return None
        engine = compose(start)
        try:
            engine.restore(payloads)
        except WireError as error:
            self._damaged(str(error))
            return None
        self._say_kept(engine, now)
        return engine

    def _payloads(self) -> list[memoryview] | None:
        try:
            contents = self.file.open()
        except (WireError, OSError) as error:
            self._damaged(str(error))
            return None
        if contents is None:
            return None
        why = outdated(contents)
        if why:
            self._log.notice(f"the journal of locks is not used: {why}")
            return None
        return contents.payloads

    def _damaged(self, why: str) -> None:
        try:
            kept = f"it is kept as {self.file.set_aside()}"
        except OSError as error:
            kept = f"and cannot be set aside: {error.strerror}"
        text = f"the journal of locks cannot be used ({why}); {kept}; clients have to reclaim"
        self._log.log(Level.WARNING, text, {"STATE_FILE": self.file.path}, DAMAGED_ID)

    def _say_kept(self, engine: LockEngine, now: Now) -> None:
        found = figures(engine.server, now)
        parts = [f"{found[name]} {name}" for name in ("locks", "shares", "blocked", "clients") if found[name]]
        if parts:
            text = f"going on with what the last process knew: {', '.join(parts)}"
            self._log.log(Level.NOTICE, text, {"NLM_LOCKS": str(found["locks"])}, KEPT_ID)
