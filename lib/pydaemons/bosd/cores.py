# SPDX-License-Identifier: GPL-3.0-or-later
"""Core files: found, named after their bnode, listed. Read keep, then Search.

Where the kernel writes them (core_pattern) is the machine's business. Two places are looked at: the working
folder of processes, for `core` and `core.PID`, and what systemd-coredump tells in the journal, whose file
gets a symbolic link here. That record comes when the core has been compressed, which may take a while.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterator

from pydaemons.bnode.effects import KeepCore

COREDUMP = "fc2e22bc6ee647b6b90729ab34a250b1"
"""MESSAGE_ID of systemd-coredump's record"""
JOURNAL_PATIENCE = 10.0
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Seconds before each look for a record."""
EARLIER = 10
"""Seconds that a record may be older than our knowing of the exit."""


def keep(folder: str, effect: KeepCore, wall: float) -> bool:
    """Give the core a process left in `folder` its name; whether there was one."""
    for name in (f"core.{effect.pid}", "core"):
        path = f"{folder}/{name}"
        if os.path.isfile(path) and not os.path.islink(path):
            os.replace(path, f"{folder}/{core_file(effect, wall)}")
            return True
    return False


def core_file(effect: KeepCore, wall: float) -> str:
    """The name, with the time when asked for."""
    return effect.name + (time.strftime(".%Y%m%d%H%M%S", time.localtime(wall)) if effect.stamp else "")


class Search:
    """Looks for the records of systemd-coredump. `seen` is called for each that was found."""

    def __init__(self, loop: asyncio.AbstractEventLoop, folder: str, seen: Callable[[], None]) -> None:
        self._loop = loop
        self._folder = folder
        self._seen = seen

    def begin(self, effect: KeepCore, wall: float) -> None:
        """Look now and again until it is there, or given up."""
        self._plan(effect, wall, iter(PAUSES))

    def _plan(self, effect: KeepCore, wall: float, pauses: Iterator[float]) -> None:
        pause = next(pauses, None)
        if pause is not None:
            self._loop.call_later(pause, self._look, effect, wall, pauses)

    def _look(self, effect: KeepCore, wall: float, pauses: Iterator[float]) -> None:
        looked = self._loop.run_in_executor(None, keep_from_journal, self._folder, effect, wall)

        def done(found: asyncio.Future[bool]) -> None:
            if found.cancelled():
                return
            if found.exception() is None and found.result():
                self._seen()
            else:
                self._plan(effect, wall, pauses)

        looked.add_done_callback(done)


def keep_from_journal(folder: str, effect: KeepCore, wall: float) -> bool:
    """Link to the file systemd-coredump made of a process. For a thread: it runs journalctl and may wait."""
    matches = [f"MESSAGE_ID={COREDUMP}", f"COREDUMP_PID={effect.pid}", f"COREDUMP_UNIT={effect.unit}"]
    since = f"--since=@{int(wall) - EARLIER}"
    form = ["-o", "export", "--output-fields=COREDUMP_FILENAME"]
    try:
        done = subprocess.run(
            ["journalctl", "-q", "-n", "1", since, *form, *matches],
            capture_output=True,
            timeout=JOURNAL_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        name, _, path = line.partition("=")
        if name == "COREDUMP_FILENAME" and os.path.exists(path):
            target = f"{folder}/{core_file(effect, wall)}"
            if os.path.lexists(target):
                os.unlink(target)
            os.symlink(path, target)
            return True
    return False


def listed(folder: str) -> frozenset[str]:
    """The core files there are; not what systemd has cleaned away under our link."""
    try:
        names = [name for name in os.listdir(folder) if name.startswith("core")]
    except OSError:
        return frozenset()
    return frozenset(name for name in names if os.path.exists(f"{folder}/{name}"))


def piped() -> bool:
    """Does the kernel hand cores to a program?"""
    try:
        with open("/proc/sys/kernel/core_pattern", encoding="ascii", errors="replace") as file:
            return file.read(1) == "|"
    except OSError:
        return False
