# SPDX-License-Identifier: GPL-3.0-or-later
"""What outlives the daemon: a small JSON file per bnode, because systemd forgets a unit that ended well.

Goals and the error stop come back after a crash or hand-over of the daemon, not after an orderly stop or
a boot: then the goals of BosConfig hold. The exit window is monotonic time and dies with the boot.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydaemons.bnode.model import Bnode, Goal, escape

FOLDER = "history"
_KEPT = (
    "start_time",
    "starts",
    "manual_starts",
    "last_any_exit",
    "last_error_exit",
    "last_error_name",
    "error_code",
    "error_signal",
    "next_run",
)


def file_name(name: str) -> str:
    """Where a bnode's history is, under the state folder."""
    return f"{FOLDER}/{escape(name)}"


def worth_keeping(bnode: Bnode) -> bool:
    """Does its history say more than BosConfig and systemd do? Not while its first process runs."""
    return bool(
        bnode.starts > 1
        or bnode.last_any_exit
        or bnode.goal is not bnode.file_goal
        or bnode.window.opened is not None
        or bnode.next_run is not None
    )


def pack(bnode: Bnode, *, boot: str, ending: bool) -> bytes:
    """The file. `boot` names this boot of the machine; `ending` leaves out what an orderly stop ends."""
    record: dict[str, Any] = {key: value for key in _KEPT if (value := getattr(bnode, key))}
    record["boot"] = boot
    window = bnode.window
    if not ending:
        record["goal"] = int(bnode.goal)
        record["error_stop"] = bnode.error_stop
        record["retry_at"] = bnode.retry_at
        record["barred"] = bnode.barred
        record["window"] = [window.opened, window.opened_wall, window.count, window.trips]
        record["processes"] = {
            process.part.name: [process.pid, process.begun, process.restarts]
            for process in bnode.processes
            if process.pid
        }
    return json.dumps(record, separators=(",", ":")).encode()


def unpack(data: bytes) -> Mapping[str, Any]:
    """A record, empty when the file is damaged: a history is worth less than the daemon's start."""
    try:
        record = json.loads(data)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def restore(bnode: Bnode, record: Mapping[str, Any], *, boot: str) -> bool:
    """Give a new bnode its past; whether it continues under a daemon that left or died in this boot."""
    bnode.remembered = True
    try:
        for key in _KEPT:
            if key in record:
                setattr(bnode, key, record[key])
        if record.get("boot") != boot or "goal" not in record:
            return False
        bnode.goal = Goal(record["goal"])
        bnode.error_stop = bool(record["error_stop"])
        bnode.retry_at = record["retry_at"]
        bnode.barred = bool(record["barred"])
        window = bnode.window
        window.opened, window.opened_wall, window.count, window.trips = record["window"]
        for process in bnode.processes:
            kept = record["processes"].get(process.part.name, (0, 0, 0))
            process.pid, process.begun, process.restarts = kept
    except (KeyError, TypeError, ValueError):
        return False
    return True
