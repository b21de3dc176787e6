# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon side of pylockctl: asks a running pylockd over its control socket and shows the answers. Read
VERBS, then the functions of that name.

The rows are those of pydaemons.nlm.views; with --json they leave as they came.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from pydaemons.cli import tables
from pydaemons.cli.lockctl_stats import prometheus, stats_rows
from pydaemons.cli.tables import Column
from pydaemons.kit.controlclient import CallError, ControlClient, NotRunningError

INTERFACE = "org.pydaemons.lockd"
COMMON = "org.pydaemons.Daemon"
PERMISSION_DENIED = "org.varlink.service.PermissionDenied"
SYSTEMD = "/run/systemd/system"
"""There where systemd is PID 1 (sd_booted(3))."""

OK, FAILED = 0, 1

Row = Mapping[str, Any]


class DaemonError(Exception):
    """The request cannot be carried out; the words are for people."""


def run(arguments: argparse.Namespace) -> int:
    """One verb; the exit status."""
    try:
        with ControlClient(arguments.socket, INTERFACE) as daemon:
            return VERBS[arguments.verb](daemon, arguments)
    except NotRunningError as error:
        _complain(_not_running(str(error), arguments.socket))
    except CallError as error:
        if error.name == PERMISSION_DENIED:
            _complain(f"{arguments.verb}: permission denied: only root and pylockd's own user may do that")
        else:
            _complain(f"{arguments.verb}: {error}")
    except DaemonError as error:
        _complain(f"{arguments.verb}: {error}")
    return FAILED


def _not_running(error: str, path: str) -> str:
    """Why there is no answer, and what to do about it."""
    if error.endswith("not running"):
        start = "systemctl start pylockd" if os.path.isdir(SYSTEMD) else "pylockd"
        return f"pylockd is not running ({path} is not answered); start it: {start}"
    if error.endswith(os.strerror(13)):
        return f"{error}: ask as root, or for another socket (--socket)"
    return f"{error}; see what it says: journalctl -u pylockd"


# ---- status


def status(daemon: ControlClient, arguments: argparse.Namespace) -> int:
    """How it is, and what to do where that is not well."""
    answer = daemon.call("Status")
    if arguments.json:
        return _dump(answer)
    now = time.time()
    print(f"pylockd {answer['version']} (pid {answer['pid']}), since {_stamp(answer['since'])}", end="")
    print(f" ({_duration(now - answer['since'])})")
    lines = [
        ("listening", _listeners(answer["listeners"])),
        ("rpcbind", answer["rpcbind"] or "not registered"),
        ("monitor", _monitor(answer["nsm"])),
        ("clients", f"{answer['clients']} ({answer['connections']} connections)"),
        ("locks", f"{answer['locks']} on {answer['files']} files, {answer['shares']} shares"),
        ("waiting", f"{answer['blocked']} blocked, {answer['granting']} granted and not acknowledged yet"),
        ("grace", f"{answer['grace_left']:.0f} s left" if answer["grace"] else "none"),
    ]
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
        for row in daemon.call("Locks", client=client, file=file, svid=arguments.svid)["locks"]
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
            _mode(row),
            *_bounds(row),
            row["oh"],
            row["file"],
        )
        for row in found
    ]
    return _table(found, columns, rows, arguments)


def blocked(daemon: ControlClient, arguments: argparse.Namespace) -> int:
    """Requests that wait, and for whom."""
    answer = daemon.call("Blocked")
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
            _mode(row),
            *_bounds(row),
            _duration(row["waiting"]),
            ",".join(f"{each['client']}:{each['svid']}" for each in row["holders"]),
            row["file"],
        )
        for row in answer["blocked"]
    ]
    return _table(answer["blocked"], columns, rows, arguments)


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
            _stamp(row["first_seen"], separator="T"),
            _stamp(row["last_seen"], separator="T"),
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
        return _dump(answer)
    tables.show(columns, stats_rows(answer), headings=not arguments.no_headings)
    return OK


# ---- changes


def release(daemon: ControlClient, arguments: argparse.Namespace) -> int:
    """Free locks and shares."""
    if arguments.all:
        return _freed(daemon.call("Release", all=True)["freed"], arguments)
    if arguments.file is not None:
        return _freed(daemon.call("Release", file=arguments.file.hex())["freed"], arguments)
    given, svid = (arguments.client, None) if arguments.owner is None else arguments.owner
    answers = [daemon.call("Release", client=each, svid=svid) for each in find_clients(daemon, given)]
    return _freed(sum(answer["freed"] for answer in answers), arguments)


