# SPDX-License-Identifier: GPL-3.0-or-later
"""A conversation with one RPC program over a stream: calls one after the other, for things beside the packet
path (rpcbind on this host)."""

from __future__ import annotations

import asyncio
import socket

from pydaemons.sunrpc.marking import Deframer, frame
from pydaemons.sunrpc.message import AcceptStat, pack_call, unpack_reply
from pydaemons.wire.errors import WireError

TIMEOUT = 3.0
"""Seconds to connect, and to be answered."""
LONGEST = 1 << 20
"""Bytes an answer may have."""
PRIVILEGED = range(1023, 664, -1)


class RpcStreamError(Exception):
    """A call was not answered or was refused; the text says why."""


class RpcStream:
    """One connection. `version` is that of the program in the next call."""

    def __init__(self, program: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.program = program
        self.version = 0
        self._reader = reader
        self._writer = writer
        self._deframer = Deframer(LONGEST)
        self._xid = 0

    @classmethod
    async def open(
        cls, program: int, *, path: str = "", host: str = "", port: int = 0, privileged: bool = False
    ) -> RpcStream | None:
        """Connect to a unix socket or an address, by `privileged` from a port below 1024 if we may; None if
        nobody is there."""
        try:
            async with asyncio.timeout(TIMEOUT):
                if path:
                    return cls(program, *await asyncio.open_unix_connection(path))
                sock = _socket(host, privileged=privileged)
                try:
                    await asyncio.get_running_loop().sock_connect(sock, (host, port))
                    return cls(program, *await asyncio.open_connection(sock=sock))
                except BaseException:
                    sock.close()
                    raise
        except OSError:  # TimeoutError is one
            return None

    async def call(self, procedure: int, args: bytes = b"") -> bytes:
        """The result of a procedure, not taken apart. RpcStreamError when there is none."""
        self._xid += 1
        call = pack_call(
            xid=self._xid, program=self.program, version=self.version, procedure=procedure, args=args
        )
        try:
            async with asyncio.timeout(TIMEOUT):
                self._writer.write(frame(call))
                await self._writer.drain()
                reply = unpack_reply(await self._answer())
        except TimeoutError:
            raise RpcStreamError("no answer") from None
        except OSError as error:
            raise RpcStreamError(error.strerror or str(error)) from error
        except WireError as error:
            raise RpcStreamError(f"its answer makes no sense: {error}") from error
        if reply.accept_stat is not AcceptStat.SUCCESS:
            raise RpcStreamError(reply.refusal or AcceptStat(reply.accept_stat or 0).name)
        return reply.data

    def close(self) -> None:
        """End it."""
        self._writer.close()

    async def _answer(self) -> bytes:
        while True:
            data = await self._reader.read(65536)
            if not data:
                raise ConnectionResetError("the connection was closed")
            for record in self._deframer.feed(data):
                if record[:4] == self._xid.to_bytes(4, "big"):
                    return record


def _socket(host: str, *, privileged: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        for port in PRIVILEGED if privileged else ():
            try:
                sock.bind((host, port))
                break
            except PermissionError:
                break
            except OSError:
                continue
    except BaseException:
        sock.close()
        raise
    return sock
