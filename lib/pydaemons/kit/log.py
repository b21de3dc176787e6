# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon's log: structured entries in the journal when stderr is the journal, plain lines otherwise.

Follows systemd's journal native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL) and sd-daemon(3). Read Log.log
first. Nothing here raises: a log that cannot be written must not stop a lock manager. One event is one line,
with neither time nor pid in its text; what programs look for goes into fields.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from errno import EMSGSIZE, ENOBUFS
from struct import pack

from pydaemons.engine.effects import Level

JOURNAL_SOCKET = "/run/systemd/journal/socket"

BURST = 10
"""Equal messages let through in each INTERVAL; the others are counted and named in one line."""
INTERVAL = 30.0
PLAIN_LINE = 8192
"""Characters of a line on stderr."""
TEMPLATES = 256
"""Messages whose repetition is watched at a time."""

_WORDS = {Level.ERROR: "error: ", Level.WARNING: "warning: ", Level.DEBUG: "debug: "}
_NO_FIELDS: Mapping[str, str] = {}


def stderr_is_journal(environ: Mapping[str, str]) -> bool:
    """Whether JOURNAL_STREAM names the very file stderr is: children inherit it and redirect."""
    try:
        device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
        status = os.fstat(2)
        return (int(device), int(inode)) == (status.st_dev, status.st_ino)
    except (ValueError, OSError):
        return False


def format_entry(fields: Mapping[str, str]) -> bytes:
    """Fields in the native protocol's form: KEY=value, or KEY, length and value where it has a newline."""
    text = "".join([f"{key}={value}\n" for key, value in fields.items()])
    if text.count("\n") == len(fields):
        return text.encode("utf-8", "backslashreplace")
    parts: list[bytes] = []
    for key, value in fields.items():
        data = value.encode("utf-8", "backslashreplace")
        if b"\n" in data:
            parts += (key.encode(), b"\n", pack("<Q", len(data)), data, b"\n")
        else:
            parts += (key.encode(), b"=", data, b"\n")
    return b"".join(parts)


class Journal:
    """The native protocol's sender."""

    def __init__(self, path: str = JOURNAL_SOCKET) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        # A journal that hangs must not hang us for long; sending still waits out a short jam.
        self._socket.settimeout(1.0)

    def send(self, entry: bytes) -> None:
        """Hand over one entry; OSError when the journal does not take it."""
        try:
            self._socket.sendto(entry, self._path)
        except OSError as error:
            if error.errno not in (EMSGSIZE, ENOBUFS):
                raise
            self._send_sealed(entry)

    def _send_sealed(self, entry: bytes) -> None:
        """What no datagram holds goes as a sealed memory file."""
        descriptor = os.memfd_create("entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.write(descriptor, entry)
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
            # Not socket.send_fds: Python 3.11's leaves out the address.
            passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, pack("@i", descriptor))]
            self._socket.sendmsg([], passed, 0, self._path)
        finally:
            os.close(descriptor)


class _Repetition:
    """How often one message came in the current interval."""

    __slots__ = ("level", "message", "passed", "since", "withheld")

    def __init__(self, level: Level, message: str, since: float) -> None:
        self.level = level
        self.message = message
        self.since = since
        self.passed = 0
        self.withheld = 0


class Log:
    """One log. `level` may be changed at any time; `later` (an event loop's call_later) lets the count of
    withheld messages come out even if the message itself never comes again."""

    def __init__(self, identifier: str, *, level: Level = Level.INFO, journal: Journal | None = None) -> None:
        self.identifier = identifier
        self.level = level
        self.later: Callable[[float, Callable[[], None]], object] | None = None
        self._journal = journal
        self._seen: dict[str, _Repetition] = {}
        self._flush_planned = False

    @classmethod
    def of_process(cls, identifier: str, *, level: Level = Level.INFO) -> Log:
        """The log this process was started with."""
        journal = Journal() if stderr_is_journal(os.environ) else None
        return cls(identifier, level=level, journal=journal)

    def error(self, message: str, **fields: str) -> None:
        """Something does not work and needs somebody."""
        self.log(Level.ERROR, message, fields)

    def warning(self, message: str, **fields: str) -> None:
        """Something is odd and may need somebody."""
        self.log(Level.WARNING, message, fields)

    def notice(self, message: str, **fields: str) -> None:
        """Normal, and worth seeing."""
        self.log(Level.NOTICE, message, fields)

    def info(self, message: str, **fields: str) -> None:
        """Normal."""
        self.log(Level.INFO, message, fields)

    def debug(self, message: str, **fields: str) -> None:
        """For who looks for a fault."""
        self.log(Level.DEBUG, message, fields)

    def log(
        self,
        level: Level,
        message: str,
        fields: Mapping[str, str] = _NO_FIELDS,
        message_id: str | None = None,
        kind: str | None = None,
    ) -> None:
        """Log one event. Messages of the same `kind` (default: `message_id`, else the text itself) are one
        for the rate limit."""
        if level > self.level:
            return
        try:
            if self._passes(level, message, kind or message_id or message):
                self._write(level, message, fields, message_id)
        except Exception:
            # The promise of this module; there is nowhere left to complain.
            return

    def flush(self) -> None:
        """Name the counts of withheld messages now."""
        now = time.monotonic()
        for key, seen in list(self._seen.items()):
            self._close(seen)
            if now - seen.since >= INTERVAL:
                del self._seen[key]

    def _passes(self, level: Level, message: str, kind: str) -> bool:
        now = time.monotonic()
        seen = self._seen.get(kind)
        if seen is None or now - seen.since >= INTERVAL:
            if seen is not None:
                self._close(seen)
            elif len(self._seen) >= TEMPLATES:
                self._close(self._seen.pop(next(iter(self._seen))))
            seen = self._seen[kind] = _Repetition(level, message, now)
        if seen.passed < BURST:
            seen.passed += 1
            return True
        seen.withheld += 1
        if not self._flush_planned and self.later is not None:
            self._flush_planned = True
            self.later(INTERVAL, self._flush_due)
        return False

    def _flush_due(self) -> None:
        self._flush_planned = False
        self.flush()

    def _close(self, seen: _Repetition) -> None:
        if seen.withheld:
            count = f"{seen.withheld:,}".replace(",", " ")
            self._write(seen.level, f"{seen.message} … and {count} more like it", _NO_FIELDS, None)
            seen.withheld = 0

    def _write(self, level: Level, message: str, fields: Mapping[str, str], message_id: str | None) -> None:
        if self._journal is not None:
            entry = {
                "MESSAGE": message,
                "PRIORITY": str(int(level)),
                "SYSLOG_IDENTIFIER": self.identifier,
                **({"MESSAGE_ID": message_id} if message_id else {}),
                **fields,
            }
            try:
                self._journal.send(format_entry(entry))
                return
            except OSError:
                # stderr is the journal's too: sd-daemon's prefix carries at least the level.
                line = f"<{int(level)}>{message}"
        else:
            line = f"{self.identifier}: {_WORDS.get(level, '')}{message}"
        data = line[:PLAIN_LINE].replace("\n", " ").encode("utf-8", "backslashreplace") + b"\n"
        sys.stderr.flush()
        os.write(2, data)
