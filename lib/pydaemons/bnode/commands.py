# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests: one row each, with who may make them and whether restricted mode allows them.

A row's number is the peer's procedure number. The body gets the supervisor, the request and the time, and
returns a result (answered with it at once), a Refusal, or LATER when the answer comes by itself. Bodies
that are None touch files or run something: once allowed they are the shell's (Perform).
Read Desk.handle, then TABLE.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pydaemons.bnode import ktime, sitefiles, views
from pydaemons.bnode.bosconfig import Entry
from pydaemons.bnode.effects import Perform, StartAnew
from pydaemons.bnode.events import Asked, Caller, Performed
from pydaemons.bnode.kinds import refuse
from pydaemons.bnode.model import LONGEST_TEXT, NO_NOTIFIER, Bnode, Code, Goal, bad_name
from pydaemons.bnode.sitefiles import Cell
from pydaemons.bnode.supervisor import ADMINISTERED, Supervisor
from pydaemons.engine.effects import Level, Persist
from pydaemons.engine.protocol import Now

LATER: Final = object()
_ANYBODY = "anybody"
_ADMIN = "admin"
_ALLOWED = "allowed"
_DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A no, with its reason."""

    code: Code
    reason: str = ""


Body = Callable[["Desk", Asked, Now], Any]


@dataclass(frozen=True, slots=True)
class Verb:
    """One kind of request."""

    number: int
    """the peer's; 0 for what the peer does not have"""
    name: str
    who: str
    restricted: str
    parameters: Mapping[str, type]
    body: Body | None
    doc: str
    optional: Mapping[str, type] = field(default_factory=dict)


class Desk:
    """Takes requests for one supervisor."""

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        users: tuple[str, ...] = (),
        cell: Cell | None = None,
        keys: dict[int, bytes] | None = None,
        no_auth: bool = False,
    ) -> None:
        self.supervisor = supervisor
        self.users = users
        self.cell = cell or Cell("")
        self.keys = keys or {}
        self.no_auth = no_auth
        self._pending: dict[object, tuple[Verb, Caller]] = {}

    def __call__(self, supervisor: Supervisor, event: object, now: Now) -> None:
        match event:
            case Asked():
                self._asked(event, now)
            case Performed():
                verb, caller = self._pending.pop(event.ticket)
                self._audit(verb, caller, event.code, {})
                supervisor.out.answer(event.ticket, event.code, event.result, event.reason)
            case _:
                raise TypeError(f"an event nobody knows: {event!r}")

    def may(self, caller: Caller) -> bool:
        """Is this an administrator?"""
        return caller.admin or self.no_auth or caller.name in self.users

    def _asked(self, asked: Asked, now: Now) -> None:
        supervisor = self.supervisor
        verb = TABLE.get(asked.verb)
        if verb is None:
            supervisor.out.answer(asked.ticket, Code.DOM, reason=f"no such request: {asked.verb}")
            return
        if verb.who == _ADMIN and not self.may(asked.caller):
            self._refuse(asked, verb, Refusal(Code.ACCESS))
            return
        if verb.restricted == _DENIED and supervisor.restricted:
            self._refuse(asked, verb, Refusal(Code.ACCESS, "the server is in restricted mode"))
            return
        wrong = _check(verb, asked.arguments)
        if wrong:
            self._refuse(asked, verb, Refusal(Code.SYNTAX, wrong))
            return
        if verb.body is None:
            if verb.name == "GetLog" and supervisor.restricted and "/" in asked.arguments["file"]:
                self._refuse(asked, verb, Refusal(Code.ACCESS, "the server is in restricted mode"))
                return
            self._pending[asked.ticket] = (verb, asked.caller)
            supervisor.out.put(Perform(asked.ticket, verb.name, asked.arguments))
            return
        result = verb.body(self, asked, now)
        if isinstance(result, Refusal):
            self._refuse(asked, verb, result)
            return
        self._audit(verb, asked.caller, Code.OK, asked.arguments)
        if result is not LATER:
            supervisor.out.answer(asked.ticket, Code.OK, result)

    def _refuse(self, asked: Asked, verb: Verb, refusal: Refusal) -> None:
        self._audit(verb, asked.caller, refusal.code, asked.arguments)
        self.supervisor.out.answer(asked.ticket, refusal.code, reason=refusal.reason)

    def _audit(self, verb: Verb, caller: Caller, code: Code | int, arguments: Mapping[str, Any]) -> None:
        """One entry for each administrative action, and for each that was refused."""
        if verb.who != _ADMIN:
            return
        fields = {"BOS_EVENT": verb.name, "BOS_USER": caller.name, "BOS_CODE": str(int(code))}
        shown = {key: value for key, value in arguments.items() if key not in _SECRET}
        if shown:
            fields["BOS_ARGUMENTS"] = ", ".join(f"{key}={value}" for key, value in shown.items())
        level = Level.NOTICE if code == Code.OK else Level.WARNING
        name = Code(code).text if code in Code._value2member_map_ else f"result {code}"
        message = f"{caller.name} is executing {verb.name}" + (f": {name}" if code != Code.OK else "")
        self.supervisor.out.log(level, message, message_id=ADMINISTERED, **fields)


