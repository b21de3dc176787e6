# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon's folder of the tunables tree: files people write, values that follow, `.schema` beside.

The promise: whatever is done to the folder, in the end a valid value is in force and the file shows it.
A file is looked at when inotify says that something happened to it, and is rewritten only if its bytes
are not the canonical ones. Rewriting makes a new file and swaps the two names in one step; the file that
came out is kept for a while: if it is not what had been read, or somebody who still has it open writes
to it, that is a newer write and counts. So no write is lost, and no writer is ever waited for.

Read RunTree.process, then _look, _take and _swap. `treefolder` has the folder and its swap.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from pydaemons.tunables import schema
from pydaemons.tunables.declare import Access, TunableChanged, Tunables
from pydaemons.tunables.describe import describe
from pydaemons.tunables.keys import to_path
from pydaemons.tunables.kinds import Refused, quote
from pydaemons.tunables.layers import RUNTIME

from . import inotify
from .inotify import Inotify
from .treefile import NOTHING, Found, inspect, remove, sign, touch, untouched
from .treefolder import TreeFolder
from .treejournal import TreeJournal, TreeLog

DEFAULT_ROOT = "/run/pysysctl"
_SETTLE = 0.1  # a truncated file gets this long to be filled
_REFRESH = 0.5  # live keys, while somebody reads the folder
_RETRY = 5.0  # a folder that cannot be had, a disk that is full
_SCHEMA_EVERY = 0.25
_ROUNDS = 8  # of processing one key at a time, when writers keep us busy

_TOUCHED = (
    inotify.CLOSE_WRITE
    | inotify.MOVED_TO
    | inotify.MOVED_FROM
    | inotify.CREATE
    | inotify.DELETE
    | inotify.ATTRIB
)
_WATCHED = _TOUCHED | inotify.UNMOUNT | inotify.MODIFY
# The folder itself being removed is seen only from above: as long as we have it open, it is not gone.
_WATCHED_ABOVE = inotify.DELETE | inotify.MOVED_FROM | inotify.MOVED_TO


