# SPDX-License-Identifier: GPL-3.0-or-later
"""Services that their unit's system call filter ends where it would otherwise refuse silently: a test that
passes under this drop-in has shown that nothing the service did needs a call its filter lacks."""

from __future__ import annotations

import re

from hosts.machine import SystemdHost

DROP_IN = "[Service]\nSystemCallErrorNumber=kill\n"
"""Unlike EPERM, which is taken for an answer, SIGSYS ends the whole process."""
_ENDED = re.compile(r"31/SYS|SIGSYS|Bad system call|exit status -31\b")
"""In systemd's words, a shell's, and in ours of a child."""


def be_strict(host: SystemdHost, *services: str) -> None:
    """From the next start on; `pylockd@` means all its instances."""
    for service in services:
        host.write(f"/etc/systemd/system/{service}.service.d/strict.conf", DROP_IN)
    host.systemctl("daemon-reload")


def violations(host: SystemdHost) -> list[str]:
    """What the journal says of processes that a filter ended; systemd must be there still to have said it."""
    return [line for line in host.journal().splitlines() if _ENDED.search(line)]
