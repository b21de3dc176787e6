# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor with a door to the network: bos(8) calls it over Rx. Read Door.answer, then _call.

An engine around an engine: all that is no packet goes to the supervisor, packets go to the endpoint, and the
supervisor's answers to calls come back to them. Nobody on this network proves who he is, so everybody is the
same caller, who may look; whether he may do more is for the configuration (and the file NoAuth) to say.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

from pydaemons.bnode import bozo_types as types
from pydaemons.bnode.bozo import ROWS, Row
from pydaemons.bnode.bozo_types import text
from pydaemons.bnode.effects import Answer
from pydaemons.bnode.events import Asked, Caller, Forgotten
from pydaemons.bnode.model import LONGEST_TEXT, Code
from pydaemons.bnode.supervisor import Supervisor
from pydaemons.engine.effects import Effect
from pydaemons.engine.entropy import Entropy
from pydaemons.engine.protocol import Now, Origin
from pydaemons.rx.call import WAIT, Body, Call, Outcome, Read
from pydaemons.rx.crowd import Limits
from pydaemons.rx.endpoint import Endpoint
from pydaemons.rx.packet import Failure
from pydaemons.rx.security import NONE, Null

SERVICE = 1
INSTALL, GET_LOG = 105, 112
PIECE = 128 << 10
"""Bytes of a file handed over at a time."""
FIRST_PIECE = 2 << 10
"""Of a log. Whoever asked has proved nothing yet; what is read for him waits in memory."""
LARGEST_FILE = 1 << 30
NEVER_IN_TIME = -1
"""The code of a request whose end means nothing to bos: as "communications failure" it would mislead."""

_ARGS_AT = 4
_PATH_AT = 8

Step = Generator[Any, Any, Answer]


