# SPDX-License-Identifier: GPL-3.0-or-later
"""How one process moves: state × event → next state and what to do. Every cell is filled.

systemd starts a process again by itself; we ask for the first start and for the stop, and watch. The
first three events are orders, the others are what systemd reports. GOAL is the order that changes no
process: an error stop takes the goal away and leaves alone what still runs.
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where a process is."""

    DOWN = "down"
    """there is no unit, or a failed one"""
    STARTING = "starting"
    """the unit was asked for, no process seen yet"""
    UP = "up"
    """the process runs"""
    RESPAWNING = "respawning"
    """the process has exited; systemd will start it again or give the unit up"""
    STOPPING = "stopping"
    """the unit was asked to stop"""


class Event(Enum):
    """What can happen to it."""

    START = "start"
    STOP = "stop"
    GOAL = "goal"
    STARTED = "started"
    EXITED = "exited"
    GONE = "gone"
    """the unit is inactive or failed, and systemd leaves it so"""
    REFUSED = "refused"
    """systemd did not make the unit"""


class Act(Enum):
    """What a move asks for."""

    NOTHING = "nothing"
    SPAWN = "spawn"
    """make the unit"""
    HALT = "halt"
    """stop the unit"""
    CANCEL = "cancel"
    """give the unit up before systemd starts it again"""
    BEGIN = "begin"
    """a process has begun: count and time it"""
    END = "end"
    """a process has ended by itself: remember, notify, count"""
    LEAVE = "leave"
    """a process has ended because it was told to: remember, notify, do not count"""
    FAIL = "fail"
    """say that no process came to be; it counts as an exit, or we would try for ever"""


_S, _E, _A = State, Event, Act

TABLE: dict[State, dict[Event, tuple[State, Act]]] = {
    _S.DOWN: {
        _E.START: (_S.STARTING, _A.SPAWN),
        _E.STOP: (_S.DOWN, _A.NOTHING),
        _E.GOAL: (_S.DOWN, _A.NOTHING),
        _E.STARTED: (_S.UP, _A.BEGIN),
        _E.EXITED: (_S.DOWN, _A.END),
        _E.GONE: (_S.DOWN, _A.NOTHING),
        _E.REFUSED: (_S.DOWN, _A.NOTHING),
    },
    _S.STARTING: {
        _E.START: (_S.STARTING, _A.NOTHING),
        _E.STOP: (_S.STOPPING, _A.HALT),
        _E.GOAL: (_S.STARTING, _A.NOTHING),
        _E.STARTED: (_S.UP, _A.BEGIN),
        _E.EXITED: (_S.RESPAWNING, _A.END),
        _E.GONE: (_S.DOWN, _A.FAIL),
        _E.REFUSED: (_S.DOWN, _A.FAIL),
    },
    _S.UP: {
        _E.START: (_S.UP, _A.NOTHING),
        _E.STOP: (_S.STOPPING, _A.HALT),
        _E.GOAL: (_S.UP, _A.NOTHING),
        _E.STARTED: (_S.UP, _A.BEGIN),
        _E.EXITED: (_S.RESPAWNING, _A.END),
        _E.GONE: (_S.DOWN, _A.NOTHING),
        _E.REFUSED: (_S.UP, _A.NOTHING),
    },
    _S.RESPAWNING: {
        _E.START: (_S.RESPAWNING, _A.NOTHING),
        _E.STOP: (_S.STOPPING, _A.CANCEL),
        _E.GOAL: (_S.RESPAWNING, _A.NOTHING),
        _E.STARTED: (_S.UP, _A.BEGIN),
        _E.EXITED: (_S.RESPAWNING, _A.END),
        _E.GONE: (_S.DOWN, _A.NOTHING),
        _E.REFUSED: (_S.DOWN, _A.FAIL),
    },
    _S.STOPPING: {
        _E.START: (_S.STOPPING, _A.NOTHING),
        _E.STOP: (_S.STOPPING, _A.NOTHING),
        _E.GOAL: (_S.STOPPING, _A.NOTHING),
        _E.STARTED: (_S.STOPPING, _A.BEGIN),
        _E.EXITED: (_S.STOPPING, _A.LEAVE),
        _E.GONE: (_S.DOWN, _A.NOTHING),
        _E.REFUSED: (_S.DOWN, _A.NOTHING),
    },
}
"""A unit that is to start while it stops is started when it is GONE: the goal still says so then."""
