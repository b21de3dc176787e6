# SPDX-License-Identifier: GPL-3.0-or-later
"""The peer's time syntax, its numbers, and the next such time."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.bnode import ktime
from pydaemons.bnode.ktime import KTime

SATURDAY = datetime(2026, 11, 21, 10, 30, 11).timestamp()


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("5:00", (7, 0, 5, 0, 0)),
        ("5", (7, 0, 5, 0, 0)),
        ("sat 3:30", (15, 6, 3, 30, 0)),
        ("thu", (15, 4, 0, 0, 0)),
        ("thursday", (15, 4, 0, 0, 0)),
        ("", (7, 0, 0, 0, 0)),
        ("every sun at 4:00 am", (15, 0, 4, 0, 0)),
        ("at 11:59:58 pm", (7, 0, 23, 59, 58)),
        ("12:00 am", (7, 0, 0, 0, 0)),
        ("12:30 pm", (7, 0, 12, 30, 0)),
        ("23:15", (7, 0, 23, 15, 0)),
        ("never", (16, 0, 0, 0, 0)),
        ("now", (32, 0, 0, 0, 0)),
    ],
)
def test_what_the_peer_takes_is_taken_with_its_numbers(text, numbers):
    time = ktime.parse(text)
    assert (time.mask, time.day, time.hour, time.minute, time.second) == numbers


@pytest.mark.parametrize(
    "text",
    ["25:00", "4:60", "13:00 pm", "-1:00", "every day 4:00", "2:30pm", "SUN 4:00", "am", "4:00 am pm",
     "4:00 5:00", "4:00:00:00", "4:", "x", "now never", "²:00", "004:00"],
)  # fmt: skip
def test_what_the_peer_refuses_is_refused_with_the_text(text):
    with pytest.raises(ValueError, match=r"'"):
        ktime.parse(text)


def test_two_days_are_refused_where_the_peer_takes_the_last():
    with pytest.raises(ValueError, match="two days"):
        ktime.parse("sun mon 4:00")


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((16, 0, 0, 0, 0), "never"),
        ((15, 6, 3, 30, 0), "at sat 3:30 am"),
        ((3, 0, 5, 0, 0), "at 5:00 am"),
        ((32, 0, 0, 0, 0), "now"),
        ((7, 0, 0, 5, 0), "at 12:05 am"),
        ((7, 0, 12, 0, 9), "at 12:00:09 pm"),
    ],
)
def test_it_is_shown_as_the_peer_shows_it(numbers, text):
    assert ktime.format(KTime(*numbers)) == text


@given(st.integers(0, 6), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.booleans())
def test_what_is_shown_parses_to_the_same_time(day, hour, minute, second, daily):
    time = KTime(7 if daily else 15, 0 if daily else day, hour, minute, second)
    assert ktime.parse(ktime.format(time).removeprefix("at ")) == time


def test_the_next_time_is_later_today_or_tomorrow_or_next_week():
    def local(*fields):
        return datetime(2026, 11, *fields).timestamp()

    assert ktime.parse("11:00").after(SATURDAY) == local(21, 11)
    assert ktime.parse("10:30:11").after(SATURDAY) == local(22, 10, 30, 11)
    assert ktime.parse("sat 10:30:12").after(SATURDAY) == local(21, 10, 30, 12)
    assert ktime.parse("sat 10:30").after(SATURDAY) == local(28, 10, 30)
    assert ktime.parse("sun 4:00").after(SATURDAY) == local(22, 4)
    assert ktime.parse("never").after(SATURDAY) is None
    assert ktime.parse("now").after(SATURDAY) == SATURDAY


def test_fields_out_of_the_mask_match_anything_before_the_last_and_are_zero_behind_it():
    assert KTime(ktime.Field.MINUTE, minute=45).after(SATURDAY) == datetime(2026, 11, 21, 10, 45).timestamp()
    assert KTime(ktime.Field.HOUR, hour=12).after(SATURDAY) == datetime(2026, 11, 21, 12).timestamp()


@given(st.floats(0, 4e9), st.integers(0, 6), st.integers(0, 23), st.integers(0, 59))
def test_the_next_time_is_always_ahead_and_within_eight_days(wall, day, hour, minute):
    at = KTime(15, day, hour, minute, 0).after(wall)
    assert at is not None and wall < at <= wall + 8 * 86400 + 7200