_SECRET = frozenset({"key", "data"})


def _check(verb: Verb, arguments: Mapping[str, Any]) -> str | None:
    """Why the arguments do not fit, or None."""
    for name, kind in (*verb.parameters.items(), *verb.optional.items()):
        if name not in arguments:
            if name in verb.optional:
                continue
            return f"{verb.name} wants {name}"
        value = arguments[name]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            return f"{name} must be {kind.__name__}"
        texts = value if isinstance(value, list) else [value]
        for text in texts:
            if isinstance(value, list) and not isinstance(text, int if name in NUMBERS else str):
                return f"{name} must be a list of {'numbers' if name in NUMBERS else 'texts'}"
            if isinstance(text, str) and name not in _LONG and len(text.encode()) > LONGEST_TEXT:
                return f"{name} has {len(text.encode())} characters, at most {LONGEST_TEXT} are possible"
            if isinstance(text, str) and "\0" in text:
                return f"{name} has a zero byte"
    return None


NUMBERS = frozenset({"time"})
"""parameters that are lists of numbers"""
_LONG = frozenset({"command", "commands", "data", "file", "directory"})


def _bnode(desk: Desk, asked: Asked) -> Bnode | Refusal:
    name = asked.arguments["instance"]
    return desk.supervisor.find(name) or Refusal(Code.NOENT, f"no instance {name}")


def _create(desk: Desk, asked: Asked, now: Now) -> Any:
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
    supervisor.create(Entry(kind, name, Goal.NORMAL, commands, notifier), now)
    return {}


def _delete(desk: Desk, asked: Asked, now: Now) -> Any:
    bnode = _bnode(desk, asked)
    if isinstance(bnode, Refusal):
        return bnode
    code = desk.supervisor.delete(bnode, now)
    return {} if code is Code.OK else Refusal(code)


def _set_status(desk: Desk, asked: Asked, now: Now) -> Any:
    """start and stop: both goals."""
    bnode, goal = _bnode(desk, asked), asked.arguments["goal"]
    if isinstance(bnode, Refusal):
        return bnode
    if goal not in (0, 1):
        return Refusal(Code.DOM, "goal must be 0 or 1")
    desk.supervisor.set_file_goal(bnode, Goal(goal))
    desk.supervisor.set_stat(bnode, Goal(goal), now)
    return {}


def _set_temporary(desk: Desk, asked: Asked, now: Now) -> Any:
    """startup and shutdown of one bnode: the goal in memory."""
    bnode, goal = _bnode(desk, asked), asked.arguments["goal"]
    if isinstance(bnode, Refusal):
        return bnode
    if goal not in (0, 1):
        return Refusal(Code.DOM, "goal must be 0 or 1")
    desk.supervisor.set_stat(bnode, Goal(goal), now)
    return {}


def _shutdown_all(desk: Desk, asked: Asked, now: Now) -> Any:
    for bnode in list(desk.supervisor.bnodes()):
        desk.supervisor.set_stat(bnode, Goal.SHUTDOWN, now)
    return {}


def _startup_all(desk: Desk, asked: Asked, now: Now) -> Any:
    for bnode in list(desk.supervisor.bnodes()):
        if bnode.file_goal is Goal.NORMAL:
            desk.supervisor.set_stat(bnode, Goal.NORMAL, now)
    return {}


