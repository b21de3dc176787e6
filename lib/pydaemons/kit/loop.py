# SPDX-License-Identifier: GPL-3.0-or-later
"""asyncio's loop, with a shorter way for packets. Read PacketSelector.select.

asyncio makes a round of a loop out of every wakeup: it asks the selector, files a handle for each descriptor,
looks at timers, runs the handles. For a daemon that gets one packet at a time that round costs as much as the
packet. Here the selector itself calls what `loop.add_reader` was given, and comes back to asyncio when there
is something for asyncio: another descriptor, a callback, a timer.

It also waits the way a networking stack does under load (net.core.busy_poll in Linux): while packets follow
close upon each other, the next is looked for during `linger` seconds before the process goes to sleep, for
sleeping and waking take longer than that. After a look in vain it sleeps at once the next time, after two in
a row the next three times, and so on: a daemon that nothing happens to uses no processor, nor does one whose
packets always come a little later. Nor does it linger where processors are short.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable
from contextvars import Context
from selectors import EVENT_READ, EVENT_WRITE, EpollSelector, SelectorKey
from time import monotonic
from typing import Any, TypeVarTuple, Unpack

EVENTS = 64
"""Ready descriptors taken per call."""

REST_TIMES, REST = 20.0, 0.1
"""The processor was taken away meanwhile: others have use for it. No lingering for so many times what they
took, or for so many seconds at most."""
CLOSE_TIMES = 2.0
"""A packet that found us asleep came close if it was there within so many times `linger`: half of that is for
being woken."""
VAIN = 6
"""Looks in vain in a row that make a difference."""

_Ts = TypeVarTuple("_Ts")


class PacketSelector(EpollSelector):
    """The selector of a PacketLoop."""

    def __init__(self) -> None:
        super().__init__()
        self._poll_set = select.epoll.fromfd(os.dup(self.fileno()))
        self.packets: dict[int, Callable[[], object]] = {}
        """What to call when there is something to read, by descriptor."""
        self.due = False
        """asyncio has something to do."""
        self.failed: Callable[[Exception], None] = lambda error: None
        """Told when one of `packets` raised."""
        self.linger = 0.0
        """Seconds to look for packets before sleeping, while they come that close."""
        self._close = False
        """The last one came so soon that it was worth looking for."""
        self._vain = 0
        """Looks in vain in a row."""
        self._asleep = 0
        """Waits to sleep through, however close packets come, until the next look."""
        self._rest = 0.0
        """Until when not to linger."""

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Serve packets until there is something for asyncio, or `timeout` has passed."""
        end = None if timeout is None else monotonic() + timeout
        packets = self.packets
        self.due = False
        while True:
            ready = []
            for descriptor, event in self._wait(timeout):
                callback = packets.get(descriptor)
                if callback is not None and event & ~select.EPOLLOUT:
                    try:
                        callback()
                    except Exception as error:
                        self.failed(error)
                    event &= ~select.EPOLLIN
                    if event == 0:
                        continue
                ready.append((descriptor, event))
            if ready:
                return self._keys(ready)
            if self.due:
                return []
            if end is not None:
                timeout = end - monotonic()
                if timeout <= 0:
                    return []

    def close(self) -> None:
        self._poll_set.close()
        super().close()

    def _wait(self, timeout: float | None) -> list[tuple[int, int]]:
        """The descriptors that are ready, with epoll(7)'s events; none after `timeout` seconds."""
        poll = self._poll_set.poll
        linger = self.linger
        if linger <= 0.0 or (timeout is not None and timeout <= linger):
            return poll(timeout, EVENTS)
        events = poll(0, EVENTS)
        if events:
            self._close = True
            return events
        start = monotonic()
        if not self._close or start <= self._rest:
            pass
        elif self._asleep:
            self._asleep -= 1
        else:
            before = start
            while True:
                events = poll(0, EVENTS)
                now = monotonic()
                if now - before > linger:
                    self._rest = now + min(REST_TIMES * (now - before), REST)
                if events:
                    self._vain = 0
                    return events
                if now - start >= linger:
                    break
                before = now
            self._vain = min(self._vain + 1, VAIN)
            self._asleep = (1 << self._vain) - 1
        events = poll(timeout, EVENTS)
        self._close = monotonic() - start < CLOSE_TIMES * linger
        return events

    def _keys(self, ready: list[tuple[int, int]]) -> list[tuple[SelectorKey, int]]:
        """What is for asyncio, as it wants it: readers of `packets` were called already."""
        keys = []
        registered = self.get_map()
        for descriptor, event in ready:
            key = registered.get(descriptor)
            if key is None:
                continue  # closed by a callback before it
            wanted = EVENT_WRITE if event & ~select.EPOLLIN else 0
            if event & ~select.EPOLLOUT and descriptor not in self.packets:
                wanted |= EVENT_READ
            if wanted & key.events:
                keys.append((key, wanted & key.events))
        return keys


class PacketLoop(asyncio.SelectorEventLoop):
    """An event loop whose `add_reader` callbacks are called straight from the selector."""

    def __init__(self) -> None:
        self._packets = PacketSelector()
        self._packets.failed = self._reader_failed
        super().__init__(self._packets)

    def linger(self, seconds: float) -> None:
        """Look for packets so long before sleeping, while they come that close; not on a single processor,
        which whoever is to send them needs."""
        self._packets.linger = seconds if len(os.sched_getaffinity(0)) > 1 else 0.0

    def add_reader(self, fd: Any, callback: Callable[[Unpack[_Ts]], Any], *args: *_Ts) -> None:
        super().add_reader(fd, callback, *args)
        if isinstance(fd, int):
            self._packets.packets[fd] = (lambda: callback(*args)) if args else callback

    def remove_reader(self, fd: Any) -> bool:
        self._packets.packets.pop(fd, None)
        return super().remove_reader(fd)

    def call_soon(
        self, callback: Callable[[Unpack[_Ts]], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        self._packets.due = True
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        self._packets.due = True
        return super().call_at(when, callback, *args, context=context)

    def _reader_failed(self, error: Exception) -> None:
        self.call_exception_handler({"message": "a reader failed", "exception": error})
