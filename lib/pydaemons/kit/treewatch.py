# SPDX-License-Identifier: GPL-3.0-or-later
"""A daemon's folder of tunables on an event loop: kit.runtree with its descriptor and its deadlines kept.

The root of the tree is $PYSYSCTL_ROOT, or /run/pysysctl."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from pydaemons.kit.clock import now as read_clock
from pydaemons.kit.log import Log
from pydaemons.kit.runtree import DEFAULT_ROOT, RunTree
from pydaemons.tunables.declare import TunableChanged, Tunables


class TreeWatch:
    """Open from the start to `close`."""

    def __init__(
        self,
        tunables: Tunables,
        daemon: str,
        loop: asyncio.AbstractEventLoop,
        *,
        log: Log,
        changed: Callable[[TunableChanged], None],
    ) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        root = os.environ.get("PYSYSCTL_ROOT", DEFAULT_ROOT)
        self._tree = RunTree(tunables, daemon=daemon, log=log, changed=changed, root=root)
        self._tree.open(read_clock().mono)
        self._descriptor = self._tree.fileno()
        if self._descriptor >= 0:
            loop.add_reader(self._descriptor, self._changed)
        self._tend()

    def publish(self) -> None:
        """Show values that changed by other ways."""
        self._tree.publish(read_clock().mono)
        self._tend()

    def close(self) -> None:
        """Leave the folder to itself."""
        if self._timer is not None:
            self._timer.cancel()
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
        self._tree.close()

    def _changed(self) -> None:
        self._tree.process(read_clock().mono)
        self._tend()

    def _tend(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        deadline = self._tree.deadline()
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._tree.tick(read_clock().mono)
        self._tend()