class Door:
    """An engine (engine.protocol): a supervisor, and an endpoint whose service it is."""

    streaming = frozenset({INSTALL})

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        entropy: Entropy,
        no_auth: bool,
        notifier_exists: Callable[[str], bool],
        version: str,
        limits: Limits | None = None,
    ) -> None:
        self.supervisor = supervisor
        self.endpoint = Endpoint(
            {SERVICE: self}, securities={NONE: Null}, entropy=entropy, limits=limits, version=version.encode()
        )
        self.endpoint.when_ended(self._ended)
        self._no_auth = no_auth
        self._notifier_exists = notifier_exists
        self._asked: set[Call] = set()
        """calls that the supervisor owes an answer"""
        self._now = Now(0.0, 0.0)

    # -- the seam

    def receive(self, data: bytes, origin: Origin, now: Now) -> bytes | None:
        self._now = now
        return self.endpoint.receive(data, origin, now)

    def tick(self, now: Now) -> None:
        self._now = now
        self.supervisor.tick(now)
        self.endpoint.tick(now)

    def deadline(self) -> float | None:
        ours, theirs = self.endpoint.deadline(), self.supervisor.deadline()
        return theirs if ours is None or (theirs is not None and theirs < ours) else ours

    def handle(self, event: object, now: Now) -> None:
        self._now = now
        if isinstance(event, Answer):
            self._answered(event)
        else:
            self.supervisor.handle(event, now)

    def drain(self) -> Iterator[Effect]:
        """The supervisor's effects, but for answers to calls; what these lead to comes in the same batch. An
        answer that promises what is on disk goes through the shell, which knows, and comes back as an
        event."""
        if self.supervisor.out:
            yield from self._supervised()
        yield from self.endpoint.drain()

    def _supervised(self) -> Iterator[Effect]:
        while self.supervisor.out:
            for effect in self.supervisor.drain():
                if isinstance(effect, Answer) and not effect.keeps and self.owes(effect.ticket):
                    self._answered(effect)
                else:
                    yield effect

    def owes(self, ticket: object) -> bool:
        """Whether an answer is for one of our calls."""
        return ticket in self._asked

    def _answered(self, answer: Answer) -> None:
        call = answer.ticket
        if isinstance(call, Call) and call in self._asked:
            self._asked.discard(call)
            self.endpoint.resume(call, answer, self._now)

    # -- the service (rx.calls)

    def quick(self, request: bytes) -> bytes | int | None:
        """Questions, answered from what the supervisor knows."""
        row = ROWS.get(int.from_bytes(request[:_ARGS_AT], "big"))
        if row is None or row.look is None:
            return None
        result = row.look(self.supervisor, row.args.unpack(request, _ARGS_AT))
        return int(result) if isinstance(result, int) else row.result.pack(result)

    def answer(self, request: bytes, call: Call, now: Now) -> Outcome | Body:
        """A complete request."""
        row = ROWS.get(int.from_bytes(request[:_ARGS_AT], "big"))
        if row is None:
            return Failure.OPCODE
        args = row.args.unpack(request, _ARGS_AT)
        if row.look is not None:
            return _packed(row, row.look(self.supervisor, args))
        if row.number == GET_LOG:
            return self._get_log(args, call)
        return self._call(row, args, call)

    def stream(self, procedure: int, call: Call, now: Now) -> Body:
        """A file is coming."""
        return self._install(call)

    def _call(self, row: Row, args: Any, call: Call) -> Body:
        """A row that is a request."""
        given = row.ask(args)
        if isinstance(given, int):
            return int(given)
        answer = yield from self._ask(call, row.verb, given)
        if answer.code:
            return _code(row, answer)
        return _packed(row, row.give(args, answer.result))

    def _install(self, call: Call) -> Body:
        """The path, its size, mode and time, then its bytes, which are written as they come."""
        head = yield Read(_PATH_AT)
        length = int.from_bytes(head[4:], "big")
        if length > LONGEST_TEXT:
            return Failure.SERVER_UNMARSHAL
        head += yield Read((length + 3 & ~3) + 12)
        file = types.NEW_FILE.unpack(head, _ARGS_AT)
        given = {"file": text(file.path), "mode": file.mode, "mtime": file.mtime, "size": file.size}
        if file.size > LARGEST_FILE:
            return int(Code.IO)
        offset = 0
        while True:
            data = (yield Read(min(PIECE, file.size - offset))) if file.size else b""
            piece = given | {"data": base64.b64encode(data).decode(), "offset": offset}
            answer = yield from self._ask(call, "Install", piece)
            if answer.code:
                return _code(ROWS[INSTALL], answer)
            offset += len(data)
            if offset >= file.size:
                return None

    def _get_log(self, args: types.Name, call: Call) -> Body:
        """The file's bytes and a zero."""
        offset = 0
        while True:
            given = {"file": text(args.name), "offset": offset} | ({} if offset else {"size": FIRST_PIECE})
            answer = yield from self._ask(call, "GetLog", given)
            if answer.code:
                return _code(ROWS[GET_LOG], answer)
            data = base64.b64decode(answer.result["data"])
            offset += len(data)
            if data:
                yield data
            if answer.result["end"]:
                return b"\0"

    def _ask(self, call: Call, verb: str, given: Mapping[str, Any]) -> Step:
        """A request to the supervisor, and its answer when it comes."""
        name = f"unauthenticated {call.connection.origin.peer.host}"
        notifier = given.get("notifier")
        found = notifier is None or self._notifier_exists(notifier)
        self._asked.add(call)
        caller = Caller(name, self._no_auth)
        self.supervisor.handle(Asked(call, verb, given, caller, found), self._now)
        answer: Answer = yield WAIT
        return answer

    def _ended(self, call: Call, now: Now) -> None:
        """A client is gone that waited for an answer."""
        if call in self._asked:
            self._asked.discard(call)
            self.supervisor.handle(Forgotten(call), now)


def _packed(row: Row, result: Any) -> bytes | int:
    return int(result) if isinstance(result, int) else row.result.pack(result)


def _code(row: Row, answer: Answer) -> int:
    code = int(answer.code)
    return row.codes.get(code, int(Code.BUSY) if code == NEVER_IN_TIME else code)
