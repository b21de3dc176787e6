# SPDX-License-Identifier: GPL-3.0-or-later
"""The one procedure table of the lock manager (X/Open XNFS 3W chapter 10), for all versions and both manners.

A row says what a procedure takes and returns and which rule decides. From it follow: dispatch for versions 1,
3 and 4, the asynchronous twins (a `*_MSG` call is not answered; its result comes back as a call of the
`*_RES` procedure), the counters, and the names in logs. Procedures 17 to 19 were never used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from pydaemons.engine.protocol import Now
from pydaemons.nlm import types
from pydaemons.nlm.versions import NEWEST, VERSIONS, args_codec, narrow, result_codec
from pydaemons.sunrpc.program import Body, Call, Procedure, Program
from pydaemons.wire.record import Codec
from pydaemons.wire.xdr import NOTHING, VOID, Void

TEST_ARGS = Codec(types.ProbeArgs)
LOCK_ARGS = Codec(types.LockArgs)
CANCEL_ARGS = Codec(types.CancelArgs)
UNLOCK_ARGS = Codec(types.UnlockArgs)
SHARE_ARGS = Codec(types.ShareArgs)
FREE_ALL_ARGS = Codec(types.FreeAllArgs)
STATUS_ARGS = Codec(types.StatusArgs)
RESULT = types.RESULT
TEST_RESULT = types.ProbeResultCodec()
SHARE_RESULT = Codec(types.ShareResult)

MSG, RES = 5, 10
"""What a twin's number adds to that of its procedure."""
LAST_VERSION_1 = 16


class Rules(Protocol):
    """What decides: one method per rule, `(arguments, call, now) -> result`."""

    def null(self, args: Void, call: Call, now: Now) -> Void: ...
    def test(self, args: types.ProbeArgs, call: Call, now: Now) -> types.ProbeResult: ...
    def lock(self, args: types.LockArgs, call: Call, now: Now) -> types.Result: ...
    def nm_lock(self, args: types.LockArgs, call: Call, now: Now) -> types.Result: ...
    def cancel(self, args: types.CancelArgs, call: Call, now: Now) -> types.Result: ...
    def unlock(self, args: types.UnlockArgs, call: Call, now: Now) -> types.Result: ...
    def granted(self, args: types.ProbeArgs, call: Call, now: Now) -> types.Result: ...
    def granted_result(self, args: types.Result, call: Call, now: Now) -> Void: ...
    def share(self, args: types.ShareArgs, call: Call, now: Now) -> types.ShareResult: ...
    def unshare(self, args: types.ShareArgs, call: Call, now: Now) -> types.ShareResult: ...
    def free_all(self, args: types.FreeAllArgs, call: Call, now: Now) -> Void: ...
    def sm_notify(self, args: types.StatusArgs, call: Call, now: Now) -> Void: ...


class Callbacks(Protocol):
    """What a client of other lock managers decides (see CLIENT_ROWS)."""

    def null(self, args: Void, call: Call, now: Now) -> Void: ...
    def granted(self, args: types.ProbeArgs, call: Call, now: Now) -> types.Result: ...
    def granted_result(self, args: types.Result, call: Call, now: Now) -> Void: ...


class Row(NamedTuple):
    """One procedure."""

    number: int
    name: str
    args: Codec[Any]
    result: Codec[Any]
    rule: str
    """Name of the method of Rules."""
    once: bool = False
    """Whether a repeated call must not be executed again."""
    twins: bool = False
    """Whether there are `*_MSG` and `*_RES` as well."""
    same_again: bool = False
    """Whether a client that repeats it, its answer lost, gets the same answer and nothing changes: a lock is
    granted to its holder, and what is free stays free."""


ROWS = (
    Row(0, "NULL", VOID, VOID, "null"),
    Row(1, "TEST", TEST_ARGS, TEST_RESULT, "test", twins=True),
    Row(2, "LOCK", LOCK_ARGS, RESULT, "lock", once=True, twins=True, same_again=True),
    Row(3, "CANCEL", CANCEL_ARGS, RESULT, "cancel", once=True, twins=True),
    Row(4, "UNLOCK", UNLOCK_ARGS, RESULT, "unlock", once=True, twins=True, same_again=True),
    Row(5, "GRANTED", TEST_ARGS, RESULT, "granted", twins=True),
    Row(16, "SM_NOTIFY", STATUS_ARGS, VOID, "sm_notify"),
    Row(20, "SHARE", SHARE_ARGS, SHARE_RESULT, "share", once=True),
    Row(21, "UNSHARE", SHARE_ARGS, SHARE_RESULT, "unshare", once=True),
    Row(22, "NM_LOCK", LOCK_ARGS, RESULT, "nm_lock", once=True),
    Row(23, "FREE_ALL", FREE_ALL_ARGS, VOID, "free_all", once=True),
)
BY_NAME = {row.name: row for row in ROWS}
CLIENT_ROWS = (BY_NAME["NULL"], BY_NAME["GRANTED"])
"""What a client offers that only waits for its locks and serves none."""
CALLBACKS = frozenset((5, 10, 11, 12, 13, 14, 16))
"""Procedures that a server, or this host's status monitor, calls at a client: they come from hosts that need
not be clients of ours, and their rules look for themselves who calls. GRANTED_RES is not one of them."""

Answer = Callable[[Call, int, bytes, Now], None]
"""`answer(call, procedure, result, now)`: call the `*_RES` procedure of the client that made `call`."""


def program(rules: Rules | Callbacks, answer: Answer, rows: Sequence[Row] = ROWS) -> Program:
    """The lock manager's program: the rows, for every version."""
    return Program(types.NLM_PROGRAM, "nlm", {v: _procedures(v, rules, answer, rows) for v in VERSIONS})


def _procedures(
    version: int, rules: Rules | Callbacks, answer: Answer, rows: Sequence[Row]
) -> dict[int, Procedure]:
    table: dict[int, Procedure] = {}

    def add(
        number: int, name: str, args: Codec[Any], result: Codec[Any], body: Body, **manners: bool
    ) -> None:
        if version > 1 or number <= LAST_VERSION_1:
            table[number] = Procedure(number, name, args, result, body, **manners)

    for row in rows:
        args, result = args_codec(row.args, version), result_codec(row.result, version)
        body: Body = getattr(rules, row.rule)
        if version != NEWEST:
            body = _narrowed(body)
        add(row.number, row.name, args, result, body, once=row.once, same_again=row.same_again)
        if row.twins:
            add(
                row.number + MSG, row.name + "_MSG", args, VOID, _told(body, row.number + RES, result, answer)
            )
            taken = rules.granted_result if row.name == "GRANTED" else _ignored
            add(row.number + RES, row.name + "_RES", result, VOID, taken)
    return table


def _narrowed(body: Body) -> Body:
    return lambda args, call, now: narrow(body(args, call, now))


def _told(body: Body, res: int, result: Codec[Any], answer: Answer) -> Body:
    def tell(args: Any, call: Call, now: Now) -> None:
        answer(call, res, result.pack(body(args, call, now)), now)

    return tell


def _ignored(args: Any, call: Call, now: Now) -> Void:
    """The answer to a call this server never makes."""
    return NOTHING
