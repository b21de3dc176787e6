# SPDX-License-Identifier: GPL-3.0-or-later
"""How a lock manager's callbacks find a command that waits: sockets, and rows in rpcbind. Read
Callbacks.open.

A server asks this host's rpcbind for program 100021. Where one runs, the versions and transports are set
there (and unset at the end); where none does and its port can be had, the embedded portmapper serves it as
long as the command waits. What cannot be had is no error but a sentence: `Callbacks.missing`.
"""

from __future__ import annotations

import socket
from typing import Protocol

from pydaemons.cli.lockctl_engine import LockClient
from pydaemons.engine.protocol import Address, Transport
from pydaemons.kit.driver import Driver
from pydaemons.kit.sockets import BindError, bind_tcp, bind_udp, has_ipv6, holders
from pydaemons.nlm.types import NLM_PROGRAM
from pydaemons.nlm.versions import VERSIONS
from pydaemons.sunrpc import rpcbind
from pydaemons.sunrpc.client import Outcome, Refused, Success, Target, Unreachable
from pydaemons.sunrpc.rpcbind import RPCB, RPCBIND4, RPCBS, TRUTH, Rpcb, RpcbindProc, Truth
from pydaemons.wire.errors import WireError
from pydaemons.wire.xdr import NOTHING, VOID

PORT = 4045
"""Tried first, that of lock managers since SunOS: servers remember a client's port, and the next run of this
command should be where the last one was."""
LOOPBACK = "127.0.0.1"
PATIENCE = (0.5, 1.0)
"""Seconds after each sending to this host's own rpcbind."""
OWNER = b"pylockctl"
_NO = TRUTH.pack(Truth(value=False))


class Caller(Protocol):
    """What is needed to talk to rpcbind."""

    async def ask(self, target: Target, procedure: int, args: bytes, schedule: tuple[float, ...]) -> Outcome:
        """Call, and wait for the outcome."""


class Callbacks:
    """The listening sockets and the rows that lead to them."""

    def __init__(
        self, driver: Driver, engine: LockClient, caller: Caller, *, rpcbind_port: int, privileged: bool
    ) -> None:
        self.how = ""
        """By which way servers find us: `rpcbind`, `embedded` or, when they do not, empty."""
        self.missing = ""
        """Why they do not."""
        self._driver = driver
        self._engine = engine
        self._caller = caller
        self._rpcbind_port = rpcbind_port
        self._target = Target(
            # TCP: where nothing listens that is known at once
            LOOPBACK,
            rpcbind.PROGRAM,
            RPCBIND4,
            Transport.TCP,
            port=rpcbind_port,
            privileged=privileged,
        )
        self._ports: dict[str, int] = {}
        """netid to port."""
        self._set: list[Rpcb] = []

    async def open(self) -> None:
        """Listen, and be found."""
        self._listen()
        outcome = await self._ask(RpcbindProc.NULL, VOID.pack(NOTHING))
        if isinstance(outcome, Unreachable):
            self._embed()
        else:
            await self._register()

    async def close(self) -> None:
        """Be found no more. The sockets are the driver's to close."""
        for row in self._set:
            await self._ask(RpcbindProc.UNSET, RPCB.pack(row))
        self._set = []

    # -- sockets

    def _listen(self) -> None:
        for host, suffix in (("0.0.0.0", ""), ("::", "6")):
            if suffix and not has_ipv6():
                continue
            for bind, name in ((bind_udp, "udp"), (bind_tcp, "tcp")):
                try:
                    sock = bind(host, PORT)
                except BindError:
                    sock = bind(host, 0)
                self._ports[name + suffix] = sock.getsockname()[1]
                self._driver.listen(sock)

    # -- no rpcbind here

    def _embed(self) -> None:
        """Serve rpcbind's port ourselves: all transports or none."""
        port = self._rpcbind_port
        fresh: list[socket.socket] = []
        try:
            for name in self._ports:
                host = "::" if name.endswith("6") else "0.0.0.0"
                fresh.append((bind_udp if name.startswith("udp") else bind_tcp)(host, port))
        except BindError as error:
            for sock in fresh:
                sock.close()
            self.missing = f"no rpcbind answers here and its port cannot be served: {error.strerror}"
            return
        portmapper = self._engine.portmapper
        portmapper.serve(self._ports)
        for name, number in self._ports.items():
            for version in VERSIONS:
                portmapper.set(NLM_PROGRAM, version, name, number)
        self._engine.serve_portmapper()
        for sock in fresh:
            self._driver.listen(sock)
        self.how = "embedded"

    # -- this host's rpcbind

    async def _register(self) -> None:
        """Set every row, or none."""
        for version in VERSIONS:
            for name, number in self._ports.items():
                row = _row(version, name, number)
                problem = await self._set_row(row)
                if problem:
                    await self.close()
                    self.missing = problem
                    return
                self._set.append(row)
        self.how = "rpcbind"

    async def _set_row(self, row: Rpcb) -> str:
        """Set one row; what is in the way, or nothing."""
        for attempt in range(2):
            outcome = await self._ask(RpcbindProc.SET, RPCB.pack(row))
            if not isinstance(outcome, Success):
                return f"this host's rpcbind does not register us: {words(outcome)}"
            if outcome.result != _NO:
                return ""
            port = await self._registered_port(row)
            if attempt or not port or not _is_free(row, port):
                return _taken(row, port)
            # left behind by one that was killed
            await self._ask(RpcbindProc.UNSET, RPCB.pack(row))
        return _taken(row, 0)

    async def _registered_port(self, row: Rpcb) -> int:
        """The port that stands in the way of a row, 0 if that cannot be found out."""
        outcome = await self._ask(RpcbindProc.DUMP, VOID.pack(NOTHING))
        if not isinstance(outcome, Success):
            return 0
        try:
            for there in RPCBS.unpack(outcome.result, 0):
                if (there.program, there.version, there.netid) == (row.program, row.version, row.netid):
                    return rpcbind.parse_uaddr(there.uaddr.decode("ascii", "replace")).port
        except WireError:
            pass
        return 0

    async def _ask(self, procedure: int, args: bytes) -> Outcome:
        return await self._caller.ask(self._target, procedure, args, PATIENCE)


def words(outcome: Outcome) -> str:
    """An outcome that is no success, for people."""
    return outcome.why if isinstance(outcome, Refused | Unreachable) else "no answer"


def _row(version: int, name: str, port: int) -> Rpcb:
    anywhere = "::" if name.endswith("6") else "0.0.0.0"
    uaddr = rpcbind.format_uaddr(Address(anywhere, port)).encode()
    return Rpcb(NLM_PROGRAM, version, name.encode(), uaddr, OWNER)


def _is_free(row: Rpcb, port: int) -> bool:
    """Whether nobody listens at a port of this host, process or kernel."""
    bind = bind_udp if row.netid.startswith(b"udp") else bind_tcp
    try:
        bind("::" if row.netid.endswith(b"6") else "0.0.0.0", port).close()
    except BindError:
        return False
    return True


def _taken(row: Rpcb, port: int) -> str:
    kind = socket.SOCK_STREAM if row.netid.startswith(b"tcp") else socket.SOCK_DGRAM
    family = socket.AF_INET6 if row.netid.endswith(b"6") else socket.AF_INET
    who = ", ".join(str(holder) for holder in holders(kind, family, port)) if port else ""
    at = f" ({row.netid.decode()} port {port}{', ' + who if who else ''})" if port else ""
    return f"a lock manager or another waiting command is registered on this host{at}"
