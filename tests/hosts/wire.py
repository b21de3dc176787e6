# SPDX-License-Identifier: GPL-3.0-or-later
"""What tshark reads in a capture."""

from __future__ import annotations

import subprocess
from pathlib import Path

MALFORMED = "(_ws.malformed || _ws.expert.severity >= 8388608)"
"""Frames that are broken, or that tshark calls an error."""


def frames(path: Path, where: str, *words: str, whole: bool = True) -> list[str]:
    """The frames of a display filter, a line for each; `words` are tshark's, say for fields. A capture still
    being written may end within a frame: not `whole`."""
    command = ["tshark", "-r", str(path), "-Y", where, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=whole)
    return done.stdout.splitlines()


def fields(path: Path, where: str, *names: str, whole: bool = True) -> list[list[str]]:
    """Of each of those frames these fields."""
    words = ("-T", "fields", *(f"-e{name}" for name in names))
    return [line.split("\t") for line in frames(path, where, *words, whole=whole)]
