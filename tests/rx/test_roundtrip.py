# SPDX-License-Identifier: GPL-3.0-or-later
"""Round-trip times."""

from __future__ import annotations

import pytest

from pydaemons.rx.roundtrip import FIRST, LONGEST, SLACK, RoundTrip


def test_nothing_measured_means_a_second_and_twice_as_long_each_time() -> None:
    trip = RoundTrip()
    assert [trip.timeout(n) for n in (1, 2, 3)] == [FIRST, 2 * FIRST, LONGEST]
    assert trip.timeout(10_000) == LONGEST


def test_the_first_measurement_counts_as_rfc_6298_has_it() -> None:
    trip = RoundTrip()
    trip.measure(0.1)
    assert trip.timeout(1) == pytest.approx(0.1 + 4 * 0.05 + SLACK)


def test_a_steady_network_makes_a_short_timeout_and_an_outlier_a_longer_one() -> None:
    trip = RoundTrip()
    for _ in range(100):
        trip.measure(0.01)
    steady = trip.timeout(1)
    assert steady == pytest.approx(0.01 + SLACK, abs=0.001)
    trip.measure(0.5)
    assert trip.timeout(1) > steady + 0.4
