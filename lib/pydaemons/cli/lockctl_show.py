# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of pylockctl that look: status, locks, blocked, clients, stats. Read the functions of that name.

The rows are those of pydaemons.nlm.views; with --json they leave as they came.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from pydaemons.cli import tables
from pydaemons.cli.lockctl_shared import OK, Row, bounds, dump, duration, find_clients, mode, stamp, whose
from pydaemons.cli.lockctl_stats import prometheus, stats_rows
from pydaemons.cli.lockctl_users import users
from pydaemons.cli.shared import snake_case
from pydaemons.cli.tables import Column
from pydaemons.kit.controlclient import ControlClient


def status(daemon: ControlClient, arguments: argparse.Namespace) -> int:
    """How it is, and what to do where that is not well."""
    answer = daemon.call("Status")
    wanted_by = users(answer["pid"])
    if arguments.json:
        return dump({**answer, "users": wanted_by})
    now = time.time()
    print(f"pylockd {answer['version']} (pid {answer['pid']}), since {stamp(answer['since'])}", end="")
    print(f" ({duration(now - answer['since'])})")
    lines = [
        ("listening", _listeners(answer["listeners"])),
        ("rpcbind", answer["rpcbind"] or "not registered"),
        ("monitor", _monitor(answer["nsm"])),
        ("clients", f"{answer['clients']} ({answer['connections']} connections)"),
        ("locks", f"{answer['locks']} on {answer['files']} files, {answer['shares']} shares"),
        ("waiting", f"{answer['blocked']} blocked, {answer['granting']} granted and not acknowledged yet"),
        ("grace", f"{answer['grace_left']:.0f} s left" if answer["grace"] else "none"),
    ]
    if wanted_by is not None:
        units = ", ".join(f"{each['unit']} ({each['state']})" for each in wanted_by)
        lines.append(("users", units or "none: no other unit wants it"))
    for name, value in lines:
        print(f"  {name + ':':<11}{value}")
    for advice in advices(answer):
        print(f"! {advice}")
    return OK


def advices(answer: Row) -> list[str]:
    """What is wrong, or will surprise somebody, and how to go on."""
    found = []
    if not answer["listeners"]:
        found.append("it has no sockets yet; who holds its ports is in its journal: journalctl -u pylockd")
    if answer["refuse"]:
        found.append("it refuses every lock: [pylockd] mode = refuse in /etc/pylockd.conf")
    if answer["grace"]:
        found.append("new locks wait for the end of the grace period; end it now: pylockctl grace end")
    if answer["granting"]:
        found.append("clients that do not acknowledge are marked * in the MODE column of: pylockctl locks")
    return found


def _listeners(listeners: Sequence[Row]) -> str:
    places = [
        f"{each['transport']} "
        + (f"[{each['host']}]" if ":" in each["host"] else each["host"])
        + f":{each['port']}"
        for each in listeners
    ]
    return ", ".join(places) or "nowhere"


def _monitor(nsm: Row) -> str:
    mode = nsm.get("mode", "off")
    if mode == "off":
        return "off"
    return f"{mode}, state {nsm.get('state')}, {nsm.get('monitored')} clients monitored"


# ---- tables


def locks(daemon: ControlClient, arguments: argparse.Namespace) -> int:
    """Held locks and shares."""
    clients = [None] if arguments.client is None else find_clients(daemon, arguments.client)
    file = None if arguments.file is None else arguments.file.hex()
    found = [
        row
        for client in clients
        for piece in daemon.pieces("Locks", client=client, file=file, svid=arguments.svid)
        for row in piece["locks"]
    ]
    columns = [
        Column("CLIENT"),
        Column("NAME", cut=True),
        Column("SVID", right=True),
        Column("TYPE"),
        Column("MODE"),
        Column("START", right=True),
        Column("END", right=True),
        Column("OWNER", cut=True),
        Column("FILE", cut=True),
    ]
    rows = [
        (
            row["client"],
            row["name"],
            row.get("svid"),
            row["kind"].upper(),
            mode(row),
            *bounds(row),
            row["oh"],
            row["file"],
        )
        for row in found
    ]
    return _table(found, columns, rows, arguments)


def blocked(daemon: ControlClient, arguments: argparse.Namespace) -> int:
    """Requests that wait, and for whom."""
    found = [row for piece in daemon.pieces("Blocked") for row in piece["blocked"]]
    columns = [
        Column("CLIENT"),
        Column("NAME", cut=True),
        Column("SVID", right=True),
        Column("MODE"),
        Column("START", right=True),
        Column("END", right=True),
        Column("WAITING", right=True),
        Column("HELD-BY", cut=True),
        Column("FILE", cut=True),
    ]
    rows = [
        (
            row["client"],
            row["name"],
            row["svid"],
            mode(row),
            *bounds(row),
            duration(row["waiting"]),
            ",".join(map(whose, row["holders"])) + (",…" if row["more_holders"] else ""),
            row["file"],
        )
        for row in found
    ]
    return _table(found, columns, rows, arguments)


def clients(daemon: ControlClient, arguments: argparse.Namespace) -> int:
    """Clients that hold or wait for anything, or did lately."""
    answer = daemon.call("Clients")
    columns = [
        Column("CLIENT"),
        Column("NAME", cut=True),
        Column("LOCKS", right=True),
        Column("SHARES", right=True),
        Column("BLOCKED", right=True),
        Column("MONITORED"),
        Column("STATE", right=True),
        Column("FIRST-SEEN"),
        Column("LAST-SEEN"),
    ]
    rows = [
        (
            row["client"],
            row["name"],
            row["locks"],
            row["shares"],
            row["blocked"],
            row["monitored"],
            row["state"] or None,
            stamp(row["first_seen"], separator="T"),
            stamp(row["last_seen"], separator="T"),
        )
        for row in answer["clients"]
    ]
    return _table(answer["clients"], columns, rows, arguments)


def stats(daemon: ControlClient, arguments: argparse.Namespace) -> int:
    """Counters since the start."""
    answer = daemon.call("Stats")
    if arguments.prometheus:
        sys.stdout.write(prometheus(answer, daemon.call("Status")))
        return OK
    columns = [Column("WHAT"), Column("COUNT", right=True)]
    if arguments.json:
        return dump(snake_case(answer, named=("procedures", "statuses")))
    tables.show(columns, stats_rows(answer), headings=not arguments.no_headings)
    return OK


def _table(
    answer: Sequence[Row],
    columns: Sequence[Column],
    rows: Sequence[Sequence[object]],
    arguments: argparse.Namespace,
) -> int:
    if arguments.json:
        return dump(answer)
    tables.show(columns, rows, headings=not arguments.no_headings)
    return OK
