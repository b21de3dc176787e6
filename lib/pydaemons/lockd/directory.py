# SPDX-License-Identifier: GPL-3.0-or-later
"""Has clients find our programs: in the host's rpcbind, or by serving port 111 ourselves. Read
Directory.open, then publish.

Which of the two is decided once, at start. Our own rpcbind serves the rows straight from memory; the host's
is kept told by the registrar, which also watches that our rows stay ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from pydaemons.engine.effects import Level
from pydaemons.engine.protocol import Address, Transport
from pydaemons.kit.sockets import BindError
from pydaemons.lockd.listeners import Listeners
from pydaemons.lockd.registrar import Mode, Registrar, Row
from pydaemons.lockd.rpcstream import RpcStream
from pydaemons.nlm.types import NLM_PROGRAM
from pydaemons.nlm.versions import VERSIONS
from pydaemons.nsm.types import NSM_PROGRAM, NSM_VERSION
from pydaemons.sunrpc.portmapper import Portmapper
from pydaemons.sunrpc.rpcbind import PORT, Rpcb, parse_uaddr
from pydaemons.wire.errors import WireError

Where = Iterable[tuple[Transport, Address]]


class Directory:
    """Where our programs are told of."""

    def __init__(self, *, mode: str, port: int = PORT, report: Callable[[Level, str], None]) -> None:
        self.mode = Mode.OFF
        self.portmapper = Portmapper("pylockd", port=port)
        self._registrar = Registrar(mode=mode, report=report, port=port)
        self._port = port
        self._report = report
        self._listeners: Listeners | None = None

    async def somebody_monitors(self) -> bool:
        """Whether a status monitor that is not ours is registered here and answers."""
        if self._registrar.mode == "embedded":
            return False
        for row in await self._registrar.find(NSM_PROGRAM):
            if await _answers(row):
                return True
        return False

    async def open(self, listeners: Listeners) -> None:
        """Decide, and have the sockets on port 111 if it is to be our own. Raises BindError when it must
        be."""
        self.mode = await self._registrar.decide()
        if self.mode is not Mode.EMBEDDED:
            return
        try:
            listeners.open(dict.fromkeys(Transport, self._port))
        except BindError as error:
            if self._registrar.mode != "auto":
                raise
            self._report(
                Level.WARNING, f"no rpcbind answers here, and serving its port ourselves fails: {error}"
            )
            self.mode = Mode.HOST
        else:
            self._listeners = listeners
            self.portmapper.serve(_netid(transport, address) for transport, address in listeners.addresses())

    async def publish(self, nlm: Where, nsm: Where) -> None:
        """Have the programs found at these addresses from now on."""
        rows = [*_rows(NLM_PROGRAM, VERSIONS, nlm), *_rows(NSM_PROGRAM, (NSM_VERSION,), nsm)]
        if self.mode is Mode.EMBEDDED:
            for program in (NLM_PROGRAM, NSM_PROGRAM):
                self.portmapper.unset(program)
            for row in rows:
                self.portmapper.set(*row)
        elif self.mode is Mode.HOST:
            await self._registrar.register(rows)

    async def close(self) -> None:
        """Have them found no more."""
        if self.mode is Mode.HOST:
            await self._registrar.unregister()

    def status(self) -> str:
        """For people: which rpcbind, and what is wrong with it."""
        match self.mode:
            case Mode.HOST:
                return self._registrar.problem or "registered with the host's rpcbind"
            case Mode.EMBEDDED:
                return f"serving port {self._port} itself"
            case Mode.OFF:
                return "not registered with any rpcbind"


def _rows(program: int, versions: Iterable[int], where: Where) -> Iterator[Row]:
    for transport, address in where:
        for version in versions:
            yield Row(program, version, _netid(transport, address), address.port)


def _netid(transport: Transport, address: Address) -> str:
    return transport.value + ("6" if ":" in address.host else "")


async def _answers(row: Rpcb) -> bool:
    """Whether the program of a row of rpcbind is alive: rows outlive programs that were killed. Only TCP rows
    are asked; every status monitor registers those."""
    try:
        address = parse_uaddr(row.uaddr.decode("ascii", "replace"))
    except WireError:
        return False
    if row.netid not in (b"tcp", b"tcp6"):
        return False
    host = "::1" if row.netid == b"tcp6" else "127.0.0.1"
    stream = await RpcStream.open(row.program, host=host, port=address.port)
    if stream is None:
        return False
    stream.close()
    return True
