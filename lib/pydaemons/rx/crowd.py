# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is served: how many calls are under way, of whom, and which one has to go when there are too many.

A request that never becomes complete costs whoever sends it nothing and may come from anybody; so these make
room for others, the one that nothing came for longest first.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pydaemons.rx.call import Call


@dataclass(frozen=True, slots=True)
class Limits:
    """What others may make of us."""

    connections: int = 1024
    calls: int = 256
    """under way at a time"""
    calls_of_host: int = 64
    request: int = 64 << 10
    """bytes of a request that is taken whole"""
    idle: float = 60.0
    """seconds after which a connection without calls, and its last answers, are forgotten"""


class Crowd:
    """Calls under way, by host; of those whose request has begun to come, the order in which they wait."""

    __slots__ = ("_calls", "_coming", "_hosts", "_limits")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._calls = 0
        self._hosts: Counter[str] = Counter()
        self._coming: dict[Call, None] = {}

    def __len__(self) -> int:
        return self._calls

    def full(self, host: str) -> bool:
        """Whether somebody has to go before a call of this host can be begun."""
        return self._calls >= self._limits.calls or self._hosts[host] >= self._limits.calls_of_host

    def find_victim(self, host: str) -> Call | None:
        """Who that may be: the one waiting longest for the rest of its request, if that helps this host."""
        victim = next(iter(self._coming), None)
        if victim is None or (self._calls < self._limits.calls and victim.host != host):
            return None
        return victim

    def enter(self, call: Call) -> None:
        self._calls += 1
        self._hosts[call.host] += 1

    def leave(self, call: Call) -> None:
        """It is no longer under way."""
        self._calls -= 1
        self._hosts[call.host] -= 1
        if self._hosts[call.host] <= 0:
            del self._hosts[call.host]
        self._coming.pop(call, None)

    def wait(self, call: Call) -> None:
        """More of its request is needed; its client had its say just now."""
        self._coming.pop(call, None)
        self._coming[call] = None

    def come(self, call: Call) -> None:
        """All that is needed of its request is there."""
        self._coming.pop(call, None)
