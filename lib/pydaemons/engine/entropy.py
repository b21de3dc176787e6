# SPDX-License-Identifier: GPL-3.0-or-later
"""Where engines get their dice: an injected source, so that a test can replay every choice.

`random.Random` satisfies it; the shell passes `random.SystemRandom()`, tests a seeded one.
"""

from __future__ import annotations

from typing import Protocol


class Entropy(Protocol):
    """The part of `random.Random` that engines may use."""

    def getrandbits(self, k: int, /) -> int:
        """An integer of `k` random bits."""

    def uniform(self, a: float, b: float) -> float:
        """A float between `a` and `b`."""
