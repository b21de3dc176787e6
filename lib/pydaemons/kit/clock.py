# SPDX-License-Identifier: GPL-3.0-or-later
"""The shell's clocks: the time of a batch, and the news that somebody set the wall clock (timerfd_create(2)).

Read now first. A timer on CLOCK_REALTIME that is cancelled when the clock is set (TFD_TIMER_CANCEL_ON_SET)
tells at once; where that cannot be had, StepWatch.look compares the two clocks whenever it is asked.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from random import SystemRandom
from time import monotonic, time

from pydaemons.engine.entropy import Entropy
from pydaemons.engine.events import ClockStepped
from pydaemons.engine.protocol import Now

TOLERANCE = 0.5
"""Seconds by which the clocks may part unnoticed: NTP slewing is not a step."""

_CLOCK_REALTIME = 0
_TFD_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK
_ABSTIME_CANCEL_ON_SET = 3


def now() -> Now:
    """The time, once for a whole batch."""
    return tuple.__new__(Now, (monotonic(), time()))


def entropy() -> Entropy:
    """The shell's dice."""
    return SystemRandom()


class _Spec(ctypes.Structure):
    """struct itimerspec."""

    _fields_ = [(name, ctypes.c_long) for name in ("interval_s", "interval_ns", "value_s", "value_ns")]


class StepWatch:
    """Watches the wall clock. `fileno` is for an event loop (-1: not to be had), `look` for its callback."""

    def __init__(self, stepped: Callable[[ClockStepped], None]) -> None:
        self._stepped = stepped
        self._gap = time() - monotonic()
        self._descriptor = -1
        try:
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._descriptor = self._libc.timerfd_create(_CLOCK_REALTIME, _TFD_FLAGS)
            if self._descriptor >= 0:
                self._arm()
        except (OSError, AttributeError):
            self.close()

    def fileno(self) -> int:
        """The descriptor that becomes readable when the clock was set."""
        return self._descriptor

    def look(self) -> None:
        """Compare the clocks, and tell of a step."""
        cancelled = False
        if self._descriptor >= 0:
            try:
                os.read(self._descriptor, 8)
            except BlockingIOError:
                pass
            except OSError:
                cancelled = True
            self._arm()
        gap = time() - monotonic()
        by = gap - self._gap
        self._gap = gap
        if cancelled or abs(by) >= TOLERANCE:
            self._stepped(ClockStepped(by))

    def close(self) -> None:
        """Stop watching."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _arm(self) -> None:
        """Far away, so that only a step ends the wait."""
        spec = _Spec(0, 0, 2**31 - 1, 0)
        if self._libc.timerfd_settime(self._descriptor, _ABSTIME_CANCEL_ON_SET, ctypes.byref(spec), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")
