# SPDX-License-Identifier: GPL-3.0-or-later
"""The format and the precedence of sysctl.d(5), for daemons at start and for `pysysctl -p`, `--system`.

A line is `key = value`; blanks around both are dropped, inner ones kept; `#` and `;` begin a comment
only at a line's start; there is no quoting and no continuation. `-key = value` wants to hear of no
failure. `-key` alone takes that key (no glob) out of what globs match. A key written out wins over
every glob, wherever it stands; among equals the later line wins. Of files with one name the folder
first in FOLDERS wins, and the files of all folders together are applied in the order of their names.

No imports: pysysctl loads this module (see kinds).
"""

from __future__ import annotations

from .keys import to_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
"""where files are looked for, the strongest first"""
LAST_FILE = "/etc/sysctl.conf"
"""applied after all of them by sysctl(8), not read by systemd-sysctl"""

_BLANKS = " \t\n\v\f\r"
_MAGIC = frozenset("*?[")


class Line:
    """One setting of a file."""

    __slots__ = ("key", "lenient", "number", "text", "value")

    def __init__(self, key: str, value: str | None, *, lenient: bool, number: int, text: str) -> None:
        self.key = key
        """as written: dots or slashes, perhaps a glob"""
        self.value = value
        """None for `-key` alone, which excludes from globs"""
        self.lenient = lenient
        self.number = number
        self.text = text
        """the whole line without the blanks around it"""

    @property
    def is_glob(self) -> bool:
        return not _MAGIC.isdisjoint(self.key)


def parse(text: str) -> tuple[list[Line], list[int]]:
    """The settings of one file, and the numbers of lines that are none."""
    lines = []
    bad = []
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.partition("\0")[0].lstrip(_BLANKS)
        if not line or line[0] in "#;":
            continue
        key, equals, value = line.partition("=")
        lenient = key[0:1] == "-"
        key = key.lstrip("-").strip(_BLANKS)
        if equals or lenient:
            given = value.strip(_BLANKS) if equals else None
            lines.append(Line(key, given, lenient=lenient, number=number, text=line.rstrip(_BLANKS)))
        else:
            bad.append(number)
    return lines, bad


def plan(listings: Iterable[tuple[str, Iterable[str]]]) -> list[str]:
    """The paths of the files to apply, in order, from (folder, names in it), the strongest folder first."""
    chosen: dict[str, str] = {}
    for folder, names in listings:
        for name in names:
            if name.endswith(".conf"):
                chosen.setdefault(name, f"{folder}/{name}")
    return [chosen[name] for name in sorted(chosen)]


def match(pattern: str, path: str) -> bool:
    """Whether a glob over the tree gives `path`: component by component, `*` never crosses a slash."""
    from fnmatch import fnmatchcase  # noqa: PLC0415 -- imports re; only globs pay for it

    wanted, given = pattern.split("/"), path.split("/")
    return len(wanted) == len(given) and all(
        fnmatchcase(name, glob) and (name[:1] != "." or glob[:1] == ".")
        for name, glob in zip(given, wanted, strict=True)
    )


def settle(files: Iterable[tuple[str, Sequence[Line]]], paths: Iterable[str]) -> dict[str, tuple[Line, str]]:
    """For each of the known `paths` the line that sets it and that line's `file:line`.

    Paths that nothing sets are absent. `files` in their order of application.
    """
    known = list(paths)
    written: dict[str, tuple[Line, str]] = {}
    globbed: dict[str, tuple[Line, str]] = {}
    excluded: set[str] = set()
    for file, lines in files:
        for line in lines:
            path = to_path(line.key)
            here = (line, f"{file}:{line.number}")
            if line.value is None:
                excluded.add(path)
            elif line.is_glob:
                globbed.update((name, here) for name in match_all(path, known))
            else:
                written[path] = here
    return {
        path: written[path] if path in written else globbed[path]
        for path in known
        if path in written or (path in globbed and path not in excluded)
    }


def match_all(pattern: str, paths: Iterable[str]) -> list[str]:
    """The paths a glob gives."""
    return [path for path in paths if match(pattern, path)]


def written_keys(files: Iterable[tuple[str, Sequence[Line]]]) -> list[tuple[str, str, bool]]:
    """(path, `file:line`, lenient) of every key written out, to find those that nobody knows."""
    return [
        (to_path(line.key), f"{file}:{line.number}", line.lenient)
        for file, lines in files
        for line in lines
        if line.value is not None and not line.is_glob
    ]
