# SPDX-License-Identifier: GPL-3.0-or-later
"""Core files: found, named after their bnode, listed. Read keep first.

Where the kernel writes them (core_pattern) is the machine's business. Two places are looked at: the working
folder of processes, for `core` and `core.PID`, and what systemd-coredump tells in the journal, whose file
gets a symbolic link here.
"""

from __future__ import annotations

import os
import subprocess
import time

from pydaemons.bnode.effects import KeepCore

COREDUMP = "fc2e22bc6ee647b6b90729ab34a250b1"
"""MESSAGE_ID of systemd-coredump's record"""
JOURNAL_PATIENCE = 10.0


def keep(folder: str, effect: KeepCore, wall: float) -> bool:
    """Give the core a process left in `folder` its name; whether there was one."""
    for name in (f"core.{effect.pid}", "core"):
        path = f"{folder}/{name}"
        if os.path.isfile(path) and not os.path.islink(path):
            os.replace(path, f"{folder}/{core_file(effect, wall)}")
            return True
    return False


def core_file(effect: KeepCore, wall: float) -> str:
    """The name, with the time when asked for."""
    return effect.name + (time.strftime(".%Y%m%d%H%M%S", time.localtime(wall)) if effect.stamp else "")


def keep_from_journal(folder: str, effect: KeepCore, wall: float) -> bool:
    """Link to the file systemd-coredump made of a process. For a thread: it runs journalctl and may wait."""
    matches = [f"MESSAGE_ID={COREDUMP}", f"COREDUMP_PID={effect.pid}", f"COREDUMP_UNIT={effect.unit}"]
    command = [
        "journalctl",
        "-q",
        "-o",
        "cat",
        "-n",
        "1",
        "--output-fields=COREDUMP_FILENAME",
        "-o",
        "export",
    ]
    try:
        done = subprocess.run(
            [*command, *matches], capture_output=True, timeout=JOURNAL_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        name, _, path = line.partition("=")
        if name == "COREDUMP_FILENAME" and os.path.exists(path):
            target = f"{folder}/{core_file(effect, wall)}"
            if os.path.lexists(target):
                os.unlink(target)
            os.symlink(path, target)
            return True
    return False


def listed(folder: str) -> frozenset[str]:
    """The core files there are."""
    try:
        return frozenset(name for name in os.listdir(folder) if name.startswith("core"))
    except OSError:
        return frozenset()


def piped() -> bool:
    """Does the kernel hand cores to a program?"""
    try:
        with open("/proc/sys/kernel/core_pattern", encoding="ascii", errors="replace") as file:
            return file.read(1) == "|"
    except OSError:
        return False
