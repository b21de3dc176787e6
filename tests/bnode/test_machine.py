# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of one process."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.bnode.machine import TABLE, Act, Event, State


def test_no_cell_is_blank():
    assert set(TABLE) == set(State)
    for row in TABLE.values():
        assert set(row) == set(Event)


def test_an_order_for_the_goal_moves_and_does_nothing():
    for state, row in TABLE.items():
        assert row[Event.GOAL] == (state, Act.NOTHING)


def test_what_is_gone_is_down_whatever_it_was():
    assert {row[Event.GONE][0] for row in TABLE.values()} == {State.DOWN}


@pytest.mark.parametrize("state", [State.STARTING, State.UP, State.RESPAWNING])
def test_what_may_run_is_halted_once(state):
    after, act = TABLE[state][Event.STOP]
    assert after is State.STOPPING
    assert act is (Act.CANCEL if state is State.RESPAWNING else Act.HALT)
    assert TABLE[State.STOPPING][Event.STOP] == (State.STOPPING, Act.NOTHING)


def test_an_exit_while_stopping_is_not_counted():
    assert TABLE[State.STOPPING][Event.EXITED][1] is Act.LEAVE


@given(st.lists(st.sampled_from(list(Event)), max_size=40))
def test_a_unit_is_made_only_when_there_is_none(events):
    """SPAWN comes only from DOWN, and not again before the unit is gone or refused."""
    state, made = State.DOWN, False
    for event in events:
        before = state
        state, act = TABLE[state][event]
        if act is Act.SPAWN:
            assert before is State.DOWN and not made
            made = True
        if event in (Event.GONE, Event.REFUSED) and state is State.DOWN:
            made = False
