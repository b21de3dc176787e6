# SPDX-License-Identifier: GPL-3.0-or-later
"""pybos: asks and tells a pybosd, as bos(8) does. Read main; bos_table has the operations.

    pybos [--socket PATH] [--json] OPERATION [OPERANDS] [-SWITCH [VALUES]] ...

The machine is this one unless -server names another. Called as `bos` (by a link of that name) the first
operand is the machine, as with the peer; called as pybos a first operand `localhost` is skipped, for
fingers that write it.
"""

from __future__ import annotations

import os
import sys

import pydaemons
from pydaemons.cli.bos_link import DEFAULT_SOCKET, Link, Refused, UnreachableError, relay
from pydaemons.cli.bos_session import Session
from pydaemons.cli.bos_syntax import UsageError, find_verb, parse
from pydaemons.cli.bos_table import VERBS
from pydaemons.kit.controlclient import CallError, NotRunningError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

NO_CONNECTION = 255
HERE = ("localhost", "127.0.0.1", "::1")

_ABOUT = {"apropos": "search by help text", "help": "get help on commands", "version": "show version"}
_DASHED = {
    **dict.fromkeys(("-help", "--help", "-h"), "help"),
    **dict.fromkeys(("-version", "--version", "-V"), "version"),
}

INTRODUCTION = """\
Usage: {program} [--socket PATH] [--json] OPERATION ...
Operations and switches may be cut as long as they are unique; '{program} help OPERATION' explains one.
"""


def run() -> NoReturn:
    """The whole program of bin/pybos."""
    try:
        status = main(sys.argv)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = 128 + 13  # as who is ended by SIGPIPE
    except KeyboardInterrupt:
        status = 128 + 2  # and by SIGINT
    sys.exit(status)


def main(argv: Sequence[str]) -> int:
    """The exit status."""
    program = os.path.basename(argv[0]) or "pybos"
    try:
        return _main(program, list(argv[1:]))
    except UsageError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return error.status
    except Refused as refused:
        print(f"{program}: {refused}", file=sys.stderr)
        return refused.status
    except UnreachableError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return NO_CONNECTION
    except NotRunningError as error:
        from pydaemons.cli.shared import unanswered  # noqa: PLC0415 -- for the one who has to read it

        print(f"{program}: {unanswered('pybosd', str(error))}", file=sys.stderr)
        return NO_CONNECTION
    except CallError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1


def _main(program: str, words: list[str]) -> int:
    path, json, words = _take_global(words)
    about = _about_pybos(words[0]) if words else "help"
    if about == "help":
        return _help(program, words[1:])
    if about == "version":
        print(f"{program} {pydaemons.__version__}")
        return 0
    if about == "apropos":
        return _apropos(words[1:])
    if words[0] == "relay":
        return relay(path)
    verb = find_verb(VERBS, words[0], program)
    operands = words[1:]
    host: str | None = None
    if program == "bos" and operands and not operands[0].startswith("-"):
        host, *operands = operands
    elif operands and operands[0] in HERE:
        operands = operands[1:]
    values = parse(verb, operands, program)
    if values["help"]:
        print(verb.usage(program), end="")
        return 0
    if values["server"] == "" or host == "":  # of a script whose variable is not set: not this machine
        raise UsageError("can't find address for host ''", 1)
    host = values["server"] or host
    link = Link(path, None if host in (None, *HERE) else host)
    return verb.run(
        Session(program, link, host or "localhost", json=json, out=sys.stdout, err=sys.stderr), values
    )


def _about_pybos(word: str) -> str | None:
    """The operation that asks no server, by unique prefix or in the form of other commands."""
    if word in _DASHED:
        return _DASHED[word]
    if any(verb.name.startswith(word) for verb in VERBS.values() if not verb.ours):
        return None
    found = [name for name in _ABOUT if name.startswith(word)]
    return found[0] if len(found) == 1 else None


def _take_global(words: list[str]) -> tuple[str, bool, list[str]]:
    """--socket and --json, wherever they stand."""
    path, json, rest = os.environ.get("PYBOS_SOCKET", DEFAULT_SOCKET), False, []
    given = iter(words)
    for word in given:
        if word == "--json":
            json = True
        elif word == "--socket":
            path = next(given, "")
        elif word.startswith("--socket="):
            path = word.removeprefix("--socket=")
        else:
            rest.append(word)
    if not path:
        raise UsageError("--socket needs a path", 8)
    return path, json, rest


def _help(program: str, topics: list[str]) -> int:
    if not topics:
        print(INTRODUCTION.format(program=program), end="")
        print(f"{program}: Commands are:")
        rows = {verb.name: verb.help for verb in VERBS.values()}
        rows |= _ABOUT
        for name in sorted(rows):
            print(f"{name:<15} {rows[name]}")
        return 0
    status = 0
    for topic in topics:
        about = _about_pybos(topic)
        if about is not None:
            print(f"{program} {about}: {_ABOUT[about]}")
            continue
        try:
            print(find_verb(VERBS, topic, program).usage(program), end="")
        except UsageError as error:
            several = str(error).startswith("Ambiguous")
            text = (
                f"Ambiguous topic '{topic}'; use 'apropos' to list" if several else f"Unknown topic '{topic}'"
            )
            print(f"{program}: {text}", file=sys.stderr)
            status = error.status
    return status


def _apropos(topics: list[str]) -> int:
    found = [v for v in VERBS.values() if any(topic in v.help or topic in v.name for topic in topics)]
    for verb in found:
        print(f"{verb.name}: {verb.help}")
    if not found:
        print("Sorry, no commands found")
    return 0
