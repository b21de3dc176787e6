# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a daemon's configuration from the places it may stand in; `tunables` says what it means.

`/etc/<daemon>.conf`, then `/etc/<daemon>.conf.d/*.conf`, then sysctl.d(5), then `--set`. Read again
at reload; what could not be read is a Problem like any other, never an exception.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from stat import S_ISCHR

from pydaemons.tunables import conf, sysctld
from pydaemons.tunables.conf import Assignment, Problem, Severity
from pydaemons.tunables.declare import Configuration
from pydaemons.tunables.kinds import Refused
from pydaemons.tunables.layers import Resolved, from_sysctld, parse_set, resolve

Parse = Callable[[str, str], tuple[list[Assignment], list[Problem]]]
"""Text and file name to what stands in it, and what is wrong with it."""


def load(
    configuration: Configuration,
    path: str,
    *,
    sets: Sequence[str] = (),
    sysroot: str = "",
    required: bool = False,
    parse: Parse = conf.parse,
    below: Sequence[Assignment] = (),
) -> Resolved:
    """What all sources come to; nothing is put in force yet (see `layers.adopt`).

    `path` is the main file: its absence matters only when `required`, that is when somebody named it.
    `sysroot` stands before the sysctl.d folders, for containers and tests. `below` counts less than the file.
    """
    problems: list[Problem] = []
    assignments: list[Assignment] = [*below]
    files = [
        path,
        *(f"{path}.d/{name}" for name in _listing(f"{path}.d", problems) if name.endswith(".conf")),
    ]
    for file in files:
        text = _read(file, problems, required=required and file == path, severity=Severity.ERROR)
        found, wrong = parse(text, file)
        assignments += found
        problems += wrong
    kernel_style = [(file, _read(file, problems)) for file in _sysctl_files(sysroot, problems)]
    from_files, said = from_sysctld(configuration.tunables, kernel_style)
    problems += said
    wanted = []
    for argument in sets:
        try:
            wanted.append(parse_set(configuration, argument))
        except Refused as refused:
            problems.append(Problem("--set", "", refused.wrong, refused.right))
    resolved = resolve(configuration, conf=assignments, sysctld=from_files, sets=wanted)
    return replace(resolved, problems=[*problems, *resolved.problems])


def _sysctl_files(sysroot: str, problems: list[Problem]) -> list[str]:
    folders = [sysroot + folder for folder in sysctld.FOLDERS]
    files = sysctld.plan((folder, _listing(folder, problems)) for folder in folders)
    return [*files, sysroot + sysctld.LAST_FILE]


def _listing(folder: str, problems: list[Problem]) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        problems.append(Problem(folder, "", f"cannot be listed: {error.strerror}", "", Severity.WARNING))
        return []


def _read(
    file: str, problems: list[Problem], *, required: bool = False, severity: Severity = Severity.WARNING
) -> str:
    """The file's text; undecodable bytes stay recognisable, and no kind of value takes them."""
    try:
        with open(file, "rb") as stream:
            if S_ISCHR(os.fstat(stream.fileno()).st_mode):
                return ""  # a link to /dev/null masks a vendor's file
            return stream.read().decode("utf-8", "surrogateescape")
    except (FileNotFoundError, IsADirectoryError) as error:
        if required:
            problems.append(Problem(file, "", f"cannot be read: {error.strerror}", "", severity))
    except OSError as error:
        problems.append(Problem(file, "", f"cannot be read: {error.strerror}", "", severity))
    return ""
