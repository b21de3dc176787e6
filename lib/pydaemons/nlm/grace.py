# SPDX-License-Identifier: GPL-3.0-or-later
"""The grace period: for a while after locks were lost only their former holders may take them again.

The lengths are the kernel server's: `fs.nfs.nlm_grace_period` rounded up to a multiple of
`fs.nfs.nlm_timeout`, or five times the latter when it is 0.
"""

from __future__ import annotations

from typing import Protocol


class GraceSettings(Protocol):
    """The tunables it follows."""

    nlm_grace_period: int
    nlm_timeout: int


class Grace:
    """Whether it is on, and until when (monotonic seconds)."""

    __slots__ = ("_settings", "active", "until")

    def __init__(self, settings: GraceSettings) -> None:
        self._settings = settings
        self.active = False
        self.until: float | None = None

    def period(self) -> int:
        """Seconds a grace period beginning now would last."""
        asked, unit = self._settings.nlm_grace_period, self._settings.nlm_timeout
        return -(-asked // unit) * unit if asked else 5 * unit

    def start(self, mono: float) -> None:
        """Begin, or begin anew."""
        self.active = True
        self.until = mono + self.period()

    def end(self) -> bool:
        """End it now; True if it was on."""
        was, self.active, self.until = self.active, False, None
        return was

    def tick(self, mono: float) -> bool:
        """True when it ended just now."""
        return self.until is not None and mono >= self.until and self.end()

    def left(self, mono: float) -> float:
        """Seconds to go, 0.0 when it is off."""
        return 0.0 if self.until is None else max(0.0, self.until - mono)
