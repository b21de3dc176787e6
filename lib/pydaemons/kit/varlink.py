# SPDX-License-Identifier: GPL-3.0-or-later
"""What a control socket offers, declared once: methods with the types of what goes in and out (varlink.org).

A Method's declaration gives the check of every call's parameters, the interface description that `varlinkctl
introspect` shows, and the dispatch. Read Interface. The socket is kit.control's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

SERVICE = "org.varlink.service"

Value = Mapping[str, Any]

_TOKEN = re.compile(r"\s*(\[\]|\[string\]|[?(),:]|[A-Za-z][A-Za-z0-9_]*)")
_METHOD = re.compile(r"[A-Z][A-Za-z0-9]*")
_PLAIN: Mapping[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (float, int),
    "string": (str,),
    "object": (dict, list, str, int, float, bool),
}


class ControlError(Exception):
    """The answer is an error: its qualified name and its parameters."""

    def __init__(self, name: str, **parameters: object) -> None:
        super().__init__(f"{name} {parameters}" if parameters else name)
        self.name = name
        self.parameters = parameters


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is at the other end of a control socket, by SO_PEERCRED: what it was when it connected."""

    pid: int
    uid: int
    gid: int
    own_uid: int
    """Whom the daemon runs as."""

    @property
    def trusted(self) -> bool:
        """Root, or the daemon's own user."""
        return self.uid in (0, self.own_uid)

    def require_trust(self) -> None:
        """Raise the error for those who are not."""
        if not self.trusted:
            raise ControlError(f"{SERVICE}.PermissionDenied")


@dataclass(frozen=True, slots=True)
class Method:
    """One method. `call(parameters, caller)` returns the answer's parameters, or an awaitable of them, or,
    for a caller that asked for `more`, an asynchronous iterator of them; it may raise ControlError."""

    name: str
    call: Callable[[Value, Caller], Any]
    takes: str = "()"
    """Parameters in varlink's notation: `(client: ?string, all: bool)`; `?` may be left out by the caller."""
    gives: str = "()"
    doc: str = ""
    trusted: bool = False
    """Only for root and the daemon's own user."""
    streams: bool = False
    """Answers again and again: only for callers that ask for `more`."""


class Interface:
    """A named set of methods."""

    def __init__(self, name: str, methods: list[Method], doc: str = "") -> None:
        self.name = name
        self.doc = doc
        self.methods = {method.name: method for method in methods}
        self._takes = {method.name: parse_struct(method.takes) for method in methods}
        for method in methods:
            if not _METHOD.fullmatch(method.name):
                raise ValueError(f"not a method's name in varlink: {method.name}")
            parse_struct(method.gives)

    def describe(self) -> str:
        """The interface description, in varlink's own language."""
        lines = [*_comment(self.doc), f"interface {self.name}"]
        for method in self.methods.values():
            lines += ["", *_comment(method.doc), f"method {method.name}{method.takes} -> {method.gives}"]
        return "\n".join(lines) + "\n"

    def check(self, method: str, parameters: Value) -> None:
        """Raise InvalidParameter unless `parameters` are what `method` takes."""
        takes = self._takes[method]
        wrong = next((name for name in parameters if name not in takes), None)
        if wrong is None:
            wrong = next((name for name, kind in takes.items() if not fits(kind, parameters.get(name))), None)
        if wrong is not None:
            raise ControlError(f"{SERVICE}.InvalidParameter", parameter=wrong)


def service(vendor: str, product: str, version: str, interfaces: list[Interface]) -> Interface:
    """org.varlink.service, which every varlink service has: who it is and what it offers."""

    def get_info(parameters: Value, caller: Caller) -> Value:
        names = sorted([SERVICE, *(interface.name for interface in interfaces)])
        return {"vendor": vendor, "product": product, "version": version, "url": "", "interfaces": names}

    def get_description(parameters: Value, caller: Caller) -> Value:
        name = parameters["interface"]
        for interface in (own, *interfaces):
            if interface.name == name:
                return {"description": interface.describe()}
        raise ControlError(f"{SERVICE}.InterfaceNotFound", interface=name)

    info = "(vendor: string, product: string, version: string, url: string, interfaces: []string)"
    own = Interface(
        SERVICE,
        [
            Method("GetInfo", get_info, gives=info, doc="What this is."),
            Method(
                "GetInterfaceDescription",
                get_description,
                takes="(interface: string)",
                gives="(description: string)",
                doc="The description of an interface.",
            ),
        ],
        doc="Offered by every varlink service.",
    )
    return own


def parse_struct(text: str) -> dict[str, Any]:
    """`(name: type, ...)` as names with their parsed types (see `fits`); ValueError when it is not that."""
    tokens = _tokens(text)
    kind = _parse_type(next(tokens), tokens)
    if not isinstance(kind, dict) or next(tokens) != "":
        raise ValueError(f"not a struct in varlink's notation: {text}")
    return kind


def fits(kind: Any, value: object) -> bool:
    """Whether a decoded JSON value is of a parsed type: a dict is a struct, a tuple a constructed type, a
    string a plain one."""
    match kind:
        case ("?", inner):
            return value is None or fits(inner, value)
        case ("[]", inner):
            return isinstance(value, list) and all(fits(inner, each) for each in value)
        case ("[string]", inner):
            return isinstance(value, dict) and all(fits(inner, each) for each in value.values())
        case dict():
            return (
                isinstance(value, dict)
                and value.keys() <= kind.keys()
                and all(fits(inner, value.get(name)) for name, inner in kind.items())
            )
        case _:
            if isinstance(value, bool) and kind != "object":
                return bool(kind == "bool")
            return isinstance(value, _PLAIN[kind])


def _tokens(text: str) -> Iterator[str]:
    offset = 0
    text = text.rstrip()
    while offset < len(text):
        match = _TOKEN.match(text, offset)
        if match is None:
            raise ValueError(f"not varlink's notation: {text[offset:]}")
        yield match[1]
        offset = match.end()
    while True:
        yield ""


def _parse_type(token: str, tokens: Iterator[str]) -> Any:
    if token in ("?", "[]", "[string]"):
        return token, _parse_type(next(tokens), tokens)
    if token in _PLAIN:
        return token
    if token != "(":
        raise ValueError(f"not a type of varlink: {token or 'end'}")
    fields: dict[str, Any] = {}
    token = next(tokens)
    while token != ")":
        if next(tokens) != ":" or token in fields:
            raise ValueError(f"not a field of a struct: {token or 'end'}")
        fields[token] = _parse_type(next(tokens), tokens)
        token = next(tokens)
        if token == ",":
            token = next(tokens)
        elif token != ")":
            raise ValueError(f"comma or ) expected, not {token or 'end'}")
    return fields


def _comment(doc: str) -> list[str]:
    return [f"# {line}".rstrip() for line in doc.splitlines()]
