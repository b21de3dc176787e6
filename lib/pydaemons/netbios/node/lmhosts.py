# SPDX-License-Identifier: GPL-3.0-or-later
"""lmhosts(5): names of hosts by hand. One per line: an address, a name, perhaps `#XX` (its suffix).

Known names serve our own lookups only, they are never told to others. Of Microsoft's directives `#PRE` and
`#DOM:` are taken for comments, as are `#INCLUDE` and the `#..._ALTERNATE` lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address

_SUFFIX = re.compile(r"(?P<name>[^#]+)#(?P<suffix>[0-9A-Fa-f]{1,2})")


@dataclass(frozen=True, slots=True)
class Host:
    """One line. No suffix: the name stands for any."""

    address: str
    name: str
    suffix: int | None


def parse(text: str, file: str) -> tuple[list[Host], list[str]]:
    """The hosts of a file, and a sentence for each line that is none."""
    hosts: list[Host] = []
    problems: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            address = str(IPv4Address(words[0]))
        except ValueError:
            problems.append(f"{file}:{number}: {words[0]!r} is no IPv4 address")
            continue
        if len(words) < 2:
            problems.append(f"{file}:{number}: no name behind the address")
            continue
        word = words[1].strip('"')
        found = _SUFFIX.fullmatch(word)
        if found is not None:
            hosts.append(Host(address, found["name"].upper(), int(found["suffix"], 16)))
        else:
            hosts.append(Host(address, word.upper(), None))
    return hosts, problems
