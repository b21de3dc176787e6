# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bnode is: its goals, its processes, what is remembered of their exits. After OpenAFS's bosserver.

A bnode ("BOS node") is one supervised thing with a name: its kind (simple, cron, fs, dafs) says which
processes belong to it and when each should run. Every process is a systemd unit of its own. Read Bnode
and Process; `machine` moves a process, the kinds say what is wanted, `supervisor` brings them together.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TYPE_CHECKING

from pydaemons.bnode.errorstop import Window
from pydaemons.bnode.machine import State

if TYPE_CHECKING:  # kinds are written in terms of bnodes
    from pydaemons.bnode.kind import Kind

NO_NOTIFIER = "__NONOTIFIER__"
LONGEST_NAME = 63
MOST_WORDS = 127
LONGEST_WORD = 255
LONGEST_TEXT = 256
"""The peer's limit for any string of its protocol."""

_NAME = frozenset(string.ascii_letters + string.digits + "._-+@:,=~%#")
_PLAIN = frozenset(string.ascii_letters + string.digits + ":_.")


class Goal(IntEnum):
    """What somebody wants a bnode to do."""

    SHUTDOWN = 0
    NORMAL = 1


class Status(IntEnum):
    """What a bnode does; the first two are reached goals."""

    SHUTDOWN = 0
    NORMAL = 1
    SHUTTING_DOWN = 2
    STARTING_UP = 3


class Code(IntEnum):
    """The result of a request. The numbers are the peer's; a command exits with the low byte."""

    OK = 0
    FAILED = -1
    NOTACTIVE = 39424
    NOENT = 39425
    BUSY = 39426
    EXISTS = 39427
    NOCREATE = 39428
    DOM = 39429
    ACCESS = 39430
    SYNTAX = 39431
    IO = 39432
    NET = 39433
    BADTYPE = 39434

    @property
    def text(self) -> str:
        return _TEXTS[self]


_TEXTS = {
    Code.OK: "done",
    Code.FAILED: "goal changed meanwhile",
    Code.NOTACTIVE: "process not active",
    Code.NOENT: "no such entity",
    Code.BUSY: "can't do operation now",
    Code.EXISTS: "entity already exists",
    Code.NOCREATE: "failed to create entity",
    Code.DOM: "index out of range",
    Code.ACCESS: "you are not authorized for this operation",
    Code.SYNTAX: "syntax error in create parameter",
    Code.IO: "I/O error",
    Code.NET: "network problem",
    Code.BADTYPE: "unrecognized bnode type",
}


class Signal(IntEnum):
    """The signals that mean something here."""

    QUIT = 3
    KILL = 9
    TERM = 15


ASKED_FOR = frozenset(Signal)
"""Deaths by these are taken for somebody's wish and not remembered as errors."""


class Restart(Enum):
    """Which exits systemd answers by starting the process again (its Restart=)."""

    ALWAYS = "always"
    ON_SUCCESS = "on-success"
    NO = "no"


class Patience(Enum):
    """How long a process may take to stop: the name of the tunable that says so."""

    SHORT = "stop_timeout"
    LONG = "file_stop_timeout"


@dataclass(frozen=True, slots=True)
class Part:
    """One process of a kind."""

    name: str
    """empty for kinds with one process; also the peer's core name"""
    command: int
    """which of the bnode's commands it runs"""
    restart: Restart
    signal: int
    """what asks it to stop"""
    patience: Patience = Patience.SHORT


class Process:
    """One part of one bnode, and the unit that runs it."""

    __slots__ = ("begun", "last_exit", "last_signal", "part", "pid", "restarts", "state", "unit")

    def __init__(self, part: Part, unit: str) -> None:
        self.part = part
        self.unit = unit
        self.state = State.DOWN
        self.pid = 0
        """of the running process, or of the last one"""
        self.begun = 0
        """systemd's count of restarts of the unit at the last start we know of"""
        self.restarts = 0
        """what that count must be, from the exits we know of"""
        self.last_exit = 0
        self.last_signal = 0

    @property
    def live(self) -> bool:
        """It runs, or will run without anybody doing anything more."""
        return self.state in (State.STARTING, State.UP, State.RESPAWNING)


