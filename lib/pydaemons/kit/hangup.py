# SPDX-License-Identifier: GPL-3.0-or-later
"""Who of the connected has hung up. epoll(7) with no event asked for tells just that.

A peer that only has no more to say (shutdown for writing, as `ssh` or `nc -N` do at the end of their input)
still waits for its answer and is not meant; at a socket that asyncio has read to its end the two look alike.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable


class HangUps:
    """A set of descriptors, on one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._gone: dict[int, Callable[[], None]] = {}
        loop.add_reader(self._epoll.fileno(), self._look)

    def watch(self, descriptor: int, gone: Callable[[], None]) -> None:
        """Have `gone` called once, when the other end is closed. Before `descriptor` is: `forget`."""
        self._epoll.register(descriptor, 0)
        self._gone[descriptor] = gone

    def forget(self, descriptor: int) -> None:
        if self._gone.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def close(self) -> None:
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
        self._gone.clear()

    def _look(self) -> None:
        for descriptor, _ in self._epoll.poll(0):
            gone = self._gone.get(descriptor)
            self.forget(descriptor)
            if gone is not None:
                gone()
