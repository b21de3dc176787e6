# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of pylockctl that change something: release, drop-all, grace, notify, reload. Read the functions
of that name."""

from __future__ import annotations

import argparse
import sys
from ipaddress import ip_address

from pydaemons.cli import tables
from pydaemons.cli.lockctl_shared import FAILED, OK, DaemonError, Row, complain, dump, find_clients
from pydaemons.kit.controlclient import ControlClient

COMMON = "org.pydaemons.Daemon"


def release(daemon: ControlClient, arguments: argparse.Namespace) -> int:
    """Free locks and shares."""
    if arguments.all:
        return _freed(daemon.call("Release", all=True)["freed"], arguments)
    if arguments.file is not None:
        return _freed(daemon.call("Release", file=arguments.file.hex())["freed"], arguments)
    given, svid = (arguments.client, None) if arguments.owner is None else arguments.owner
    server = None if arguments.server is None else str(ip_address(arguments.server))
    clients = [None] if given is None else find_clients(daemon, given)
    answers = [daemon.call("Release", client=each, server=server, svid=svid) for each in clients]
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
        return dump(answer)
    left = f"grace period: {answer['grace_left']:.0f} s left" if answer["grace"] else "no grace period"
    print(left)
    return OK


def notify(daemon: ControlClient, arguments: argparse.Namespace) -> int:
    """Tell monitored clients that this server restarted."""
    clients = [None] if arguments.client is None else find_clients(daemon, arguments.client)
    notified = [
        name
        for client in clients
        for name in daemon.call("Notify", client=client, server=arguments.server)["notified"]
    ]
    if arguments.json:
        return dump({"notified": notified})
    if not notified:
        whom = arguments.client and f"{arguments.client} is not"
        raise DaemonError(f"{whom or 'no client is'} monitored")
    for name in notified:
        print(tables.cell(name))
    return OK


def reload(daemon: ControlClient, arguments: argparse.Namespace) -> int:
    """Have the configuration read again. What is wrong with it is told; an unusable one changes nothing."""
    answer = daemon.call(f"{COMMON}.Reload")
    if arguments.json:
        dump(answer)
    for problem in answer["problems"]:
        complain(tables.cell(problem))
    return OK if answer["usable"] else FAILED


def _freed(count: int, arguments: argparse.Namespace) -> int:
    if arguments.json:
        return dump({"freed": count})
    print(f"freed: {count}" if count else "nothing to free")
    return OK