class Bnode:
    """One supervised thing. Times are whole seconds since 1970, 0 for never, as the peer shows them."""

    __slots__ = (
        "active",
        "barred",
        "commands",
        "doomed",
        "error_code",
        "error_signal",
        "error_stop",
        "file_goal",
        "flapping",
        "goal",
        "has_core",
        "holds",
        "kind",
        "last_any_exit",
        "last_error_exit",
        "last_error_name",
        "manual_starts",
        "name",
        "next_run",
        "notified",
        "notifier",
        "processes",
        "remembered",
        "retry_at",
        "salvage",
        "start_time",
        "starts",
        "window",
    )

    def __init__(
        self, name: str, kind: Kind, commands: tuple[str, ...], *, notifier: str | None, file_goal: Goal
    ) -> None:
        self.name = name
        self.kind = kind
        self.commands = commands
        self.notifier = notifier
        self.file_goal = file_goal
        """what BosConfig says"""
        self.goal = Goal.SHUTDOWN
        """what is wanted now"""
        self.active = True
        """it is in the list; one that is not stays in the file"""
        self.error_stop = False
        self.retry_at: float | None = None
        """under backoff: when it is tried again, in wall-clock seconds"""
        self.window = Window()
        self.barred = False
        """the file that keeps systemd from restarting its processes exists"""
        self.flapping = False
        self.has_core = False
        self.start_time = 0
        self.starts = 0
        self.manual_starts = 0
        self.last_any_exit = 0
        self.last_error_exit = 0
        self.last_error_name: str | None = None
        self.error_code = 0
        self.error_signal = 0
        self.holds = 0
        """whoever still works with it; deleting waits for them"""
        self.doomed = False
        """deleted as soon as the last hold is gone"""
        self.next_run: float | None = None
        """cron: the next start"""
        self.salvage = False
        """fs: the salvager must run before the file part"""
        self.notified = 0.0
        """when its notifier was last run for something else than an exit"""
        self.remembered = False
        """its history is on disk"""
        self.processes = tuple(Process(part, unit_name(name, part.name)) for part in kind.parts)

    def process(self, part: str) -> Process:
        for process in self.processes:
            if process.part.name == part:
                return process
        raise KeyError(part)

    @property
    def idle(self) -> bool:
        """None of its units is there."""
        return all(process.state is State.DOWN for process in self.processes)


def escape(text: str) -> str:
    """As systemd-escape: what is no letter, digit, `:`, `_` or `.` becomes `\\xNN`, `/` becomes `-`."""
    out = []
    for index, byte in enumerate(text.encode()):
        letter = chr(byte)
        if letter == "/":
            out.append("-")
        elif letter in _PLAIN and not (letter == "." and index == 0):
            out.append(letter)
        else:
            out.append(f"\\x{byte:02x}")
    return "".join(out)


def unit_name(instance: str, part: str = "") -> str:
    """The unit of a process. Escaping keeps instance `a` part `vol` apart from instance `a-vol`."""
    return f"bos-{escape(instance)}-{part}.service" if part else f"bos-{escape(instance)}.service"


def label(bnode: Bnode, process: Process) -> str:
    """As the log names a process: `x`, `fs:vol`."""
    return f"{bnode.name}:{process.part.name}" if process.part.name else bnode.name


def core_name(instance: str, part: str) -> str:
    """As the peer names a core file: `corex`, `corevol.fs`."""
    return f"core{part}.{instance}" if part else f"core{instance}"


def bad_name(name: str) -> str | None:
    """Why a bnode must not have this name, or None. The peer takes blanks and lengths it then dies of."""
    if not name:
        return "an instance needs a name"
    if len(name) > LONGEST_NAME:
        return f"the name has {len(name)} characters, at most {LONGEST_NAME} are possible"
    for letter in name:
        if letter not in _NAME:
            return f"the name has a {letter!r}, want letters, digits and . _ - + @ : , = ~ % #"
    if name in (".", ".."):
        return f"{name!r} is a folder, not a name"
    return None


def split_words(line: str) -> list[str]:
    """The words of a command line, split at blank, tab and newline. No quoting, as in the peer.

    Raises ValueError with the reason where the peer overflows (256 characters) or cuts off (127 words).
    """
    words = [word for word in line.replace("\t", " ").replace("\n", " ").split(" ") if word]
    return checked_words(words)


def checked_words(words: list[str]) -> list[str]:
    """The same words, or ValueError."""
    if not words:
        raise ValueError("an empty command")
    if len(words) > MOST_WORDS:
        raise ValueError(f"the command has {len(words)} words, at most {MOST_WORDS} are possible")
    for word in words:
        size = len(word.encode())
        if size > LONGEST_WORD:
            raise ValueError(
                f"a word of the command has {size} characters, at most {LONGEST_WORD} are possible"
            )
        if "\0" in word:
            raise ValueError("the command has a zero byte")
    return words


def split_quoted(line: str) -> Iterator[str]:
    """The words of a command line with '...', "..." and backslash as in a shell, and nothing else of it."""
    word: list[str] | None = None
    quote = ""
    letters = iter(line)
    for letter in letters:
        if quote == "'":
            if letter == "'":
                quote = ""
            else:
                assert word is not None
                word.append(letter)
        elif letter == "\\":
            word = word or []
            word.append(next(letters, "\\"))
        elif letter == quote:
            quote = ""
        elif not quote and letter in "'\"":
            quote, word = letter, word or []
        elif not quote and letter in " \t\n":
            if word is not None:
                yield "".join(word)
            word = None
        else:
            word = word or []
            word.append(letter)
    if quote:
        raise ValueError(f"the command has a {quote} that is not closed")
    if word is not None:
        yield "".join(word)
