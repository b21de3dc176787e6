# SPDX-License-Identifier: GPL-3.0-or-later
"""Where requests come in: allowed or not, checked, done or handed on, answered, and written down.

Read Desk._asked. The requests themselves are rows of `verbs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydaemons.bnode.effects import Perform
from pydaemons.bnode.events import Asked, Caller, Performed
from pydaemons.bnode.model import LONGEST_TEXT, Code
from pydaemons.bnode.sitefiles import Cell
from pydaemons.bnode.supervisor import ADMINISTERED, Supervisor
from pydaemons.bnode.verb import LATER, Refusal, Restricted, Verb, Who
from pydaemons.bnode.verbs import NUMBERS, TABLE
from pydaemons.engine.effects import Level
from pydaemons.engine.protocol import Now


class Desk:
    """Takes requests for one supervisor."""

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        users: tuple[str, ...] = (),
        cell: Cell | None = None,
        keys: dict[int, bytes] | None = None,
        keys_changed: int = 0,
        no_auth: bool = False,
    ) -> None:
        self.supervisor = supervisor
        self.users = users
        self.cell = cell or Cell("")
        self.keys = keys or {}
        self.keys_changed = keys_changed
        """when KeyFile was, in seconds since 1970"""
        self.no_auth = no_auth
        self._pending: dict[object, tuple[Verb, Caller]] = {}

    def __call__(self, supervisor: Supervisor, event: object, now: Now) -> None:
        match event:
            case Asked():
                self._asked(event, now)
            case Performed():
                verb, caller = self._pending.pop(event.ticket)
                self._audit(verb, caller, event.code, {})
                supervisor.out.answer(event.ticket, event.code, event.result, event.reason)
            case _:
                raise TypeError(f"an event nobody knows: {event!r}")

    def may(self, caller: Caller) -> bool:
        """Is this an administrator?"""
        return caller.admin or self.no_auth or caller.name in self.users

    def _asked(self, asked: Asked, now: Now) -> None:
        supervisor = self.supervisor
        verb = TABLE.get(asked.verb)
        if verb is None:
            supervisor.out.answer(asked.ticket, Code.DOM, reason=f"no such request: {asked.verb}")
            return
        if verb.who is Who.ADMIN and not self.may(asked.caller):
            self._refuse(asked, verb, Refusal(Code.ACCESS))
            return
        if verb.restricted is Restricted.DENIED and supervisor.restricted:
            self._refuse(asked, verb, Refusal(Code.ACCESS, "the server is in restricted mode"))
            return
        wrong = _check(verb, asked.arguments)
        if wrong:
            self._refuse(asked, verb, Refusal(Code.SYNTAX, wrong))
            return
        if verb.body is None:
            if verb.name == "GetLog" and supervisor.restricted and "/" in asked.arguments["file"]:
                self._refuse(asked, verb, Refusal(Code.ACCESS, "the server is in restricted mode"))
                return
            self._pending[asked.ticket] = (verb, asked.caller)
            supervisor.out.put(Perform(asked.ticket, verb.name, asked.arguments))
            return
        result = verb.body(self, asked, now)
        if isinstance(result, Refusal):
            self._refuse(asked, verb, result)
            return
        self._audit(verb, asked.caller, Code.OK, asked.arguments)
        if result is not LATER:
            supervisor.out.answer(asked.ticket, Code.OK, result, keeps=verb.keeps)

    def _refuse(self, asked: Asked, verb: Verb, refusal: Refusal) -> None:
        self._audit(verb, asked.caller, refusal.code, asked.arguments)
        self.supervisor.out.answer(asked.ticket, refusal.code, reason=refusal.reason)

    def _audit(self, verb: Verb, caller: Caller, code: Code | int, arguments: Mapping[str, Any]) -> None:
        """One entry for each administrative action, and for each that was refused."""
        if verb.who is not Who.ADMIN:
            return
        fields = {"BOS_EVENT": verb.name, "BOS_USER": caller.name, "BOS_CODE": str(int(code))}
        shown = {key: value for key, value in arguments.items() if key not in _SECRET}
        if shown:
            fields["BOS_ARGUMENTS"] = ", ".join(f"{key}={value}" for key, value in shown.items())
        level = Level.NOTICE if code == Code.OK else Level.WARNING
        name = Code(code).text if code in Code._value2member_map_ else f"result {code}"
        message = f"{caller.name} is executing {verb.name}" + (f": {name}" if code != Code.OK else "")
        self.supervisor.out.log(level, message, message_id=ADMINISTERED, **fields)


_SECRET = frozenset({"key", "data"})


def _check(verb: Verb, arguments: Mapping[str, Any]) -> str | None:
    """Why the arguments do not fit, or None."""
    for name, kind in (*verb.parameters.items(), *verb.optional.items()):
        if name not in arguments:
            if name in verb.optional:
                continue
            return f"{verb.name} wants {name}"
        value = arguments[name]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            return f"{name} must be {kind.__name__}"
        texts = value if isinstance(value, list) else [value]
        for text in texts:
            if isinstance(value, list) and not isinstance(text, int if name in NUMBERS else str):
                return f"{name} must be a list of {'numbers' if name in NUMBERS else 'texts'}"
            if isinstance(text, str) and name not in _LONG and len(text.encode()) > LONGEST_TEXT:
                return f"{name} has {len(text.encode())} characters, at most {LONGEST_TEXT} are possible"
            if isinstance(text, str) and "\0" in text:
                return f"{name} has a zero byte"
    return None


_LONG = frozenset({"command", "commands", "data", "file", "directory"})
