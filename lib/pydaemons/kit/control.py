# SPDX-License-Identifier: GPL-3.0-or-later
"""The control socket: `/run/<daemon>/control`, NUL-terminated JSON as varlink has it (varlink.org).

Read Control.serve and _Client. One socket per daemon, open to all: who may do what is decided per method by
the credentials of the peer. The socket is also the mark of a running daemon: a second one finds it answering
and says so; a dead one's is replaced. Requests of one client are answered in their order; who hangs up while
it waits for an answer has its call cancelled. kit.controlclient is the other end.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator
from errno import EADDRINUSE, ECONNREFUSED, ENOENT
from functools import partial
from inspect import isawaitable
from stat import S_ISSOCK
from struct import Struct
from typing import Any

from pydaemons.kit.hangup import HangUps
from pydaemons.kit.log import Log
from pydaemons.kit.varlink import SERVICE, Caller, ControlError, Interface, Value

MESSAGE = 1 << 18
"""Bytes of the longest request."""
PIECE = 1 << 16
"""Bytes read at a time. For asyncio's 256 kB malloc maps new memory at each request, and gives it back: that
takes longer than to read."""
CLIENTS = 64
CLAIM_PATIENCE = 2.0
"""Seconds that another may be about to claim the same socket."""
WRITE_PATIENCE = 30.0
"""Seconds that a client may take to read what it asked for."""
INTERNAL_ERROR = "org.pydaemons.InternalError"
TOO_MANY_CLIENTS = "org.pydaemons.TooManyClients"

_CREDENTIALS = Struct("@iII")
_PATH = 107


class AlreadyRunningError(OSError):
    """Somebody answers on the control socket."""


class Control:
    """The server. `claim` the socket first (it may be somebody else's), then `serve`."""

    def __init__(self, folder: str, log: Log, name: str = "control") -> None:
        self.path = f"{folder}/{name}"
        self._folder = folder
        self._name = name
        self._log = log
        self._sock: socket.socket | None = None
        self._inode = 0
        self._server: asyncio.Server | None = None
        self._interfaces: dict[str, Interface] = {}
        self._clients: set[asyncio.Task[None]] = set()
        self._hangups: HangUps | None = None

    def claim(self) -> None:
        """Bind the socket; a stale one goes, a live one is an AlreadyRunningError."""
        os.makedirs(self._folder, mode=0o755, exist_ok=True)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Looking whether the old one answers, removing it and binding ours must be one step.
            _lock(folder)
            name = (
                self.path if len(os.fsencode(self.path)) <= _PATH else f"/proc/self/fd/{folder}/{self._name}"
            )
            _remove_stale(name, self.path)
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            try:
                sock.bind(name)
                os.chmod(self._name, 0o666, dir_fd=folder)
                sock.listen(CLIENTS)
            except OSError as error:
                sock.close()
                raise OSError(error.errno, error.strerror, self.path) from error
            self._inode = os.stat(self._name, dir_fd=folder).st_ino
            self._sock = sock
        finally:
            os.close(folder)

    async def serve(self, interfaces: list[Interface]) -> None:
        """Answer from now on."""
        if self._sock is None:
            self.claim()
        self._interfaces = {interface.name: interface for interface in interfaces}
        self._hangups = HangUps(asyncio.get_running_loop())
        self._server = await asyncio.start_unix_server(self._accept, sock=self._sock, limit=MESSAGE)

    async def close(self) -> None:
        """Stop; the socket's name goes with it if it is still ours. An answer that is there already (to who
        asked us to leave, say) is sent."""
        if self._server is not None:
            self._server.close()
        elif self._sock is not None:
            self._sock.close()
        await asyncio.sleep(0)  # whoever was woken to send an answer does
        for task in tuple(self._clients):
            task.cancel()
        if self._clients:
            await asyncio.wait(self._clients)
        if self._hangups is not None:
            self._hangups.close()
        try:
            if self._sock is not None and os.stat(self.path).st_ino == self._inode:
                os.unlink(self.path)
        except OSError:
            pass
        self._sock = None

    def find(self, qualified: str) -> tuple[Interface, str]:
        """The interface and the method's own name; ControlError when there is none."""
        name, _, method = qualified.rpartition(".")
        interface = self._interfaces.get(name)
        if interface is None:
            raise ControlError(f"{SERVICE}.InterfaceNotFound", interface=name)
        if method not in interface.methods:
            raise ControlError(f"{SERVICE}.MethodNotFound", method=qualified)
        return interface, method

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Client(self, reader, writer, self._log)
        try:
            if len(self._clients) >= CLIENTS:
                await client.say({"error": TOO_MANY_CLIENTS, "parameters": {}})
                return
            task = asyncio.current_task()
            assert task is not None
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)
            assert self._hangups is not None
            self._hangups.watch(client.descriptor, partial(client.gone, task))
            await client.talk()
        except (TimeoutError, ConnectionError):
            pass  # gone, or it does not read: its loss
        finally:
            if self._hangups is not None:
                self._hangups.forget(client.descriptor)
            writer.close()