class RunTree:
    """One daemon's folder. Give `fileno()` to the loop's readers and call `process`; call `tick` when
    `deadline()` has come. Times are monotonic seconds."""

    def __init__(
        self,
        tunables: Tunables,
        *,
        daemon: str,
        log: TreeLog,
        changed: Callable[[TunableChanged], None],
        root: str = DEFAULT_ROOT,
    ) -> None:
        self._tunables = tunables
        self._daemon = daemon
        self._changed = changed
        self._root = root
        self._relative = to_path(tunables.prefix)
        self._journal = TreeJournal(tunables, log, self.path)
        self._live = {e.name for e in tunables.entries.values() if e.access is not Access.STORED}
        self._inotify: Inotify | None = None
        self._folder: TreeFolder | None = None
        self._watch = -1
        self._watch_above = -1
        self._shown: dict[str, Found] = {}
        self._taken: dict[str, int] = {}
        """when the write was made that was looked at last, by key"""
        self._settling: dict[str, float] = {}
        self._unwritten: set[str] = set()
        self._schema = NOTHING
        self._schema_dirty = False
        self._schema_written = float("-inf")
        self._refresh_at: float | None = None
        self._opened = False
        self._retry_at: float | None = None

    @property
    def path(self) -> str:
        """Where the folder is."""
        return f"{self._root}/{self._relative}"

    # --- for the daemon ---------------------------------------------------------------------------------

    def open(self, now: float) -> None:
        """Make the folder, take what was written while the daemon was away, show what is in force.

        Never raises: a daemon without its tree still does its work, and says so once.
        """
        if self._inotify is None:
            self._inotify = Inotify()
        self._leave()
        try:
            folder = self._folder = TreeFolder(self._root, self._relative)
            self._watch = self._inotify.watch_folder(folder.fd, _WATCHED | inotify.OPEN)
            above = folder.open_above()
            try:
                self._watch_above = self._inotify.watch_folder(above, _WATCHED_ABOVE)
            finally:
                os.close(above)
            self._take_what_came_while_away(folder, now)
            folder.sweep()
        except OSError as error:
            self._leave()
            self._journal.unwritable(error)
            self._retry_at = now + _RETRY
            return
        self._journal.well()
        self._retry_at = None
        for name in self._tunables.entries:
            self._show(folder, name, now)
        self._write_schema(folder, now)

    def fileno(self) -> int:
        """The descriptor to watch for reading; -1 before `open` and after `close`."""
        return -1 if self._inotify is None else self._inotify.fileno()

    def process(self, now: float) -> None:
        """Look at what was written. At most one buffer of events, so that packets are not kept waiting."""
        if self._inotify is None:
            return
        names: dict[str, int] = {}  # in the order in which they were touched last
        gone = False
        for event in self._inotify.read():
            if event.mask & inotify.Q_OVERFLOW:
                kept = self._folder.kept() if self._folder is not None else []
                names.update(dict.fromkeys([*kept, *self._tunables.entries], inotify.CLOSE_WRITE))
            elif event.watch == self._watch_above:
                gone |= os.fsdecode(event.name) == self._relative.rpartition("/")[2]
            elif event.watch != self._watch:
                continue
            elif event.mask & (inotify.UNMOUNT | inotify.IGNORED):
                gone = True
            else:
                name = os.fsdecode(event.name)
                if event.mask & inotify.OPEN and name in self._tunables.entries:
                    self._opened = True
                if event.mask & _TOUCHED:
                    names[name] = names.pop(name, 0) | event.mask
                elif event.mask & inotify.MODIFY and name in self._tunables.entries:
                    self._settling.setdefault(name, now + _SETTLE)
        if gone:
            self.open(now)
        elif self._folder is not None:
            if self._opened and self._refresh_at is None:
                self._refresh(self._folder, now)
            elif self._opened:
                self._inotify.watch_folder(self._folder.fd, _WATCHED)
            for name, mask in names.items():
                self._handle(self._folder, name, mask, now)
        self.tick(now)

    def tick(self, now: float) -> None:
        """Do what is due: files that had to settle, live values somebody reads, another try."""
        if self._retry_at is not None and now >= self._retry_at:
            self._retry_at = None
            self._try_again(now)
        folder = self._folder
        if folder is None:
            return
        for name, due in [*self._settling.items()]:
            if now >= due:
                del self._settling[name]
                self._look(folder, name, now, settled=True)
        if self._refresh_at is not None and now >= self._refresh_at:
            self._refresh_again(folder, now)
        folder.expire(now)
        if self._schema_dirty and now >= self._schema_written + _SCHEMA_EVERY:
            self._write_schema(folder, now)

    def deadline(self) -> float | None:
        """When `tick` wants to be called; None while nothing is going on."""
        times = [self._retry_at]
        if self._folder is not None:
            times += [*self._settling.values(), self._folder.deadline()]
            times.append(self._refresh_at)
            if self._schema_dirty:
                times.append(self._schema_written + _SCHEMA_EVERY)
        return min((time for time in times if time is not None), default=None)

    def publish(self, now: float) -> None:
        """Values or origins were changed from elsewhere (a reload, the control socket): show them."""
        if self._folder is None:
            self.open(now)
            return
        for name in self._tunables.entries:
            self._show(self._folder, name, now)
        self._schema_dirty = True
        self.tick(now)

    def close(self) -> None:
        """Leave the folder as it is, for who reads or writes it until the next start."""
        if self._folder is not None:
            self._write_schema(self._folder, self._schema_written, running=False)
            self._leave()
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    # --- start and trouble ------------------------------------------------------------------------------

    def _take_what_came_while_away(self, folder: TreeFolder, now: float) -> None:
        """A file that is not the one the last daemon left was written by somebody since."""
        left = self._read_schema(folder)
        for name, entry in self._tunables.entries.items():
            found = folder.look(name)
            if found.data is None or entry.access is not Access.STORED:
                continue  # an order to a live key was meant for a daemon that ran
            if name in left and left[name].get("file") == sign(found):
                self._shown[name] = found
            else:
                self._take(folder, name, found, now)
        for name in left:
            if name not in self._tunables.entries and "/" not in name and name[:1] != ".":
                remove(folder.fd, name)  # a key of another version

    def _try_again(self, now: float) -> None:
        if self._folder is None:
            self.open(now)
            return
        for name in [*self._unwritten]:
            self._show(self._folder, name, now)
        if not self._unwritten:
            self._journal.well()

    def _leave(self) -> None:
        for watch in (self._watch, self._watch_above):
            if self._inotify is not None and watch >= 0:
                self._inotify.forget(watch)
        if self._folder is not None:
            self._folder.close()
        self._folder = None
        self._watch = self._watch_above = -1
        self._refresh_at = None
        self._opened = False
        self._shown.clear()
        self._settling.clear()
        self._unwritten.clear()

    def _could_not_write(self, name: str, error: OSError, now: float) -> None:
        self._unwritten.add(name)
        self._retry_at = now + _RETRY
        self._journal.unwritable(error)

    # --- readers ----------------------------------------------------------------------------------------

    def _refresh(self, folder: TreeFolder, now: float) -> None:
        """Somebody has opened a key: bring the live ones up to date, and once more after an interval.

        Till then further readers are not looked at: there is nothing to be done for them, and nobody can
        keep the daemon busy by reading.
        """
        assert self._inotify is not None
        self._inotify.watch_folder(folder.fd, _WATCHED)
        self._opened = True
        self._refresh_at = now + _REFRESH
        for name in self._live:
            self._show(folder, name, now, fresh=True)

    def _refresh_again(self, folder: TreeFolder, now: float) -> None:
        """The interval is over: if it had a reader, refresh and look for readers in the next one."""
        if not self._opened:
            self._refresh_at = None
            return
        assert self._inotify is not None
        for name in self._live:
            self._show(folder, name, now, fresh=True)
        self._opened = False
        self._refresh_at = now + _REFRESH
        self._inotify.watch_folder(folder.fd, _WATCHED | inotify.OPEN)

    # --- one key ----------------------------------------------------------------------------------------

    def _handle(self, folder: TreeFolder, name: str, mask: int, now: float) -> None:
        """One name to which something happened."""
        if name == schema.NAME:
            self._schema_dirty |= not untouched(folder.fd, name, self._schema)
        elif name in self._tunables.entries:
            self._settling.pop(name, None)
            if mask & inotify.CLOSE_WRITE or not self._untouched(folder, name):
                self._look(folder, name, now, settled=False)
        elif (late := folder.find_late_write(name)) is not None:
            self._take_late(folder, *late, now)

    def _take_late(self, folder: TreeFolder, name: str, found: Found, now: float) -> None:
        """Somebody wrote to a file that had been swapped out under his hands. That counts, unless the file
        that has the name now was written since, or one written later has been taken already."""
        shown = self._shown.get(name)
        if not found.data or found.mtime < self._taken.get(name, 0):
            return
        if shown is not None and folder.look(name).same(shown):
            self._apply(name, found)
            self._show(folder, name, now, anew=True)

    def _untouched(self, folder: TreeFolder, name: str) -> bool:
        """Whether an event that is no write was our own doing. Asked before a live key is opened, since
        opening one counts as reading, also when we do it ourselves."""
        shown = self._shown.get(name)
        return name in self._live and shown is not None and untouched(folder.fd, name, shown)

    def _look(self, folder: TreeFolder, name: str, now: float, *, settled: bool) -> None:
        """Something happened to the file of `name`: if it is not what we put there, act on it."""
        entry = self._tunables.entries[name]
        found = folder.look(name)
        shown = self._shown.get(name)
        ours = shown is not None and found.same(shown)
        if ours or not entry.writable:
            if not ours or found.mode != (0o644 if entry.writable else 0o444):
                self._show(folder, name, now, anew=True)
        elif found.data is None:
            self._journal.replaced(name, found.what)
            self._show(folder, name, now, anew=True)
        elif not found.data and not settled:
            self._settling[name] = now + _SETTLE
        else:
            self._take(folder, name, found, now)

    def _take(
        self, folder: TreeFolder, name: str, found: Found, now: float, *, holds: Found | None = None
    ) -> None:
        """`found` was written by somebody: put it in force, or put the value in force back.

        `holds` is what has the name now, when that is something else (`found` was swapped out).
        """
        holds = holds or found
        for _ in range(_ROUNDS):
            self._apply(name, found)
            if holds.data == self._wanted(name) and holds.mode == 0o644:
                self._shown[name] = holds
                return
            newer = self._swap(folder, name, holds, now)
            if newer is None:
                return
            found, holds = newer, self._shown[name]
        self._apply(name, found)  # writers faster than us: packets first, the file a little later
        self._unwritten.add(name)
        self._retry_at = now + _SETTLE

    def _apply(self, name: str, found: Found) -> None:
        """Put what was written in force, if it can be."""
        text = (found.data or b"").decode("utf-8", "surrogateescape").removesuffix("\n")
        before = self._tunables.text(name)
        self._taken[name] = found.mtime
        self._schema_dirty = True
        try:
            if found.cut:
                right = self._tunables.entries[name].kind.right
                raise Refused(f"{quote(text)} is too long", f"want {right}")
            change = self._tunables.set(name, text, RUNTIME)
        except Refused as refused:
            self._journal.refused(name, before, text, refused)
            return
        if change is not None:
            self._journal.changed(name, before, change)
            self._changed(change)

    def _wanted(self, name: str) -> bytes:
        return self._tunables.text(name).encode("utf-8", "surrogateescape") + b"\n"

    def _show(
        self, folder: TreeFolder, name: str, now: float, *, fresh: bool = False, anew: bool = False
    ) -> None:
        """Make the file show what is in force. `fresh` renews its time even so, for a reader who wants
        to know how old the value is; `anew` means that something else than our file has its name."""
        wanted = self._wanted(name)
        shown = self._shown.get(name)
        current = shown is not None and shown.data == wanted and name not in self._unwritten and not anew
        if self._tunables.entries[name].writable:
            if not current or fresh:
                newer = self._swap(folder, name, shown, now)
                if newer is not None:
                    self._take(folder, name, newer, now, holds=self._shown[name])
            return
        try:
            if not current:
                self._shown[name] = folder.replace(name, wanted, 0o444)
                self._unwritten.discard(name)
            elif fresh and shown is not None:
                self._shown[name] = touch(folder.fd, name, shown)
        except FileNotFoundError:
            del self._shown[name]  # gone this moment; its event will tell
        except OSError as error:
            self._could_not_write(name, error, now)

    def _swap(self, folder: TreeFolder, name: str, expected: Found | None, now: float) -> Found | None:
        """Show what is in force. Returns what came out if that is another file than `expected`, with
        something in it: a newer write."""
        try:
            fresh, out = folder.swap(name, self._wanted(name), now)
        except OSError as error:
            self._could_not_write(name, error, now)
            return None
        self._unwritten.discard(name)
        self._shown[name] = fresh
        self._schema_dirty = True
        if out is None or expected is None or out.same(expected) or not out.data:
            return None
        return out

    # --- the schema -------------------------------------------------------------------------------------

    def _read_schema(self, folder: TreeFolder) -> Mapping[str, schema.Row]:
        found = inspect(folder.fd, schema.NAME, most=1 << 20)
        try:
            return schema.parse((found.data or b"").decode("utf-8", "surrogateescape")).rows
        except ValueError:
            return {}

    def _write_schema(self, folder: TreeFolder, now: float, *, running: bool = True) -> None:
        description = describe(self._daemon, self._tunables)
        description.pid = os.getpid() if running else 0
        for name, row in description.rows.items():
            shown = self._shown.get(name)
            if row.writable and shown is not None:
                row.fields["file"] = sign(shown)
        data = schema.render(description).encode("utf-8", "surrogateescape")
        self._schema_dirty = False
        self._schema_written = now
        try:
            self._schema = folder.replace(schema.NAME, data, 0o444)
        except OSError as error:
            self._schema_dirty = True
            self._schema_written = now + _RETRY
            self._journal.unwritable(error)
