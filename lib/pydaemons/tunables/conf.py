# SPDX-License-Identifier: GPL-3.0-or-later
"""`/etc/<daemon>.conf`: INI read with configparser, every value kept with its file and line.

Values are cut at `#` after a blank, `=` is the only delimiter, nothing is interpolated, a key twice
in a section is an error. A file is read to its end whatever is wrong in it: all problems are reported,
each as `file:line: key: what is wrong, what would be right`. Only syntax is judged here; whether a
section or key exists, and its value, is judged by `layers`.
"""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from .kinds import quote

_MOST_PROBLEMS = 50  # a file that is no INI at all should not fill the journal


class Severity(Enum):
    ERROR = "error"
    """fatal at start; at reload the old configuration stays"""
    WARNING = "warning"
    """said, and that line is left out"""
    NOTICE = "notice"
    """worth knowing"""


@dataclass(frozen=True, slots=True)
class Assignment:
    """One `key = value` and where it stands."""

    section: str
    name: str
    text: str
    where: str
    """`file:line`, or the option's name for one from the command line"""
    lenient: bool = False
    """written with a leading `-`: when it does not fit, nobody wants to hear of it"""


@dataclass(frozen=True, slots=True)
class Problem:
    """One sentence for the administrator."""

    where: str
    key: str
    wrong: str
    right: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        subject = f"{self.where}: {self.key}: " if self.key else f"{self.where}: "
        return subject + self.wrong + (f", {self.right}" if self.right else "")


def parse(text: str, file: str) -> tuple[list[Assignment], list[Problem]]:
    """The assignments of one file in their order, and what is wrong with its syntax."""
    lines = text.removeprefix("\ufeff").split("\n")
    problems: list[Problem] = []
    while len(problems) < _MOST_PROBLEMS:
        reading = _Reading(lines)
        try:
            reading.run(file)
        except configparser.MissingSectionHeaderError as error:
            problems.append(
                Problem(f"{file}:{error.lineno}", "", "text before the first section", "want [section]")
            )
            _blank(lines, error.lineno)
        except configparser.DuplicateOptionError as error:
            first = reading.line_of(error.section, error.option)
            at = error.lineno or 0
            problems.append(
                Problem(
                    f"{file}:{at}", error.option, f"given already in line {first}", "leave one of the two"
                )
            )
            _blank(lines, at)
        except configparser.DuplicateSectionError as error:
            at = error.lineno or 0
            wrong = f"section [{error.section}] stands in the file already"
            problems.append(Problem(f"{file}:{at}", "", wrong, "put its keys together"))
            # its keys are still wanted, under a name of its own, for their own problems
            lines[at - 1] = f"[{error.section}\0{at}]"
        except configparser.ParsingError as error:
            for at, _ in error.errors:
                wrong = f"{quote(lines[at - 1].strip())} is no setting"
                problems.append(Problem(f"{file}:{at}", "", wrong, "want KEY = VALUE"))
                _blank(lines, at)
        else:
            problems.sort(key=_line_number)
            return reading.assignments(file), problems
    problems.sort(key=_line_number)
    return [], problems


def _line_number(problem: Problem) -> int:
    return int(problem.where.rpartition(":")[2])


def _blank(lines: list[str], number: int) -> None:
    """Drop a line and the indented ones that continue it, keeping the count."""
    lines[number - 1] = ""
    for index in range(number, len(lines)):
        if not lines[index][:1].isspace() or not lines[index].strip():
            break
        lines[index] = ""


class _Reading:
    """One pass of configparser over the lines, noting the line on which each key stands."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._now = 0
        self._section = ""
        self._where: dict[tuple[str, str], int] = {}
        self._parser = configparser.RawConfigParser(
            delimiters=("=",),
            comment_prefixes=("#", ";"),
            inline_comment_prefixes=("#",),
            strict=True,
            empty_lines_in_values=False,
            default_section="\0",
        )
        self._parser.optionxform = self._note  # type: ignore[method-assign,assignment]

    def run(self, file: str) -> None:
        self._parser.read_file(self._numbered(), file)
        self._now = 0  # from here on keys are looked up, not read

    def _numbered(self) -> Iterator[str]:
        for number, line in enumerate(self._lines, 1):
            self._now = number
            if line[:1] == "[" and "]" in line:
                self._section = line[1 : line.index("]")]
            yield line + "\n"

    def _note(self, option: str) -> str:
        name = option.rstrip()
        if self._now:
            self._where.setdefault((self._section, name), self._now)
        return name

    def line_of(self, section: str, name: str) -> int:
        return self._where[section, name]

    def assignments(self, file: str) -> list[Assignment]:
        found = [
            Assignment(section.partition("\0")[0], name, text, f"{file}:{self._where[section, name]}")
            for section in self._parser.sections()
            for name, text in self._parser.items(section)
        ]
        found.sort(key=lambda assignment: int(assignment.where.rpartition(":")[2]))
        return found
