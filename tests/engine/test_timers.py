# SPDX-License-Identifier: GPL-3.0-or-later
"""Deadlines come due once, in order, however often they are moved."""

from hypothesis import given
from hypothesis import strategies as st

from pydaemons.engine.timers import Timers


def test_setting_a_key_again_moves_its_deadline() -> None:
    timers: Timers[str] = Timers()
    timers.set("a", 5.0)
    timers.set("a", 9.0)
    timers.set("b", 7.0)
    assert timers.deadline() == 7.0
    assert list(timers.due(8.0)) == ["b"]
    assert timers.at("a") == 9.0
    assert list(timers.due(9.0)) == ["a"]
    assert timers.deadline() is None


def test_equal_deadlines_come_due_in_the_order_they_were_set() -> None:
    timers: Timers[int] = Timers()
    for key in (3, 1, 2):
        timers.set(key, 1.0)
    assert list(timers.due(1.0)) == [3, 1, 2]


def test_a_cancelled_key_never_comes_due() -> None:
    timers: Timers[str] = Timers()
    timers.set("a", 1.0)
    timers.cancel("a")
    timers.cancel("never set")
    assert "a" not in timers
    assert (timers.deadline(), list(timers.due(99.0)), len(timers)) == (None, [], 0)


keys = st.integers(0, 5)
steps = st.lists(
    st.tuples(st.just("set"), keys, st.floats(0, 100))
    | st.tuples(st.sampled_from(["cancel", "due"]), keys, st.just(0.0)),
    max_size=120,
)


@given(steps)
def test_it_agrees_with_a_plain_dict(script: list[tuple[str, int, float]]) -> None:
    timers: Timers[int] = Timers()
    model: dict[int, float] = {}
    for step, key, at in script:
        if step == "set":
            timers.set(key, at)
            model[key] = at
        elif step == "cancel":
            timers.cancel(key)
            model.pop(key, None)
        else:
            moment = key * 20.0
            expected = {k for k, due in model.items() if due <= moment}
            assert set(timers.due(moment)) == expected
            model = {k: due for k, due in model.items() if k not in expected}
        assert timers.deadline() == min(model.values(), default=None)
        assert len(timers) == len(model)


def test_moving_a_key_for_ever_does_not_make_the_heap_grow() -> None:
    timers: Timers[str] = Timers()
    for moment in range(100_000):
        timers.set("a", float(moment))
    assert len(timers._heap) < 1000
