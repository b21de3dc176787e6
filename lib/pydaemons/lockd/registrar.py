# SPDX-License-Identifier: GPL-3.0-or-later
"""Registers our programs with the rpcbind of this host, and sees that they stay so. Read Registrar.

Over /run/rpcbind.sock, where rpcbind knows who we are, after having made sure that whoever listens there is
the rpcbind of *our* network namespace: unix sockets cross namespaces, and registering with a neighbour would
send its clients to us. Otherwise over TCP to loopback, by version 4 or, with an old portmapper, 2. This runs
beside the packet path, on asyncio's streams; nothing in it waits for longer than a few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from secrets import randbelow
from typing import NamedTuple

from pydaemons.engine.effects import Level
from pydaemons.engine.protocol import Address
from pydaemons.lockd.rpcstream import RpcStream, RpcStreamError
from pydaemons.sunrpc.rpcbind import (
    MAPPING,
    MAPPINGS,
    NETIDS,
    PORT,
    PORTMAP,
    PROGRAM,
    PROTOCOLS,
    RPCB,
    RPCBIND4,
    RPCBS,
    Mapping,
    PortmapProc,
    Rpcb,
    RpcbindProc,
    format_uaddr,
    parse_uaddr,
)
from pydaemons.wire.errors import WireError

SOCKET = "/run/rpcbind.sock"
LOOPBACK = ("127.0.0.1", "::1")
LOOK_EVERY = 2.0
"""Seconds between looks whether rpcbind's socket is still the same file."""
CHECK_EVERY = 15.0
"""Seconds between questions whether our rows are still there."""
GOODBYE = 3.0
"""Seconds that unregistering may take."""
PROBES = 3, 12
"""How many NULL calls tell two rpcbinds apart: a random number in this range."""


class Mode(Enum):
    """Where our programs are registered."""

    HOST = "host"
    EMBEDDED = "embedded"
    OFF = "off"


class Row(NamedTuple):
    """One registration of ours."""

    program: int
    version: int
    netid: str
    port: int

    @property
    def uaddr(self) -> str:
        """Where it is: at all addresses of the host."""
        return format_uaddr(Address("::" if NETIDS[self.netid][1] == 6 else "0.0.0.0", self.port))


