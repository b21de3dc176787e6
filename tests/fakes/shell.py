# SPDX-License-Identifier: GPL-3.0-or-later
"""A driver on a real loop with an engine whose rules a test writes: for tests of kit and of daemons."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence

from pydaemons.engine.effects import Effect, Level
from pydaemons.engine.protocol import Answers, Now, Origin, Run
from pydaemons.kit.driver import Driver, StateWriter
from pydaemons.kit.log import Log
from pydaemons.kit.notify import Notifier

PATIENCE = 10.0
"""Seconds after which what has not come will not come, also on a busy machine."""


class ScriptedEngine:
    """An engine that keeps what it was given. `answer(data, origin)` makes replies (default: an echo)."""

    def __init__(self, answer: Callable[[bytes, Origin], bytes | None] | None = None) -> None:
        self.answer = answer or (lambda data, origin: data)
        self.received: list[bytes] = []
        self.origins: list[Origin] = []
        self.times: list[Now] = []
        self.events: list[object] = []
        self.ticks: list[Now] = []
        self.effects: list[Effect] = []
        self.wanted: float | None = None
        """The deadline; a tick takes it away, as long as `stuck` is not set."""
        self.stuck = False

    def receive(self, data: bytes, origin: Origin, now: Now) -> bytes | None:
        self.received.append(data)
        self.origins.append(origin)
        self.times.append(now)
        return self.answer(data, origin)

    def tick(self, now: Now) -> None:
        self.ticks.append(now)
        if not self.stuck:
            self.wanted = None

    def deadline(self) -> float | None:
        return self.wanted

    def handle(self, event: object, now: Now) -> None:
        self.events.append(event)

    def drain(self) -> Iterator[Effect]:
        effects, self.effects = self.effects, []
        yield from effects


class Glance:
    """An engine.protocol.Prompt: answers what begins with "q" in capitals, leaves the rest, and breaks at
    "q!"."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        """How many packets it was shown, each time."""
        self.appends: list[bytes | None] = []
        """What `take` gives, in this order."""

    def answer(
        self,
        data: bytes,
        runs: Sequence[Run],
        origin: Origin,
        now: Now,
        answers: list[Answers],
        *,
        lead: Callable[[int], bytes],
    ) -> None:
        self.calls.append(sum(count for _, _, _, count in runs))
        for place in (
            slice(start + i * stride, start + i * stride + size)
            for start, size, stride, count in runs
            for i in range(count)
        ):
            packet = data[place]
            if packet[:1] != b"q":
                return
            if packet == b"q!":
                raise ValueError("no")
            answers.append((lead(len(packet)) + packet.upper(), 1))

    def take(self) -> bytes | None:
        return self.appends.pop(0) if self.appends else b""


class Tape:
    """A journal that can be full."""

    def __init__(self, happened):
        self.happened = happened
        self.full = False
        self.parts = []

    def append(self, data):
        if self.full:
            return "No space left on device"
        self.happened.append(f"appended {data.decode()}")
        self.parts.append(data)
        return ""

    def rewrite(self, parts):
        if self.full:
            return "No space left on device"
        self.parts = list(parts)
        return ""

    renewing = False

    def renew(self, parts):
        if self.full:
            raise OSError(28, "No space left on device")
        self.next, self.renewing = iter(parts), True

    def step(self):
        self.happened.append("step")
        try:
            self.parts = [next(self.next)]
        except BaseException as error:
            self.renewing = False
            if not isinstance(error, StopIteration):
                raise
        return self.renewing


class KeptLog(Log):
    """A log that keeps its lines."""

    def __init__(self) -> None:
        super().__init__("test", level=Level.DEBUG)
        self.lines: list[str] = []
        self.entries: list[dict[str, str]] = []

    def _write(self, level, message, fields, message_id):  # type: ignore[no-untyped-def]
        self.lines.append(message)
        self.entries.append({**fields, "PRIORITY": str(int(level))})


def run_shell(
    scenario: Callable[[Driver, ScriptedEngine], Awaitable[None]],
    *,
    answer: Callable[[bytes, Origin], bytes | None] | None = None,
    state: StateWriter | None = None,
) -> Driver:
    """Run `scenario` beside a driver. The driver, closed, for its counts."""

    async def live() -> Driver:
        engine = ScriptedEngine(answer)
        loop = asyncio.get_running_loop()
        driver = Driver(engine, loop, log=KeptLog(), notify=Notifier(), state=state)
        try:
            await asyncio.wait_for(scenario(driver, engine), 6 * PATIENCE)
        finally:
            driver.close()
        return driver

    return asyncio.run(live())


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until `condition()` holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never happened"
        await asyncio.sleep(0.002)


async def said(sock, size: int = 65536) -> bytes:  # type: ignore[no-untyped-def]
    """The next bytes or datagram that come on a non-blocking socket."""
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, size), PATIENCE)
