# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon side of pylockctl: asks a running pylockd over its control socket and shows the answers. Read
run, then VERBS."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Mapping

from pydaemons.cli import lockctl_change as change
from pydaemons.cli import lockctl_graph, lockctl_top
from pydaemons.cli import lockctl_show as show
from pydaemons.cli.lockctl_shared import FAILED, DaemonError, complain
from pydaemons.cli.shared import unanswered
from pydaemons.kit.controlclient import CallError, ControlClient, NotRunningError

INTERFACE = "org.pydaemons.lockd"
PERMISSION_DENIED = "org.varlink.service.PermissionDenied"

VERBS: Mapping[str, Callable[[ControlClient, argparse.Namespace], int]] = {
    "status": show.status,
    "locks": show.locks,
    "blocked": show.blocked,
    "clients": show.clients,
    "graph": lockctl_graph.graph,
    "top": lockctl_top.top,
    "stats": show.stats,
    "release": change.release,
    "drop-all": change.drop_all,
    "grace": change.grace,
    "notify": change.notify,
    "reload": change.reload,
}


def run(arguments: argparse.Namespace) -> int:
    """One verb; the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # trees and cut names, on terminals that know no Unicode
    try:
        with ControlClient(arguments.socket, INTERFACE) as daemon:
            return VERBS[arguments.verb](daemon, arguments)
    except NotRunningError as error:
        complain(unanswered("pylockd", str(error)))
    except CallError as error:
        if error.name == PERMISSION_DENIED:
            complain(f"{arguments.verb}: permission denied: only root and pylockd's own user may do that")
        else:
            complain(f"{arguments.verb}: {error}")
    except DaemonError as error:
        complain(f"{arguments.verb}: {error}")
    return FAILED
