# SPDX-License-Identifier: GPL-3.0-or-later
"""What travels in the network status monitor protocol, version 1 (X/Open XNFS 3W chapter 11).

A state number says how often a host has started: odd while it is up. Names are at most SM_MAXSTRLEN bytes.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydaemons.wire.enums import OpenEnum
from pydaemons.wire.record import Codec, Fixed
from pydaemons.wire.xdr import Int, UInt, opaque

NSM_PROGRAM, NSM_VERSION = 100024, 1
PRIVATE = 16
"""Bytes a caller of MON gets back, unread, when the host it monitors restarted."""

Name = Annotated[bytes, opaque(1024)]
Private = Annotated[bytes, Fixed(f"{PRIVATE}s")]


class Proc(OpenEnum):
    """Procedures of program 100024."""

    NULL = 0
    STAT = 1
    MON = 2
    UNMON = 3
    UNMON_ALL = 4
    SIMU_CRASH = 5
    NOTIFY = 6


class Outcome(OpenEnum):
    """Whether the monitor agrees to monitor."""

    SUCCEEDED = 0
    FAILED = 1


class HostName(NamedTuple):
    """sm_name."""

    name: Name


class Caller(NamedTuple):
    """my_id: whom to call, on the monitor's own host, when a monitored host restarted."""

    name: Name
    program: UInt
    version: UInt
    procedure: UInt


class Pair(NamedTuple):
    """mon_id: who is monitored, for whom."""

    name: Name
    caller: Caller


class MonitorArgs(NamedTuple):
    """mon."""

    name: Name
    caller: Caller
    private: Private


class MonitorResult(NamedTuple):
    """sm_stat_res: Outcome, and this host's state number."""

    outcome: Int
    state: Int


class State(NamedTuple):
    """sm_stat: this host's state number."""

    state: Int


class Change(NamedTuple):
    """stat_chge: the host of that name is up again, with that state number."""

    name: Name
    state: Int


class Status(NamedTuple):
    """status: what a Caller is told."""

    name: Name
    state: Int
    private: Private


HOST_NAME = Codec(HostName)
CALLER = Codec(Caller)
PAIR = Codec(Pair)
MONITOR_ARGS = Codec(MonitorArgs)
MONITOR_RESULT = Codec(MonitorResult)
STATE = Codec(State)
CHANGE = Codec(Change)
STATUS = Codec(Status)
