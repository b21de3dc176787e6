# SPDX-License-Identifier: GPL-3.0-or-later
"""The port where OpenAFS's bos calls: made by systemd (pybosd-rx.socket) or bound here, by `[rx] listen`.

Supervising goes on without it: a port that another process has is logged, shown in the status line, and tried
again.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable

import pydaemons
from pydaemons.bnode.effects import Answer
from pydaemons.bnode.rxdoor import Door
from pydaemons.bnode.supervisor import Supervisor
from pydaemons.bosd.settings import Rx
from pydaemons.kit.driver import Driver
from pydaemons.kit.log import Log
from pydaemons.kit.sockets import Inherited, bind_udp, take_listener

NAME = "rx"
"""What pybosd-rx.socket calls its socket."""
RETRY = 5.0


class RxPort:
    """One socket, or none."""

    def __init__(self, settings: Rx, passed: list[Inherited], log: Log) -> None:
        self.trouble = ""
        """why there is none although there should be"""
        self._settings = settings
        self._log = log
        self._door: Door | None = None
        self._driver: Driver | None = None
        self._given = take_listener(passed, socket.SOCK_DGRAM, socket.AF_INET, NAME) or take_listener(
            passed, socket.SOCK_DGRAM, socket.AF_INET6, NAME
        )

    @property
    def wanted(self) -> bool:
        """Whether there is to be one."""
        return self._given is not None or bool(self._settings.listen)

    def answer(self, answer: Answer) -> bool:
        """An answer that had to wait for the disk: whether it was for a call, which now gets it."""
        if self._door is None or self._driver is None or not self._door.owes(answer.ticket):
            return False
        self._driver.post(answer)
        return True

    def door(self, supervisor: Supervisor, notifier_exists: Callable[[str], bool]) -> Door:
        """The engine with its door to the network."""
        self._door = Door(
            supervisor,
            entropy=random.SystemRandom(),
            no_auth=self._settings.noauth,
            notifier_exists=notifier_exists,
            version=f"pydaemons {pydaemons.__version__}",
        )
        return self._door

    def open(self, driver: Driver) -> None:
        """Listen, now or as soon as it can be."""
        self._driver = driver
        if not self.wanted:
            return
        try:
            sock = self._given or self._bind()
        except OSError as error:
            if not self.trouble:
                self._log.error(f"bos is not answered: {error}; trying again")
            self.trouble = str(error)
            driver.loop.call_later(RETRY, self.open, driver)
            return
        port = driver.listen(sock)
        self.trouble = ""
        who = ", and everybody is an administrator" if self._settings.noauth else ""
        self._log.notice(f"Listening on {port.address.host}:{port.address.port}{who}")

    def _bind(self) -> socket.socket:
        host, _, port = self._settings.listen.rpartition(":")
        return bind_udp(host.strip("[]"), int(port))
