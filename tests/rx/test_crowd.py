# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may stay when there are too many."""

from __future__ import annotations

from typing import Any

import pytest

from pydaemons.rx.crowd import Crowd, Limits


class Waiting:
    """As much of a Call as a crowd sees."""

    def __init__(self, host: str) -> None:
        self.host = host


def call(host: str) -> Any:
    return Waiting(host)


@pytest.fixture
def crowd() -> Crowd:
    return Crowd(Limits(calls=3, calls_of_host=2))


def test_a_host_is_full_before_the_server_is(crowd: Crowd) -> None:
    first, second = call("a"), call("a")
    crowd.enter(first)
    assert not crowd.full("a")
    crowd.enter(second)
    assert crowd.full("a") and not crowd.full("b") and len(crowd) == 2
    crowd.leave(first)
    assert not crowd.full("a") and len(crowd) == 1


def test_a_full_server_is_full_for_everybody(crowd: Crowd) -> None:
    for host in "abc":
        crowd.enter(call(host))
    assert crowd.full("a") and crowd.full("d")


def test_whose_request_is_complete_stays_and_who_waited_longest_goes(crowd: Crowd) -> None:
    calls = [call(host) for host in "abc"]
    for each in calls:
        crowd.enter(each)
    assert crowd.find_victim("d") is None, "all are served"
    for each in calls:
        crowd.wait(each)
    crowd.wait(calls[0])  # more came of it
    assert crowd.find_victim("d") is calls[1]
    crowd.come(calls[1])
    assert crowd.find_victim("d") is calls[2]
    crowd.leave(calls[2])
    assert crowd.find_victim("a") is calls[0]


def test_another_hosts_call_does_not_go_for_a_host_that_has_too_many(crowd: Crowd) -> None:
    other = call("b")
    for each in (other, call("a")):
        crowd.enter(each)
    crowd.wait(other)
    assert crowd.find_victim("a") is None
