# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a packet and its answer take to a host, and how long to wait before sending again.

Averages as RFC 6298 section 2 and the Rx draft ("Round-trip time computation") have them. A receiver may hold
back what it need not acknowledge at once, hence the SLACK.
"""

from __future__ import annotations

FIRST = 1.0
"""Seconds to wait before anything was measured (RFC 6298 section 2.1)."""
SLACK = 0.15
"""Longer than an acknowledgement is delayed (OpenAFS was seen to take 0.1 s)."""
LONGEST = 3.0
"""A peer that hears nothing gives up after 16 s: waiting longer would leave it too few chances."""


class RoundTrip:
    """What is known about one host, shared by all its connections: a command's single call profits from those
    before it."""

    __slots__ = ("average", "deviation", "measured")

    def __init__(self) -> None:
        self.average = 0.0
        self.deviation = 0.0
        self.measured = False

    def measure(self, seconds: float) -> None:
        """A packet that was sent once was acknowledged after so long."""
        if not self.measured:
            self.average, self.deviation, self.measured = seconds, seconds / 2, True
            return
        self.deviation += (abs(seconds - self.average) - self.deviation) / 4
        self.average += (seconds - self.average) / 8

    def timeout(self, attempts: int) -> float:
        """Seconds after which the packet sent for the `attempts`th time is taken for lost: twice as long each
        time (RFC 6298 section 5.5)."""
        once = self.average + 4 * self.deviation + SLACK if self.measured else FIRST
        return min(once * (1 << min(attempts - 1, 16)), LONGEST)
