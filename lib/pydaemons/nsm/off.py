# SPDX-License-Identifier: GPL-3.0-or-later
"""No status monitor at all, for who wants none: the same to the lock manager as monitor.Monitor."""

from __future__ import annotations

from collections.abc import Iterator

from pydaemons.engine.effects import Effect
from pydaemons.engine.protocol import Now


class Unmonitored:
    """`[nsm] mode = off`: nobody is monitored, and no restart is ever learned of."""

    state = 0
    hosts: tuple[str, ...] = ()

    def watch(
        self, address: str, name: bytes, now: Now, *, local: str, state: int = 0, resumed: bool = False
    ) -> None:
        """Nothing to do."""

    def unwatch(self, address: str, now: Now, *, local: str) -> None:
        """Nothing to do."""

    def notified(self, mon_name: bytes, state: int, priv: bytes, now: Now) -> None:
        """Nobody asked."""

    def begin(self, now: Now) -> None:
        """Nobody to tell."""

    def crash(self, now: Now) -> None:
        """Nobody to tell."""

    def tick(self, now: Now) -> None:
        """Nothing is due."""

    def deadline(self) -> float | None:
        """Never."""
        return None

    def drain(self) -> Iterator[Effect]:
        """Nothing to do."""
        return iter(())
