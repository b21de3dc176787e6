# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of a lock manager, one coroutine per procedure. Read Calls.lock, then Calls.call.

Nothing here knows sockets: the driver of the daemons carries a LockClient as it carries their engines.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable
from typing import Any, TypeVar

from pydaemons.cli.lockctl_engine import LockClient
from pydaemons.cli.lockctl_report import Request
from pydaemons.engine.protocol import Transport
from pydaemons.kit import clock
from pydaemons.kit.driver import Driver
from pydaemons.kit.sockets import BindError, address_of, bind_tcp, bind_udp
from pydaemons.nlm import procs
from pydaemons.nlm.types import (
    NLM_PROGRAM,
    CancelArgs,
    FreeAllArgs,
    LockArgs,
    ProbeArgs,
    ProbeResult,
    ShareArgs,
    Status,
    UnlockArgs,
)
from pydaemons.nlm.versions import args_codec, result_codec
from pydaemons.sunrpc.client import Outcome, Refused, Success, Target, Unreachable
from pydaemons.wire.errors import WireError
from pydaemons.wire.xdr import NOTHING

FAILED = 1
COOKIE = b"\0\0\0\1"
"""Servers give it back; a reply is told by its xid, so that any will do."""

T = TypeVar("T")


class CommandError(Exception):
    """The command ends here; the words are for people."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status


class InterruptedCommandError(CommandError):
    """Ctrl-C or SIGTERM: the shell is told which one it was."""

    def __init__(self, number: int) -> None:
        super().__init__("interrupted", 128 + number)


class NotServedError(CommandError):
    """The call was not executed: the server was not reached, or refused it."""


class Calls:
    """One server, and what the command line says of lock and owner. Calls end with CommandError when there is
    no answer, and early when `interrupted` is set."""

    def __init__(self, request: Request, addresses: list[str], engine: LockClient, driver: Driver) -> None:
        self.request = request
        self.interrupted = asyncio.Event()
        self.signal = 0
        """the one that interrupted"""
        self._engine = engine
        self._driver = driver
        self._others = addresses[1:]
        self._privileged = may_use_privileged_ports(request.transport)
        self._target = self._target_at(addresses[0])

    @property
    def address(self) -> str:
        """The server's."""
        return self._target.host

    # -- the procedures

    async def null(self) -> None:
        """NULL."""
        await self.call("NULL", NOTHING)

    async def free_all(self) -> None:
        """FREE_ALL."""
        await self.call("FREE_ALL", FreeAllArgs(self.request.name, self.request.state))

    async def test(self) -> ProbeResult:
        """TEST."""
        r = self.request
        args = ProbeArgs(COOKIE, r.exclusive, r.name, r.fh, r.oh, r.svid, r.offset, r.length)
        result: ProbeResult = await self.call("TEST", args)
        return result

    async def lock(self, *, block: bool) -> Status:
        """LOCK."""
        r = self.request
        mode = block, r.exclusive
        span = r.offset, r.length
        args = LockArgs(COOKIE, *mode, r.name, r.fh, r.oh, r.svid, *span, r.reclaim, r.state)
        return Status((await self.call("LOCK", args)).status)

    async def cancel(self) -> Status:
        """CANCEL of a blocking LOCK."""
        r = self.request
        args = CancelArgs(COOKIE, True, r.exclusive, r.name, r.fh, r.oh, r.svid, r.offset, r.length)
        return Status((await self.call("CANCEL", args)).status)

    async def unlock(self) -> Status:
        """UNLOCK."""
        r = self.request
        args = UnlockArgs(COOKIE, r.name, r.fh, r.oh, r.svid, r.offset, r.length)
        return Status((await self.call("UNLOCK", args)).status)

    async def share(self, procedure: str) -> Status:
        """SHARE or UNSHARE."""
        r = self.request
        args = ShareArgs(COOKIE, r.name, r.fh, r.oh, r.deny, r.access, r.reclaim)
        return Status((await self.call(procedure, args)).status)

    # -- how a call is made

    async def ask(self, target: Target, procedure: int, args: bytes, schedule: tuple[float, ...]) -> Outcome:
        """Call, and wait for the outcome."""
        future: asyncio.Future[Outcome] = self._driver.loop.create_future()

        def done(outcome: Outcome, now: object) -> None:
            if not future.done():
                future.set_result(outcome)

        rpc = self._engine.rpc
        pending = rpc.call(
            target, procedure, args, schedule=schedule, now=clock.now(), done=done, impatient=True
        )
        self._driver.settle()
        try:
            return await self.until(future, None, interruptible=True)
        except BaseException:
            rpc.cancel(pending, clock.now())
            raise

    async def call(self, name: str, args: Any) -> Any:
        """Call the server by a row of the procedure table; the result, or CommandError. A name's further
        addresses are tried while the first is not to be reached."""
        row = procs.BY_NAME[name]
        version = self.request.version
        packed = args_codec(row.args, version).pack(args)
        while True:
            self._engine.server = self._target
            outcome = await self.ask(self._target, row.number, packed, self._schedule())
            if not isinstance(outcome, Unreachable) or not self._others:
                break
            self._target = self._target_at(self._others.pop(0))
        if isinstance(outcome, Success):
            self._others = []
            try:
                return result_codec(row.result, version).unpack(outcome.result, 0)
            except WireError as error:
                raise CommandError(f"{self._where()}: the answer to {name} makes no sense: {error}") from None
        kind = NotServedError if isinstance(outcome, Refused | Unreachable) else CommandError
        raise kind(f"{self._where()}: {self._why(name, outcome)}")

    def _schedule(self) -> tuple[float, ...]:
        """The waits after each sending, in all the time a call may take. A stream is reliable: once."""
        left = self.request.timeout
        if self.request.transport is Transport.TCP:
            return (left,)
        waits = []
        wait = min(1.0, left)
        while left > 0:
            waits.append(min(wait, left))
            left -= waits[-1]
            wait *= 2
        return tuple(waits)

    def _target_at(self, address: str) -> Target:
        request = self.request
        return Target(
            address,
            NLM_PROGRAM,
            request.version,
            request.transport,
            port=request.port,
            source=request.source,
            privileged=self._privileged,
        )

    def _where(self) -> str:
        request, address = self.request, self._target.host
        name = request.host if request.host == address else f"{request.host} ({address})"
        return f"{name}, {request.transport.value}" + (f" port {request.port}" if request.port else "")

    def _why(self, name: str, outcome: Outcome) -> str:
        version = self.request.version
        match outcome:
            case Refused("PROG_MISMATCH"):
                return f"it does not speak NLM version {version}"
            case Refused("PROC_UNAVAIL"):
                return f"it has no {name} in NLM version {version}"
            case Refused("PROG_UNAVAIL"):
                return "no lock manager at this port"
            case Refused(why):
                return f"{name} refused: {why}"
            case Unreachable("the program is not registered there"):
                return "no lock manager is registered with its rpcbind"
            case Unreachable(("its rpcbind: Connection refused" | "its rpcbind: no answer") as why):
                return f"{why}; if the lock manager runs without one, name its port by --port"
            case Unreachable(why):
                return why
            case _:
                return f"no answer to {name} within {self.request.timeout:g} s"

    async def until(self, what: Awaitable[T], seconds: float | None, *, interruptible: bool = False) -> T:
        """Await, for so long, unless interrupted (InterruptedCommandError). None at the end of the time."""
        task = asyncio.ensure_future(what)
        ended = asyncio.ensure_future(self.interrupted.wait())
        timeout = None if seconds is None or seconds == float("inf") else seconds
        waited: set[asyncio.Future[Any]] = {task, ended} if interruptible else {task}
        try:
            await asyncio.wait(waited, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if interruptible and ended.done():
                raise InterruptedCommandError(self.signal)
            return None  # type: ignore[return-value]
        finally:
            ended.cancel()
            task.cancel()


def resolve(request: Request) -> list[str]:
    """The numeric addresses of the server, of the source's family where one is given."""
    try:
        family = socket.AF_UNSPEC
        if request.source is not None:
            family = socket.AF_INET6 if ":" in request.source else socket.AF_INET
        host = request.host
        if host[:1] == "[" and host[-1:] == "]":  # as URLs and mount(8) have IPv6 addresses
            host = host[1:-1]
        found = socket.getaddrinfo(host, None, family, socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CommandError(f"{request.host}: {reason}") from error
    return list(dict.fromkeys(address_of(entry[4]).host for entry in found))


def may_use_privileged_ports(transport: Transport) -> bool:
    """Whether a port below 1024 is to be had: servers may insist on one, and kernel clients use them."""
    bind = bind_udp if transport is Transport.UDP else bind_tcp
    for port in (1023, 900, 700):
        try:
            bind("0.0.0.0", port).close()
        except BindError:
            continue
        return True
    return False
