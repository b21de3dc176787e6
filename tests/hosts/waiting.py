# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for something to become true, with a generous end: tests wait for facts, never for time to pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(predicate: Callable[[], T], *, timeout: float = 30.0, what: str = "", every: float = 0.02) -> T:
    """The first true value of `predicate`; AssertionError naming `what` after `timeout` seconds.

    The timeout is for a hung peer on a busy machine, not an expectation: passing it is always a failure.
    """
    deadline = time.monotonic() + timeout
    while True:
        if value := predicate():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s for {what or predicate}")
        time.sleep(every)
