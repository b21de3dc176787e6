# SPDX-License-Identifier: GPL-3.0-or-later
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.netbios.node.bucket import Bucket


def test_a_burst_is_had_at_once_and_the_rest_with_time():
    bucket = Bucket(rate=0.5, burst=3.0)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(101.0)
    assert bucket.take(102.0)
    assert not bucket.take(102.0)


def test_no_more_than_a_burst_gathers_however_long_nobody_asks():
    bucket = Bucket(rate=10.0, burst=2.0)
    assert bucket.take(0.0)
    assert [bucket.take(1e6) for _ in range(3)] == [True, True, False]


@given(st.lists(st.floats(0, 60), max_size=200), st.floats(0.01, 20), st.integers(1, 20))
def test_over_any_time_it_gives_burst_and_rate_and_no_more(pauses, rate, burst):
    bucket, at, taken = Bucket(rate=rate, burst=float(burst)), 0.0, 0
    for pause in pauses:
        at += pause
        taken += bucket.take(at)
    assert taken <= burst + at * rate + 1e-6
