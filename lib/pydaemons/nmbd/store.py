# SPDX-License-Identifier: GPL-3.0-or-later
"""The WINS names on disk: an SQLite database in WAL mode, one transaction per batch of packets, before the
batch's answers leave. Read WinsStore.write.

What was acknowledged survives any end of the process. `synchronous=NORMAL` leaves the moment of reaching the
platter to the kernel: after a power failure the last seconds may be missing, and clients refresh them. The
log is folded into the database from another thread, because that part waits for the disk.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from pydaemons.engine.effects import Persist
from pydaemons.netbios.node.events import StoreNames

FORMAT = 1
FOLD_AT = 8 << 20
"""Bytes of the log at which it is folded in."""
LONGEST = 4
"""Times that; then writers wait until all is folded in, for without a pause of theirs it never is."""
_FOLD_LOOK = 64
"""Batches between looks at its size."""
_UPSERT = "REPLACE INTO names(name, record) VALUES (?, ?)"
_DELETE = "DELETE FROM names WHERE name = ?"


class StoreError(OSError):
    """The database cannot be used."""


class WinsStore:
    """Executes StoreNames effects; a driver.StateWriter."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._waiting: dict[bytes, bytes | None] = {}
        self._batches = 0
        self._folding = False
        self._folder: ThreadPoolExecutor | None = None
        self._db: sqlite3.Connection | None = None

    def open(self) -> dict[bytes, bytes]:
        """Open or make the database; all records it has. StoreError when that cannot be."""
        try:
            os.makedirs(os.path.dirname(self.path) or ".", mode=0o755, exist_ok=True)
            db = sqlite3.connect(self.path, isolation_level=None)
            db.execute("PRAGMA page_size = 1024")  # rows are tiny, and a batch rewrites whole pages
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA wal_autocheckpoint = 0")
            db.execute(
                "CREATE TABLE IF NOT EXISTS names (name BLOB PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID"
            )
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version not in (0, FORMAT):
                raise StoreError(f"{self.path}: format {version}, made by a newer version")
            db.execute(f"PRAGMA user_version = {FORMAT}")
            found: dict[bytes, bytes] = dict(db.execute("SELECT name, record FROM names"))
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error
        self._db = db
        return found

    def write(self, effects: Iterable[Persist]) -> dict[str, str]:
        """Commit the records of a batch. Failed ones are kept for `retry`, newer ones of a name in front."""
        for effect in effects:
            if not isinstance(effect, StoreNames):
                raise TypeError(f"no place to keep {effect.name}")
            if self._waiting:
                self._waiting.update(effect.records)
            else:
                self._waiting = dict(effect.records)
        return self.retry()

    def retry(self) -> dict[str, str]:
        """Commit what waits."""
        db = self._db
        if db is None:
            return {"wins": "the database is not open"}
        records = self._waiting
        try:
            db.execute("BEGIN IMMEDIATE")
            if None in records.values():
                db.executemany(_DELETE, [(name,) for name, record in records.items() if record is None])
                kept = [(name, record) for name, record in records.items() if record is not None]
                db.executemany(_UPSERT, kept)
            else:
                db.executemany(_UPSERT, records.items())
            db.execute("COMMIT")
        except sqlite3.Error as error:
            if db.in_transaction:
                try:
                    db.execute("ROLLBACK")
                except sqlite3.Error:
                    pass
            return {"wins": str(error)}
        self._waiting = {}
        self._batches += 1
        if self._batches % _FOLD_LOOK == 0 and not self._folding:
            self._look_at_log()
        return {}

    def close(self) -> None:
        """Fold everything in and close."""
        if self._folder is not None:
            self._folder.shutdown(wait=True)
        if self._db is not None:
            try:
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.Error:
                pass  # the log stays and is read at the next start
            self._db.close()
            self._db = None

    def _look_at_log(self) -> None:
        try:
            size = os.stat(f"{self.path}-wal").st_size
        except OSError:
            return
        if size < FOLD_AT:
            return
        if self._folder is None:
            self._folder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="fold")
        self._folding = True
        self._folder.submit(self._fold)

    def _fold(self) -> None:
        """In another thread, with a connection of its own: what waits for the disk here delays nobody, except
        the last step under a load that never ends."""
        try:
            db = sqlite3.connect(self.path, isolation_level=None, timeout=1.0)
            try:
                db.execute("PRAGMA wal_checkpoint(PASSIVE)")
                if os.stat(f"{self.path}-wal").st_size >= LONGEST * FOLD_AT:
                    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                db.close()
        except (sqlite3.Error, OSError):
            pass  # the next look tries again
        finally:
            self._folding = False
