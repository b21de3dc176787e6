# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations are the peer's, each by its name."""

from __future__ import annotations

import pytest

from pydaemons.bnode.verbs import TABLE
from pydaemons.cli.bos_syntax import Takes
from pydaemons.cli.bos_table import VERBS

PEERS = [
    "addhost", "addkey", "adduser", "create", "delete", "exec", "getdate", "getlog", "getrestart",
    "getrestricted", "install", "listhosts", "listkeys", "listusers", "prune", "removehost",
    "removekey", "removeuser", "restart", "salvage", "setauth", "setcellname", "setrestart",
    "setrestricted", "shutdown", "start", "startup", "status", "stop", "uninstall",
]  # fmt: skip
"""`bos help` of OpenAFS 1.8.9, without help, apropos and version."""


def test_all_of_the_peers_and_five_of_our_own():
    assert sorted(VERBS) == sorted([*PEERS, "export", "import", "reload", "statistics", "top"])


@pytest.mark.parametrize("name", VERBS)
def test_a_parameter_that_takes_the_rest_is_the_last_operand(name):
    operands = [p.takes for p in VERBS[name].parameters if p.takes is not Takes.FLAG]
    required = [p for p in VERBS[name].parameters if p.takes is Takes.SOME]
    assert Takes.SOME not in operands[:-1] or required[0].name in (
        "cmd",
        "file",
        "host",
        "user",
        "kvno",
        "instance",
    )


def test_the_server_knows_every_request_there_is_an_operation_for():
    assert {"Create", "Delete", "SetStatus", "Restart", "Install", "Exec", "GetLog"} <= set(TABLE)
