# SPDX-License-Identifier: GPL-3.0-or-later
"""The status every kind derives from its processes and its goal."""

from __future__ import annotations

import pytest

from pydaemons.bnode.kinds import KINDS
from pydaemons.bnode.machine import State
from pydaemons.bnode.model import Bnode, Goal, Status

UP, DOWN, STARTING, STOPPING, RESPAWNING = (
    State.UP,
    State.DOWN,
    State.STARTING,
    State.STOPPING,
    State.RESPAWNING,
)


def bnode(kind, goal, *states):
    commands = tuple("/x" for _ in KINDS[kind].parameters)
    made = Bnode("a", KINDS[kind], commands, notifier=None, file_goal=Goal.NORMAL)
    made.goal = goal
    for process, state in zip(made.processes, states, strict=True):
        process.state = state
    return made


@pytest.mark.parametrize(
    ("kind", "goal", "states", "status"),
    [
        ("simple", Goal.NORMAL, (UP,), Status.NORMAL),
        ("simple", Goal.NORMAL, (STARTING,), Status.STARTING_UP),
        ("simple", Goal.NORMAL, (RESPAWNING,), Status.STARTING_UP),
        ("simple", Goal.NORMAL, (DOWN,), Status.STARTING_UP),
        ("simple", Goal.SHUTDOWN, (STOPPING,), Status.SHUTTING_DOWN),
        ("simple", Goal.SHUTDOWN, (UP,), Status.SHUTTING_DOWN),
        ("simple", Goal.SHUTDOWN, (DOWN,), Status.SHUTDOWN),
        ("dafs", Goal.NORMAL, (UP, UP, UP), Status.NORMAL),
        ("dafs", Goal.NORMAL, (UP, RESPAWNING, UP), Status.STARTING_UP),
        ("dafs", Goal.SHUTDOWN, (STOPPING, DOWN, DOWN), Status.SHUTTING_DOWN),
        ("fs", Goal.NORMAL, (UP, UP, DOWN), Status.NORMAL),
        ("fs", Goal.NORMAL, (UP, STARTING, DOWN), Status.STARTING_UP),
        ("fs", Goal.SHUTDOWN, (DOWN, DOWN, DOWN), Status.SHUTDOWN),
    ],
)
def test_status_follows_from_goal_and_processes(kind, goal, states, status):
    made = bnode(kind, goal, *states)
    assert made.kind.status(made) is status


def test_while_it_is_salvaged_a_file_server_runs_normally_as_with_the_peer():
    made = bnode("fs", Goal.NORMAL, DOWN, DOWN, UP)
    made.salvage = True
    assert made.kind.status(made) is Status.NORMAL
    assert made.kind.detail(made) == "salvaging file system."


def test_an_error_stop_is_starting_up_only_while_a_retry_is_due():
    made = bnode("simple", Goal.SHUTDOWN, DOWN)
    made.error_stop = True
    assert made.kind.status(made) is Status.SHUTDOWN
    made.retry_at = 5.0
    assert made.kind.status(made) is Status.STARTING_UP


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_wanted_of_a_bnode_that_is_to_be_down(kind):
    states = [DOWN] * len(KINDS[kind].parts)
    made = bnode(kind, Goal.SHUTDOWN, *states)
    assert list(made.kind.wanted(made, 1e9)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_part_runs_a_command_there_is(kind):
    assert all(part.command < len(KINDS[kind].parameters) for part in KINDS[kind].parts)
