# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the wins hook: by argv, a few at a time, in order, and never waited for by anybody."""

from __future__ import annotations

import asyncio
from collections import deque

from pydaemons.engine.effects import Level
from pydaemons.kit.log import Log

AT_ONCE = 8
WAITING = 4096
PATIENCE = 30.0


class Hooks:
    """Programs to run."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._waiting: deque[tuple[str, ...]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self.dropped = 0

    def run(self, arguments: tuple[str, ...]) -> None:
        """Run this, soon. When too many wait, the newest are dropped, and that is said."""
        if len(self._waiting) >= WAITING:
            self.dropped += 1
            self._log.warning(f"wins hook: more than {WAITING} calls wait; calls are being dropped")
            return
        self._waiting.append(arguments)
        self._next()

    def _next(self) -> None:
        while self._waiting and len(self._running) < AT_ONCE:
            task = asyncio.ensure_future(self._run(self._waiting.popleft()))
            self._running.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._next()

    async def _run(self, arguments: tuple[str, ...]) -> None:
        null = asyncio.subprocess.DEVNULL
        try:
            child = await asyncio.create_subprocess_exec(*arguments, stdin=null, stdout=null, stderr=null)
        except OSError as error:
            self._log.warning(f"wins hook: {arguments[0]}: {error.strerror}")
            return
        try:
            async with asyncio.timeout(PATIENCE):
                status = await child.wait()
        except TimeoutError:
            child.kill()
            await child.wait()
            self._log.warning(f"wins hook: {arguments[0]} took more than {PATIENCE:.0f} s and was killed")
            return
        if status:
            message = f"wins hook: {' '.join(arguments)}: exit status {status}"
            self._log.log(Level.WARNING, message, kind="wins hook")  # of so many names few are enough

    async def stop(self) -> None:
        """Give those under way a moment."""
        self._waiting.clear()
        if self._running:
            await asyncio.wait(self._running, timeout=2.0)
