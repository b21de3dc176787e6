# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command's language as its own parser declares it: options, verbs, what is to follow. Read commands().

Completions are made from it (completion.py), and test_commands compares the commands with each other.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from pydaemons.bosd.daemon import PybosdDaemon
from pydaemons.cli import bos_syntax, lockctl, nmbctl, nmblookup, setup, sysctl_options
from pydaemons.cli.bos_table import VERBS
from pydaemons.kit.main import parse_arguments
from pydaemons.lockd.daemon import PylockdDaemon
from pydaemons.nmbd.daemon import PynmbdDaemon


@dataclass(frozen=True, slots=True)
class Value:
    """What follows an option, or stands for itself."""

    name: str
    """its metavar, in capitals"""
    choices: tuple[str, ...] = ()
    optional: bool = False
    many: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    flags: tuple[str, ...]
    """as they are typed: -n, --names, or -instance for pybos"""
    help: str
    value: Value | None = None


@dataclass(frozen=True, slots=True)
class Command:
    name: str
    help: str
    options: tuple[Option, ...] = ()
    operands: tuple[Value, ...] = ()
    verbs: tuple[Command, ...] = field(default=())


def commands() -> list[Command]:
    """Every program of bin/."""
    found = [from_argparse(capture(parse_arguments, daemon, [])) for daemon in _daemons()]
    found += [from_argparse(capture(module.main, [])) for module in (lockctl, nmbctl, nmblookup, setup)]
    return sorted([*found, pysysctl(), pybos()], key=lambda command: command.name)


def _daemons() -> tuple[Any, ...]:
    return PylockdDaemon(), PynmbdDaemon(), PybosdDaemon()


class _CapturedError(Exception):
    """Carries the parser out of the function that makes it."""


def capture(function: Callable[..., object], *arguments: object) -> argparse.ArgumentParser:
    """The parser that `function` asks first."""

    def stop(parser: argparse.ArgumentParser, *_: object) -> None:
        raise _CapturedError(parser)

    with mock.patch.object(argparse.ArgumentParser, "parse_known_args", stop):
        try:
            function(*arguments)
        except _CapturedError as captured:
            (parser,) = captured.args
            assert isinstance(parser, argparse.ArgumentParser)
            return parser
    raise AssertionError(f"{function} parses no arguments")


def from_argparse(parser: argparse.ArgumentParser, name: str = "", help: str = "") -> Command:
    options, operands, verbs = [], [], []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            texts = {choice.dest: choice.help or "" for choice in action._choices_actions}
            verbs += [from_argparse(sub, word, texts.get(word, "")) for word, sub in action.choices.items()]
        elif action.help is argparse.SUPPRESS:
            continue
        elif action.option_strings:
            options.append(Option(tuple(action.option_strings), _text(action), _value(action)))
        else:
            operands.append(_value(action) or Value(action.dest))
    return Command(name or parser.prog, help, tuple(options), tuple(operands), tuple(verbs))


def _text(action: argparse.Action) -> str:
    if isinstance(action, argparse._HelpAction):
        return "show help"
    if isinstance(action, argparse._VersionAction):
        return "show the version"
    return (action.help or "") % vars(action) if "%(" in (action.help or "") else action.help or ""


def _value(action: argparse.Action) -> Value | None:
    if action.nargs == 0:
        return None
    name = action.metavar if isinstance(action.metavar, str) else action.dest
    choices = tuple(map(str, action.choices)) if action.choices is not None else ()
    return Value(name.upper(), choices, action.nargs in ("?", "*"), action.nargs in ("+", "*"))


def pysysctl() -> Command:
    """pysysctl parses by hand; its help text is the declaration."""
    return Command("pysysctl", "", tuple(_sysctl_options()), (Value("KEY", many=True),))


def _sysctl_options() -> Iterator[Option]:
    line = re.compile(r"^ {2}(?:(-\w),)? +(--[a-z-]+)(\[?)[= ]?([A-Z]*)\]? +(\S.*)$", re.MULTILINE)
    for short, long, bracket, name, text in line.findall(sysctl_options.USAGE):
        yield Option(
            tuple(filter(None, (short, long))), text, Value(name, optional=bool(bracket)) if name else None
        )


def pybos() -> Command:
    """The language of bos(8): verbs, and switches of one dash."""
    verbs = tuple(
        Command(
            verb.name, verb.help, tuple(map(_switch, (*verb.parameters, *bos_syntax.COMMON))), _operands(verb)
        )
        for verb in VERBS.values()
    )
    options = (
        Option(("--socket",), "control socket", Value("PATH")),
        Option(("--json",), "print JSON"),
        Option(("-h", "--help"), "show help"),
        Option(("-V", "--version"), "show the version"),
    )
    more = (
        Command("apropos", "search by help text", (), (Value("WORD"),)),
        Command("help", "get help on commands", (), (Value("VERB", tuple(VERBS)),)),
        Command("version", "show version"),
    )
    return Command("pybos", "", options, (), verbs + more)


def _switch(parameter: bos_syntax.Parameter) -> Option:
    text = parameter.help or ("show help" if parameter.name == "help" else "")
    if parameter.takes is bos_syntax.Takes.FLAG:
        return Option((f"-{parameter.name}",), text)
    value = Value(parameter.name.upper(), many=parameter.takes is bos_syntax.Takes.SOME)
    return Option((f"-{parameter.name}",), text, value)


def _operands(verb: bos_syntax.Verb) -> tuple[Value, ...]:
    return tuple(
        Value(parameter.name.upper(), many=parameter.takes is bos_syntax.Takes.SOME)
        for parameter in verb.parameters
        if parameter.takes is not bos_syntax.Takes.FLAG
    )
