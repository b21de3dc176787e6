# SPDX-License-Identifier: GPL-3.0-or-later
"""RPC programs as tables of procedures, and the service that answers calls from them. Read Service.receive
first: it is the packet path.

What a call says about itself (program, version, procedure, credential) is the same for thousands of calls of
one client. It is taken apart, checked and admitted once, kept as a `Call`, and found again by its bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydaemons.engine.protocol import Now, Origin, Transport
from pydaemons.sunrpc.auth import Credential, authenticate
from pydaemons.sunrpc.dupcache import ReplyCache
from pydaemons.sunrpc.message import (
    RPC_MISMATCH,
    RPC_VERSION,
    SUCCESS,
    AcceptStat,
    AuthStat,
    accepted,
    denied,
    prog_mismatch,
    unpack_call,
)
from pydaemons.wire.errors import WireError
from pydaemons.wire.record import Codec

KNOWN_ORIGINS = 4096
KNOWN_CALLS_PER_ORIGIN = 256
KNOWN_CALLS = 16384
"""Bounds of what is remembered about callers, a kilobyte a call; beyond them it is forgotten and learned
again."""
LONGEST_KEPT = 4096
"""Bytes of a call whose reply is kept: more than any has whose arguments are its own. What stands behind them
is ignored, as other servers do, but is nothing to keep."""

Body = Callable[[Any, "Call", Now], Any]
"""`body(arguments, call, now)`: the result record, or None when this procedure is not answered."""


class ResultCodec(Protocol):
    """What a row needs of the codec of its result; record.Codec is one."""

    @property
    def pack(self) -> Callable[[Any], bytes]:
        """The wire form of a result."""


class Procedure:
    """One row: a number, a name, what travels, and the rule. `once` marks those that must not be executed
    again when the client repeats the call; `same_again` those of them that, repeated in order, change nothing
    and answer the same, so that only datagrams that come late need to be known by a process that takes
    over."""

    __slots__ = (
        "args",
        "body",
        "calls",
        "name",
        "number",
        "once",
        "pack",
        "result",
        "same_again",
        "unpack",
    )

    def __init__(
        self,
        number: int,
        name: str,
        args: Codec[Any],
        result: ResultCodec,
        body: Body,
        *,
        once: bool = False,
        same_again: bool = False,
    ) -> None:
        self.number = number
        self.name = name
        self.args = args
        self.result = result
        self.body = body
        self.once = once
        self.same_again = same_again
        self.unpack = args.unpack
        self.pack = result.pack
        self.calls = 0


@dataclass(frozen=True, slots=True)
class Program:
    """A program number and, for each version it speaks, the procedures by number."""

    number: int
    name: str
    versions: Mapping[int, Mapping[int, Procedure]]
    admit: Admission | None = None
    """Who may call it, if it judges its callers itself."""


class Call:
    """All that is known of a caller and what it calls, except xid and arguments. One object serves many
    calls."""

    __slots__ = (
        "args_at",
        "credential",
        "failure",
        "origin",
        "procedure",
        "program",
        "version",
        "why",
    )

    def __init__(
        self,
        origin: Origin,
        *,
        args_at: int,
        failure: bytes | None = None,
        why: str = "",
        credential: Credential | None = None,
        program: Program | None = None,
        version: int = 0,
        procedure: Procedure | None = None,
    ) -> None:
        self.origin = origin
        self.args_at = args_at
        self.failure = failure
        """What such a call is answered without looking at its arguments (everything behind the xid), or
        None."""
        self.why = why
        self.credential = credential
        self.program = program
        self.version = version
        self.procedure = procedure

    @classmethod
    def unavailable(cls, origin: Origin, args_at: int, stat: AcceptStat) -> Call:
        """A call of something that is not here."""
        return cls(origin, args_at=args_at, failure=accepted(stat), why=stat.name)


class Undecided(Exception):  # noqa: N818  not an error: the answer comes later
    """Raised by an admission that cannot say yet: the call is dropped as if lost, the client repeats it."""


class Admission(Protocol):
    """Decides whether a caller may call; asked once per caller and procedure, until
    `Service.forget_callers`."""

    def __call__(self, call: Call, now: Now) -> AuthStat | None:
        """None lets it in; otherwise the reason it is told."""


class Service:
    """Answers the calls of some programs; `replies` gets messages that are replies to calls of our own."""

    def __init__(
        self,
        programs: list[Program],
        *,
        admit: Admission,
        cache: ReplyCache,
        replies: Callable[[bytes, Origin, Now], None] = lambda data, origin, now: None,
    ) -> None:
        self.programs = {program.number: program for program in programs}
        self.cache = cache
        self.counts: Counter[str] = Counter()
        """How calls ended that no procedure saw, by name of the answer; `DROPPED` were not answered at
        all."""
        self._admit = admit
        self.generation = 0
        """Another number whenever callers are to be judged anew: for who remembers any besides."""
        self._replies = replies
        self._known: dict[Origin, dict[bytes, Call]] = {}
        self._learned = 0
        """How many calls are in it."""

    def receive(self, data: bytes, origin: Origin, now: Now) -> bytes | None:
        """Answer one RPC message."""
        calls = self._known.get(origin)
        # the header ends behind the verifier, which is empty for all flavours spoken here
        call = None if calls is None else calls.get(data[4 : 40 + int.from_bytes(data[28:32], "big")])
        if call is None:
            call = self._introduce(data, origin, now)
            if call is None:
                return None
        if call.failure is not None:
            self.counts[call.why] += 1
            return data[:4] + call.failure
        procedure: Any = call.procedure
        procedure.calls += 1
        once = procedure.once
        if once:
            kept = self.cache.find(data, origin.peer, now.mono)
            if kept is not None:
                return kept
        try:
            args = procedure.unpack(data, call.args_at)
        except WireError:
            self.counts[AcceptStat.GARBAGE_ARGS.name] += 1
            return data[:4] + accepted(AcceptStat.GARBAGE_ARGS)
        result = procedure.body(args, call, now)
        if result is None:
            return None
        reply: bytes = data[:4] + SUCCESS + procedure.pack(result)
        if once and len(data) <= LONGEST_KEPT:
            outlive = not procedure.same_again or origin.transport is Transport.UDP
            self.cache.keep(data, origin.peer, reply, now.mono, outlive=outlive)
        return reply

    def serve(self, program: Program) -> None:
        """Answer calls of another program, too."""
        self.programs[program.number] = program
        self.forget_callers()

    def forget_callers(self) -> None:
        """Admit everybody anew from the next call on: the rules of admission changed."""
        self.generation += 1
        self._known.clear()
        self._learned = 0

    def known(self, data: bytes, origin: Origin) -> Call | None:
        """What is known of a call's caller since `receive` answered it or one like it."""
        calls = self._known.get(origin)
        return None if calls is None else calls.get(data[4 : 40 + int.from_bytes(data[28:32], "big")])

    def _introduce(self, data: bytes, origin: Origin, now: Now) -> Call | None:
        """A caller or a call not met before: take the header apart and judge it."""
        if data[4:8] == b"\0\0\0\1":
            self._replies(data, origin, now)
            return None
        if data[4:8] != b"\0\0\0\0":
            self.counts["DROPPED"] += 1
            return None
        try:
            call = self._judge(data, origin, now)
        except WireError:
            self.counts["DROPPED"] += 1
            return None
        except Undecided:
            self.counts["UNDECIDED"] += 1
            return None
        calls = self._known.get(origin)
        if self._learned >= KNOWN_CALLS or (calls is None and len(self._known) >= KNOWN_ORIGINS):
            self._known.clear()
            self._learned, calls = 0, None
        if calls is None or len(calls) >= KNOWN_CALLS_PER_ORIGIN:
            self._learned -= len(calls or ())
            calls = self._known[origin] = {}
        calls[data[4 : call.args_at]] = call
        self._learned += 1
        return call

    def _judge(self, data: bytes, origin: Origin, now: Now) -> Call:
        header = unpack_call(data)
        at = header.args_at
        if header.rpc_version != RPC_VERSION:
            return Call(origin, args_at=at, failure=RPC_MISMATCH, why="RPC_MISMATCH")
        # the order of RFC 5531 section 9: who calls is settled before what is called
        credential = authenticate(header)
        if isinstance(credential, AuthStat):
            return Call(origin, args_at=at, failure=denied(credential), why=credential.name)
        program = self.programs.get(header.program)
        if program is None:
            return Call.unavailable(origin, at, AcceptStat.PROG_UNAVAIL)
        procedures = program.versions.get(header.version)
        if procedures is None:
            failure = prog_mismatch(min(program.versions), max(program.versions))
            return Call(origin, args_at=at, failure=failure, why=AcceptStat.PROG_MISMATCH.name)
        procedure = procedures.get(header.procedure)
        if procedure is None:
            return Call.unavailable(origin, at, AcceptStat.PROC_UNAVAIL)
        call = Call(
            origin,
            args_at=at,
            credential=credential,
            program=program,
            version=header.version,
            procedure=procedure,
        )
        refusal = (program.admit or self._admit)(call, now)
        if refusal is not None:
            call.failure, call.why = denied(refusal), "REFUSED"
        return call
