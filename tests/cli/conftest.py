# SPDX-License-Identifier: GPL-3.0-or-later
"""A lock server on loopback, and the command as a function."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from fakes.lockserver import LockServer
from pydaemons.cli.lockctl import CLIENT_VERBS, main

Run = Callable[..., "Outcome"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def server(tmp_path) -> Iterator[LockServer]:
    with LockServer(tmp_path) as server:
        yield server


@pytest.fixture
def ctl(server, capsys) -> Run:
    """`ctl("lock", "127.0.0.1", "00", ...)`, or `ctl("status")`: pylockctl against the server."""

    def run(verb: str, *words: str) -> Outcome:
        if verb in CLIENT_VERBS:
            options = ["--port", str(server.port), "--rpcbind-port", str(server.rpcbind_port)]
        else:
            options = ["--socket", server.control]
        capsys.readouterr()
        status = main([verb, *words, *options])
        return Outcome(status, *capsys.readouterr())

    return run


@pytest.fixture
def busy(ctl, server):
    """Two locks and a share of 127.0.0.1, a lock of ::1."""
    ctl("lock", "127.0.0.1", "0a", "--svid", "1", "--name", "one", "--length", "10")
    ctl("lock", "127.0.0.1", "0b", "--svid", "2", "--name", "one", "--shared")
    ctl("share", "127.0.0.1", "0a", "--name", "one", "--access", "read", "--deny", "write")
    ctl("lock", "::1", "0c", "--name", "six")
    return server
