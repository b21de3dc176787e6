# SPDX-License-Identifier: GPL-3.0-or-later
"""A bnode's past on disk."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pydaemons.bnode import history
from pydaemons.bnode.kinds import KINDS
from pydaemons.bnode.model import Bnode, Goal


def bnode():
    return Bnode("a", KINDS["dafs"], ("a", "b", "c", "d"), notifier=None, file_goal=Goal.NORMAL)


def lived():
    one = bnode()
    one.starts, one.start_time, one.last_error_name, one.error_signal = 7, 1000, "vol", 11
    one.goal, one.error_stop, one.retry_at, one.barred = Goal.SHUTDOWN, True, 1234.5, True
    one.window.opened, one.window.opened_wall, one.window.count, one.window.trips = 5, 1005, 11, 3
    one.process("vol").pid, one.process("vol").begun, one.process("vol").restarts = 4711, 3, 4
    return one


def test_within_a_boot_everything_comes_back():
    one, other = lived(), bnode()
    record = history.unpack(history.pack(one, boot="b", ending=False))
    assert history.restore(other, record, boot="b")
    assert history.pack(other, boot="b", ending=False) == history.pack(one, boot="b", ending=False)
    assert (other.process("vol").pid, other.process("vol").begun) == (4711, 3)
    assert other.window.count == 11 and other.retry_at == 1234.5


def test_after_another_boot_only_the_past_comes_back():
    other = bnode()
    record = history.unpack(history.pack(lived(), boot="b", ending=False))
    assert not history.restore(other, record, boot="c")
    assert (other.starts, other.error_signal, other.error_stop, other.window.count) == (7, 11, False, 0)


def test_an_orderly_stop_forgets_goals():
    other = bnode()
    record = history.unpack(history.pack(lived(), boot="b", ending=True))
    assert not history.restore(other, record, boot="b")
    assert other.starts == 7 and not other.error_stop


@given(st.binary(max_size=60) | st.sampled_from([b"[]", b'{"boot":"b","goal":7}', b'{"boot":"b","goal":1}']))
def test_a_damaged_file_is_no_history(data):
    assert not history.restore(bnode(), history.unpack(data), boot="b")


def test_file_names_are_safe():
    assert history.file_name("a/../b") == "history/a-..-b"


def test_a_first_process_is_no_history_yet_and_all_that_follows_is():
    one = bnode()
    one.goal, one.starts = Goal.NORMAL, 1
    assert not history.worth_keeping(one)
    one.goal = Goal.SHUTDOWN
    assert history.worth_keeping(one), "a goal that is not the file's"
    one.goal, one.starts = Goal.NORMAL, 2
    assert history.worth_keeping(one)
    one.starts, one.last_any_exit = 1, 1000
    assert history.worth_keeping(one)
