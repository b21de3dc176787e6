# SPDX-License-Identifier: GPL-3.0-or-later
"""`/etc/nfs.conf`, where hosts with the kernel's lockd have its ports (nfs.conf(5), section [lockd]):
honoured below everything pylockd's own files say.

It is another program's file: whatever is in it that is not understood is passed over, and a port that is none
is a warning. Read `parse`.
"""

from __future__ import annotations

import os

from pydaemons.nlm.tunables import NlmTunables
from pydaemons.tunables.conf import Assignment, Problem, Severity
from pydaemons.tunables.kinds import Refused

FILE = "/etc/nfs.conf"
PORTS = {"port": "nlm_tcpport", "udp-port": "nlm_udpport"}
"""What nfs.conf calls our tunables."""


def read(file: str = FILE) -> tuple[list[Assignment], list[Problem]]:
    """What the file, then its drop-ins `FILE.d/*.conf`, say; a file that cannot be read says nothing."""
    found: list[Assignment] = []
    problems: list[Problem] = []
    try:
        names = sorted(name for name in os.listdir(f"{file}.d") if name.endswith(".conf"))
    except OSError:
        names = []
    for path in (file, *(f"{file}.d/{name}" for name in names)):
        try:
            with open(path, encoding="utf-8", errors="replace") as stream:
                text = stream.read()
        except OSError:
            continue
        assignments, wrong = parse(text, path)
        found += assignments
        problems += wrong
    return found, problems


def parse(text: str, file: str) -> tuple[list[Assignment], list[Problem]]:
    """The ports of one file, as settings of ours. Names of sections and keys may be in any case."""
    found: list[Assignment] = []
    problems: list[Problem] = []
    section = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line[:1] == "[":
            section = line[1:].partition("]")[0].strip().lower()
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        name = PORTS.get(key.lower())
        if section != "lockd" or not equals or name is None:
            continue
        where, value = f"{file}:{number}", value.strip("\"'")
        try:
            NlmTunables.entries[name].kind.parse(value)
        except Refused as refused:
            problems.append(Problem(where, f"[lockd] {key}", refused.wrong, refused.right, Severity.WARNING))
        else:
            found.append(Assignment(NlmTunables.section, name, value, where))
    return found, problems
