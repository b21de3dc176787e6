# SPDX-License-Identifier: GPL-3.0-or-later
"""The procedures of bos(8) on the wire, a row each: number, name, what travels, what it is here. Read Row,
then ROWS. Numbers and codes are those of OpenAFS 1.8.9, as captured.

A row with `look` is answered at once from what the supervisor knows. A row with `verb` is that request of
`verbs`: `ask` makes its arguments, `give` makes the answer of its result. Two rows have neither: files pass
through them while they go on (rxdoor).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from pydaemons.bnode import bozo_types as types
from pydaemons.bnode.bozo_types import text
from pydaemons.bnode.model import LONGEST_TEXT, NO_NOTIFIER, Bnode, Code
from pydaemons.bnode.supervisor import Supervisor
from pydaemons.wire.record import Codec
from pydaemons.wire.xdr import NOTHING, VOID

NOTIFIER_INDEX = 999
"""The parameter that stands for the notifier."""
HAS_CORE, ERROR_STOP, TOO_OPEN = 1, 2, 4
OLD, BAK, CORE = 1, 2, 4
GENERAL, BINARIES = 1, 2

USER_EXISTS, NO_SUCH_USER, END_OF_USERS = 17, 2, 1
KEY_IN_USE, NO_MORE_KEYS, NO_SUCH_KEY = 39435, 0x04318706, 0x04318701

Given = Mapping[str, Any]
Look = Callable[[Supervisor, Any], Any]
"""The result record, or a number: the code of a no."""


@dataclass(frozen=True, slots=True)
class Row:
    """One procedure."""

    number: int
    name: str
    args: Codec[Any]
    result: Codec[Any]
    look: Look | None = None
    verb: str = ""
    ask: Callable[[Any], Given | int] = lambda args: {}
    give: Callable[[Any, Given], Any] = lambda args, result: NOTHING
    codes: Mapping[int, int] = field(default_factory=dict)
    """where the peer has other codes than ours"""


# -- looks


def _bnode(supervisor: Supervisor, name: bytes) -> Bnode | None:
    return supervisor.find(text(name))


def _enumerate(supervisor: Supervisor, args: types.Number) -> Any:
    if args.number < 0:
        return Code.DOM
    bnode = next(islice(supervisor.bnodes(), args.number, None), None)
    return Code.DOM if bnode is None else types.Name(bnode.name.encode())


def _status(supervisor: Supervisor, args: types.Name) -> Any:
    bnode = _bnode(supervisor, args.name)
    if bnode is None:
        return Code.NOENT
    if not supervisor.connected:
        return Code.IO
    detail = bnode.kind.detail(bnode).removesuffix(".")
    if "{}" in detail:
        detail = detail.replace("{}", datetime.fromtimestamp(bnode.next_run or 0).ctime())
    return types.StatusOf(int(bnode.kind.status(bnode)), detail.encode())


def _info(supervisor: Supervisor, args: types.Name) -> Any:
    bnode = _bnode(supervisor, args.name)
    if bnode is None:
        return Code.NOENT
    return types.Info(
        bnode.kind.name.encode(),
        int(bnode.goal),
        int(bnode.file_goal),
        int(bnode.start_time),
        bnode.starts,
        int(bnode.last_any_exit),
        int(bnode.last_error_exit),
        bnode.error_code,
        bnode.error_signal,
        bnode.error_stop * ERROR_STOP | bnode.has_core * HAS_CORE | bool(supervisor.too_open) * TOO_OPEN,
    )


def _parameter(supervisor: Supervisor, args: types.NameAndNumber) -> Any:
    bnode = _bnode(supervisor, args.name)
    if bnode is None or (args.number == NOTIFIER_INDEX and not bnode.notifier):
        return Code.NOENT
    if args.number == NOTIFIER_INDEX:
        found = bnode.notifier or ""
    elif 0 <= args.number < len(bnode.commands):
        found = bnode.commands[args.number]
    else:
        return Code.DOM
    raw = found.encode("utf-8", "surrogateescape")
    return types.Name(raw) if len(raw) <= LONGEST_TEXT else Code.IO


def _strings(supervisor: Supervisor, args: types.Name) -> Any:
    bnode = _bnode(supervisor, args.name)
    return Code.NOENT if bnode is None else types.Strings((bnode.last_error_name or "").encode())


# -- questions


def _instance(args: types.Name) -> Given:
    return {"instance": text(args.name)}


def _goal(args: types.NameAndNumber) -> Given:
    return {"instance": text(args.name), "goal": args.number}


def _file(args: types.Name) -> Given:
    return {"file": text(args.name)}


def _create(args: types.NewBnode) -> Given:
    commands = [text(each) for each in (args.first, args.second, args.third, args.fourth, args.fifth)]
    while commands and not commands[-1]:
        commands.pop()
    given: dict[str, Any] = {"instance": text(args.name), "type": text(args.type), "commands": commands}
    notifier = text(args.notifier)
    return given | {"notifier": notifier} if notifier not in ("", NO_NOTIFIER) else given


def _add_key(args: types.Key) -> Given:
    return {"kvno": args.kvno, "key": types.unpack_key(args.key).hex()}


def _prune(args: types.Number) -> Given:
    return {"old": bool(args.number & OLD), "bak": bool(args.number & BAK), "core": bool(args.number & CORE)}


def _set_restart(args: types.NewRestartTime) -> Given | int:
    if args.which not in (GENERAL, BINARIES):
        return Code.DOM
    time = [args.mask, args.day, args.hour, args.minute, args.second]
    return {"binaries": args.which == BINARIES, "time": time}


# -- answers


def _user(args: types.Number, result: Given) -> Any:
    return _at(result["users"], args.number, END_OF_USERS)


def _host(args: types.Number, result: Given) -> Any:
    return _at(result["hosts"], args.number, Code.DOM)


def _at(names: list[str], index: int, end: int) -> Any:
    return types.Name(names[index].encode()) if 0 <= index < len(names) else end


def _key(args: types.Number, result: Given) -> Any:
    if not 0 <= args.number < len(result["keys"]):
        return Code.DOM
    found = result["keys"][args.number]
    key = types.pack_key(bytes.fromhex(found["key"]))
    return types.KeyInfo(found["kvno"], key, result["changed"], 0, found["checksum"])


def _restart_time(args: types.Number, result: Given) -> Any:
    if args.number not in (GENERAL, BINARIES):
        return Code.DOM
    mask, day, hour, minute, second = result["general" if args.number == GENERAL else "binaries"]
    return types.RestartTime(mask, hour, minute, second, day)


ROWS: Mapping[int, Row] = {
    row.number: row
    for row in (
        Row(80, "CreateBnode", types.NEW_BNODE, VOID, verb="Create", ask=_create),
        Row(81, "DeleteBnode", types.NAME, VOID, verb="Delete", ask=_instance),
        Row(82, "SetStatus", types.NAME_AND_NUMBER, VOID, verb="SetStatus", ask=_goal),
        Row(83, "GetStatus", types.NAME, types.STATUS, _status),
        Row(84, "EnumerateInstance", types.NUMBER, types.NAME, _enumerate),
        Row(85, "GetInstanceInfo", types.NAME, types.INFO, _info),
        Row(86, "GetInstanceParm", types.NAME_AND_NUMBER, types.NAME, _parameter),
        Row(
            87,
            "AddSUser",
            types.NAME,
            VOID,
            verb="AddUser",
            ask=lambda args: {"user": text(args.name)},
            codes={Code.EXISTS: USER_EXISTS},
        ),
        Row(
            88,
            "DeleteSUser",
            types.NAME,
            VOID,
            verb="RemoveUser",
            ask=lambda args: {"user": text(args.name)},
            codes={Code.NOENT: NO_SUCH_USER},
        ),
        Row(89, "ListSUsers", types.NUMBER, types.NAME, verb="ListUsers", give=_user),
        Row(90, "ListKeys", types.NUMBER, types.KEY_INFO, verb="ListKeys", give=_key),
        Row(
            91,
            "AddKey",
            types.KEY,
            VOID,
            verb="AddKey",
            ask=_add_key,
            codes={Code.EXISTS: KEY_IN_USE, Code.DOM: NO_MORE_KEYS},
        ),
        Row(
            92,
            "DeleteKey",
            types.NUMBER,
            VOID,
            verb="RemoveKey",
            ask=lambda args: {"kvno": args.number},
            codes={Code.NOENT: NO_SUCH_KEY},
        ),
        Row(93, "SetCellName", types.NAME, VOID, verb="SetCell", ask=lambda args: {"name": text(args.name)}),
        Row(
            94,
            "GetCellName",
            VOID,
            types.NAME,
            verb="GetCell",
            give=lambda args, result: types.Name(result["cell"].encode()),
        ),
        Row(95, "GetCellHost", types.NUMBER, types.NAME, verb="GetCell", give=_host),
        Row(
            96,
            "AddCellHost",
            types.NAME,
            VOID,
            verb="AddHost",
            ask=lambda args: {"host": text(args.name)},
            codes={Code.EXISTS: Code.OK},
        ),
        Row(
            97,
            "DeleteCellHost",
            types.NAME,
            VOID,
            verb="RemoveHost",
            ask=lambda args: {"host": text(args.name)},
        ),
        Row(98, "SetTStatus", types.NAME_AND_NUMBER, VOID, verb="SetTemporaryStatus", ask=_goal),
        Row(99, "ShutdownAll", VOID, VOID, verb="ShutdownAll"),
        Row(100, "RestartAll", VOID, VOID, verb="RestartAll"),
        Row(101, "StartupAll", VOID, VOID, verb="StartupAll"),
        Row(
            102,
            "SetNoAuthFlag",
            types.NUMBER,
            VOID,
            verb="SetAuth",
            ask=lambda args: {"required": not args.number},
        ),
        Row(103, "ReBozo", VOID, VOID, verb="RestartServer"),
        Row(104, "Restart", types.NAME, VOID, verb="Restart", ask=_instance),
        Row(105, "Install", types.NEW_FILE, VOID),
        Row(106, "UnInstall", types.NAME, VOID, verb="Uninstall", ask=_file),
        Row(
            107,
            "GetDates",
            types.NAME,
            types.TIMES,
            verb="GetDate",
            ask=_file,
            give=lambda args, result: types.Times(result["new"], result["bak"], result["old"]),
        ),
        Row(
            108,
            "Exec",
            types.NAME,
            VOID,
            verb="Exec",
            ask=lambda args: {"command": text(args.name)},
            give=lambda args, result: result["status"] or NOTHING,
        ),
        Row(109, "Prune", types.NUMBER, VOID, verb="Prune", ask=_prune),
        Row(110, "SetRestartTime", types.NEW_RESTART_TIME, VOID, verb="SetRestart", ask=_set_restart),
        Row(111, "GetRestartTime", types.NUMBER, types.RESTART_TIME, verb="GetRestart", give=_restart_time),
        Row(112, "GetLog", types.NAME, VOID),
        Row(113, "WaitAll", VOID, VOID, verb="WaitAll"),
        Row(114, "GetInstanceStrings", types.NAME, types.STRINGS, _strings),
        Row(
            115,
            "GetRestrictedMode",
            VOID,
            types.NUMBER,
            verb="GetRestricted",
            give=lambda args, result: types.Number(int(result["restricted"])),
        ),
        Row(
            116,
            "SetRestrictedMode",
            types.NUMBER,
            VOID,
            verb="SetRestricted",
            ask=lambda args: {"mode": bool(args.number)},
        ),
    )
}