class Registrar:
    """Our rows in the host's rpcbind. `report(level, text)` is told what an administrator should know, each
    thing once; `problem` is what is wrong at present, or empty."""

    def __init__(
        self,
        *,
        mode: str = "auto",
        report: Callable[[Level, str], None],
        port: int = PORT,
        socket_path: str = SOCKET,
        look_every: float = LOOK_EVERY,
        check_every: float = CHECK_EVERY,
    ) -> None:
        self.problem = ""
        self.mode = mode
        self._report = report
        self._port = port
        self._path = socket_path
        self._look_every = look_every
        self._check_every = check_every
        self._rows: tuple[Row, ...] = ()
        self._inode: tuple[int, int] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._busy = asyncio.Lock()

    async def decide(self) -> Mode:
        """What `mode` comes to here: `auto` is the host's rpcbind if one answers, else our own."""
        if self.mode != "auto":
            return Mode(self.mode)
        stream = await self._connect()
        if stream is None:
            return Mode.EMBEDDED
        stream.close()
        return Mode.HOST

    async def find(self, program: int) -> list[Rpcb]:
        """The rows of a program, whoever has registered them; [] if there is no rpcbind."""
        stream = await self._connect()
        if stream is None:
            return []
        with contextlib.closing(stream):
            try:
                return [row for row in await _dump(stream) if row.program == program]
            except (RpcStreamError, WireError):
                return []

    async def register(self, rows: Sequence[Row]) -> bool:
        """Have exactly these rows registered from now on, and watch over them until `unregister`. True when
        all are; otherwise `problem` says what is in the way, and it goes on trying."""
        gone = set(self._rows) - set(rows)
        async with self._busy:
            if gone:
                await self._try(lambda stream: _take_back(stream, sorted(gone)))
            self._rows = tuple(rows)
            await self._try(self._set)
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(), name="rpcbind")
        return not self.problem

    async def unregister(self) -> None:
        """Take our rows back; within a few seconds, whether or not rpcbind answers."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
            self._watching = None
        rows, self._rows = self._rows, ()
        if rows:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE):
                    await self._try(lambda stream: _take_back(stream, rows))

    # ---- watching

    async def _watch(self) -> None:
        """Register anew when rpcbind restarted; notice when somebody else has our place."""
        while True:
            before = self._inode
            for _ in range(max(1, round(self._check_every / self._look_every))):
                await asyncio.sleep(self._look_every)
                if _inode(self._path) != before:
                    break
            async with self._busy:
                self._inode = _inode(self._path)
                await self._try(self._check)

    async def _check(self, stream: RpcStream) -> None:
        """Are all rows there? Nobody's: it restarted, register. Somebody else's: say so."""
        registered = await _rows(stream)
        missing, taken = [], []
        for row in self._rows:
            there = registered.get(row[:3])
            if there is None:
                if stream.version == RPCBIND4 or NETIDS[row.netid][1] == 4:
                    missing.append(row)
            elif not _same(there.uaddr, row):
                taken.append((row, there))
        if taken:
            self._taken(taken)
        elif missing:
            if not self.problem:
                self._report(Level.NOTICE, "rpcbind has lost our registrations; registering again")
            await self._set(stream)
        else:
            self._well()

    async def _set(self, stream: RpcStream) -> None:
        """UNSET what an earlier life of ours left, then SET."""
        await _unset(stream, self._rows)
        refused = [row for row in self._rows if not await _set(stream, row)]
        if not refused:
            self._well()
            return
        registered = await _rows(stream)
        taken = [(row, there) for row in refused if (there := registered.get(row[:3])) is not None]
        taken = [(row, there) for row, there in taken if not _same(there.uaddr, row)]
        if taken:
            self._taken(taken)
        else:
            self._wrong(f"rpcbind refuses to register program {refused[0].program}")

    async def _try(self, act: Callable[[RpcStream], Awaitable[None]]) -> None:
        stream = await self._connect()
        if stream is None:
            self._wrong(f"no rpcbind answers at {self._path} or on loopback port {self._port}; trying again")
            return
        self._inode = _inode(self._path)
        with contextlib.closing(stream):
            try:
                await act(stream)
            except (RpcStreamError, WireError) as error:
                self._wrong(f"rpcbind: {error}; trying again")

    # ---- saying each thing once

    def _taken(self, taken: list[tuple[Row, Rpcb]]) -> None:
        row, there = taken[0]
        uaddr, owner = (field.decode("ascii", "replace") for field in (there.uaddr, there.owner))
        versions = sorted({f"rpcinfo -d {row.program} {row.version}" for row, _ in taken})
        self._wrong(
            f"program {row.program} version {row.version} {row.netid} is registered with rpcbind at {uaddr} "
            f"by another owner ({owner or 'unknown'}): clients will not find us. The kernel's lockd does so "
            f"when this host mounts NFSv3 itself. If it is a leftover, as root: {'; '.join(versions)}"
        )

    def _wrong(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            self._report(Level.WARNING, problem)

    def _well(self) -> None:
        if self.problem:
            self.problem = ""
            self._report(Level.NOTICE, "registered with rpcbind again")

    # ---- finding rpcbind

    async def _connect(self) -> RpcStream | None:
        """A connection to the rpcbind of our network namespace, or None."""
        local = await RpcStream.open(PROGRAM, path=self._path)
        if local is not None:
            if await self._is_ours(local):
                return local
            local.close()
        for host in LOOPBACK:
            stream = await RpcStream.open(PROGRAM, host=host, port=self._port, privileged=True)
            if stream is None:
                continue
            for version in (RPCBIND4, PORTMAP):
                with contextlib.suppress(RpcStreamError):
                    stream.version = version
                    await stream.call(RpcbindProc.NULL)
                    return stream
            stream.close()
        return None

    async def _is_ours(self, local: RpcStream) -> bool:
        """Whether the rpcbind behind the unix socket is the one on our loopback: its count of portmap NULL
        calls must rise when we make some there."""
        for host in LOOPBACK:
            stream = await RpcStream.open(PROGRAM, host=host, port=self._port)
            if stream is None:
                continue
            with contextlib.closing(stream):
                try:
                    local.version, stream.version = RPCBIND4, PORTMAP
                    before = _null_calls(await local.call(RpcbindProc.GETSTAT))
                    probes = PROBES[0] + randbelow(PROBES[1] - PROBES[0])
                    for _ in range(probes):
                        await stream.call(PortmapProc.NULL)
                    return _null_calls(await local.call(RpcbindProc.GETSTAT)) >= before + probes
                except (RpcStreamError, WireError):
                    return False
        return False


def _null_calls(statistics: bytes) -> int:
    """The first of rpcbind's statistics: NULL calls of version 2 (RFC 1833 section 2.1, rpcb_stat)."""
    if len(statistics) < 4:
        raise WireError("cut short", len(statistics))
    return int.from_bytes(statistics[:4], "big")


