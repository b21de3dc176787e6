# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection to a service manager over D-Bus, by pystemd: opened, called, listened to, found broken.

To systemd's own socket where that may be used (root, or one's own manager: no bus daemon in between, so it
works early at boot and late at shutdown), else to the bus. A call waits for its answer, and with it the whole
process; signals that come in meanwhile wait in the connection and do not show on its descriptor, so whoever
calls has `process` run afterwards.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable
from typing import Any

from pystemd.dbuslib import DBus, DBusAddress, apply_signature

from pydaemons.bosd.properties import Arguments

SYSTEMD = b"org.freedesktop.systemd1"
ROOT = b"/org/freedesktop/systemd1"
UNITS = ROOT + b"/unit"
MANAGER = SYSTEMD + b".Manager"
SERVICE = SYSTEMD + b".Service"
UNIT = SYSTEMD + b".Unit"
PROPERTIES = b"org.freedesktop.DBus.Properties"

MOST_SIGNALS = 2000
"""Handled in one go, before other work gets its turn."""


class Bus:
    """What it cannot do it raises as pystemd's DBusBaseError, or at `open` as OSError."""

    def __init__(self, *, user: bool) -> None:
        self._user = user
        self._bus: Any = None
        self._descriptor = -1
        self._loop: asyncio.AbstractEventLoop | None = None
        self._callbacks: list[Callable[..., None]] = []

    def open(self, changed: Callable[[Any], None], job_removed: Callable[[Any], None]) -> None:
        """Connect, and have PropertiesChanged and JobRemoved signals handed over, as pystemd's messages."""
        private = (
            f"{os.environ.get('XDG_RUNTIME_DIR', '')}/systemd/private"
            if self._user
            else "/run/systemd/private"
        )
        if os.access(private, os.W_OK):
            bus, sender = DBusAddress(b"unix:path=" + os.fsencode(private), True), None
        else:
            bus, sender = DBus(self._user), SYSTEMD
        bus.open()

        # pystemd keeps its notes on the callback, so it must be a plain function, and a bare pointer to it,
        # so it must outlive the connection
        def on_changed(message: Any, error: Any = None, userdata: Any = None) -> None:
            changed(message)

        def on_job_removed(message: Any, error: Any = None, userdata: Any = None) -> None:
            job_removed(message)

        bus.match_signal(sender, None, PROPERTIES, b"PropertiesChanged", on_changed, None)
        bus.match_signal(sender, ROOT, MANAGER, b"JobRemoved", on_job_removed, None)
        self._callbacks += [on_changed, on_job_removed]
        self._bus = bus
        if sender is not None:
            self.call(b"Subscribe")

    def listen(self, loop: asyncio.AbstractEventLoop, ready: Callable[[], None]) -> None:
        """Have `ready` called whenever there is something to `process`."""
        # On a descriptor of our own: sd-bus closes its one when the connection breaks, and the next socket of
        # this process would get the number
        self._loop = loop
        self._descriptor = os.dup(self._bus.get_fd())
        loop.add_reader(self._descriptor, ready)

    def close(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._loop, self._descriptor = None, -1
        if self._bus is not None:
            self._bus.close()
            self._bus = None

    def process(self) -> bool:
        """Hand over the signals that are there; whether there may be more."""
        return all(not self._bus.process().is_empty() for _ in range(MOST_SIGNALS))

    @property
    def hung_up(self) -> bool:
        """Is nobody at the other end any more? (process() does not tell.)"""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLHUP)
        return bool(poll.poll(0))

    def call(self, method: bytes, signature: bytes = b"", *values: Any) -> Any:
        """A method of the manager; the body of its answer."""
        return self.send(method, apply_signature(signature, list(values)) if signature else [])

    def send(self, method: bytes, arguments: Arguments) -> Any:
        """The same with arguments in pystemd's flat form (see properties)."""
        return self._bus.call_method(SYSTEMD, ROOT, MANAGER, method, arguments).body

    def get(self, path: bytes, interface: bytes, name: bytes, signature: bytes) -> Any:
        """A property of a unit."""
        return self._bus.get_property(SYSTEMD, path, interface, name, signature)