def _restart_all(desk: Desk, asked: Asked, now: Now) -> Any:
    chosen = [bnode for bnode in desk.supervisor.bnodes() if bnode.file_goal is Goal.NORMAL]
    desk.supervisor.restart(asked.ticket, chosen, now)
    return LATER


def _restart_server(desk: Desk, asked: Asked, now: Now) -> Any:
    desk.supervisor.leave_when_down(StartAnew(), now)
    return {}


def _restart(desk: Desk, asked: Asked, now: Now) -> Any:
    bnode = _bnode(desk, asked)
    if isinstance(bnode, Refusal):
        return bnode
    desk.supervisor.restart(asked.ticket, [bnode], now)
    return LATER


def _wait_all(desk: Desk, asked: Asked, now: Now) -> Any:
    desk.supervisor.wait(asked.ticket, desk.supervisor.bnodes(), now)
    return LATER


def _wait_status(desk: Desk, asked: Asked, now: Now) -> Any:
    bnode, goal = _bnode(desk, asked), asked.arguments["goal"]
    if isinstance(bnode, Refusal):
        return bnode
    if goal not in (0, 1):
        return Refusal(Code.DOM, "goal must be 0 or 1")
    desk.supervisor.wait(asked.ticket, [bnode], now, goal=Goal(goal))
    return LATER


def _status(desk: Desk, asked: Asked, now: Now) -> Any:
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
    return {"instances": shown, "unknown": unknown, "trouble": supervisor.trouble}


def _statistics(desk: Desk, asked: Asked, now: Now) -> Any:
    tunables = desk.supervisor.tunables
    counts = {name: tunables.value(name) for name, entry in tunables.entries.items() if not entry.writable}
    return {**counts, "trouble": desk.supervisor.trouble, "leaving": desk.supervisor.leaving is not None}


def _add_user(desk: Desk, asked: Asked, now: Now) -> Any:
    user = asked.arguments["user"]
    if not user or any(letter.isspace() for letter in user):
        return Refusal(Code.SYNTAX, "a user name has no blanks")
    if user in desk.users:
        return Refusal(Code.EXISTS, f"{user} is there already")
    desk.users = (*desk.users, user)
    desk.supervisor.out.put(Persist("local/UserList", sitefiles.format_users(desk.users).encode()))
    return {}


def _remove_user(desk: Desk, asked: Asked, now: Now) -> Any:
    user = asked.arguments["user"]
    if user not in desk.users:
        return Refusal(Code.NOENT, f"{user} is not there")
    desk.users = tuple(other for other in desk.users if other != user)
    desk.supervisor.out.put(Persist("local/UserList", sitefiles.format_users(desk.users).encode()))
    return {}


def _list_users(desk: Desk, asked: Asked, now: Now) -> Any:
    return {"users": list(desk.users)}


def _list_keys(desk: Desk, asked: Asked, now: Now) -> Any:
    keys = [
        {"kvno": number, "checksum": sitefiles.key_checksum(key), "key": key.hex()}
        for number, key in sorted(desk.keys.items())
    ]
    return {"keys": keys}


def _add_key(desk: Desk, asked: Asked, now: Now) -> Any:
    number, text = asked.arguments["kvno"], asked.arguments["key"]
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 8:
        return Refusal(Code.SYNTAX, "a key is 16 hexadecimal digits (passwords are not turned into DES keys)")
    if not 0 <= number <= 255:
        return Refusal(Code.DOM, "a key version number is 0 to 255")
    if number in desk.keys:
        return Refusal(Code.EXISTS, f"there is a key {number} already")
    if len(desk.keys) == sitefiles.MOST_KEYS:
        return Refusal(Code.DOM, f"the file holds {sitefiles.MOST_KEYS} keys")
    desk.keys[number] = key
    desk.supervisor.out.put(Persist("etc/KeyFile", sitefiles.pack_keys(desk.keys)))
    return {}


def _remove_key(desk: Desk, asked: Asked, now: Now) -> Any:
    if asked.arguments["kvno"] not in desk.keys:
        return Refusal(Code.NOENT, f"there is no key {asked.arguments['kvno']}")
    del desk.keys[asked.arguments["kvno"]]
    desk.supervisor.out.put(Persist("etc/KeyFile", sitefiles.pack_keys(desk.keys)))
    return {}


