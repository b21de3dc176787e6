# SPDX-License-Identifier: GPL-3.0-or-later
"""`nlm_debug`: what goes on, line by line, for who looks for a fault. Read WHAT, then Trace.set.

The bits are those of the kernel's lockd, and say about the same here. What is not wanted costs nothing: calls
are watched by putting a watcher in the place of each procedure's body, as long as any is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pydaemons.engine.effects import Effect, Persist, Send
from pydaemons.engine.protocol import Now, Origin
from pydaemons.nlm.hosts import Host
from pydaemons.nlm.procs import BY_NAME, MSG, RES
from pydaemons.nlm.ranges import to_range
from pydaemons.nlm.types import NLM_PROGRAM, ProbeResult, Result, ShareResult, Status
from pydaemons.nlm.views import ACCESS, text
from pydaemons.sunrpc.message import AcceptStat, accepted
from pydaemons.sunrpc.program import Body, Call, Program

SVC, CLIENT, CLNTLOCK, SVCLOCK, MONITOR, CLNTSUBS, SVCSUBS, HOSTCACHE, XDR = (1 << n for n in range(9))
WHAT = {
    SVC: "calls of clients, and what they are answered",
    CLIENT: "our own calls of status monitors, and of whoever asked to be told of clients",
    CLNTLOCK: "our calls of clients' lock managers: GRANTED, and the results of calls by message",
    SVCLOCK: "locks, shares and ranges, and what was decided",
    MONITOR: "what the status monitor notes and forgets",
    CLNTSUBS: "questions to clients' rpcbinds",
    SVCSUBS: "which file a handle was taken for, where that is not the handle",
    HOSTCACHE: "clients that come to be known, and are forgotten",
    XDR: "calls that cannot be understood, in hexadecimal",
}
GARBAGE = accepted(AcceptStat.GARBAGE_ARGS)
RPCBIND = 100000
SHOWN = 256
"""Bytes of a call that are shown."""
_NAMES = {
    row.number + twin: row.name + suffix
    for row in BY_NAME.values()
    for twin, suffix in ((0, ""), (MSG, "_MSG"), (RES, "_RES"))
    if row.twins or not twin
}


class Trace:
    """Watches one lock manager. `say(text)` takes a line, `key(handle, call)` tells what the lock table knows
    a file by, `hosts` are the clients known."""

    def __init__(
        self,
        program: Program,
        *,
        say: Callable[[str], None],
        key: Callable[[bytes, Call], bytes],
        hosts: Iterable[Host],
    ) -> None:
        self.flags = 0
        self._program = program
        self._say = say
        self._key = key
        self._hosts = hosts
        self._known: set[str] = set()
        self._bodies: list[tuple[Any, Body]] = []

    def set(self, flags: int) -> None:
        """Watch that from now on."""
        for procedure, body in self._bodies:
            procedure.body = body
        self._bodies = []
        self.flags = flags
        if flags & (SVC | SVCLOCK | SVCSUBS):
            for procedures in self._program.versions.values():
                for procedure in procedures.values():
                    self._bodies.append((procedure, procedure.body))
                    procedure.body = self._watched(procedure.name, procedure.body)
        self._known = {host.address for host in self._hosts}

    def received(self, data: bytes, origin: Origin, reply: bytes | None) -> None:
        """A packet came, and this is its answer."""
        if self.flags & XDR and reply is not None and reply[4:] == GARBAGE:
            self._say(f"xdr: from {_peer(origin)}, not understood: {data[:SHOWN].hex()}")
        self.looked()

    def looked(self) -> None:
        """Something happened that clients may have come or gone by."""
        if self.flags & HOSTCACHE:
            known = {host.address for host in self._hosts}
            for address in sorted(known - self._known):
                self._say(f"hostcache: {address} is known")
            for address in sorted(self._known - known):
                self._say(f"hostcache: {address} is forgotten")
            self._known = known

    def carried(self, effects: Iterable[Effect]) -> None:
        """This is to be done."""
        for effect in effects:
            if isinstance(effect, Send):
                self._sent(effect)
            elif isinstance(effect, Persist) and self.flags & MONITOR:
                self._say(f"monitor: {effect.name} {'removed' if effect.data is None else 'written'}")

    def _sent(self, send: Send) -> None:
        program, version, procedure = (int.from_bytes(send.data[at : at + 4], "big") for at in (12, 16, 20))
        where = f"{send.to.host} port {send.to.port} over {send.transport.value}"
        if program == RPCBIND:
            if self.flags & CLNTSUBS:
                self._say(f"clntsubs: asks the rpcbind of {where}, version {version}")
        elif program == NLM_PROGRAM:
            if self.flags & CLNTLOCK:
                name = _NAMES.get(procedure, str(procedure))
                self._say(f"clntlock: {name} to {where}, from {send.source or 'any address'}")
        elif self.flags & CLIENT:
            self._say(f"client: procedure {procedure} of program {program} to {where}")

    def _watched(self, name: str, body: Body) -> Body:
        def watched(args: Any, call: Call, now: Now) -> Any:
            result = body(args, call, now)
            if self.flags & SVC:
                who = f"{_peer(call.origin)} over {call.origin.transport.value}"
                self._say(f"svc: {name}, version {call.version}, of {who}: {_outcome(result)}")
            if self.flags & SVCLOCK and hasattr(args, "fh"):
                self._say(f"svclock: {name} by {_wanted(args, call)}: {_outcome(result)}")
            if self.flags & SVCSUBS and hasattr(args, "fh"):
                file = self._key(args.fh, call)
                if file != args.fh:
                    self._say(f"svcsubs: handle {args.fh.hex()} is file {file.hex()}")
            return result

        return watched


def _peer(origin: Origin) -> str:
    return f"{origin.peer.host} port {origin.peer.port}"


def _outcome(result: object) -> str:
    match result:
        case ProbeResult(status=status, holder=holder) if holder is not None:
            kind = "WRITE" if holder.exclusive else "READ"
            where = _span(holder.offset, holder.length)
            return f"{Status(status).name}, {holder.svid} ({text(holder.oh)}) holds {kind} {where}"
        case Result(status=status) | ProbeResult(status=status) | ShareResult(status=status):
            return Status(status).name
        case _:
            return "done"


def _wanted(args: Any, call: Call) -> str:
    """Who wants what of which file, as far as the call says."""
    host, file = call.origin.peer.host, args.fh.hex()
    if hasattr(args, "access"):
        kinds = [ACCESS[kind] if kind < len(ACCESS) else str(kind) for kind in (args.access, args.mode)]
        return f"{host} ({text(args.oh)}), {kinds[0]}, denying {kinds[1]}, of {file}"
    kind = {True: " WRITE", False: " READ", None: ""}[getattr(args, "exclusive", None)]
    more = "".join(f", {word}" for word in ("block", "reclaim") if getattr(args, word, False))
    span = _span(args.offset, args.length)
    return f"{host}:{args.svid} ({text(args.oh)}),{kind} {span} of {file}{more}"


def _span(offset: int, length: int) -> str:
    span = to_range(offset, length)
    if span is None:
        return f"{offset}+{length}"
    return f"{span[0]}-{span[1] - 1 if length else 'EOF'}"