class _Client:
    """One connection."""

    def __init__(
        self, control: Control, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, log: Log
    ) -> None:
        self._control = control
        self._reader = reader
        self._writer = writer
        self._log = log
        transport: Any = writer.transport
        transport.max_size = PIECE
        sock = writer.get_extra_info("socket")
        self.descriptor: int = sock.fileno()
        self._waiting = False
        """for the answer to a call, which is for nobody else"""
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, gid = _CREDENTIALS.unpack(credentials)
        self._caller = Caller(pid, uid, gid, own_uid=os.geteuid())

    async def talk(self) -> None:
        """Answer until it hangs up or sends what is no request."""
        while (request := await self._read()) is not None:
            method, parameters = request.get("method"), request.get("parameters")
            parameters = {} if parameters is None else parameters
            if not isinstance(method, str) or not isinstance(parameters, dict):
                return
            silent = request.get("oneway") is True
            try:
                await self._call(method, parameters, more=request.get("more") is True, silent=silent)
            except ControlError as error:
                if not silent:
                    await self.say({"error": error.name, "parameters": error.parameters})

    def gone(self, task: asyncio.Task[None]) -> None:
        """The other end is closed: what it waits for is for nobody. `task` is the one that talks to it."""
        if self._waiting:
            task.cancel()

    async def say(self, message: Value) -> None:
        """Write one message and wait until it is on its way."""
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
        self._writer.write(text.encode("utf-8", "backslashreplace") + b"\0")
        if self._writer.transport.get_write_buffer_size():
            # not wait_for: before Python 3.12 it loses a cancellation that comes as it is done
            async with asyncio.timeout(WRITE_PATIENCE):
                await self._writer.drain()
        else:
            await asyncio.sleep(0)  # it is on its way; others get their turn before the next request

    async def _read(self) -> dict[str, Any] | None:
        try:
            data = await self._reader.readuntil(b"\0")
            request = json.loads(data[:-1])
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, RecursionError):
            return None  # the end, too much of it, or no JSON: varlink closes the connection
        return request if isinstance(request, dict) else None

    async def _call(self, qualified: str, parameters: Value, *, more: bool, silent: bool) -> None:
        interface, name = self._control.find(qualified)
        method = interface.methods[name]
        if method.trusted:
            self._caller.require_trust()
        interface.check(name, parameters)
        if method.streams and not more:
            raise ControlError(f"{SERVICE}.ExpectedMore")
        try:
            result = method.call(parameters, self._caller)
            if isinstance(result, AsyncIterator):
                await self._stream(result)
                return
            if isawaitable(result):
                self._waiting = not silent
                try:
                    result = await result
                finally:
                    self._waiting = False
        except (TimeoutError, ControlError, ConnectionError):
            raise
        except Exception as error:
            self._log.error(
                f"bug, please report: {qualified}: {type(error).__name__}: {error}", METHOD=qualified
            )
            raise ControlError(INTERNAL_ERROR, message=f"{type(error).__name__}: {error}") from error
        if not silent:
            await self.say({"parameters": result or {}})

    async def _stream(self, items: AsyncIterator[Value]) -> None:
        """Hand on one item after the other until they end or the watcher hangs up (whatever else it says
        meanwhile ends the connection too)."""
        hung_up = asyncio.ensure_future(self._reader.read(1))
        try:
            while True:
                item = asyncio.ensure_future(_next(items))
                await asyncio.wait({item, hung_up}, return_when=asyncio.FIRST_COMPLETED)
                if not item.done():
                    item.cancel()
                    await asyncio.wait({item})
                    raise ConnectionAbortedError
                news = item.result()
                if news is None:
                    break
                await self.say({"parameters": news, "continues": True})
        finally:
            hung_up.cancel()
            await asyncio.wait({hung_up})
            if isinstance(items, AsyncGenerator):
                await items.aclose()
        if not hung_up.cancelled():
            raise ConnectionAbortedError
        await self.say({"parameters": {}})


async def _next(items: AsyncIterator[Value]) -> Value | None:
    async for item in items:
        return item
    return None


def _lock(folder: int) -> None:
    """Wait for who is claiming a socket in it, but not for ever: anybody who may list a folder may lock it,
    and is not to keep a daemon from starting."""
    end = time.monotonic() + CLAIM_PATIENCE
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < end:
                time.sleep(0.01)
                continue
        return


def _remove_stale(name: str, shown: str) -> None:
    """Take away a socket nobody answers on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(name)
        except OSError as error:
            if error.errno == ENOENT:
                return
            if error.errno == ECONNREFUSED and S_ISSOCK(os.lstat(name).st_mode):
                os.unlink(name)
                return
            if not isinstance(error, (BlockingIOError, TimeoutError)):
                raise OSError(error.errno, error.strerror, shown) from error
            holder = ""  # its backlog is full: it lives
        else:
            data = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            holder = f" by pid {_CREDENTIALS.unpack(data)[0]}"
    raise AlreadyRunningError(EADDRINUSE, f"already running: {shown} is answered{holder}")
