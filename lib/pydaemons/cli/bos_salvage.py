# SPDX-License-Identifier: GPL-3.0-or-later
"""pybos salvage: the file server down, the salvager as a cron bnode that runs now, the file server up again.

As with the peer all of this is the command's doing; the server only knows bnodes.
"""

from __future__ import annotations

import time

from pydaemons.cli.bos_files import copy_log
from pydaemons.cli.bos_session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:  # what only some operations need is imported there: starting is most of what this costs
    from collections.abc import Mapping
    from typing import Any

    Values = Mapping[str, Any]

POLL = 0.2
"""Seconds between looks at a running salvage."""
SALVAGE_INSTANCE = "salvage-tmp"


def salvage(session: Session, values: Values) -> int:
    """Run the salvager as a cron bnode while the file server is down."""
    if values["volume"] and not values["partition"]:
        session.complain("must specify partition to salvage individual volume.")
        return 255
    if not values["partition"] and not values["all"]:
        session.complain("must specify -all switch to salvage all partitions.")
        return 255
    if values["salvagedirs"] and not values["all"]:
        session.complain("-salvagedirs only possible with -all.")
        return 22
    found = {
        view["name"]: view
        for view in session.link.call("Status", instances=["fs", "dafs"], long=True)["instances"]
    }
    server = found.get("fs") or found.get("dafs")
    if server is None:
        session.complain("can't find server instance 'fs' or 'dafs'")
        return 1
    demand = server["type"] == "dafs"
    if demand and not values["forceDAFS"]:
        session.complain("this is a demand attach file server, which salvages by itself; -forceDAFS insists")
        return 255
    command = " ".join(_salvage_command(values, demand=demand))
    down = server["goal"] == 1 and not values["volume"]
    if down:
        session.say(f"{session.program}: shutting down '{server['name']}'.")
        failed = session.attempt(
            f"can't stop '{server['name']}'", "SetTemporaryStatus", instance=server["name"], goal=0
        ) or session.attempt("can't wait for processes to shutdown", "WaitAll")
        if failed:
            return failed
    try:
        return _run_salvager(session, values, command)
    finally:
        if down:
            shown = server["name"] if values["all"] else f"'{server['name']}'"
            session.say(f"{session.program}: restarting {shown}.")
            session.attempt(
                f"can't restart '{server['name']}'", "SetTemporaryStatus", instance=server["name"], goal=1
            )


def _salvage_command(values: Values, *, demand: bool) -> list[str]:
    words = ["/usr/afs/bin/dasalvager" if demand else "/usr/afs/bin/salvager"]
    words += ["-salvagedirs"] if values["salvagedirs"] else []
    for name in ("parallel", "tmpdir", "orphans"):
        words += [f"-{name}", values[name]] if values[name] else []
    words += ["-forceDAFS"] if demand else []
    words += [] if values["volume"] else ["-force"]
    words += [_partition(values["partition"])] if values["partition"] else []
    words += [values["volume"]] if values["volume"] else []
    return words


def _partition(word: str) -> str:
    """`a`, `vicepa` and `/vicepa` are one partition."""
    if word.startswith("/"):
        return word
    return f"/{word}" if word.startswith("vicep") else f"/vicep{word}"


def _run_salvager(session: Session, values: Values, command: str) -> int:
    session.say("Starting salvage.")
    failed = session.attempt(
        "failed to start 'salvager'",
        "Create",
        instance=SALVAGE_INSTANCE,
        type="cron",
        commands=[command, "now"],
    )
    if failed:
        return failed
    while session.link.call("Status", instances=[SALVAGE_INSTANCE], long=False)["instances"]:
        time.sleep(POLL)
    session.say(f"{session.program}: salvage completed")
    if values["file"]:
        with open(values["file"], "w", encoding="utf-8") as target:
            return copy_log(session, "SalvageLog", target)
    if values["showlog"]:
        session.say("SalvageLog:")
        return copy_log(session, "SalvageLog", session.out)
    return 0
