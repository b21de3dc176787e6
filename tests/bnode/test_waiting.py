# SPDX-License-Identifier: GPL-3.0-or-later
"""Who waits is answered, and lets go."""

from __future__ import annotations

from pydaemons.bnode.effects import Answer
from pydaemons.bnode.kinds import KINDS
from pydaemons.bnode.machine import State
from pydaemons.bnode.model import Bnode, Code, Goal
from pydaemons.bnode.outbox import Outbox
from pydaemons.bnode.waiting import Waiter, Waiting
from pydaemons.engine.protocol import Now

NOW = Now(0.0, 0.0)


class Owner:
    """Bnodes by name; goals that are set are obeyed at once."""

    def __init__(self, *names):
        self.bnodes = {}
        for name in names:
            bnode = Bnode(name, KINDS["simple"], ("/x",), notifier=None, file_goal=Goal.NORMAL)
            bnode.goal, bnode.processes[0].state = Goal.NORMAL, State.UP
            self.bnodes[name] = bnode
        self.out = Outbox()
        self.waiting = Waiting(self, self.out)

    def find_any(self, name):
        return self.bnodes.get(name)

    def hold(self, bnode):
        bnode.holds += 1

    def release(self, bnode, now):
        bnode.holds -= 1

    def set_stat(self, bnode, goal, now):
        bnode.goal = goal
        bnode.processes[0].state = State.UP if goal else State.DOWN
        self.waiting.wake(bnode, now)

    def wait(self, *names, goal=None, start=False, ticket="t"):
        self.waiting.add(Waiter(ticket, goal=goal, start=start), [self.bnodes[n] for n in names], NOW)

    def answers(self):
        return [(answer.ticket, answer.code) for answer in self.out.drain() if isinstance(answer, Answer)]

    def holds(self):
        return [bnode.holds for bnode in self.bnodes.values()]


def test_what_is_so_already_is_answered_at_once():
    owner = Owner("a")
    owner.wait("a", goal=Goal.NORMAL)
    assert owner.answers() == [("t", Code.OK)] and owner.holds() == [0] and not owner.waiting


def test_waiting_for_nobody_is_answered_at_once():
    owner = Owner()
    owner.wait()
    assert owner.answers() == [("t", Code.OK)]


def test_all_must_have_come_to_rest_and_are_held_until_then():
    owner = Owner("a", "b")
    for bnode in owner.bnodes.values():
        bnode.goal, bnode.processes[0].state = Goal.SHUTDOWN, State.STOPPING
    owner.wait("a", "b")
    assert owner.holds() == [1, 1]
    owner.set_stat(owner.bnodes["a"], Goal.SHUTDOWN, NOW)
    assert owner.answers() == [] and owner.holds() == [0, 1]
    owner.set_stat(owner.bnodes["b"], Goal.SHUTDOWN, NOW)
    assert owner.answers() == [("t", Code.OK)] and owner.holds() == [0, 0]


def test_a_goal_that_changes_is_an_answer_and_every_hold_is_let_go():
    owner = Owner("a", "b")
    for bnode in owner.bnodes.values():
        bnode.goal, bnode.processes[0].state = Goal.SHUTDOWN, State.STOPPING
    owner.wait("a", "b", goal=Goal.SHUTDOWN)
    owner.set_stat(owner.bnodes["b"], Goal.NORMAL, NOW)
    assert owner.answers() == [("t", Code.FAILED)]
    assert owner.holds() == [0, 0] and not owner.waiting


def test_a_restart_starts_each_as_soon_as_it_is_down():
    owner = Owner("a", "b")
    for bnode in owner.bnodes.values():
        bnode.goal, bnode.processes[0].state = Goal.SHUTDOWN, State.STOPPING
    owner.wait("a", "b", goal=Goal.SHUTDOWN, start=True)
    owner.set_stat(owner.bnodes["a"], Goal.SHUTDOWN, NOW)
    assert owner.bnodes["a"].goal is Goal.NORMAL and owner.bnodes["b"].goal is Goal.SHUTDOWN
    owner.set_stat(owner.bnodes["b"], Goal.SHUTDOWN, NOW)
    assert owner.answers() == [("t", Code.OK)]


def test_two_may_wait_for_the_same():
    owner = Owner("a")
    owner.bnodes["a"].goal, owner.bnodes["a"].processes[0].state = Goal.SHUTDOWN, State.STOPPING
    owner.wait("a", goal=Goal.SHUTDOWN, ticket=1)
    owner.wait("a", ticket=2)
    assert owner.holds() == [2]
    owner.set_stat(owner.bnodes["a"], Goal.SHUTDOWN, NOW)
    assert sorted(owner.answers()) == [(1, Code.OK), (2, Code.OK)] and owner.holds() == [0]


def test_who_has_gone_is_forgotten_but_a_restart_goes_on():
    owner = Owner("a", "b")
    for bnode in owner.bnodes.values():
        bnode.goal, bnode.processes[0].state = Goal.SHUTDOWN, State.STOPPING
    one, two = "one", "two"
    owner.wait("a", ticket=one)
    owner.wait("b", goal=Goal.SHUTDOWN, start=True, ticket=two)
    owner.waiting.forget(one, NOW)
    owner.waiting.forget(two, NOW)
    assert owner.holds() == [0, 1]
    owner.set_stat(owner.bnodes["b"], Goal.SHUTDOWN, NOW)
    assert owner.bnodes["b"].goal is Goal.NORMAL and owner.answers() == []
