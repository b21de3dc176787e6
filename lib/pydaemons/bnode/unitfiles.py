# SPDX-License-Identifier: GPL-3.0-or-later
"""Bnodes as ordinary unit files, and ordinary services as bnodes: the ways out of pybosd and into it.

export() writes what systemd can say of a bnode: restarts, signals, patience, the salvager after a hard
death, times. What it cannot say (an error stop exact to the exit, notifiers, goals) is a comment.
read_service() takes ExecStart= and, with a timer beside it, OnCalendar=; all else is listed as left behind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydaemons.bnode import ktime
from pydaemons.bnode.bosconfig import Entry
from pydaemons.bnode.folders import Folders
from pydaemons.bnode.kinds import KINDS, words_of
from pydaemons.bnode.ktime import Field, KTime
from pydaemons.bnode.model import Goal, Part, Patience, Restart, Signal, escape, split_quoted
from pydaemons.bnode.tunables import BosTunables

_TAKEN = {"Description", "Documentation", "ExecStart", "Type", "Restart", "RestartSec", "WantedBy", "After"}
_PLAIN_TYPES = {"", "simple", "exec", "oneshot"}
_CONTINUED = re.compile(r"(?<!\\)((?:\\\\)*)\\\n")
"""a backslash before the line end that is not escaped itself"""


def export(entry: Entry, folders: Folders, tunables: BosTunables) -> dict[str, str]:
    """The unit files of a bnode, by name."""
    if entry.kind == "cron":
        return _export_cron(entry, folders, tunables)
    kind = KINDS[entry.kind]
    files = {}
    for part in kind.parts:
        if part.name != "salv":
            files[_unit(entry, part.name)] = _service(entry, part, folders, tunables)
    if entry.kind == "fs":
        files[_unit(entry, "salv")] = _salvager(entry, folders, tunables)
    return files


def _unit(entry: Entry, part: str, ending: str = "service") -> str:
    return f"{escape(entry.name)}{f'-{part}' if part else ''}.{ending}"


def _head(entry: Entry, what: str) -> str:
    lines = [f"# bnode {entry.name} of type {entry.kind}"]
    if entry.notifier:
        lines.append(f"# its notifier was {entry.notifier}")
    if entry.goal is Goal.SHUTDOWN:
        lines.append("# it was not to run: do not enable it")
    return "\n".join(lines) + f"\n[Unit]\nDescription={what.replace('%', '%%')}\n"


def _exec(command: str, folders: Folders, tunables: BosTunables) -> str:
    program, *words = words_of(command, quoting=tunables.quoting)
    return " ".join(_quote(word) for word in (folders.program(program), *words))


def _quote(word: str) -> str:
    """A word of ExecStart=: percent and dollar have meanings there."""
    plain = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")
    if word and all(letter not in " \t'\";" for letter in word):
        return plain
    return '"' + plain.replace('"', '\\"') + '"'


def _service(entry: Entry, part: Part, folders: Folders, tunables: BosTunables) -> str:
    salvaged = entry.kind == "fs" and part.name == "file"
    text = _head(entry, f"{entry.name} {part.name}".strip())
    text += f"StartLimitBurst={tunables.error_stop_limit + 1}\n"
    text += f"StartLimitIntervalSec={tunables.error_stop_window}\n"
    text += f"OnFailure={_unit(entry, 'salv')}\n" if salvaged else ""
    patience = tunables.file_stop_timeout if part.patience is Patience.LONG else tunables.stop_timeout
    restart = Restart.ON_SUCCESS if salvaged else Restart.ALWAYS
    text += (
        f"\n[Service]\nExecStart={_exec(entry.commands[part.command], folders, tunables)}\n"
        f"Restart={restart.value}\nRestartSec=0\nKillSignal=SIG{Signal(part.signal).name}\nTimeoutStopSec={patience}\n"
        "LimitCORE=infinity\n"
    )
    return text + "\n[Install]\nWantedBy=multi-user.target\n"


def _salvager(entry: Entry, folders: Folders, tunables: BosTunables) -> str:
    servers = f"{_unit(entry, 'file')} {_unit(entry, 'vol')}"
    return (
        _head(entry, f"salvage the file system of {entry.name}")
        + f"Conflicts={servers}\nAfter={servers}\n\n[Service]\nType=oneshot\n"
        + f"ExecStart={_exec(entry.commands[2], folders, tunables)}\n"
        + f"ExecStartPost=/bin/systemctl --no-block start {servers}\n"
    )


def _export_cron(entry: Entry, folders: Folders, tunables: BosTunables) -> dict[str, str]:
    time = ktime.parse(" ".join(entry.commands[1:]))
    service = (
        _head(entry, entry.name)
        + f"\n[Service]\nType=oneshot\nExecStart={_exec(entry.commands[0], folders, tunables)}\n"
        + f"TimeoutStopSec={tunables.stop_timeout}\n"
    )
    files = {_unit(entry, ""): service}
    if not time.never and not time.now:
        timer = _head(entry, f"when {entry.name} runs")
        timer += f"\n[Timer]\nOnCalendar={format_calendar(time)}\n\n[Install]\nWantedBy=timers.target\n"
        files[_unit(entry, "", "timer")] = timer
    return files


def format_calendar(time: KTime) -> str:
    """A time as OnCalendar= has it."""
    day = f"{ktime.DAYS[time.day][:3].capitalize()} " if time.mask & Field.DAY else ""
    return f"{day}*-*-* {time.hour:02d}:{time.minute:02d}:{time.second:02d}"


def parse_calendar(text: str) -> KTime:
    """The times of day and week among the calendar events; ValueError for others."""
    words = {"daily": "*-*-* 00:00:00", "weekly": "Mon *-*-* 00:00:00"}.get(text.strip(), text).split()
    day = next((n for n, name in enumerate(ktime.DAYS) if words and words[0].lower() == name[:3]), None)
    rest = words if day is None else words[1:]
    if rest and rest[0] == "*-*-*":
        rest = rest[1:]
    fields = rest[0].split(":") if len(rest) == 1 else []
    if len(fields) not in (2, 3) or not all(field.isascii() and field.isdigit() for field in fields):
        raise ValueError(f"OnCalendar={text} is no time of day or week")
    hour, minute, second = (int(field) for field in (*fields, "0")[:3])
    mask = Field.CLOCK if day is None else Field.CLOCK | Field.DAY
    return KTime(int(mask), day or 0, hour, minute, second)


@dataclass(frozen=True, slots=True)
class Taken:
    """A service as a bnode, and the settings that did not come with it."""

    entry: Entry
    left: tuple[str, ...]


def read_service(name: str, service: str, timer: str | None) -> Taken:
    """Raises ValueError with what makes it no bnode."""
    settings = _settings(service)
    commands = [value for key, value in settings if key == "ExecStart" and value]
    if len(commands) != 1:
        raise ValueError(f"{name}: want one ExecStart=, there are {len(commands)}")
    kinds = [value for key, value in settings if key == "Type"]
    if (kinds or [""])[-1] not in _PLAIN_TYPES:
        raise ValueError(f"{name}: Type={kinds[-1]} is nothing a bnode can be")
    command = _command(name, commands[0])
    left = tuple(f"{key}={value}" for key, value in settings if key not in _TAKEN)
    if timer is None:
        if kinds and kinds[-1] == "oneshot":
            raise ValueError(f"{name}: Type=oneshot without a timer beside it runs once and is no bnode")
        return Taken(Entry("simple", name, Goal.NORMAL, (command,)), left)
    times = [value for key, value in _settings(timer) if key == "OnCalendar"]
    if len(times) != 1:
        raise ValueError(f"{name}: want one OnCalendar=, there are {len(times)}")
    text = ktime.format(parse_calendar(times[0])).removeprefix("at ")
    return Taken(Entry("cron", name, Goal.NORMAL, (command, text)), left)


def _command(name: str, line: str) -> str:
    words = list(split_quoted(line.lstrip("-@:+!")))
    for word in words:
        if not word or any(letter in " \t\n" for letter in word):
            raise ValueError(f"{name}: the word {word!r} of ExecStart= has blanks; a bnode's has none")
        if "%" in word.replace("%%", "") or "$" in word.replace("$$", ""):
            raise ValueError(f"{name}: {word} of ExecStart= is for systemd to fill in; a bnode's is as it is")
    return " ".join(word.replace("%%", "%").replace("$$", "$") for word in words)


def _settings(text: str) -> list[tuple[str, str]]:
    """The assignments of a unit file, continued lines joined; an empty one takes earlier ones back."""
    found: list[tuple[str, str]] = []
    for line in _CONTINUED.sub(r"\1 ", text).splitlines():
        key, equals, value = line.partition("=")
        if not equals or line.lstrip()[:1] in ("#", ";", "["):
            continue
        if not value.strip():
            found = [(other, old) for other, old in found if other != key.strip()]
        else:
            found.append((key.strip(), value.strip()))
    return found


def by_stem(files: Mapping[str, str]) -> dict[str, tuple[str, str | None]]:
    """Services and the timers beside them, by their name without ending (and without `bos-`)."""
    found = {}
    for name, text in files.items():
        stem, _, ending = name.rpartition(".")
        if ending == "service":
            found[stem.removeprefix("bos-")] = (text, files.get(f"{stem}.timer"))
    return found
