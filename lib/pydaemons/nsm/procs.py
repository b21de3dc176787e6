# SPDX-License-Identifier: GPL-3.0-or-later
"""The procedure table of the status monitor (X/Open XNFS 3W chapter 11). Read Rules for what each decides."""

from __future__ import annotations

from typing import Protocol

from pydaemons.engine.protocol import Now
from pydaemons.nsm import types
from pydaemons.nsm.types import NSM_PROGRAM, NSM_VERSION, Proc
from pydaemons.sunrpc.program import Call, Procedure, Program
from pydaemons.wire.xdr import VOID, Void


class Rules(Protocol):
    """One method per procedure, `(arguments, call, now) -> result`."""

    def null(self, args: Void, call: Call, now: Now) -> Void: ...
    def stat(self, args: types.HostName, call: Call, now: Now) -> types.MonitorResult: ...
    def mon(self, args: types.MonitorArgs, call: Call, now: Now) -> types.MonitorResult: ...
    def unmon(self, args: types.Pair, call: Call, now: Now) -> types.State: ...
    def unmon_all(self, args: types.Caller, call: Call, now: Now) -> types.State: ...
    def simu_crash(self, args: Void, call: Call, now: Now) -> Void: ...
    def notify(self, args: types.Change, call: Call, now: Now) -> Void: ...


def program(rules: Rules) -> Program:
    """The status monitor's program."""
    rows = (
        Procedure(Proc.NULL, "NULL", VOID, VOID, rules.null),
        Procedure(Proc.STAT, "STAT", types.HOST_NAME, types.MONITOR_RESULT, rules.stat),
        Procedure(Proc.MON, "MON", types.MONITOR_ARGS, types.MONITOR_RESULT, rules.mon),
        Procedure(Proc.UNMON, "UNMON", types.PAIR, types.STATE, rules.unmon),
        Procedure(Proc.UNMON_ALL, "UNMON_ALL", types.CALLER, types.STATE, rules.unmon_all),
        Procedure(Proc.SIMU_CRASH, "SIMU_CRASH", VOID, VOID, rules.simu_crash, once=True),
        Procedure(Proc.NOTIFY, "NOTIFY", types.CHANGE, VOID, rules.notify),
    )
    return Program(NSM_PROGRAM, "nsm", {NSM_VERSION: {row.number: row for row in rows}})
