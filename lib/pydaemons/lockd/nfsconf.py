# SPDX-License-Identifier: GPL-3.0-or-later
"""`/etc/nfs.conf`, where hosts with the kernel's lockd have its ports (nfs.conf(5), section [lockd]):
honoured below everything pylockd's own files say.

It is another program's file, and read as that program reads it (nfsconf(8) of nfs-utils 2.6): comments behind
values, lines joined by a backslash, quotes, `include`, `$NAME` from section [environment] or the process's
environment. Whatever is not understood is passed over, and a port that is none is a warning. Read `_Reading`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

from pydaemons.nlm.tunables import NlmTunables
from pydaemons.tunables.conf import Assignment, Problem, Severity
from pydaemons.tunables.kinds import Refused

FILE = "/etc/nfs.conf"
PORTS = {"port": "nlm_tcpport", "udp-port": "nlm_udpport"}
"""What nfs.conf calls our tunables."""
DEEPEST = 8
"""Files that may include each other in a chain, and names that may stand for each other."""
_QUOTED = re.compile(r"""(["'])(.*?)\1""")


def read(file: str = FILE) -> tuple[list[Assignment], list[Problem]]:
    """What the file, then its drop-ins `FILE.d/*.conf`, say; a file that cannot be read says nothing."""
    try:
        names = sorted(name for name in os.listdir(f"{file}.d") if name.endswith(".conf"))
    except OSError:
        names = []
    reading = _Reading()
    for path in (file, *(f"{file}.d/{name}" for name in names)):
        try:
            text = _content(path)
        except OSError:
            continue
        reading.take(text, path)
    return reading.settings(os.environ)


def parse(text: str, file: str, environ: Mapping[str, str] = {}) -> tuple[list[Assignment], list[Problem]]:
    """The ports of one file, and of those it includes, as settings of ours."""
    reading = _Reading()
    reading.take(text, file)
    return reading.settings(environ)


class _Reading:
    """What all files say so far."""

    def __init__(self) -> None:
        self._ports: list[tuple[str, str, str]] = []
        """Key, value, and where it stands."""
        self._environment: dict[str, str] = {}
        """Section [environment], by names in small letters."""
        self._problems: list[Problem] = []

    def take(self, text: str, file: str, section: str = "", depth: int = 0) -> None:
        """Read one file; included ones begin in the section of the line that includes them."""
        for where, line in _lines(text, file):
            if line[:1] == "[":
                section = line[1:].partition("]")[0].strip().lower() if "]" in line else ""
                continue
            key, equals, rest = (part.strip() for part in line.partition("="))
            key, value = key.lower(), _value(rest)
            if not section or not equals or not value:
                continue
            if key == "include":
                self._include(value, where, section, depth)
            elif section == "environment":
                self._environment[key] = value
            elif section == "lockd" and key in PORTS:
                self._ports.append((key, value, where))

    def _include(self, value: str, where: str, section: str, depth: int) -> None:
        path = os.path.join(os.path.dirname(where), value.removeprefix("-"))
        why = ""
        try:
            text = _content(path) if depth < DEEPEST else ""
        except OSError as error:
            why = error.strerror or str(error)
        if depth >= DEEPEST:
            why = f"{DEEPEST} files include each other already"
        if not why:
            self.take(text, path, section, depth + 1)
        elif not value.startswith("-"):
            self._problems.append(Problem(where, "include", f"{path}: {why}", "", Severity.WARNING))

    def settings(self, environ: Mapping[str, str]) -> tuple[list[Assignment], list[Problem]]:
        """The ports, and what is wrong."""
        found: list[Assignment] = []
        problems = list(self._problems)
        for key, written, where in self._ports:
            value, name = written, PORTS[key]
            for _ in range(DEEPEST):
                if not value.startswith("$"):
                    break
                value = self._environment.get(value[1:].lower()) or environ.get(value[1:], "")
            if not value:
                continue
            try:
                NlmTunables.entries[name].kind.parse(value)
            except Refused as refused:
                wrong = Problem(where, f"[lockd] {key}", refused.wrong, refused.right, Severity.WARNING)
                problems.append(wrong)
            else:
                found.append(Assignment(NlmTunables.section, name, value, where))
        return found, problems


def _content(path: str) -> str:
    with open(path, encoding="utf-8-sig", errors="replace") as stream:
        return stream.read()


def _lines(text: str, file: str) -> Iterator[tuple[str, str]]:
    """Each line that says something, with its place: those that a backslash joins are one."""
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        while line.endswith("\\"):
            line = f"{line[:-1]} {next(lines, (0, ''))[1]}"
        line = line.strip()
        if line and line[0] not in "#;":
            yield f"{file}:{number}", line


def _value(text: str) -> str:
    """A value without its quotes, or without the comment behind it."""
    quoted = _QUOTED.match(text)
    return quoted[2].strip() if quoted else re.split("[#;]", text, maxsplit=1)[0].strip()
