# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests about bnodes and the server itself. Each body gets the desk, the request and the time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydaemons.bnode import ktime, views
from pydaemons.bnode.bosconfig import Entry
from pydaemons.bnode.effects import StartAnew
from pydaemons.bnode.events import Asked
from pydaemons.bnode.kinds import KINDS, refuse
from pydaemons.bnode.model import NO_NOTIFIER, Bnode, Code, Goal, bad_name
from pydaemons.bnode.verb import LATER, Refusal
from pydaemons.engine.protocol import Now

if TYPE_CHECKING:
    from pydaemons.bnode.commands import Desk


def _bnode(desk: Desk, asked: Asked) -> Bnode | Refusal:
    name = asked.arguments["instance"]
    return desk.supervisor.find(name) or Refusal(Code.NOENT)


def _aim(desk: Desk, asked: Asked) -> tuple[Bnode, Goal] | Refusal:
    """A bnode, and what it is to do."""
    bnode, goal = _bnode(desk, asked), asked.arguments["goal"]
    if isinstance(bnode, Refusal):
        return bnode
    if goal not in (0, 1):
        return Refusal(Code.DOM, "goal must be 0 or 1")
    return bnode, Goal(goal)


def create(desk: Desk, asked: Asked, now: Now) -> Any:
    arguments, supervisor = asked.arguments, desk.supervisor
    name, kind, commands = arguments["instance"], arguments["type"], tuple(arguments["commands"])
    notifier = arguments.get("notifier") or None
    if notifier == NO_NOTIFIER:
        notifier = None
    if supervisor.exists(name):
        return Refusal(Code.EXISTS)
    refused = refuse(kind, commands, quoting=supervisor.tunables.quoting)
    if refused and refused[0] is Code.BADTYPE:
        return Refusal(*refused)
    reason = bad_name(name)
    if reason:
        return Refusal(Code.NOCREATE, reason)
    if notifier is not None and (not asked.found or " " in notifier or "\n" in notifier):
        return Refusal(Code.NOCREATE, f"Notifier program '{notifier}' not found")
    if refused:
        return Refusal(*refused)
    if supervisor.leaving is not None:
        return Refusal(Code.BUSY, "the server is shutting down")
    if not supervisor.tunables.quoting:
        folders = supervisor.site.folders
        programs = len(KINDS[kind].programs(commands))
        commands = (*map(folders.localized, commands[:programs]), *commands[programs:])
    supervisor.create(Entry(kind, name, Goal.NORMAL, commands, notifier), now)
    return {}


def delete(desk: Desk, asked: Asked, now: Now) -> Any:
    bnode = _bnode(desk, asked)
    if isinstance(bnode, Refusal):
        return bnode
    code = desk.supervisor.delete(bnode, now)
    return {} if code is Code.OK else Refusal(code)


def set_status(desk: Desk, asked: Asked, now: Now) -> Any:
    """start and stop: both goals."""
    aim = _aim(desk, asked)
    if isinstance(aim, Refusal):
        return aim
    desk.supervisor.set_file_goal(*aim)
    desk.supervisor.set_stat(*aim, now)
    return {}


def set_temporary(desk: Desk, asked: Asked, now: Now) -> Any:
    """startup and shutdown of one bnode: the goal in memory."""
    aim = _aim(desk, asked)
    if isinstance(aim, Refusal):
        return aim
    desk.supervisor.set_stat(*aim, now)
    return {}


def shutdown_all(desk: Desk, asked: Asked, now: Now) -> Any:
    for bnode in list(desk.supervisor.bnodes()):
        desk.supervisor.set_stat(bnode, Goal.SHUTDOWN, now)
    return {}


def startup_all(desk: Desk, asked: Asked, now: Now) -> Any:
    for bnode in list(desk.supervisor.bnodes()):
        if bnode.file_goal is Goal.NORMAL:
            desk.supervisor.set_stat(bnode, Goal.NORMAL, now)
    return {}


def restart_all(desk: Desk, asked: Asked, now: Now) -> Any:
    chosen = [bnode for bnode in desk.supervisor.bnodes() if bnode.file_goal is Goal.NORMAL]
    desk.supervisor.restart(asked.ticket, chosen, now)
    return LATER


def restart_server(desk: Desk, asked: Asked, now: Now) -> Any:
    desk.supervisor.leave_when_down(StartAnew(), now)
    return {}


def restart(desk: Desk, asked: Asked, now: Now) -> Any:
    bnode = _bnode(desk, asked)
    if isinstance(bnode, Refusal):
        return bnode
    desk.supervisor.restart(asked.ticket, [bnode], now)
    return LATER


def wait_all(desk: Desk, asked: Asked, now: Now) -> Any:
    desk.supervisor.wait(asked.ticket, desk.supervisor.bnodes(), now)
    return LATER


def wait_status(desk: Desk, asked: Asked, now: Now) -> Any:
    aim = _aim(desk, asked)
    if isinstance(aim, Refusal):
        return aim
    bnode, goal = aim
    desk.supervisor.wait(asked.ticket, [bnode], now, goal=goal)
    return LATER


def status(desk: Desk, asked: Asked, now: Now) -> Any:
    """Everything about some or all bnodes; unknown names are listed, not errors."""
    supervisor = desk.supervisor
    view = views.status if asked.arguments["long"] else views.brief
    known = supervisor.connected
    if asked.arguments["instances"]:
        found = [(name, supervisor.find(name)) for name in asked.arguments["instances"]]
        shown = [view(bnode, known=known) for _, bnode in found if bnode is not None]
        unknown = [name for name, bnode in found if bnode is None]
    else:
        shown, unknown = [view(bnode, known=known) for bnode in supervisor.bnodes()], []
    return {
        "instances": shown,
        "unknown": unknown,
        "trouble": supervisor.trouble,
        "unwritten": dict(supervisor.unwritten),
        "tooOpen": list(supervisor.too_open),
    }


def statistics(desk: Desk, asked: Asked, now: Now) -> Any:
    tunables = desk.supervisor.tunables
    counts = {name: tunables.value(name) for name, entry in tunables.entries.items() if not entry.writable}
    return {
        **counts,
        "waiting": len(desk.supervisor.waiting),
        "unwritten": ", ".join(desk.supervisor.unwritten),
        "trouble": desk.supervisor.trouble,
        "leaving": desk.supervisor.leaving is not None,
    }


def set_restart(desk: Desk, asked: Asked, now: Now) -> Any:
    try:
        time = ktime.KTime(*asked.arguments["time"])
    except (TypeError, ValueError) as error:
        return Refusal(Code.SYNTAX, str(error))
    if asked.arguments["binaries"]:
        desk.supervisor.binaries = time
    else:
        desk.supervisor.general = time
    desk.supervisor.out.config_changed = True
    desk.supervisor.schedule_restarts(now)
    return {}


def get_restart(desk: Desk, asked: Asked, now: Now) -> Any:
    times = {"general": desk.supervisor.general, "binaries": desk.supervisor.binaries}
    return {name: [t.mask, t.day, t.hour, t.minute, t.second] for name, t in times.items()}


def set_restricted(desk: Desk, asked: Asked, now: Now) -> Any:
    """The way back is a signal (SIGFPE) at the server's own machine."""
    if not asked.arguments["mode"] and desk.supervisor.restricted:
        return Refusal(Code.ACCESS, "only SIGFPE at the server ends restricted mode")
    desk.supervisor.restricted = asked.arguments["mode"]
    desk.supervisor.out.config_changed = True
    return {}


def get_restricted(desk: Desk, asked: Asked, now: Now) -> Any:
    return {"restricted": desk.supervisor.restricted}
