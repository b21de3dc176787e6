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
from pydaemons.cli.lockctl_shared import (
    BOUNDS,
    CLIENT,
    OK,
    Field,
    Row,
    behind,
    cells,
    columns_of,
    dump,
    duration,
    find_clients,
    mode,
    plain,
    stamp,
)
from pydaemons.cli.lockctl_stats import prometheus, stats_rows
from pydaemons.cli.lockctl_users import users
from pydaemons.cli.shared import snake_case
from pydaemons.cli.tables import Column
from pydaemons.kit.controlclient import ControlClient

LOCKS: tuple[Field, ...] = (
    *CLIENT,
    plain("SVID", right=True),
    (Column("TYPE"), lambda row: row["kind"].upper()),
    (Column("MODE"), mode),
    *BOUNDS,
    plain("OWNER", "oh", cut=True),
    plain("FILE", cut=True),
)
BLOCKED: tuple[Field, ...] = (
    *CLIENT,
    plain("SVID", right=True),
    (Column("MODE"), mode),
    *BOUNDS,
    (Column("WAITING", right=True), lambda row: duration(row["waiting"])),
    (Column("HELD-BY", cut=True), behind),
    plain("FILE", cut=True),
)
CLIENTS: tuple[Field, ...] = (
    *CLIENT,
    plain("SERVER"),
    *(plain(heading, right=True) for heading in ("LOCKS", "SHARES", "BLOCKED")),
    plain("MONITORED"),
    (Column("STATE", right=True), lambda row: row["state"] or None),
    (Column("FIRST-SEEN"), lambda row: stamp(row["first_seen"], separator="T")),
    (Column("LAST-SEEN"), lambda row: stamp(row["last_seen"], separator="T")),
)


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
    return _table(found, LOCKS, arguments)


def blocked(daemon: ControlClient, arguments: argparse.Namespace) -> int:
    """Requests that wait, and for whom."""
    found = [row for piece in daemon.pieces("Blocked") for row in piece["blocked"]]
    return _table(found, BLOCKED, arguments)


def clients(daemon: ControlClient, arguments: argparse.Namespace) -> int:
    """Clients that hold or wait for anything, or did lately."""
    return _table(daemon.call("Clients")["clients"], CLIENTS, arguments)


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


def _table(answer: Sequence[Row], fields: Sequence[Field], arguments: argparse.Namespace) -> int:
    if arguments.json:
        return dump(answer)
    rows = [cells(fields, row) for row in answer]
    tables.show(columns_of(fields), rows, headings=not arguments.no_headings)
    return OK
