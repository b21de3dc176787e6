# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks pynmbd is on: sockets for them, and the node told when they come and go. Read Networks.open,
then scan.

News comes from the kernel at once (interfaces); that the list is read from time to time all the same is the
safety net below.
"""

from __future__ import annotations

import asyncio

from pydaemons.engine.protocol import Now
from pydaemons.kit.clock import now as read_clock
from pydaemons.kit.daemon import Shell
from pydaemons.kit.driver import Driver
from pydaemons.kit.sockets import BindError
from pydaemons.netbios.node.events import InterfacesChanged
from pydaemons.netbios.node.node import Node
from pydaemons.netbios.node.subnet import Interface
from pydaemons.nmbd import standardinput
from pydaemons.nmbd.interfaces import Watch, find
from pydaemons.nmbd.listeners import DATAGRAM_SERVICE, Listeners
from pydaemons.nmbd.settings import PynmbdConfiguration

RETRY = 2.0
"""Seconds between attempts to get the sockets."""
SETTLE = 0.05
"""Seconds that news of interfaces are gathered before the list is read."""


class Networks:
    """All of them."""

    def __init__(self, node: Node, configuration: PynmbdConfiguration, driver: Driver, shell: Shell) -> None:
        self._node = node
        self._configuration = configuration
        self._driver = driver
        self._log = shell.log
        self._notify = shell.notify
        self._names = Listeners(driver, shell.inherited, standard_input=standardinput.name_socket())
        self._datagrams = Listeners(driver, shell.inherited, name=DATAGRAM_SERVICE)
        self._rescan: asyncio.TimerHandle | None = None
        self._safety: asyncio.TimerHandle | None = None
        self._watch = Watch(self._moved)
        driver.loop.add_reader(self._watch.fileno(), self._watch.look)

    async def open(self) -> None:
        """Have the sockets, however long that takes."""
        smb, tunables, said = self._configuration.smb, self._configuration.tunables, ""
        while True:
            try:
                found = find(smb.interfaces)
                self._names.open(smb.wildcard, tunables.nmb_port, found)
                self._datagrams.open(smb.wildcard, tunables.dgram_port, found)
            except BindError as error:
                if str(error) != said:
                    said = str(error)
                    self._log.warning(f"{said}; trying again every {RETRY:.0f} s")
                self._notify.status(f"waiting for its sockets: {said}", read_clock().mono)
                await asyncio.sleep(RETRY)
            else:
                return

    def begin(self) -> None:
        """Tell the node where it is, and go on doing so."""
        self.scan(read_clock())
        self._later()

    def scan(self, now: Now) -> None:
        """Look which interfaces there are."""
        smb = self._configuration.smb
        try:
            found = find(smb.interfaces)
        except OSError as error:
            self._log.warning(f"cannot list the interfaces: {error.strerror}")
            return
        if not found and self._node.subnets.all:
            self._log.notice("no network left; waiting for one")
        self._move_sockets(found)
        self._node.handle(InterfacesChanged(found), now)

    def wait_anew(self) -> None:
        """The time between looks was changed: it counts from now."""
        if self._safety is not None:
            self._safety.cancel()
            self._later()

    def _move_sockets(self, found: tuple[Interface, ...]) -> None:
        wildcard = self._configuration.smb.wildcard
        try:
            self._names.move(wildcard, found)
            self._datagrams.move(wildcard, found)
        except BindError as error:
            self._log.error(str(error))

    def _moved(self) -> None:
        """News from the kernel: they come in bursts."""
        if self._rescan is not None:
            self._rescan.cancel()
        self._rescan = self._driver.loop.call_later(SETTLE, self._scan_and_settle)

    def _scan_and_settle(self) -> None:
        self._rescan = None
        self.scan(read_clock())
        self._driver.settle()

    def _later(self) -> None:
        """The safety net."""

        def scan() -> None:
            self._scan_and_settle()
            self._later()

        self._safety = self._driver.loop.call_later(self._configuration.tunables.interfaces_reload, scan)
