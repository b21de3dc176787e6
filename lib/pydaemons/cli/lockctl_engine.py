# SPDX-License-Identifier: GPL-3.0-or-later
"""The client half of NLM as one engine: calls to a lock manager, and its callbacks. Read LockClient.granted.

What a client is strict about follows Linux 6.1: a GRANTED is for a waiting lock when file handle, svid, range
and the address it comes from are those of the lock, byte for byte; cookie and owner handle are not compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydaemons.engine.effects import Effect, SendFailed
from pydaemons.engine.entropy import Entropy
from pydaemons.engine.protocol import Now, Origin, Transport
from pydaemons.nlm import procs
from pydaemons.nlm.grants import way_back
from pydaemons.nlm.types import ProbeArgs, Result, Status
from pydaemons.sunrpc.client import Outcome, RpcClient, Target
from pydaemons.sunrpc.dupcache import ReplyCache
from pydaemons.sunrpc.message import AuthStat
from pydaemons.sunrpc.portmapper import Portmapper
from pydaemons.sunrpc.program import Call, Service
from pydaemons.wire.xdr import NOTHING, Void

ACKNOWLEDGING = (0.5, 0.5)
"""Seconds after each sending of a GRANTED_RES; some servers answer it, some do not."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """The lock whose GRANTED is awaited."""

    fh: bytes
    svid: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Heard:
    """A GRANTED or GRANTED_MSG came. `wrong` says why it was refused, empty when it was not."""

    procedure: str
    transport: Transport
    host: str
    wrong: str = ""


class LockClient:
    """The engine. `heard(callback)` is told of every GRANTED, after its answer is decided."""

    def __init__(
        self,
        entropy: Entropy,
        *,
        hostname: bytes,
        rpcbind_port: int,
        heard: Callable[[Heard], None] = lambda callback: None,
    ) -> None:
        self.rpc = RpcClient(entropy, machine_name=hostname, rpcbind_port=rpcbind_port)
        self.portmapper = Portmapper(port=rpcbind_port)
        self.heard = heard
        self.awaited: Awaited | None = None
        """Kept while the lock is held: a GRANTED that is repeated is acknowledged again."""
        self.server: Target | None = None
        """The lock manager called."""
        self.acknowledging = 0
        """GRANTED_RES calls under way."""
        nlm = procs.program(self, self._answer, procs.CLIENT_ROWS)
        self._service = Service([nlm], admit=self._admit, cache=ReplyCache(16), replies=self._reply)
        self.receive = self._service.receive

    receive: Callable[[bytes, Origin, Now], bytes | None]

    def serve_portmapper(self) -> None:
        """Answer as this host's rpcbind, too."""
        program = self.portmapper.program()
        self._service.programs[program.number] = program
        self._service.forget_callers()

    # -- the engine's seam

    def tick(self, now: Now) -> None:
        """Retransmissions."""
        self.rpc.tick(now)

    def deadline(self) -> float | None:
        """When `tick` is wanted."""
        return self.rpc.deadline()

    def handle(self, event: object, now: Now) -> None:
        """A sending failed; nothing else happens to a client."""
        if isinstance(event, SendFailed):
            self.rpc.send_failed(event, now)

    def drain(self) -> Iterator[Effect]:
        """What is to be sent."""
        return self.rpc.drain()

    # -- callbacks (procs.Callbacks)

    def null(self, args: Void, call: Call, now: Now) -> Void:
        """NULL: servers may look whether we are there."""
        return NOTHING

    def granted(self, args: ProbeArgs, call: Call, now: Now) -> Result:
        """GRANTED, GRANTED_MSG: is it the lock we wait for?"""
        wrong = self._wrong(args, call.origin.peer.host)
        name = call.procedure.name if call.procedure is not None else "GRANTED"
        self.heard(Heard(name, call.origin.transport, call.origin.peer.host, wrong))
        return Result(args.cookie, Status.DENIED if wrong else Status.GRANTED)

    def granted_result(self, args: Result, call: Call, now: Now) -> Void:
        """GRANTED_RES: we grant nothing to anybody."""
        return NOTHING

    def _wrong(self, args: ProbeArgs, host: str) -> str:
        awaited, server = self.awaited, self.server
        if awaited is None or server is None:
            return "nothing is waited for"
        if host != server.host:
            return f"it comes from {host}, the lock was asked of {server.host}"
        for what, got, want in (
            ("file handle", args.fh.hex(), awaited.fh.hex()),
            ("svid", args.svid, awaited.svid),
            ("offset", args.offset, awaited.offset),
            ("length", args.length, awaited.length),
        ):
            if got != want:
                return f"its {what} is {got}, not {want}"
        return ""

    def _answer(self, call: Call, procedure: int, result: bytes, now: Now) -> None:
        """GRANTED_RES, to where the lock was asked for: by the same connection over TCP, by the port that was
        called over UDP."""
        target = way_back(call)
        server = self.server
        if server is not None and server.host == target.host:
            target = target._replace(port=server.port)
            if target.transport is Transport.TCP:
                target = target._replace(source=server.source, privileged=server.privileged)
        self.acknowledging += 1
        self.rpc.call(target, procedure, result, schedule=ACKNOWLEDGING, now=now, done=self._acknowledged)

    def _acknowledged(self, outcome: Outcome, now: Now) -> None:
        self.acknowledging -= 1

    def _reply(self, data: bytes, origin: Origin, now: Now) -> None:
        self.rpc.receive_reply(data, origin, now)

    def _admit(self, call: Call, now: Now) -> AuthStat | None:
        """Callbacks are judged by what they say; lists of the portmapper are for this host only."""
        program = call.program
        return None if program is None or program.name == "nlm" else self.portmapper.admit(call, now)
