# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd's signals about one unit mean. Read Track.service, then Track.unit.

PropertiesChanged comes twice for each change: first the Service interface (processes, their ends), then the
Unit interface (states). systemd 252 passes through states that do not stay: a unit to be restarted is
`failed` or `inactive` before it is `auto-restart`, and `inactive` again while its next process runs already.
A unit is gone when such a state comes without a living process and without a restart to follow; when only
time can tell, the owner is asked to look again (UNSURE).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from pydaemons.bnode.events import Exited, Gone, Started
from pydaemons.bnode.model import Restart

CLD_EXITED, CLD_KILLED, CLD_DUMPED = 1, 2, 3
"""ExecMainCode: waitid(2)'s si_code."""
MICRO = 1e6
CLEAN_SIGNALS = frozenset({1, 2, 13, 15})
"""HUP, INT, PIPE, TERM: a success for Restart=on-success."""


class Unsure(Enum):
    """Ask again in a moment."""

    UNSURE = "unsure"


UNSURE = Unsure.UNSURE
Report = Started | Exited | Gone | Unsure


class Track:
    """One unit of ours, from the call that makes it until it is gone."""

    __slots__ = (
        "_active",
        "_ended",
        "_gone",
        "_restarting",
        "_running",
        "job",
        "mode",
        "name",
        "result",
        "stopped",
    )

    def __init__(self, name: str, mode: Restart, last: Track | None = None) -> None:
        self.name = name
        self.mode = mode
        self.job = b""
        """the start job, until it is done"""
        self.result = ""
        self.stopped = False
        """we told it to stop: how it ended is nobody's worry then"""
        self._active = b""
        # a process is known by pid and start: signals about the last unit of this name may still come
        self._running: tuple[int, int] | None = None
        self._ended: tuple[int, int] | None = last._ended if last is not None else None
        self._restarting = False
        self._gone = False

    @property
    def failed(self) -> bool:
        """The unit is there, dead; it has to be reset before one of its name can be made."""
        return self._active == b"failed"

    @property
    def gone(self) -> bool:
        return self._gone

    @property
    def running(self) -> tuple[int, int] | None:
        """Its process, by pid and start."""
        return self._running

    @property
    def settled(self) -> bool:
        """It has a process, or is known to be gone."""
        return self._gone or self._running is not None

    def found(self, active: bytes, process: tuple[int, int], *, alive: bool) -> None:
        """It was there already; `process` is its last one, by pid and start."""
        self._active = active
        if alive:
            self._running = process
        else:
            self._ended = process
        self._gone = active in (b"failed", b"inactive") and not alive

    def service(self, properties: Mapping[bytes, Any]) -> Iterator[Report]:
        """org.freedesktop.systemd1.Service has changed."""
        pid = properties.get(b"ExecMainPID", 0)
        if b"Result" in properties:
            self.result = properties[b"Result"].decode()
        if not pid:
            return
        process = (pid, properties[b"ExecMainStartTimestamp"])
        code = properties[b"ExecMainCode"]
        if process[1] < self._newest():
            return  # said before we looked for ourselves, or about the last unit of this name
        if process not in (self._running, self._ended):
            self._running, self._gone, self._restarting = process, False, False
            yield Started(self.name, pid, process[1] / MICRO, properties[b"NRestarts"])
        if code and process == self._running:
            self._running, self._ended = None, process
            status = properties[b"ExecMainStatus"]
            exited = code == CLD_EXITED
            self._restarting = self._active != b"deactivating" and self._restarts(exited, status)
            yield Exited(
                self.name,
                pid,
                status if exited else 0,
                0 if exited else status,
                code == CLD_DUMPED,
                properties[b"ExecMainExitTimestampMonotonic"] / MICRO,
                properties[b"ExecMainExitTimestamp"] / MICRO,
            )

    def unit(self, properties: Mapping[bytes, Any]) -> Iterator[Report]:
        """org.freedesktop.systemd1.Unit has changed."""
        active = properties.get(b"ActiveState")
        if active is None or self.job:
            return  # before its job is done a unit is as it was before
        self._active = active
        if active == b"activating":
            self._restarting = False
        elif active in (b"inactive", b"failed") and self._running is None and not self._gone:
            if self._restarting:
                yield UNSURE
            else:
                yield from self._leave()

    def job_removed(self, result: str) -> Iterator[Report]:
        """The start job is done, one way or another."""
        self.job = b""
        if self._running is None and not self._gone:
            self.result = result
            yield UNSURE

    def looked(self, active: bytes) -> Iterator[Report]:
        """Answer to UNSURE: the state now."""
        if self.job:
            return
        self._active = active
        if active in (b"inactive", b"failed") and self._running is None and not self._gone:
            yield from self._leave()

    def vanished(self) -> Iterator[Report]:
        """systemd knows no such unit."""
        if not self._gone:
            yield from self._leave()

    def _newest(self) -> int:
        """When the newest process known was started."""
        return max(known[1] for known in (self._running, self._ended, _NEVER) if known is not None)

    def _leave(self) -> Iterator[Report]:
        self._gone = True
        yield Gone(self.name, self.result)

    def _restarts(self, exited: bool, status: int) -> bool:
        """Will systemd start it again after this end?"""
        clean = status == 0 if exited else status in CLEAN_SIGNALS
        return self.mode is Restart.ALWAYS or (self.mode is Restart.ON_SUCCESS and clean)


_NEVER = (0, 0)
