# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things are, and the peer's canonical paths. `/usr/afs/bin/x` in a request means x in our folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydaemons.bnode.model import escape

if TYPE_CHECKING:
    from pydaemons.bnode.model import Bnode, Process

CONFIG = "BosConfig"
USERS = "local/UserList"
NO_AUTH = "local/NoAuth"
KEYS = "etc/KeyFile"
CELL = ("etc/ThisCell", "etc/CellServDB")
"""State files, by the names they are persisted under."""

_CANONICAL = {"bin": "bin", "logs": "log", "etc": "etc", "local": "local", "db": "local"}


@dataclass(frozen=True, slots=True)
class Folders:
    """Absolute paths without a slash at the end."""

    bin: str
    """where relative commands are looked for, and install puts files"""
    log: str
    """BosLog, cores; the working folder of every process"""
    etc: str
    """ThisCell, CellServDB, KeyFile"""
    local: str
    """UserList, NoAuth, pid files"""

    def local_path(self, path: str) -> str:
        """A canonical AFS path as the path here; other absolute ones stay, relative ones are in bin."""
        if path.startswith("/usr/afs/"):
            head, _, rest = path.removeprefix("/usr/afs/").partition("/")
            if head in _CANONICAL:
                folder: str = getattr(self, _CANONICAL[head])
                return f"{folder}/{rest}" if rest else folder
        return path if path.startswith("/") else f"{self.bin}/{path}"

    def localized(self, command: str) -> str:
        """A command line whose first word is a path here, as the peer keeps and shows it; blanks stay."""
        word, *_ = command.split(None, 1)
        before, _, after = command.partition(word)
        return f"{before}{self.program(word)}{after}"

    def program(self, word: str) -> str:
        """The first word of a command, likewise."""
        return self.local_path(word)


@dataclass(frozen=True, slots=True)
class Site:
    """What the shell knows before the engine exists."""

    folders: Folders
    boot: str
    """a name for this boot of the machine"""
    config_name: str = CONFIG
    """the name the shell persists the configuration under"""


def pid_file(bnode: Bnode, process: Process) -> str:
    """As the peer names it: for kinds with several parts the type stands before the part."""
    part = process.part.name
    return f"local/{f'{bnode.kind.name}.{part}' if part else escape(bnode.name)}.pid"


def salvage_file(bnode: Bnode) -> str:
    """The mark that a salvage is due."""
    return f"local/SALVAGE.{escape(bnode.name)}"
