# SPDX-License-Identifier: GPL-3.0-or-later
"""What every daemon's control socket offers, besides the daemon's own: the interface org.pydaemons.Daemon."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

import pydaemons
from pydaemons.engine.effects import Level
from pydaemons.kit.daemon import Daemon
from pydaemons.kit.driver import Driver
from pydaemons.kit.varlink import Caller, Interface, Method, Value, service

COMMON = "org.pydaemons.Daemon"


class Reloaded(NamedTuple):
    """What came of reading the configuration again."""

    usable: bool
    """Whether it is in force now."""
    problems: list[str]
    """What was wrong with it, and what may surprise although it is in force."""


def interfaces(daemon: Daemon, driver: Driver, reload: Callable[[], Reloaded]) -> list[Interface]:
    """All that is served: org.varlink.service, the common interface, the daemon's."""

    def describe(parameters: Value, caller: Caller) -> Value:
        return {
            "name": daemon.name,
            "version": pydaemons.__version__,
            "pid": os.getpid(),
            "status": daemon.status(),
        }

    def counts(parameters: Value, caller: Caller) -> Value:
        return {"counts": dict(sorted(driver.counts.items()))}

    def read_again(parameters: Value, caller: Caller) -> Value:
        return reload()._asdict()

    def set_debug(parameters: Value, caller: Caller) -> Value:
        driver.log.level = Level.DEBUG if parameters["debug"] else Level.INFO
        return {}

    methods = [
        Method(
            "Describe",
            describe,
            gives="(name: string, version: string, pid: int, status: string)",
            doc="Who this is and how it is.",
        ),
        Method(
            "Counts",
            counts,
            gives="(counts: [string]int)",
            doc="What went through the sockets, and what was dropped, by reason.",
        ),
        Method(
            "Reload",
            read_again,
            gives="(usable: bool, problems: []string)",
            doc="Read the configuration again; done when the answer comes.",
            trusted=True,
        ),
        Method(
            "SetDebug",
            set_debug,
            takes="(debug: bool)",
            doc="Log everything, or no longer.",
            trusted=True,
        ),
    ]
    own = [Interface(COMMON, methods, doc="Common to all daemons of this family."), *daemon.interfaces()]
    return [service("pydaemons", daemon.name, pydaemons.__version__, own), *own]
