# SPDX-License-Identifier: GPL-3.0-or-later
"""What kit.main runs: the contract of a daemon. Floor 4 has one class of these each.

In the order of a life: `arguments` (its own options), `prepare`, `compose` (its engine, nothing opened for
the network yet), `start` (listeners; READY is sent when it returns), then `reload`, `signal`, `status` as
they come, and `stop`. All of it happens in the loop's thread.
"""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from pydaemons.engine.protocol import Engine
from pydaemons.kit import conffile
from pydaemons.kit.driver import Driver, StateWriter
from pydaemons.kit.log import Log
from pydaemons.kit.notify import Notifier
from pydaemons.kit.sockets import Inherited
from pydaemons.kit.statefile import StateFolder
from pydaemons.kit.varlink import Interface
from pydaemons.tunables.declare import Configuration, TunableChanged
from pydaemons.tunables.layers import Resolved


class StartError(Exception):
    """The daemon cannot run as things are; the text is for the administrator, `status` for systemd."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Shell:
    """Where a daemon finds itself: its folders, its log, and what systemd gave it."""

    config: str
    """The main configuration file."""
    run_dir: str
    state_dir: str
    state: StateFolder
    """The folder that Persist effects write to; `state.read()` is what they left."""
    log: Log
    notify: Notifier
    arguments: argparse.Namespace
    """The command line, with the daemon's own options."""
    inherited: list[Inherited] = field(default_factory=list)
    """Listeners and stored descriptors (see sockets.take_listener); whoever uses one takes it out."""


class Daemon(ABC):
    """One daemon."""

    name: ClassVar[str]
    """The program's name; also that of its files and folders."""
    summary: ClassVar[str]
    """A sentence for --help."""
    configuration: Configuration
    """Its settings; read, checked and put in force by kit.main at start and reload."""

    def arguments(self, parser: argparse.ArgumentParser) -> None:  # noqa: B027
        """Add options of its own to the common ones."""

    def stem(self, arguments: argparse.Namespace) -> str:
        """The name its files and folders have where nobody names them; its own, where several run at once."""
        return self.name

    def load(self, shell: Shell) -> Resolved:
        """Read the configuration, at start and reload; put nothing in force."""
        arguments = shell.arguments
        return conffile.load(
            self.configuration, shell.config, sets=arguments.set, required=arguments.config is not None
        )

    def keeper(self, shell: Shell) -> StateWriter:
        """What makes Persist effects durable; asked after `compose`."""
        return shell.state

    def check(self, shell: Shell) -> None:  # noqa: B027
        """Judge what the declarations cannot (for -n too: touch nothing). Raises StartError."""

    async def prepare(self, shell: Shell) -> None:  # noqa: B027
        """Look around before the engine is put together (who else is here?). Within seconds."""

    @abstractmethod
    def compose(self, shell: Shell) -> Engine:
        """Put the engine together from settings and state. Raises StartError."""

    @abstractmethod
    async def start(self, driver: Driver) -> None:
        """Register effect handlers, open listeners (`driver.listen`), begin. May take its time, retrying: the
        loop runs, SIGTERM ends it. Raises StartError or OSError (BindError) when it cannot be."""

    def reload(self, changes: Sequence[TunableChanged]) -> None:  # noqa: B027
        """The configuration was read again and put in force. The engine is told of each change anyway."""

    def signal(self, number: int) -> None:  # noqa: B027
        """SIGUSR1 or SIGUSR2 came."""

    def interfaces(self) -> list[Interface]:
        """What the control socket offers besides the common interface (see main)."""
        return []

    def status(self) -> str:
        """One line for people, shown by `systemctl status`."""
        return ""

    async def stop(self) -> None:  # noqa: B027
        """Before the sockets close: last words to the network. Must end within seconds."""
