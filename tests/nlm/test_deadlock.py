# SPDX-License-Identifier: GPL-3.0-or-later
"""The search for a circle of waits, over graphs small, random and long."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from pydaemons.nlm.deadlock import would_deadlock


class Owner:
    """Compared by identity, as the lock manager's owners are."""


def test_two_owners_that_would_wait_for_each_other_are_a_deadlock():
    a, b = Owner(), Owner()
    waits = {b: [a]}
    assert would_deadlock(a, [b], lambda owner: waits.get(owner, ()))


def test_waiting_for_an_owner_that_runs_is_none():
    a, b, c = Owner(), Owner(), Owner()
    waits = {c: [b]}
    assert not would_deadlock(a, [b, b, c], lambda owner: waits.get(owner, ()))


def test_any_of_several_waits_of_an_owner_can_close_the_circle():
    a, b, c, d = (Owner() for _ in range(4))
    waits = {b: [d, c], c: [d, a]}
    assert would_deadlock(a, [d, b], lambda owner: waits.get(owner, ()))


def test_a_circle_that_the_waiter_is_not_part_of_does_not_hold_the_search():
    a, b, c = Owner(), Owner(), Owner()
    waits = {b: [c], c: [b]}
    assert not would_deadlock(a, [b], lambda owner: waits.get(owner, ()))


def test_chains_of_ten_thousand_waiters_are_followed_to_their_end():
    chain = [Owner() for _ in range(10_000)]
    waits = {owner: [after] for owner, after in itertools.pairwise(chain)}
    assert would_deadlock(chain[-1], [chain[0]], lambda owner: waits.get(owner, ()))
    assert not would_deadlock(Owner(), [chain[0]], lambda owner: waits.get(owner, ()))


def test_the_search_ends_at_its_bound_and_takes_the_wait_for_harmless():
    followed = []

    def endless(owner):
        while True:
            followed.append(owner)
            yield Owner()

    assert not would_deadlock(Owner(), [Owner()], endless, edges=1000)
    assert len(followed) <= 1001


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=24))
def test_agrees_with_reachability(edges):
    owners = [Owner() for _ in range(8)]
    reach = {n: {b for a, b in edges if a == n} for n in range(8)}
    for _ in range(8):
        for n in range(8):
            reach[n] |= set().union(*(reach[m] for m in reach[n]))
    waits = {owners[n]: [owners[b] for a, b in edges if a == n] for n in range(8)}
    for n in range(8):
        assert would_deadlock(owners[n], waits[owners[n]], waits.__getitem__) == (n in reach[n])
