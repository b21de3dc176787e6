# SPDX-License-Identifier: GPL-3.0-or-later
"""What one process leaves with systemd for the next (FileDescriptorStoreMax=, sd_notify FDSTORE=1): TCP
connections, and the real files that are locked. Read Handover.give, then take.

Listeners are in the store from the start (lockd.listeners); these go there at SIGUSR2 only. A crash hands
nothing over: nobody knows where in its stream a connection then stands.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

from pydaemons.kit.daemon import Shell
from pydaemons.kit.driver import Driver

SETTLE = 2.0
"""Seconds that connections have to finish their record when they are handed over."""
CONNECTION = "connection-"
"""What systemd knows them by, before a number."""
REAL_FILE = "file-"
"""What a locked file's descriptor is called in systemd's store, with a number."""
MOST_FILES = 1000
"""Locked files handed over; the store has room for connections too."""


class Handover:
    """Both ends, in one process: `take` what the last one gave, `give` to the next."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def files(self) -> list[int]:
        """Descriptors of the files that the last process had locked."""
        return [item.descriptor for item in self._shell.inherited if item.name.startswith(REAL_FILE)]

    def take(self, driver: Driver, *, files_wanted: bool) -> None:
        """Go on with the connections the last process handed over. systemd need keep them no longer, nor the
        files, which the engine has now, unless mounts are configured no more."""
        for item in tuple(self._shell.inherited):
            if item.name.startswith(REAL_FILE):
                self._shell.inherited.remove(item)
                self._shell.notify.forget(item.name)
                if not files_wanted:
                    os.close(item.descriptor)
            if item.name.startswith(CONNECTION) and item.sock is not None and not item.listening:
                self._shell.inherited.remove(item)
                self._shell.notify.forget(item.name)
                driver.streams.adopt(item.sock)

    async def give(self, driver: Driver, locked: Callable[[], list[int]]) -> None:
        """Have systemd keep the connections for the next process, each between two records. What comes on
        them from now on waits in the kernel. Likewise the files with locks, whose descriptors `locked` tells,
        so that they stay locked against local programs."""
        notify, streams = self._shell.notify, driver.streams
        if not notify.active or not driver.healthy:
            return
        streams.refuse()
        stored = 0

        def store(sock: socket.socket) -> None:
            nonlocal stored
            if notify.store(f"{CONNECTION}{stored}", sock.detach()):
                stored += 1

        for connection in streams.connections():
            connection.hand_over(store)
        deadline = driver.loop.time() + SETTLE
        while streams.count and driver.loop.time() < deadline:
            await asyncio.sleep(0.005)
        files = sum(
            notify.store(f"{REAL_FILE}{number}", descriptor, poll=False)
            for number, descriptor in enumerate(locked()[:MOST_FILES])
        )
        notify.barrier()
        self._shell.log.notice(
            f"handed over {stored} connections" + (f" and {files} locked files" if files else "")
        )
