# SPDX-License-Identifier: GPL-3.0-or-later
"""A token bucket: so much at once, so much a second in the long run. Read Bucket.take.

The packet path counts its sources' packets by the same rule, but in place (see subnet.Source)."""

from __future__ import annotations


class Bucket:
    """Full at first."""

    __slots__ = ("_burst", "_filled", "_rate", "_tokens")

    def __init__(self, *, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = self._tokens = burst
        self._filled = 0.0

    def take(self, mono: float) -> bool:
        """Is there one left at this (monotonic) time? It is gone then."""
        self._tokens = min(self._burst, self._tokens + (mono - self._filled) * self._rate)
        self._filled = mono
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
