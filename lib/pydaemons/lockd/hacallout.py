# SPDX-License-Identifier: GPL-3.0-or-later
"""`[nsm] ha_callout`: a program that a cluster gives us to learn which clients hold locks, so that the node
that takes over can tell them (rpc.statd(8), ha-callout; CTDB's statd-callout is one). Read Announced.

The program is run as `PROGRAM add-client CLIENT SERVER` when a client comes to be monitored, and with
`del-client` when it no longer is; CLIENT and SERVER are addresses, the latter that of ours which the client
talks to. When a client says that it restarted it is `PROGRAM sm-notify CLIENT CLIENT STATE`: what it is
monitored as, where the word came from, its new state number. There is no shell, and no word of the network's
choosing. Runs follow each other, one at a time; no answer to a client waits for them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from pydaemons.engine.protocol import Now
from pydaemons.nlm.lingering import Monitor

PATIENCE = 30.0
"""Seconds until a run is ended; then the next has its turn."""
MOST = 10_000
"""Runs that may wait for their turn."""


class Announced(Monitor):
    """A status monitor whose comings and goings are told to `call(event, client, server)`."""

    def __init__(self, monitor: Monitor, call: Callable[..., None]) -> None:
        self._monitor = monitor
        self._call = call
        self._told: set[tuple[str, str]] = set()

    def watch(
        self, address: str, name: bytes, now: Now, *, local: str, state: int = 0, resumed: bool = False
    ) -> None:
        """Monitor a client; told when it is new at that address of ours."""
        self._monitor.watch(address, name, now, local=local, state=state, resumed=resumed)
        if (address, local) not in self._told:
            self._told.add((address, local))
            if not resumed:
                self._call("add-client", address, local)

    def unwatch(self, address: str, now: Now, *, local: str) -> None:
        """No longer."""
        self._monitor.unwatch(address, now, local=local)
        self._told.discard((address, local))
        self._call("del-client", address, local)

    def notified(self, mon_name: bytes, state: int, priv: bytes, now: Now) -> None:
        """The host's status monitor reports a restarted client."""
        self._monitor.notified(mon_name, state, priv, now)


class Callout:
    """Runs the program, call after call, on the running loop. `warn(text)` hears of what went wrong."""

    def __init__(self, program: str, *, warn: Callable[[str], None], patience: float = PATIENCE) -> None:
        self._program = program
        self._warn = warn
        self._patience = patience
        self._waiting: deque[tuple[str, ...]] = deque()
        self._running: asyncio.Task[None] | None = None

    def __call__(self, *words: str) -> None:
        """Run the program with these arguments when its turn comes."""
        if len(self._waiting) >= MOST:
            self._warn(f"{self._program} is too slow: {' '.join(words)} is left out")
            return
        self._waiting.append(words)
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_task(self._run())

    async def finish(self) -> None:
        """Until all runs are done."""
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        while self._waiting:
            words = self._waiting.popleft()
            what = f"{self._program} {' '.join(words)}"
            try:
                child = await asyncio.create_subprocess_exec(
                    self._program,
                    *words,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                )
            except OSError as error:
                self._warn(f"{what}: {error.strerror}")
                continue
            try:
                async with asyncio.timeout(self._patience):
                    status = await child.wait()
            except TimeoutError:
                child.kill()
                await child.wait()
                self._warn(f"{what}: ended after {self._patience:.0f} s")
            else:
                if status:
                    self._warn(f"{what}: exit status {status}")
