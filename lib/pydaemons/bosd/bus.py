# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection to a service manager over D-Bus, by pystemd: opened, called, listened to, found broken.

To systemd's own socket where that may be used (root, or one's own manager: no bus daemon in between, so it
works early at boot and late at shutdown), else to the bus.

pystemd's calls wait for their answer, and with them the whole process; signals that come in meanwhile wait in
the connection and do not show on its descriptor, so whoever calls has `process` run afterwards. That is for
the beginning, when there is nothing else to do. An `order` does not wait: we write it into the socket
ourselves (`marshal`), under serial numbers that sd-bus does not come to, and sd-bus hands us the answer like
any message that it has no use for.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable
from enum import Enum
from itertools import count
from typing import Any

from pystemd.dbuslib import DBus, DBusAddress, apply_signature

from pydaemons.bosd.marshal import method_call
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
FIRST_SERIAL = SERIALS = 1 << 31
"""Of orders. sd-bus numbers its calls from 1."""


class Refused(Enum):
    """What an order gets instead of an answer."""

    REFUSED = "refused"


REFUSED = Refused.REFUSED
Answered = Callable[[Any], None]
"""Gets the body of an answer, or REFUSED; why is only told of a call, by the exception it raises."""

_RETURN, _ERROR = 2, 3  # types of messages


class Bus:
    """What it cannot do it raises as pystemd's DBusBaseError, or at `open` as OSError."""

    def __init__(self, *, user: bool) -> None:
        self._user = user
        self._bus: Any = None
        self._descriptor = -1
        self._loop: asyncio.AbstractEventLoop | None = None
        self._callbacks: list[Callable[..., None]] = []
        self._numbers = count()
        self._answered: dict[int, Answered] = {}
        self._unsent = b""

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
            self._loop.remove_writer(self._descriptor)
            os.close(self._descriptor)
            self._loop, self._descriptor = None, -1
        if self._bus is not None:
            self._bus.close()
            self._bus = None

    def process(self) -> bool:
        """Hand over the signals and answers that are there; whether there may be more."""
        process, seen = self._bus.process, True
        for _ in range(MOST_SIGNALS):
            message = process()
            if not message.is_empty():
                seen = True
                if message.get_type() in (_RETURN, _ERROR):
                    self._take_answer(message)
            elif seen:
                seen = False  # nothing, or a message without a body (UnitFilesChanged): look once more
            else:
                return False
        return True

    def _take_answer(self, message: Any) -> None:
        answered = self._answered.pop(message.get_reply_cookie(), None)
        if answered is None:
            return
        if message.get_type() == _ERROR:
            answered(REFUSED)
        else:
            message.process_reply(False)
            answered(message.body)

    @property
    def hung_up(self) -> bool:
        """Is nobody at the other end any more? (process() does not tell.)"""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLHUP)
        return bool(poll.poll(0))

    @property
    def unanswered(self) -> int:
        """Orders under way."""
        return len(self._answered)

    def order(self, method: bytes, arguments: Arguments, answered: Answered | None) -> None:
        """A method of the manager, not waited for. They are carried out in their sequence."""
        self._send(ROOT, MANAGER, method, arguments, answered)

    def ask(self, path: bytes, interface: bytes, name: bytes, answered: Answered) -> None:
        """A property of a unit, likewise."""
        self._send(path, PROPERTIES, b"Get", apply_signature(b"ss", [interface, name]), answered)

    def _send(
        self, path: bytes, interface: bytes, method: bytes, arguments: Arguments, answered: Answered | None
    ) -> None:
        serial = FIRST_SERIAL + next(self._numbers) % SERIALS
        if answered is not None:
            self._answered[serial] = answered
        self._unsent += method_call(
            serial,
            destination=SYSTEMD,
            path=path,
            interface=interface,
            member=method,
            arguments=arguments,
            silent=answered is None,
        )
        self._write()

    def _write(self) -> None:
        """What the socket has no room for now it gets as soon as it has."""
        assert self._loop is not None
        waited = len(self._unsent)
        try:
            self._unsent = self._unsent[os.write(self._descriptor, self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent = b""  # it is broken, and found so where it is read
        if self._unsent:
            self._loop.add_writer(self._descriptor, self._write)
        elif waited:
            self._loop.remove_writer(self._descriptor)

    def _flush(self) -> None:
        """sd-bus is about to write: not in the middle of a message of ours."""
        while self._unsent:
            poll = select.poll()
            poll.register(self._descriptor, select.POLLOUT)
            poll.poll()
            self._write()

    def call(self, method: bytes, signature: bytes = b"", *values: Any) -> Any:
        """A method of the manager; the body of its answer."""
        return self.send(method, apply_signature(signature, list(values)) if signature else [])

    def send(self, method: bytes, arguments: Arguments) -> Any:
        """The same with arguments in pystemd's flat form (see properties)."""
        self._flush()
        return self._bus.call_method(SYSTEMD, ROOT, MANAGER, method, arguments).body

    def get(self, path: bytes, interface: bytes, name: bytes, signature: bytes) -> Any:
        """A property of a unit."""
        self._flush()
        return self._bus.get_property(SYSTEMD, path, interface, name, signature)
