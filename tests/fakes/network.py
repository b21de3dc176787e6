# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual time and interned origins, for engines under test."""

from __future__ import annotations

from pydaemons.engine.protocol import Address, Now, Origin, Transport

WALL = 1_700_000_000.0


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.mono = 1000.0

    @property
    def now(self) -> Now:
        return Now(self.mono, WALL + self.mono)

    def pass_(self, seconds: float) -> Now:
        self.mono += seconds
        return self.now


class Origins:
    """Origins as the shell interns them: one object per peer, local address and transport."""

    def __init__(self, local: str = "10.0.0.1", port: int = 4045) -> None:
        self.local = Address(local, port)
        self._known: dict[tuple[Transport, str, int, str], Origin] = {}

    def __call__(
        self, host: str, port: int = 700, transport: Transport = Transport.UDP, local: str | None = None
    ) -> Origin:
        here = self.local if local is None else Address(local, self.local.port)
        key = (transport, host, port, here.host)
        if key not in self._known:
            self._known[key] = Origin(transport, Address(host, port), here)
        return self._known[key]