def _persist_cell(desk: Desk) -> None:
    desk.supervisor.out.put(Persist("etc/ThisCell", f"{desk.cell.name}\n".encode()))
    desk.supervisor.out.put(Persist("etc/CellServDB", sitefiles.format_cell(desk.cell).encode()))


def _set_cell(desk: Desk, asked: Asked, now: Now) -> Any:
    name = asked.arguments["name"]
    if not name or any(letter.isspace() or letter in "#>" for letter in name):
        return Refusal(Code.SYNTAX, "a cell name has no blanks")
    desk.cell = replace(desk.cell, name=name)
    _persist_cell(desk)
    return {}


def _get_cell(desk: Desk, asked: Asked, now: Now) -> Any:
    return {"cell": desk.cell.name, "hosts": list(desk.cell.hosts)}


def _add_host(desk: Desk, asked: Asked, now: Now) -> Any:
    host = asked.arguments["host"]
    if not host.strip("[]") or any(letter.isspace() or letter in "#>" for letter in host):
        return Refusal(Code.SYNTAX, "a host is a name or an address, in brackets for a clone")
    if host.strip("[]") in {other.strip("[]") for other in desk.cell.hosts}:
        return Refusal(Code.EXISTS, f"{host} is there already")
    desk.cell = replace(desk.cell, hosts=(*desk.cell.hosts, host))
    _persist_cell(desk)
    return {}


def _remove_host(desk: Desk, asked: Asked, now: Now) -> Any:
    host = asked.arguments["host"].strip("[]")
    left = tuple(other for other in desk.cell.hosts if other.strip("[]") != host)
    if len(left) == len(desk.cell.hosts):
        return Refusal(Code.NOENT, f"{host} is not there")
    desk.cell = replace(desk.cell, hosts=left)
    _persist_cell(desk)
    return {}


def _set_auth(desk: Desk, asked: Asked, now: Now) -> Any:
    desk.no_auth = not asked.arguments["required"]
    desk.supervisor.out.put(Persist("local/NoAuth", b"" if desk.no_auth else None))
    return {}


def _set_restart(desk: Desk, asked: Asked, now: Now) -> Any:
    try:
        time = ktime.KTime(*asked.arguments["time"])
    except (TypeError, ValueError) as error:
        return Refusal(Code.SYNTAX, str(error))
    if asked.arguments["binaries"]:
        desk.supervisor.binaries = time
    else:
        desk.supervisor.general = time
    desk.supervisor.schedule_changed(now)
    return {}


def _get_restart(desk: Desk, asked: Asked, now: Now) -> Any:
    times = {"general": desk.supervisor.general, "binaries": desk.supervisor.binaries}
    return {name: [t.mask, t.day, t.hour, t.minute, t.second] for name, t in times.items()}


def _set_restricted(desk: Desk, asked: Asked, now: Now) -> Any:
    """The way back is a signal (SIGFPE) at the server's own machine."""
    if not asked.arguments["mode"] and desk.supervisor.restricted:
        return Refusal(Code.ACCESS, "only SIGFPE at the server ends restricted mode")
    desk.supervisor.restricted = asked.arguments["mode"]
    desk.supervisor.out.config_changed = True
    return {}


def _get_restricted(desk: Desk, asked: Asked, now: Now) -> Any:
    return {"restricted": desk.supervisor.restricted}


_ONE = {"instance": str}
_GOAL = {"instance": str, "goal": int}

