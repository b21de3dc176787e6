# SPDX-License-Identifier: GPL-3.0-or-later
"""What pybos can ask of pybosd: one method per request of bnode.verbs, nothing more.

Any user may connect; who may do what is judged by the engine from the caller's user. A refused request is
the error org.pydaemons.bosd.Refused with the peer's code, its text, and a reason in `message`.
"""

from __future__ import annotations

import asyncio
import pwd
from collections.abc import Callable, Mapping
from typing import Any

from pydaemons.bnode.effects import Answer
from pydaemons.bnode.events import Asked, Forgotten
from pydaemons.bnode.events import Caller as BosCaller
from pydaemons.bnode.model import Code
from pydaemons.bnode.verb import Verb
from pydaemons.bnode.verbs import NUMBERS, TABLE
from pydaemons.kit.varlink import Caller, ControlError, Interface, Method, Value

NAME = "org.pydaemons.bosd"
REFUSED = f"{NAME}.Refused"
LOCAL_AUTH = "<LocalAuth>"
"""What the peer calls somebody who proves to be the machine's own administrator."""

_TYPES: Mapping[type, str] = {str: "string", int: "int", bool: "bool", list: "[]string"}


class Desk:
    """Requests under way: each a future that the engine's Answer ends."""

    def __init__(self, post: Callable[[object], None], notifier_exists: Callable[[str], bool]) -> None:
        self._post = post
        self._notifier_exists = notifier_exists
        self._waiting: dict[object, asyncio.Future[Answer]] = {}

    def interface(self) -> Interface:
        """The methods."""
        methods = [
            Method(
                verb.name,
                self._caller_of(verb.name),
                takes=_takes(verb),
                gives="(result: object)",
                doc=verb.doc,
            )
            for verb in TABLE.values()
        ]
        return Interface(NAME, methods, doc="The supervisor's requests, as bos(8) has them.")

    def answer(self, answer: Answer) -> None:
        """The engine has answered."""
        future = self._waiting.pop(answer.ticket, None)
        if future is not None and not future.done():
            future.set_result(answer)

    def _caller_of(self, verb: str) -> Callable[[Value, Caller], Any]:
        async def call(parameters: Value, caller: Caller) -> Value:
            ticket = object()
            future = self._waiting[ticket] = asyncio.get_running_loop().create_future()
            given = {name: value for name, value in parameters.items() if value is not None}
            notifier = given.get("notifier")
            found = not isinstance(notifier, str) or self._notifier_exists(notifier)
            self._post(Asked(ticket, verb, given, _who(caller), found))
            try:
                answer = await future
            except asyncio.CancelledError:
                self._waiting.pop(ticket, None)
                self._post(Forgotten(ticket))
                raise
            if answer.code:
                code = answer.code
                text = code.text if isinstance(code, Code) else f"result {code}"
                raise ControlError(REFUSED, code=int(code), text=text, message=answer.reason)
            return {"result": dict(answer.result)}

        return call


def _who(caller: Caller) -> BosCaller:
    if caller.trusted:
        return BosCaller(LOCAL_AUTH, True)
    try:
        return BosCaller(pwd.getpwuid(caller.uid).pw_name, False)
    except KeyError:
        return BosCaller(f"uid {caller.uid}", False)


def _takes(verb: Verb) -> str:
    """The parameters in varlink's notation."""
    required = [f"{name}: {_type(name, kind)}" for name, kind in verb.parameters.items()]
    optional = [f"{name}: ?{_type(name, kind)}" for name, kind in verb.optional.items()]
    return f"({', '.join([*required, *optional])})"


def _type(name: str, kind: type) -> str:
    return "[]int" if name in NUMBERS else _TYPES[kind]
