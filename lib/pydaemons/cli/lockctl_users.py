# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has pylockd run: the units that want it, as systemd knows them. Read users.

The kernel's lockd counts its users, and stops with the last one. Here systemd counts (Wants= or Requires= of
an NFS server's unit, StopWhenUnneeded= of ours); this tells what it counts.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

WANTING = ("RequiredBy", "RequisiteOf", "WantedBy", "BoundBy", "UpheldBy")
"""The properties that name whoever keeps a unit from being unneeded (systemd.unit(5), StopWhenUnneeded=)."""
PATIENCE = 3.0
NAME = "pylockd"
"""What the daemon calls its process."""


def users(pid: int) -> list[dict[str, str]] | None:
    """The units that want the service this process is of, with their states, targets left out: one that is
    enabled is wanted by a target always. None when it is of no service, or systemd says nothing."""
    unit = unit_of(_proc(pid, "cgroup"))
    # in another PID namespace than pylockd's its number is somebody else's here
    if not unit or _proc(pid, "comm") != f"{NAME}\n":
        return None
    wanting = _show([unit], WANTING)
    if wanting is None:
        return None
    names = sorted({name for value in wanting for name in value.split() if not name.endswith(".target")})
    if not names:
        return []
    states = _show(names, ("ActiveState",))
    if states is None or len(states) != len(names):
        return None
    return [{"unit": name, "state": state} for name, state in zip(names, states, strict=True)]


def _proc(pid: int, name: str) -> str:
    try:
        with open(f"/proc/{pid}/{name}", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def unit_of(cgroup: str) -> str:
    """The service that /proc/PID/cgroup names, or nothing."""
    for line in cgroup.splitlines():
        number, _, path = line.partition("::")
        last = path.rpartition("/")[2]
        if number == "0" and last.endswith(".service"):
            return last
    return ""


def _show(units: Sequence[str], properties: Sequence[str]) -> list[str] | None:
    """The values of these properties of these units, in this order."""
    words = ["systemctl", "show", f"--property={','.join(properties)}", "--value", "--", *units]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    lines = done.stdout.split("\n")
    # an empty line stands between two units; with one property each, what is not empty is a value
    return [line for line in lines if line] if len(units) > 1 else lines[: len(properties)]
