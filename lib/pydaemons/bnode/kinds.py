# SPDX-License-Identifier: GPL-3.0-or-later
"""The bnode types there are, and whether something can become one. A new type is a module with its rules
and a line here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydaemons.bnode.bosconfig import BosConfig
from pydaemons.bnode.cron import Cron
from pydaemons.bnode.dafs import Dafs
from pydaemons.bnode.fs import Fs
from pydaemons.bnode.kind import Kind
from pydaemons.bnode.model import Code, checked_words, split_quoted, split_words
from pydaemons.bnode.simple import Simple

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (Simple(), Cron(), Fs(), Dafs())}


def words_of(command: str, *, quoting: bool) -> list[str]:
    """The words of a command line, or ValueError with the reason."""
    return checked_words(list(split_quoted(command))) if quoting else split_words(command)


def refuse(kind: str, commands: Sequence[str], *, quoting: bool) -> tuple[Code, str] | None:
    """Why there can be no such bnode, or None."""
    if kind not in KINDS:
        return Code.BADTYPE, f"{kind!r} is no bnode type, want one of {', '.join(KINDS)}"
    reason = KINDS[kind].refuse(commands)
    if reason:
        return Code.NOCREATE, reason
    for command in KINDS[kind].programs(commands):
        try:
            words_of(command, quoting=quoting)
        except ValueError as error:
            return Code.NOCREATE, str(error)
    for command in commands:
        if "\n" in command or "\r" in command:
            return Code.NOCREATE, "a command with a line end cannot be written to BosConfig"
    return None


def find_problems(config: BosConfig, file: str, *, quoting: bool) -> list[str]:
    """What keeps the bnodes of a file from being made, `FILE:LINE: ...` each."""
    problems = []
    for entry in config.entries:
        refused = refuse(entry.kind, entry.commands, quoting=quoting)
        if refused:
            problems.append(f"{file}:{entry.line}: bnode {entry.name}: {refused[1]}")
    return problems
