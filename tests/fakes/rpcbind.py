# SPDX-License-Identifier: GPL-3.0-or-later
"""An rpcbind on a unix socket and a loopback port of its own, keeping the real one's promises about owners:
a row belongs to who set it, others can neither replace nor remove it (Debian 12's rpcbind behaves so)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Self

from pydaemons.sunrpc.marking import Deframer, frame
from pydaemons.sunrpc.message import SUCCESS, AcceptStat, accepted, prog_mismatch, unpack_call
from pydaemons.sunrpc.rpcbind import (
    MAPPING,
    MAPPINGS,
    NETIDS,
    PROTOCOLS,
    RPCB,
    RPCBS,
    Mapping,
    PortmapProc,
    Rpcb,
    RpcbindProc,
    parse_uaddr,
)

YES, NO = b"\0\0\0\1", bytes(4)


class FakeRpcbind:
    """`async with FakeRpcbind(path) as rpcbind`; port 0 takes any."""

    def __init__(self, path: Path | None, *, tcp: bool = True, port: int = 0) -> None:
        self.path, self.tcp, self.port = path, tcp, port
        self.rows: dict[tuple[int, int, str], Rpcb] = {}
        self.versions = (2, 3, 4)
        self.statistics = True
        self.silent = False
        self.garbled = False
        self.sets: list[Rpcb] = []
        self._nulls = 0
        self._servers: list[asyncio.Server] = []
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        if self.path is not None:
            self._servers.append(await asyncio.start_unix_server(self._unix, self.path))
        if self.tcp:
            server = await asyncio.start_server(self._tcp, "127.0.0.1", self.port)
            self.port = server.sockets[0].getsockname()[1]
            self._servers.append(server)
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()
        for writer in self._writers:
            writer.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def taken(self, program: int, version: int, netid: str, port: int, owner: str) -> None:
        """Somebody mightier than we registers, whoever was there."""
        uaddr = f"0.0.0.0.{port >> 8}.{port & 255}".encode()
        self.rows[program, version, netid] = Rpcb(program, version, netid.encode(), uaddr, owner.encode())

    def registered(self) -> set[tuple[int, int, str, int]]:
        return {(*key, parse_uaddr(row.uaddr.decode()).port) for key, row in self.rows.items()}

    async def _unix(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._serve(reader, writer, "1000")

    async def _tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._serve(reader, writer, "unknown")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, owner: str) -> None:
        self._writers.add(writer)
        deframer = Deframer(65536)
        while data := await reader.read(4096):
            for record in deframer.feed(data):
                if not self.silent:
                    writer.write(frame(record[:4] + (b"" if self.garbled else self._answer(record, owner))))
        writer.close()

    def _answer(self, call: bytes, owner: str) -> bytes:
        header = unpack_call(call)
        assert header.program == 100000
        if header.version not in self.versions:
            return prog_mismatch(min(self.versions), max(self.versions))
        result = (self._portmap if header.version == 2 else self._rpcbind)(
            call, header.procedure, header.args_at, owner
        )
        return accepted(AcceptStat.PROC_UNAVAIL) if result is None else SUCCESS + result

    def _portmap(self, call: bytes, procedure: int, at: int, owner: str) -> bytes | None:
        names = {number: transport.value for transport, number in PROTOCOLS.items()}
        if procedure == PortmapProc.NULL:
            self._nulls += 1
            return b""
        if procedure == PortmapProc.DUMP:
            return MAPPINGS.pack(
                [
                    Mapping(p, v, PROTOCOLS[NETIDS[netid][0]], parse_uaddr(row.uaddr.decode()).port)
                    for (p, v, netid), row in self.rows.items()
                    if netid in names.values()
                ]
            )
        row = MAPPING.unpack(call, at)
        if procedure == PortmapProc.SET:
            uaddr = f"0.0.0.0.{row.port >> 8}.{row.port & 255}".encode()
            return self._set(Rpcb(row.program, row.version, names[row.protocol].encode(), uaddr, b""), owner)
        if procedure == PortmapProc.UNSET:
            return self._unset(row.program, row.version, "", owner)
        return None

    def _rpcbind(self, call: bytes, procedure: int, at: int, owner: str) -> bytes | None:
        if procedure == RpcbindProc.NULL:
            return b""
        if procedure == RpcbindProc.DUMP:
            return RPCBS.pack(list(self.rows.values()))
        if procedure == RpcbindProc.GETSTAT:
            return self._nulls.to_bytes(4, "big") + bytes(200) if self.statistics else None
        row = RPCB.unpack(call, at)
        if procedure == RpcbindProc.SET:
            return self._set(row, owner)
        if procedure == RpcbindProc.UNSET:
            return self._unset(row.program, row.version, row.netid.decode(), owner)
        return None

    def _set(self, row: Rpcb, owner: str) -> bytes:
        self.sets.append(row)
        key = (row.program, row.version, row.netid.decode())
        if key in self.rows:
            return NO
        self.rows[key] = row._replace(owner=owner.encode())
        return YES

    def _unset(self, program: int, version: int, netid: str, owner: str) -> bytes:
        fitting = [
            key
            for key, row in self.rows.items()
            if key[:2] == (program, version) and key[2].startswith(netid) and row.owner == owner.encode()
        ]
        for key in fitting:
            if not netid or key[2] == netid:
                del self.rows[key]
        return YES if fitting else NO
