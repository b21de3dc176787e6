# SPDX-License-Identifier: GPL-3.0-or-later
"""What the disk tells: programs newer than their processes, core files, folders too open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydaemons.bnode.folders import Site
from pydaemons.bnode.kinds import words_of
from pydaemons.bnode.model import Bnode, Goal, core_name
from pydaemons.bnode.outbox import Outbox
from pydaemons.bnode.tunables import BosTunables
from pydaemons.engine.effects import Level


def programs(bnodes: Iterable[Bnode], site: Site, tunables: BosTunables) -> frozenset[str]:
    """The files that running bnodes are made of."""
    running = (bnode for bnode in bnodes if bnode.goal is Goal.NORMAL)
    return frozenset(program for bnode in running for program in _programs(bnode, site, tunables))


def stale(
    bnodes: Iterable[Bnode], times: Mapping[str, float], site: Site, tunables: BosTunables
) -> list[Bnode]:
    """Those that run and whose program, by its modification time, is newer than their process."""
    return [
        bnode
        for bnode in bnodes
        if bnode.goal is Goal.NORMAL
        and not bnode.idle
        and any(times.get(name, 0.0) > bnode.start_time for name in _programs(bnode, site, tunables))
    ]


def _programs(bnode: Bnode, site: Site, tunables: BosTunables) -> list[str]:
    commands = bnode.kind.programs(bnode.commands)
    words = (words_of(command, quoting=tunables.quoting) for command in commands)
    return [site.folders.program(program) for program, *_ in words]


def note_cores(bnodes: Iterable[Bnode], names: frozenset[str]) -> None:
    """Mark those that have a core file, stamped or not, among `names`."""
    for bnode in bnodes:
        cores = [core_name(bnode.name, process.part.name) for process in bnode.processes]
        bnode.has_core = any(_is_core(name, core) for name in names for core in cores)


def _is_core(name: str, core: str) -> bool:
    return name == core or (name.startswith(core + ".") and name[len(core) + 1 :].isdigit())


def tell_access(too_open: Iterable[str], out: Outbox) -> None:
    """A sentence for each of the server's folders that others may do too much with, and the peer's."""
    sentences = list(too_open)
    for sentence in sentences:
        out.log(Level.WARNING, sentence)
    out.log(Level.INFO, f"Server directory access is {'not ' if sentences else ''}okay")
