# SPDX-License-Identifier: GPL-3.0-or-later
"""The command language of AFS commands: `verb operands -switch values`, everything by unique prefix.

Operands fill the parameters in their order, before the first switch and behind flags; a parameter that takes
several takes all that are left. Exit codes for wrong usage are the peer's: 5 no such operation, 6 no such
switch, 8 something missing, 7 too much.
"""

from __future__ import annotations

from enum import Enum

TYPE_CHECKING = False
if TYPE_CHECKING:  # plain classes below for the same reason: dataclasses alone would double the start
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

UNKNOWN_OPERATION, UNKNOWN_SWITCH, TOO_MANY, MISSING = 5, 6, 7, 8
WIDTH = 80


class UsageError(Exception):
    """The line cannot be understood; `status` is what to exit with."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Takes(Enum):
    """What a parameter is followed by."""

    ONE = "one"
    SOME = "some"
    FLAG = "flag"


class Parameter:
    """One switch of a verb."""

    __slots__ = ("help", "name", "required", "takes")

    def __init__(self, name: str, takes: Takes, help: str, required: bool = False) -> None:
        self.name = name
        self.takes = takes
        self.help = help
        self.required = required

    def usage(self) -> str:
        if self.takes is Takes.FLAG:
            return f"[-{self.name}]"
        text = f"-{self.name} <{self.help}>" + ("+" if self.takes is Takes.SOME else "")
        return text if self.required else f"[{text}]"


class Verb:
    """One operation."""

    __slots__ = ("alias", "help", "name", "ours", "parameters", "run")

    def __init__(
        self,
        name: str,
        help: str,
        parameters: tuple[Parameter, ...],
        run: Callable[..., int],
        alias: str = "",
        *,
        ours: bool = False,
    ) -> None:
        self.name = name
        self.help = help
        self.parameters = parameters
        self.run = run
        self.alias = alias
        self.ours = ours
        """the peer has no such operation"""

    def usage(self, program: str) -> str:
        """As `bos help VERB` prints it."""
        parts = [parameter.usage() for parameter in (*self.parameters, *COMMON)]
        lines = [f"Usage: {program} {self.name}"]
        for part in parts:
            if len(lines[-1]) + 1 + len(part) >= WIDTH:
                lines.append(f"         {part}")
            else:
                lines[-1] += f" {part}"
        flags = [p for p in (*self.parameters, *COMMON) if p.takes is Takes.FLAG and p.help]
        width = max((len(flag.name) for flag in flags), default=0)
        for index, flag in enumerate(flags):
            lead = "Where: " if index == 0 else "       "
            lines.append(f"{lead}-{flag.name.ljust(width)}  {flag.help}")
        alias = f"aliases: {self.alias} \n" if self.alias else ""
        return f"{program} {self.name}: {self.help} \n{alias}" + "\n".join(lines) + "\n"


def one(name: str, help: str, *, required: bool = False) -> Parameter:
    return Parameter(name, Takes.ONE, help, required)


def some(name: str, help: str, *, required: bool = False) -> Parameter:
    return Parameter(name, Takes.SOME, help, required)


def flag(name: str, help: str = "") -> Parameter:
    return Parameter(name, Takes.FLAG, help)


COMMON = (
    one("server", "machine name"),
    one("cell", "cell name"),
    flag("noauth", "accepted: the socket tells the server who asks"),
    flag("localauth", "accepted likewise"),
    flag("help"),
)


def find_verb(verbs: Mapping[str, Verb], word: str, program: str = "bos") -> Verb:
    """By name, alias or unique prefix. What is unique to the peer's operations stays so: `bos stat` is what
    everybody types."""
    for verb in verbs.values():
        if word in (verb.name, verb.alias):
            return verb
    matching = [verb for verb in verbs.values() if verb.name.startswith(word)]
    found = [verb for verb in matching if not verb.ours] or matching
    if len(found) > 1:
        raise UsageError(f"Ambiguous operation '{word}'; type '{program} help' for list", UNKNOWN_OPERATION)
    if not found:
        raise UsageError(
            f"Unrecognized operation '{word}'; type '{program} help' for list", UNKNOWN_OPERATION
        )
    return found[0]


def parse(verb: Verb, words: Sequence[str], program: str = "bos") -> dict[str, Any]:
    """The values by parameter: a text, a list, or whether a flag was given; absent: None, [] or False."""
    parameters = (*verb.parameters, *COMMON)
    values: dict[str, Any] = {}
    operands, rest = _until_switch(words)
    _place(verb, operands, values)
    while rest:
        parameter = _find_switch(verb, parameters, rest[0], program)
        given, rest = _until_switch(rest[1:])
        if parameter.takes is Takes.FLAG:
            values[parameter.name] = True
            _place(verb, given, values)
        elif parameter.name in values:
            raise UsageError(f"-{parameter.name} was given already", TOO_MANY)
        else:
            values[parameter.name] = _value(parameter, given)
    for parameter in parameters:
        if parameter.required and parameter.name not in values and not values.get("help"):
            raise UsageError(f"Missing required parameter '-{parameter.name}'", MISSING)
        empty: Any = {Takes.ONE: None, Takes.SOME: [], Takes.FLAG: False}[parameter.takes]
        values.setdefault(parameter.name, empty)
    return values


def _place(verb: Verb, operands: Sequence[str], values: dict[str, Any]) -> None:
    """Operands go where there is room, in the order of the parameters; behind a flag as well."""
    for operand in operands:
        for parameter in verb.parameters:
            if parameter.takes is Takes.SOME:
                values.setdefault(parameter.name, []).append(operand)
                break
            if parameter.takes is Takes.ONE and parameter.name not in values:
                values[parameter.name] = operand
                break
        else:
            raise UsageError(f"Too many arguments: '{operand}'", TOO_MANY)


def _value(parameter: Parameter, given: list[str]) -> Any:
    if not given:
        raise UsageError(f" The field '-{parameter.name}' isn't completed properly", MISSING)
    if parameter.takes is Takes.SOME:
        return given
    if len(given) > 1:
        raise UsageError(f"Too many arguments: '{given[1]}'", TOO_MANY)
    return given[0]


def _until_switch(words: Sequence[str]) -> tuple[list[str], list[str]]:
    for index, word in enumerate(words):
        if word.startswith("-") and len(word) > 1:
            return list(words[:index]), list(words[index:])
    return list(words), []


def _find_switch(verb: Verb, parameters: Iterable[Parameter], word: str, program: str) -> Parameter:
    name = word.lstrip("-")
    found = [parameter for parameter in parameters if parameter.name == name]
    found = found or [parameter for parameter in parameters if parameter.name.startswith(name)]
    if len(found) != 1:
        raise UsageError(
            f"Unrecognized or ambiguous switch '{word}'; type '{program} help {verb.name}' for detailed help",
            UNKNOWN_SWITCH,
        )
    return found[0]