def _same(uaddr: bytes, row: Row) -> bool:
    """Whether a registered address is ours: the port decides, the host may be written in many ways."""
    try:
        return parse_uaddr(uaddr.decode("ascii", "replace")).port == row.port
    except WireError:
        return False


def _inode(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_ctime_ns


async def _dump(stream: RpcStream) -> list[Rpcb]:
    """Everything registered, as rows of version 4."""
    if stream.version == RPCBIND4:
        return list(RPCBS.unpack(await stream.call(RpcbindProc.DUMP), 0))
    netids = {number: transport.value for transport, number in PROTOCOLS.items()}
    return [
        Rpcb(row.program, row.version, netids.get(row.protocol, "").encode(), _anywhere(row.port), b"")
        for row in MAPPINGS.unpack(await stream.call(PortmapProc.DUMP), 0)
    ]


async def _rows(stream: RpcStream) -> dict[tuple[int, int, str], Rpcb]:
    """Everything registered, by program, version and netid."""
    return {
        (row.program, row.version, row.netid.decode("ascii", "replace")): row for row in await _dump(stream)
    }


def _anywhere(port: int) -> bytes:
    return format_uaddr(Address("0.0.0.0", port & 0xFFFF)).encode()


async def _set(stream: RpcStream, row: Row) -> bool:
    """Register a row; False when somebody else has its place."""
    if stream.version == RPCBIND4:
        args = RPCB.pack(Rpcb(row.program, row.version, row.netid.encode(), row.uaddr.encode(), b""))
        return _truth(await stream.call(RpcbindProc.SET, args))
    transport, family = NETIDS[row.netid]
    if family == 6:
        return True  # a portmapper knows nothing of IPv6
    args = MAPPING.pack(Mapping(row.program, row.version, PROTOCOLS[transport], row.port))
    return _truth(await stream.call(PortmapProc.SET, args))


async def _unset(stream: RpcStream, rows: Sequence[Row]) -> None:
    """Remove rows of ours; those of other owners stay."""
    done = set()
    for row in rows:
        if stream.version == RPCBIND4:
            args = RPCB.pack(Rpcb(row.program, row.version, row.netid.encode(), b"", b""))
            await stream.call(RpcbindProc.UNSET, args)
        elif (row.program, row.version) not in done:
            done.add((row.program, row.version))
            await stream.call(PortmapProc.UNSET, MAPPING.pack(Mapping(row.program, row.version, 0, 0)))


async def _take_back(stream: RpcStream, rows: Sequence[Row]) -> None:
    """Remove those rows that are ours still: root may remove anybody's."""
    registered = await _rows(stream)
    await _unset(
        stream, [row for row in rows if (row[:3] in registered and _same(registered[row[:3]].uaddr, row))]
    )


def _truth(result: bytes) -> bool:
    return result != bytes(4)