def drop_all(daemon: ControlClient, arguments: argparse.Namespace) -> int:
    """Void everything and start a grace period."""
    if not arguments.yes and sys.stdin.isatty():
        figures = daemon.call("Status")
        sys.stderr.write(
            f"This voids all {figures['locks']} locks and {figures['shares']} shares of "
            f"{figures['clients']} clients and starts a grace period.\n"
            "Clients are not told; after `pylockctl notify` they reclaim. Go on? [y/N] "
        )
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise DaemonError("nothing done")
    freed = daemon.call("DropAll")["freed"]
    if not arguments.json:
        print("a grace period has begun")
    return _freed(freed, arguments)


def grace(daemon: ControlClient, arguments: argparse.Namespace) -> int:
    """Show, start or end the grace period."""
    if arguments.action is None:
        figures = daemon.call("Status")
        answer: Row = {"grace": figures["grace"], "grace_left": figures["grace_left"]}
    else:
        answer = daemon.call("Grace", action=arguments.action)
    if arguments.json:
        return _dump(answer)
    left = f"grace period: {answer['grace_left']:.0f} s left" if answer["grace"] else "no grace period"
    print(left)
    return OK


def notify(daemon: ControlClient, arguments: argparse.Namespace) -> int:
    """Tell monitored clients that this server restarted."""
    clients = [None] if arguments.client is None else find_clients(daemon, arguments.client)
    notified = [name for client in clients for name in daemon.call("Notify", client=client)["notified"]]
    if arguments.json:
        return _dump({"notified": notified})
    if not notified:
        raise DaemonError(f"{arguments.client or 'no client'} is not monitored")
    for name in notified:
        print(tables.cell(name))
    return OK


def reload(daemon: ControlClient, arguments: argparse.Namespace) -> int:
    """Have the configuration read again. What is wrong with it is told; an unusable one changes nothing."""
    answer = daemon.call(f"{COMMON}.Reload")
    if arguments.json:
        _dump(answer)
    for problem in answer["problems"]:
        _complain(tables.cell(problem))
    return OK if answer["usable"] else FAILED


VERBS: Mapping[str, Callable[[ControlClient, argparse.Namespace], int]] = {
    "status": status,
    "locks": locks,
    "blocked": blocked,
    "clients": clients,
    "release": release,
    "drop-all": drop_all,
    "grace": grace,
    "notify": notify,
    "stats": stats,
    "reload": reload,
}


# ---- what they share


def find_clients(daemon: ControlClient, given: str) -> list[str]:
    """The addresses of a client given by address, by the name it calls itself (one that talks IPv4 and IPv6
    has two), or by a host name. DaemonError when there is none."""
    bare = given.removeprefix("[").removesuffix("]")
    try:
        return [str(ip_address(bare.removeprefix("::ffff:") if "." in bare else bare))]
    except ValueError:
        pass
    rows = daemon.call("Clients")["clients"]
    named = [str(row["client"]) for row in rows if row["name"] == given]
    if named:
        return named
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(given, None, type=socket.SOCK_DGRAM)}
    except (socket.gaierror, UnicodeError):
        found = set()
    known = [str(row["client"]) for row in rows if row["client"] in found]
    if not known:
        raise DaemonError(f"no client {given} is known")
    return known


def _mode(row: Row) -> str:
    """As lslocks(8): READ or WRITE, with a * where the client has not acknowledged its grant yet. Shares:
    access/deny."""
    if row.get("kind") == "share":
        return f"{row['mode']}/{row['deny']}"
    return str(row["mode"]).upper() + ("" if row.get("acknowledged", True) else "*")


def _bounds(row: Row) -> tuple[object, object]:
    """First and last byte."""
    if "offset" not in row:
        return None, None
    offset, length = row["offset"], row["length"]
    return offset, offset + length - 1 if length else "EOF"


def _table(
    answer: Sequence[Row],
    columns: Sequence[Column],
    rows: Sequence[Sequence[object]],
    arguments: argparse.Namespace,
) -> int:
    if arguments.json:
        return _dump(answer)
    tables.show(columns, rows, headings=not arguments.no_headings)
    return OK


def _freed(count: int, arguments: argparse.Namespace) -> int:
    if arguments.json:
        return _dump({"freed": count})
    print(f"freed: {count}" if count else "nothing to free")
    return OK


def _dump(value: object) -> int:
    print(json.dumps(value, indent=2))
    return OK


def _stamp(wall: float, separator: str = " ") -> str:
    return time.strftime(f"%Y-%m-%d{separator}%H:%M:%S", time.localtime(wall))


def _duration(seconds: float) -> str:
    """Two units at most: 4.2s, 3m12s, 5h03m, 2d04h."""
    if seconds < 60:
        return f"{max(seconds, 0.0):.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minutes:02}m"
    return f"{hours // 24}d{hours % 24:02}h"


def _complain(message: str) -> None:
    print(f"pylockctl: {message}", file=sys.stderr)
