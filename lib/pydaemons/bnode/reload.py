# SPDX-License-Identifier: GPL-3.0-or-later
"""BosConfig read again: what is new is started, what is gone is stopped, what has changed is replaced. A file
with an error changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydaemons.bnode import bosconfig
from pydaemons.bnode.bosconfig import BosConfig, BosConfigError, Entry
from pydaemons.bnode.kinds import find_problems
from pydaemons.bnode.model import Bnode
from pydaemons.engine.effects import Level
from pydaemons.engine.protocol import Now

if TYPE_CHECKING:
    from pydaemons.bnode.supervisor import Supervisor


def reread(supervisor: Supervisor, text: str, file: str, now: Now) -> None:
    """Judge the text, then put it in force."""
    try:
        config = bosconfig.parse(text, file)
        problems = find_problems(config, file, quoting=supervisor.tunables.quoting)
    except BosConfigError as error:
        problems = list(error.args)
    if problems:
        for problem in problems:
            supervisor.out.log(Level.ERROR, problem)
        supervisor.out.log(Level.ERROR, f"{file} is not used, the last good one stays in force")
        return
    supervisor.restricted = config.restricted
    supervisor.general, supervisor.binaries = config.general, config.binaries
    supervisor.schedule_restarts(now)
    _adapt(supervisor, config, now)


def _adapt(supervisor: Supervisor, config: BosConfig, now: Now) -> None:
    wanted = {entry.name: entry for entry in config.entries}
    for bnode in supervisor.everything():
        entry = wanted.get(bnode.name)
        if entry is None or not _same(bnode, entry):
            line = f"{bnode.name} is no longer in the file as it was: stopping it"
            supervisor.out.log(Level.NOTICE, line)
            supervisor.replace(bnode, entry, now)
        elif entry.goal is not bnode.file_goal:
            supervisor.set_file_goal(bnode, entry.goal)
            supervisor.set_stat(bnode, entry.goal, now)
    for entry in config.entries:
        if not supervisor.exists(entry.name):
            supervisor.out.log(Level.NOTICE, f"{entry.name} is new in the file")
            supervisor.create(entry, now)


def _same(bnode: Bnode, entry: Entry) -> bool:
    """But for the goal."""
    return (bnode.kind.name, bnode.commands, bnode.notifier) == (entry.kind, entry.commands, entry.notifier)
