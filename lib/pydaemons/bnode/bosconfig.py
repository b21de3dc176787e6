# SPDX-License-Identifier: GPL-3.0-or-later
"""The file BosConfig, in the peer's format to the byte, so that either side reads the other's.

    restrictmode 0
    restarttime MASK DAY HOUR MINUTE SECOND
    checkbintime MASK DAY HOUR MINUTE SECOND
    bnode TYPE NAME GOAL [NOTIFIER]
    parm COMMAND, blanks kept
    end

There are no comments and no escapes. All that is wrong is reported, not only the first; a file with an
error is not used at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pydaemons.bnode import ktime
from pydaemons.bnode.ktime import KTime
from pydaemons.bnode.model import Goal, bad_name

GENERAL_DEFAULT = ktime.NEVER
BINARIES_DEFAULT = KTime(3, 0, 5, 0, 0)
"""5:00 am"""


class BosConfigError(Exception):
    """Each argument is one problem, `FILE:LINE: what is wrong, what would be right`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One bnode of the file."""

    kind: str
    name: str
    goal: Goal
    commands: tuple[str, ...]
    notifier: str | None = None
    line: int = field(default=0, compare=False)
    """where it begins"""


@dataclass(frozen=True, slots=True)
class BosConfig:
    """The whole file."""

    restricted: bool = False
    general: KTime = GENERAL_DEFAULT
    """when everything is restarted"""
    binaries: KTime = BINARIES_DEFAULT
    """when processes older than their binary are restarted"""
    entries: tuple[Entry, ...] = field(default_factory=tuple)


def format(config: BosConfig) -> str:
    """The file's text."""
    return format_head(config) + "".join(format_entry(entry) for entry in config.entries)


def format_head(config: BosConfig) -> str:
    """The lines before the bnodes."""
    return (
        f"restrictmode {int(config.restricted)}\n"
        f"restarttime {_numbers(config.general)}\n"
        f"checkbintime {_numbers(config.binaries)}\n"
    )


def format_entry(entry: Entry) -> str:
    """The lines of one bnode."""
    notifier = f" {entry.notifier}" if entry.notifier else ""
    commands = "".join(f"parm {command}\n" for command in entry.commands)
    return f"bnode {entry.kind} {entry.name} {int(entry.goal)}{notifier}\n{commands}end\n"


def _numbers(time: KTime) -> str:
    return f"{time.mask} {time.day} {time.hour} {time.minute} {time.second}"


class _Draft:
    """A bnode being read."""

    def __init__(self, line: int, kind: str, name: str, goal: Goal, notifier: str | None) -> None:
        self.line = line
        self.kind = kind
        self.name = name
        self.goal = goal
        self.notifier = notifier
        self.commands: list[str] = []


def parse(text: str, file: str) -> BosConfig:
    """Read a file's text; `file` is its name for messages. Raises BosConfigError.

    Kinds and commands are judged by whoever creates the bnodes.
    """
    problems: list[str] = []
    restricted, general, binaries = False, GENERAL_DEFAULT, BINARIES_DEFAULT
    entries: list[Entry] = []
    names: dict[str, str] = {}
    draft: _Draft | None = None
    for number, line in enumerate(text.split("\n"), 1):
        where = f"{file}:{number}"
        key, _, rest = line.partition(" ")
        try:
            match key:
                case "" if not rest.strip():
                    continue
                case "parm" if draft is not None:
                    draft.commands.append(rest)
                case "end" if draft is not None:
                    entries.append(
                        Entry(
                            draft.kind,
                            draft.name,
                            draft.goal,
                            tuple(draft.commands),
                            draft.notifier,
                            draft.line,
                        )
                    )
                    draft = None
                case "parm" | "end":
                    raise ValueError(f"{key} outside of a bnode")
                case _ if draft is not None:
                    raise ValueError(f"{key!r} inside of bnode {draft.name}, want parm or end")
                case "restrictmode":
                    if rest not in ("0", "1"):
                        raise ValueError(f"restrictmode {rest!r}, want 0 or 1")
                    restricted = rest == "1"
                case "restarttime":
                    general = _parse_time(rest)
                case "checkbintime":
                    binaries = _parse_time(rest)
                case "bnode":
                    draft = _parse_bnode(number, rest)
                    reason = bad_name(draft.name)
                    if reason:
                        raise ValueError(reason)
                    if draft.name in names:
                        raise ValueError(f"bnode {draft.name} stands already in {names[draft.name]}")
                    names[draft.name] = where
                case _:
                    raise ValueError(
                        f"{key!r} is not known, want restrictmode, restarttime, checkbintime or bnode"
                    )
        except ValueError as error:
            problems.append(f"{where}: {error}")
            if key == "bnode" and draft is None:  # or every line up to its end would be a problem too
                draft = _Draft(number, "", "?", Goal.NORMAL, None)
    if draft is not None:
        problems.append(f"{file}:{draft.line}: bnode {draft.name} has no end")
    if problems:
        raise BosConfigError(*problems)
    return BosConfig(restricted, general, binaries, tuple(entries))


def _parse_time(rest: str) -> KTime:
    words = rest.split()
    if len(words) != 5 or not all(word.isascii() and word.isdigit() for word in words):
        raise ValueError(f"{rest!r}, want five numbers: MASK DAY HOUR MINUTE SECOND")
    return KTime(*(int(word) for word in words))


def _parse_bnode(line: int, rest: str) -> _Draft:
    words = rest.split(" ")
    if not 3 <= len(words) <= 4 or words[2] not in ("0", "1"):
        raise ValueError(f"bnode {rest!r}, want bnode TYPE NAME 0|1 [NOTIFIER]")
    return _Draft(line, words[0], words[1], Goal(int(words[2])), words[3] if len(words) == 4 else None)
