# SPDX-License-Identifier: GPL-3.0-or-later
"""What the last process left: the journal's shell side, and whether it is believed. Read Memory.recall.

Believed is a journal of this boot of the machine, whole, and of a process that lived less than a minute ago;
then nobody is notified and nobody needs a grace period. In all other cases clients have to reclaim.
"""

from __future__ import annotations

from collections.abc import Callable

from pydaemons.engine.effects import Level
from pydaemons.engine.protocol import Now
from pydaemons.kit.journalfile import STAMP_EVERY, JournalFile, boot_id, outdated
from pydaemons.kit.log import Log
from pydaemons.lockd.engine import LockEngine
from pydaemons.nlm.owed import Owed
from pydaemons.nlm.records import KIND, OLDEST, VERSION
from pydaemons.nlm.views import figures
from pydaemons.nsm.store import Beginning, Start
from pydaemons.wire.errors import WireError
from pydaemons.wire.frames import Contents

KEPT_ID = "4b0b8f0d6c8f4a0c9a7d1f6e2b5c3a90"
"""MESSAGE_ID of locks that survived."""
DAMAGED_ID = "d3b8a5f27e1c4e61b0c97f2a6d4e8f15"
"""MESSAGE_ID of a journal that cannot be read."""


class Memory:
    """The journal in the runtime folder."""

    def __init__(self, run_dir: str, log: Log) -> None:
        self.file = JournalFile(f"{run_dir}/journal", kind=KIND, version=VERSION, oldest=OLDEST)
        self._log = log

    def recall(
        self, begin: Callable[[bool], Start], compose: Callable[[Start], LockEngine], now: Now
    ) -> LockEngine:
        """The engine of this life. `begin(kept)` is what the state folder says when the locks are kept, or
        not; `compose` makes an engine of that."""
        contents = self._read()
        why = "there is none" if contents is None else outdated(contents)
        if contents is not None and not why:
            start = begin(True)
            engine = None if start.beginning is Beginning.LOST else self._replayed(compose(start), contents)
            if engine is not None:
                self._say_kept(engine, now)
                return self._rewritten(engine)
        past = None
        if contents is not None and why:
            self._log.notice(f"the journal of locks is not used: {why}")
            if contents.boot == boot_id():  # no locks to go on with, but all that there were
                past = self._replayed(compose(begin(False)), contents)
        self.file.discard()
        engine = compose(begin(False))
        if past is not None:
            engine.server.owed = Owed(past.server.table, past.server.shares)
        return self._rewritten(engine)

    def stamp(self, call_later: Callable[[float, Callable[[], None]], object]) -> None:
        """Note that we live, now and then."""
        self.file.stamp()
        call_later(STAMP_EVERY, lambda: self.stamp(call_later))

    def _read(self) -> Contents | None:
        try:
            return self.file.open()
        except (WireError, OSError) as error:
            self._damaged(str(error))
            return None

    def _replayed(self, engine: LockEngine, contents: Contents) -> LockEngine | None:
        """That engine, knowing what the journal says; None when that makes no sense."""
        try:
            engine.restore(contents.payloads)
        except WireError as error:
            self._damaged(str(error))
            return None
        return engine

    def _rewritten(self, engine: LockEngine) -> LockEngine:
        error = self.file.rewrite(engine.snapshot())
        if error:
            self._log.error(f"cannot write the journal of locks: {error}")
        return engine

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
