# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of the tunables tree as a daemon leaves it, and the command that reads it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from pydaemons.tunables.declare import Effect, Tunables, live, state, tunable
from pydaemons.tunables.describe import describe
from pydaemons.tunables.kinds import Choice, Flags, Int, Seconds, YesNo
from pydaemons.tunables.schema import render

PYSYSCTL = Path(__file__).parents[2] / "bin/pysysctl"


class SampleTunables(Tunables, prefix="fs.sample"):
    """One key of each sort."""

    timeout = tunable(Seconds(3, 20), 10, effect=Effect.NEXT_CALL, doc="How long to wait for an answer.")
    port = tunable(Int(0, 65535), 0, doc="Where to listen; 0 takes any free port.")
    mode = tunable(Choice("soft", "hard"), "soft", doc="How hard to try.")
    debug = tunable(Flags(calls=1, timers=2), 0, doc="What to log.")
    stop = live(YesNo(), False, doc="Stops it.")
    held = state(Int(0, 99), doc="Held now.")


class SampleTree:
    """The tree below `root`, with the configuration folders below `sysroot`."""

    def __init__(self, place: Path, *, pid: int = 0) -> None:
        self.root = place / "tree"
        self.sysroot = place / "sys"
        self.folder = self.root / "fs/sample"
        self.tunables = SampleTunables()
        self.pid = pid
        self.folder.mkdir(parents=True)
        (self.sysroot / "etc/sysctl.d").mkdir(parents=True)
        self.publish()

    def publish(self) -> None:
        """Files and schema from what is in force."""
        for name, entry in self.tunables.entries.items():
            file = self.folder / name
            file.unlink(missing_ok=True)
            file.write_text((self.tunables.text(name) or "0") + "\n")
            file.chmod(0o644 if entry.writable else 0o444)
        description = describe("sampled", self.tunables)
        description.pid = self.pid
        schema = self.folder / ".schema"
        schema.unlink(missing_ok=True)
        schema.write_text(render(description))

    def conf(self, name: str, text: str) -> str:
        """A file of sysctl.d; its path as the command names it."""
        file = self.sysroot / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return str(file)

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYSYSCTL_ROOT": str(self.root), "PYSYSCTL_SYSROOT": str(self.sysroot)}

    def run(self, *arguments: str, stdin: str = "") -> tuple[str, str, int]:
        """Standard output, standard error and status."""
        done = subprocess.run(
            [str(PYSYSCTL), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env=self.environment(),
            check=False,
            timeout=30,
        )
        return done.stdout, done.stderr, done.returncode
