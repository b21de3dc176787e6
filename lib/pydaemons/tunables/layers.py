# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of several values wins: default < conf < conf.d < sysctl.d < --set < runtime write.

`resolve` takes the assignments of each source, lowest first, and gives the value in force for every
entry with its origin, besides every problem found. Nothing is changed by it, so that a reload with an
error in it can be thrown away whole; `adopt` puts the result in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from . import sysctld
from .conf import Assignment, Problem, Severity
from .declare import Configuration, Settings, TunableChanged, Tunables
from .keys import split, to_dotted, to_path
from .kinds import Refused, quote

RUNTIME = "runtime"
"""the origin of a value written to the tree"""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a set of sources comes to."""

    values: Mapping[tuple[str, str], tuple[Any, str]]
    """(section, name) to the value and its origin"""
    configured: Mapping[tuple[str, str], tuple[Any, str]] = field(default_factory=dict)
    """the same without runtime writes"""
    problems: Sequence[Problem] = field(default=())

    @property
    def fatal(self) -> bool:
        return any(problem.severity is Severity.ERROR for problem in self.problems)


def resolve(
    configuration: Configuration,
    *,
    conf: Iterable[Assignment] = (),
    sysctld: Iterable[Assignment] = (),
    sets: Iterable[Assignment] = (),
) -> Resolved:
    """The values in force if these were the sources; runtime writes in `configuration` stay on top."""
    problems: list[Problem] = []
    values: dict[tuple[str, str], tuple[Any, str]] = {}
    for section in configuration.sections():
        for entry in section.entries.values():
            if entry.writable:
                values[section.section, entry.name] = (entry.default, "default")
    for source, severity in ((conf, Severity.ERROR), (sysctld, Severity.WARNING), (sets, Severity.ERROR)):
        for assignment in source:
            try:
                _apply(configuration, assignment, values)
            except Refused as refused:
                if not assignment.lenient:
                    key = to_dotted(f"{assignment.section}.{assignment.name}").removeprefix(".")
                    problems.append(Problem(assignment.where, key, refused.wrong, refused.right, severity))
    configured = dict(values)
    for section in configuration.sections():
        problems.extend(_keep_runtime(section, values))
    return Resolved(values, configured, problems)


def _apply(
    configuration: Configuration, assignment: Assignment, values: dict[tuple[str, str], tuple[Any, str]]
) -> None:
    section = configuration.find_section(assignment.section)
    if section is None:
        raise Refused("no such section", _nearest(assignment.section, configuration))
    entry = section.entries.get(assignment.name)
    if entry is None:
        near = get_close_matches(assignment.name, section.entries, 1)
        known = near or [name for name, entry in section.entries.items() if entry.writable]
        raise Refused("unknown key", ("did you mean " if near else "known are ") + ", ".join(known))
    if not entry.writable:
        raise Refused("the key is read-only", "leave it out")
    values[section.section, entry.name] = (entry.kind.parse(assignment.text), assignment.where)


def _nearest(name: str, configuration: Configuration) -> str:
    known = [section.section for section in configuration.sections()]
    near = get_close_matches(name, known, 1)
    return f"did you mean [{near[0]}]" if near else "known are " + ", ".join(f"[{name}]" for name in known)


def _keep_runtime(section: Settings, values: dict[tuple[str, str], tuple[Any, str]]) -> Iterable[Problem]:
    for entry in section.entries.values():
        if entry.writable and section.origin(entry.name) == RUNTIME:
            below, where = values[section.section, entry.name]
            value = getattr(section, entry.name)
            values[section.section, entry.name] = (value, RUNTIME)
            if below != value and where != "default":
                shown = entry.kind.format(value)
                yield Problem(
                    where,
                    section.key(entry.name),
                    f"the value {shown} written at runtime stays in force",
                    f"write {entry.kind.format(below)} to the key to change it now",
                    Severity.NOTICE,
                )


def adopt(configuration: Configuration, resolved: Resolved) -> list[TunableChanged]:
    """Put the result in force. Returns what changed, for the engines; live keys only when they differ."""
    for (name, entry), (value, origin) in resolved.configured.items():
        section = configuration.find_section(name)
        if section is not None:
            section.configure(entry, value, origin)
    changes = []
    for (name, entry), (value, origin) in resolved.values.items():
        section = configuration.find_section(name)
        if section is not None:
            change = section.put(entry, value, origin)
            if change is not None and change.old != change.new:
                changes.append(change)
    return changes


def parse_set(configuration: Configuration, argument: str) -> Assignment:
    """A `--set KEY=VALUE`: a tunable's full key or last name, or `section.name`. Refused without `=`."""
    key, equals, text = argument.partition("=")
    key = key.strip()
    if not equals or not key:
        raise Refused(f"{quote(argument)} is no setting", "want KEY=VALUE")
    section, name = split(key)
    return Assignment(section or configuration.tunables.section, name, text.strip(), "--set")


def from_sysctld(
    tunables: Tunables, files: Sequence[tuple[str, str]]
) -> tuple[list[Assignment], list[Problem]]:
    """What sysctl.d says about this daemon's keys; `files` are (name, text) in order of application.

    Keys under the same folder that nobody here declared may be the kernel's own: a notice, no more.
    """
    parsed = [(file, sysctld.parse(text)[0]) for file, text in files]
    folder = to_path(tunables.prefix)
    paths = {f"{folder}/{name}": name for name, entry in tunables.entries.items() if entry.writable}
    assignments = [
        Assignment(tunables.section, paths[path], line.value or "", where, line.lenient)
        for path, (line, where) in sysctld.settle(parsed, paths).items()
    ]
    declared = {f"{folder}/{name}" for name in tunables.entries}
    problems = [
        Problem(where, to_dotted(path), "unknown key", "", Severity.NOTICE)
        for path, where, lenient in sysctld.written_keys(parsed)
        if path.rpartition("/")[0] == folder and path not in declared and not lenient
    ]
    problems += [
        Problem(where, to_dotted(path), "the key is read-only", "leave it out", Severity.WARNING)
        for path, where, lenient in sysctld.written_keys(parsed)
        if path in declared and path not in paths and not lenient
    ]
    return assignments, problems
