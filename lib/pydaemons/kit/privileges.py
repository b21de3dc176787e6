# SPDX-License-Identifier: GPL-3.0-or-later
"""What a daemon gives up or claims for itself, by python-prctl (prctl(2)). The unit bounds the rest: it sets
capabilities, users and system call filters before we run."""

from __future__ import annotations

from pydaemons.kit.log import Log

COMM = 15
"""The kernel keeps that many bytes of a process name."""


def settle(name: str, log: Log, *, dumpable: bool = True, subreaper: bool = False) -> None:
    """Take the daemon's name and promise never to gain privileges by exec. `dumpable=False`: neither core
    dumps nor ptrace by its own user; `subreaper`: orphans of children become ours."""
    try:
        import prctl  # noqa: PLC0415  # may be missing: a daemon is no less useful without it
    except ImportError:
        log.notice("python-prctl is not installed: keeping the interpreter's process name")
        return
    try:
        prctl.set_name(name[:COMM])
        prctl.set_no_new_privs(1)
        if not dumpable:
            prctl.set_dumpable(0)
        if subreaper:
            prctl.set_child_subreaper(1)
    except OSError as error:
        log.notice(f"prctl: {error.strerror}")
