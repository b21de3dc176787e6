# SPDX-License-Identifier: GPL-3.0-or-later
"""The client side of pylockctl: one command against any NLM server. Read Session.run.

The calls are in lockctl_calls, waiting for a lock in lockctl_wait, what callbacks need in lockctl_callbacks.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from time import monotonic

from pydaemons.cli.lockctl_callbacks import Callbacks
from pydaemons.cli.lockctl_calls import (
    FAILED,
    Calls,
    CommandError,
    InterruptedCommandError,
    may_use_privileged_ports,
    resolve,
)
from pydaemons.cli.lockctl_engine import LockClient
from pydaemons.cli.lockctl_report import MEANING, Report, Request, holder_row
from pydaemons.cli.lockctl_wait import TIMED_OUT, Waiting, find_holder
from pydaemons.engine.effects import Level
from pydaemons.engine.protocol import Transport
from pydaemons.kit import clock
from pydaemons.kit.driver import Driver
from pydaemons.kit.log import Log
from pydaemons.kit.notify import Notifier
from pydaemons.nlm.types import Status

DONE = 0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Say = Callable[[str], None]
Show = Callable[[Report], None]


def run(request: Request, *, say: Say, show: Show) -> int:
    """The whole command. `say` tells people how it goes on; `show` gets the result, once. The exit status;
    raises CommandError."""
    return asyncio.run(_run(request, say, show))


async def _run(request: Request, say: Say, show: Show) -> int:
    addresses = resolve(request)
    engine = LockClient(
        clock.entropy(), hostname=socket.gethostname().encode(), rpcbind_port=request.rpcbind_port
    )
    loop = asyncio.get_running_loop()
    driver = Driver(engine, loop, log=Log("pylockctl", level=Level.WARNING), notify=Notifier())
    session = Session(request, addresses, engine, driver, say)
    for number in SIGNALS:
        loop.add_signal_handler(number, session.interrupt, number)
    try:
        return await session.run(show)
    finally:
        driver.close()


def complain(message: str) -> None:
    """For people."""
    print(f"pylockctl: {message}", file=sys.stderr, flush=True)


class Session:
    """One command under way."""

    def __init__(
        self, request: Request, addresses: list[str], engine: LockClient, driver: Driver, say: Say
    ) -> None:
        self._request = request
        self._engine = engine
        self._driver = driver
        self._say = say
        self._calls = Calls(request, addresses, engine, driver)
        self._report = Report(request)

    def interrupt(self, number: int) -> None:
        """Ctrl-C: end in good order. A second one ends at once."""
        self._calls.signal = number
        self._calls.interrupted.set()
        for each in SIGNALS:
            self._driver.loop.remove_signal_handler(each)

    async def run(self, show: Show) -> int:
        """Carry out the request. The exit status."""
        report = self._report
        begun = monotonic()
        try:
            status = await self._carry_out()
            report.status, report.decided = status.name, True
        except CommandError as error:
            report.status = "TIMED_OUT" if error.status == TIMED_OUT else "FAILED"
            if isinstance(error, InterruptedCommandError):
                report.status = "INTERRUPTED"
            raise
        finally:
            report.seconds = monotonic() - begun
            report.host = self._calls.address
            show(report)
        if status != Status.GRANTED:
            return FAILED
        if self._request.hold is not None:
            await self._hold(self._request.hold)
        return DONE

    async def _carry_out(self) -> Status:
        """The server's word."""
        calls, verb = self._calls, self._request.verb
        match verb:
            case "null":
                await calls.null()
                return Status.GRANTED
            case "free-all":
                await calls.free_all()
                return Status.GRANTED
            case "test":
                result = await calls.test()
                if result.holder is not None:
                    self._report.holder = holder_row(result.holder)
                return Status(result.status)
            case "lock":
                return await self._lock()
            case "unlock":
                return await calls.unlock()
            case _:
                return await calls.share(verb.upper())

    async def _lock(self) -> Status:
        request, report = self._request, self._report
        if request.wait is None:
            try:
                status = await self._calls.lock(block=False)
            except InterruptedCommandError:
                # the server may have granted it: what was to be held for a while only must not stay behind
                if request.hold is not None:
                    self._calls.interrupted.clear()
                    await self._calls.unlock()
                raise
            report.by = "reply" if status == Status.GRANTED else ""
        else:
            status = await self._wait(request.wait)
        if status == Status.DENIED:
            report.holder = await find_holder(self._calls)
        return status

    async def _wait(self, patience: float) -> Status:
        callbacks = Callbacks(
            self._driver,
            self._engine,
            self._calls,
            rpcbind_port=self._request.rpcbind_port,
            privileged=may_use_privileged_ports(Transport.TCP),
        )
        return await Waiting(
            self._calls, self._engine, callbacks, self._report, patience=patience, say=self._say
        ).run()

    async def _hold(self, seconds: float) -> None:
        """Keep the lock, then release it: at the end of the time, or at Ctrl-C."""
        calls = self._calls
        await calls.until(calls.interrupted.wait(), seconds)
        calls.interrupted.clear()
        self._engine.awaited = None
        status = await calls.unlock()
        if status != Status.GRANTED:
            raise CommandError(f"unlock {MEANING.get(status, status.name)}")
        self._say("released")