TABLE: Mapping[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb(
            80,
            "Create",
            _ADMIN,
            _DENIED,
            {"instance": str, "type": str, "commands": list},
            _create,
            "Make a bnode and start it.",
            {"notifier": str},
        ),
        Verb(81, "Delete", _ADMIN, _DENIED, _ONE, _delete, "Remove a bnode that is down."),
        Verb(82, "SetStatus", _ADMIN, _ALLOWED, _GOAL, _set_status, "Set both goals (start, stop)."),
        Verb(
            83,
            "Status",
            _ANYBODY,
            _ALLOWED,
            {"instances": list, "long": bool},
            _status,
            "How bnodes are; none named means all.",
        ),
        Verb(87, "AddUser", _ADMIN, _ALLOWED, {"user": str}, _add_user, "Make a user an administrator."),
        Verb(88, "RemoveUser", _ADMIN, _ALLOWED, {"user": str}, _remove_user, "Make a user none."),
        Verb(89, "ListUsers", _ANYBODY, _ALLOWED, {}, _list_users, "The administrators."),
        Verb(90, "ListKeys", _ADMIN, _ALLOWED, {}, _list_keys, "The keys of KeyFile."),
        Verb(91, "AddKey", _ADMIN, _ALLOWED, {"kvno": int, "key": str}, _add_key, "Add a key."),
        Verb(92, "RemoveKey", _ADMIN, _ALLOWED, {"kvno": int}, _remove_key, "Remove a key."),
        Verb(93, "SetCell", _ADMIN, _ALLOWED, {"name": str}, _set_cell, "Name the cell."),
        Verb(94, "GetCell", _ANYBODY, _ALLOWED, {}, _get_cell, "The cell and its database servers."),
        Verb(96, "AddHost", _ADMIN, _ALLOWED, {"host": str}, _add_host, "Add a database server."),
        Verb(97, "RemoveHost", _ADMIN, _ALLOWED, {"host": str}, _remove_host, "Remove a database server."),
        Verb(
            98,
            "SetTemporaryStatus",
            _ADMIN,
            _ALLOWED,
            _GOAL,
            _set_temporary,
            "Set the goal in memory (startup, shutdown).",
        ),
        Verb(99, "ShutdownAll", _ADMIN, _ALLOWED, {}, _shutdown_all, "Stop all, goals in memory only."),
        Verb(
            100,
            "RestartAll",
            _ADMIN,
            _ALLOWED,
            {},
            _restart_all,
            "Restart all whose goal in the file is to run.",
        ),
        Verb(
            101,
            "StartupAll",
            _ADMIN,
            _ALLOWED,
            {},
            _startup_all,
            "Start all whose goal in the file is to run.",
        ),
        Verb(
            102,
            "SetAuth",
            _ADMIN,
            _ALLOWED,
            {"required": bool},
            _set_auth,
            "Whether administrators are checked.",
        ),
        Verb(
            103,
            "RestartServer",
            _ADMIN,
            _ALLOWED,
            {},
            _restart_server,
            "Stop all, then start the server anew.",
        ),
        Verb(104, "Restart", _ADMIN, _ALLOWED, _ONE, _restart, "Restart one."),
        Verb(
            105,
            "Install",
            _ADMIN,
            _DENIED,
            {"file": str, "mode": int, "mtime": int, "data": str},
            None,
            "Put a file in place, in pieces.",
            {"offset": int, "size": int},
        ),
        Verb(106, "Uninstall", _ADMIN, _DENIED, {"file": str}, None, "Bring the version before back."),
        Verb(
            107, "GetDate", _ANYBODY, _ALLOWED, {"file": str}, None, "Times of a file and its older versions."
        ),
        Verb(
            108,
            "Exec",
            _ADMIN,
            _DENIED,
            {"command": str},
            None,
            "Run a command by the shell; its wait status.",
        ),
        Verb(
            109,
            "Prune",
            _ADMIN,
            _DENIED,
            {"old": bool, "bak": bool, "core": bool},
            None,
            "Remove old versions and cores.",
        ),
        Verb(
            110,
            "SetRestart",
            _ADMIN,
            _ALLOWED,
            {"binaries": bool, "time": list},
            _set_restart,
            "Set a restart time: mask, day, hour, minute, second.",
        ),
        Verb(111, "GetRestart", _ANYBODY, _ALLOWED, {}, _get_restart, "The restart times."),
        Verb(
            112,
            "GetLog",
            _ADMIN,
            _ALLOWED,
            {"file": str},
            None,
            "A piece of a log file, in base64.",
            {"offset": int},
        ),
        Verb(113, "WaitAll", _ADMIN, _ALLOWED, {}, _wait_all, "Answer when all have settled."),
        Verb(115, "GetRestricted", _ANYBODY, _ALLOWED, {}, _get_restricted, "Whether restricted mode is on."),
        Verb(
            116,
            "SetRestricted",
            _ADMIN,
            _ALLOWED,
            {"mode": bool},
            _set_restricted,
            "Turn restricted mode on.",
        ),
        Verb(
            0, "WaitStatus", _ADMIN, _ALLOWED, _GOAL, _wait_status, "Answer when a bnode has reached a goal."
        ),
        Verb(0, "Statistics", _ANYBODY, _ALLOWED, {}, _statistics, "Figures of the supervisor."),
    )
}
