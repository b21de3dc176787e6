# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import argparse
import asyncio
import signal

import pytest

from fakes.shell import ScriptedEngine
from pydaemons.kit.daemon import Daemon, StartError


class Least(Daemon):
    """No more than a daemon must have."""

    name = "least"
    summary = "As little as possible."

    def compose(self, shell):
        return ScriptedEngine()

    async def start(self, driver): ...


def test_a_daemon_needs_an_engine_and_a_start_and_nothing_else():
    with pytest.raises(TypeError, match="compose"):
        type("Nothing", (Daemon,), {})()
    daemon = Least()
    parser = argparse.ArgumentParser()
    before = parser.format_help()
    daemon.arguments(parser)
    assert parser.format_help() == before
    daemon.check(None)
    daemon.reload([])
    daemon.signal(signal.SIGUSR1)
    asyncio.run(daemon.stop())
    assert (daemon.status(), daemon.interfaces()) == ("", [])


def test_an_error_of_the_start_carries_an_exit_status():
    assert StartError("no such interface").status == 1
    assert (StartError("not configured", 6).status, str(StartError("x", 6))) == (6, "x")
