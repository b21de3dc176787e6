# SPDX-License-Identifier: GPL-3.0-or-later
"""A supervisor behind its Rx door in virtual time: an independent client calls, files are a dict."""

from __future__ import annotations

import base64
import random
import struct

from fakes.network import Origins
from fakes.systemd_units import World
from hosts import rx
from pydaemons.bnode.effects import Answer
from pydaemons.bnode.events import Performed
from pydaemons.bnode.model import Code
from pydaemons.bnode.rxdoor import Door
from pydaemons.engine.effects import Reply

PIECE = 100_000


class RxWorld(World):
    """`call(84, u32(0))` is the answer's bytes; Aborted when it is a code. Nothing gets lost here."""

    def __init__(self, *, no_auth: bool = True, **options: object) -> None:
        self.no_auth = no_auth
        self.contents: dict[str, bytes] = {}
        self.asked_for: list[int] = []
        """bytes of each piece of a log"""
        self.exits = 0
        self.said: list[bytes] = []
        self.full: set[str] = set()
        """files that cannot be written"""
        self.held = False
        """what is to be performed is left to the test"""
        self._origins = Origins(port=7007)
        self._number = 0
        super().__init__(**options)  # type: ignore[arg-type]

    def _boot(self, connect: bool) -> None:
        super()._boot(False)
        self.door = Door(
            self.supervisor,
            entropy=random.Random(1),
            no_auth=self.no_auth,
            notifier_exists=lambda path: path == "/bin/notify",
            version="test",
        )
        if connect:
            self.connect()

    def _obey(self) -> None:
        real, self.supervisor = self.supervisor, self.door  # type: ignore[assignment]
        try:
            super()._obey()
        finally:
            self.supervisor = real
        for ticket in [ticket for ticket in self.answers if self.door.owes(ticket)]:
            answer = self.answers.pop(ticket)  # the shell looks whether it is on disk
            if any(name in self.full for name in answer.keeps):
                answer = Answer(ticket, Code.IO, {}, "No space left on device")
            self.door.handle(answer, self.now)
            self._obey()
        self.said += [effect.data for effect in self.other if isinstance(effect, Reply)]
        self.other = [effect for effect in self.other if not isinstance(effect, Reply)]
        while self.performed and not self.held:
            effect = self.performed.pop(0)
            self.feed(Performed(effect.ticket, *self._perform(effect.verb, effect.arguments)))

    def _perform(self, verb, given):  # type: ignore[no-untyped-def]
        name, offset = given.get("file"), given.get("offset", 0)
        if verb == "Exec":
            return Code.OK, {"status": self.exits}
        if verb == "Prune":
            self.contents = {"pruned": repr(sorted(k for k, v in given.items() if v)).encode()}
            return Code.OK, {}
        if verb == "Install":
            before = self.contents.get(name, b"") if offset else b""
            assert len(before) == offset
            self.contents[name] = before + base64.b64decode(given["data"])
            return Code.OK, {}
        if name not in self.contents:
            return Code.NOENT, {}, "not there"
        if verb == "GetDate":
            return Code.OK, {"new": 5, "bak": 0, "old": 7}
        if verb == "GetLog":
            size = given.get("size", PIECE)
            self.asked_for.append(size)
            data = self.contents[name][offset : offset + size]
            return Code.OK, {"data": base64.b64encode(data).decode(), "end": len(data) < size}
        del self.contents[name]
        return Code.OK, {}

    def give(self, data: bytes) -> None:
        """One packet, of somebody who says nothing more."""
        self.door.receive(data, self._origins("10.0.0.8"), self.now)
        self._obey()

    def begin(self, procedure: int, arguments: bytes = b"") -> rx.ClientCall:
        """A call, sent and not waited for."""
        self._number += 1
        call = rx.ClientCall(
            rx.u32(procedure) + arguments, epoch=0x80000001, cid=4 * self._number, patience=1.0
        )
        self.exchange(call)
        return call

    def exchange(self, call: rx.ClientCall) -> None:
        """Everything the two have to say to each other now, or soon."""
        quiet = 0
        for _ in range(100_000):
            call.tick(self.mono)
            out, call.out = call.out, []
            for data in out:
                first = self.door.receive(data, self._origins("10.0.0.9"), self.now)
                self.said += [first] if first is not None else []
                self._obey()
            said, self.said = self.said, []
            for data in said:
                call.receive(data, self.mono)
            if out or said or call.out:
                quiet = 0
                continue
            quiet += 1
            if call.done or quiet == 3:
                return
            self.mono += 0.1  # an acknowledgement may have been put off
            self.door.tick(self.now)
            self._obey()
        raise AssertionError("they never stop")

    def call(self, procedure: int, arguments: bytes = b"") -> bytes:
        call = self.begin(procedure, arguments)
        assert call.done, f"procedure {procedure} is not answered"
        if call.code is not None:
            raise rx.Aborted(call.code)
        return call.answer

    def code(self, procedure: int, arguments: bytes = b"") -> int:
        """The code a call ends with, 0 when it is answered."""
        try:
            self.call(procedure, arguments)
        except rx.Aborted as aborted:
            return aborted.code
        return 0

    def numbers(self, procedure: int, arguments: bytes = b"") -> tuple[int, ...]:
        answer = self.call(procedure, arguments)
        return struct.unpack(f"!{len(answer) // 4}i", answer)

    def name(self, procedure: int, arguments: bytes = b"") -> str:
        answer = self.call(procedure, arguments)
        value, end = rx.read_text(answer)
        assert end == len(answer)
        return value
