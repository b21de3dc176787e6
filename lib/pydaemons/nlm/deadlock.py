# SPDX-License-Identifier: GPL-3.0-or-later
"""Would this wait close a circle? A search of the wait-for graph (fcntl(2), EDEADLK; NLM4_DEADLCK).

The graph is not kept anywhere: its nodes are owners, and whom an owner waits for follows at any moment from
the queue and the lock table (`Waiters.blockers`), so a grant, a cancel or a dropped client cannot leave a
stale edge.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

O = TypeVar("O")  # noqa: E741  the owner of a lock, as in the lock table

EDGES = 100_000
"""Edges that one search follows before it takes the wait for harmless: some 20 ms; Linux gives up after
10."""


def would_deadlock(
    waiter: O, blockers: Iterable[O], blockers_of: Callable[[O], Iterable[O]], *, edges: int = EDGES
) -> bool:
    """Whether one of `blockers`, the holders in `waiter`'s way, waits, itself or through others, for
    `waiter`.

    `blockers_of(owner)` gives whom an owner waits for, over all its blocked locks; nobody, if it has none. An
    owner that waits for several locks is taken to be stuck while any of them is, as a thread of it would be.
    """
    seen: set[O] = set()
    ahead: list[Iterable[O]] = [blockers]
    while ahead:
        for owner in ahead.pop():
            edges -= 1
            if owner is waiter:
                return True
            if edges < 0:
                return False
            if owner not in seen:
                seen.add(owner)
                ahead.append(blockers_of(owner))
    return False
