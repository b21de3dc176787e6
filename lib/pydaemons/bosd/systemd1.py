# SPDX-License-Identifier: GPL-3.0-or-later
"""The service manager: units started and stopped, and what happens to them as events.

Read start, stop, and _changed. Orders are carried out in their sequence, each a call that only queues a job,
and none is waited for: systemd finds its next one already there, and while it is slow, or hangs, requests are
answered. What became of a job comes as signals, which `track` reads. When the connection breaks, or an order
stays unanswered for too long, nothing is assumed: Disconnected, then a fresh look (Connected). `errands` has
what is run once for somebody.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from pystemd.dbusexc import DBusBaseError, DBusNoSuchUnitError
from pystemd.dbuslib import apply_signature, path_decode, path_encode

from pydaemons.bnode.effects import StartUnit
from pydaemons.bnode.events import Connected, Disconnected, Exited, Found, Gone, Refused
from pydaemons.bnode.model import Restart, escape
from pydaemons.bosd.bus import REFUSED, SERVICE, UNIT, UNITS, Bus
from pydaemons.bosd.errands import Errands
from pydaemons.bosd.properties import Arguments, of_process, start_transient_unit
from pydaemons.bosd.track import UNSURE, Report, Track

OURS = b"bos-*.service"
LOOK_AGAIN = 0.25
"""Seconds after which a state that might not stay is looked at again."""
RECONNECT = 1.0
UNDER_WAY = 64
"""Orders that wait for their answer, at most: enough for systemd to find one always, and not too many for the
socket, a bus (128), and whoever comes after us should we die."""
SILENCE = 30.0
"""Seconds without an answer after which systemd is said to hang."""
EXISTS_RETRIES = 50
"""Attempts, 20 ms apart, to make a unit whose namesake systemd has not let go of yet."""
EXISTS_PAUSE = 0.02

_ASKED = b"asked"
"""Instead of a start job: it is ordered, and not answered yet."""
_OUR_PATHS = UNITS + b"/bos_2d"


class Systemd:
    """One service manager. `report` gets the events of bnode.events; `connection` makes a bus to it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        report: Callable[[object], None],
        connection: Callable[[], Bus],
        *,
        log_dir: str,
        stop_dir: str,
    ) -> None:
        self._loop = loop
        self._report = report
        self._connection = connection
        self._log_dir = log_dir
        self._stop_dir = stop_dir
        self._bus: Bus | None = None
        self._tracks: dict[str, Track] = {}
        self._paths: dict[bytes, Track] = {}
        self._jobs: dict[bytes, Track] = {}
        self._errands = Errands(log_dir)
        self._orders: deque[Callable[[Bus], None]] = deque()
        self._heard = 0.0  # when systemd last said anything, or had nothing to say, by the loop's clock
        self._watch: asyncio.TimerHandle | None = None
        self._silent: Bus | None = None  # the connection to a systemd that hangs
        # units of deleted bnodes may still be heard of
        self._forgotten: deque[bytes] = deque(maxlen=64)
        self._dull = (b"", 0)  # path and cookie of a message that says nothing new
        self._pumping = False
        self._closed = False

    # -- the connection

    def connect(self) -> None:
        """Connect and say what is there; when that fails, say so and try again."""
        self._bus = bus = self._connection()
        try:
            bus.open(self._changed, self._job_removed)
            bus.listen(self._loop, self._pump)
            found = self._list(bus)
        except (DBusBaseError, OSError) as error:
            self._lost(error)
            return
        self._report(Connected(found))
        self._plan_pump()

    def close(self) -> None:
        self._closed = True
        self._drop()

    def _drop(self) -> None:
        self._orders.clear()
        for bus in (self._bus, self._silent):
            if bus is not None:
                bus.close()
        self._bus = self._silent = None

    def _lost(self, error: Exception) -> None:
        self._drop()
        self._report(Disconnected(str(error).splitlines()[0]))
        self._errands.abandon()
        if not self._closed:
            self._loop.call_later(RECONNECT, self.connect)

    def _check(self) -> None:
        """Does systemd answer?"""
        self._watch = None
        bus = self._bus
        if bus is None or not bus.unanswered:
            return
        left = self._heard + SILENCE - self._loop.time()
        if left > 0:
            self._watch = self._loop.call_later(left, self._check)
            return
        # to connect anew would be to wait for it: until it says something, anything
        self._bus, self._silent = None, bus
        self._orders.clear()
        self._report(Disconnected(f"no answer for {SILENCE:.0f} s"))
        self._errands.abandon()

    def _list(self, bus: Bus) -> list[Found]:
        """All units of ours: one list, and a few numbers for each that is not dead."""
        self._tracks.clear()
        self._paths.clear()
        self._jobs.clear()
        found = []
        for row in bus.call(b"ListUnitsByPatterns", b"asas", [], [OURS]):
            name, active, path = row[0].decode(), row[3], row[6]
            if active == b"inactive" and not row[7]:
                continue
            pid, last, restarts = _process(bus, path)
            track = self._track(name, _mode(bus.get(path, SERVICE, b"Restart", b"s")))
            track.found(active, last, alive=pid != 0)
            result = bus.get(path, SERVICE, b"Result", b"s").decode() if active == b"failed" else ""
            stopping = active == b"deactivating"
            found.append(Found(name, pid, last[1] / 1e6, restarts, result, stopping=stopping))
        return found

    # -- orders

    def start(self, effect: StartUnit) -> None:
        """Make a process's unit; its end, or why there is none, is reported."""
        self._order(partial(self._start, effect))

    def stop(self, unit: str) -> None:
        """Stop a unit and all its processes."""
        self._order(partial(self._stop, unit))

    def run(
        self,
        argv: list[str],
        *,
        purpose: str,
        data: bytes | None,
        environment: tuple[str, ...] = (),
        done: Callable[[Exited | None], None],
    ) -> None:
        """Run something once, as a unit of its own; `done` gets its end (None: nobody knows)."""
        if self._bus is None:
            self._loop.call_soon(done, None)
            return
        track, arguments = self._errands.add(argv, purpose, data, environment, done)
        self._paths[_path(track.name)] = track
        self._order(partial(self._make, track, arguments, 0))

    def bar(self, bnode: str) -> None:
        """From now on systemd does not restart its units."""
        flags = os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC
        os.close(os.open(f"{self._stop_dir}/{escape(bnode)}", flags, 0o644))

    def unbar(self, bnode: str) -> None:
        """It may again."""
        try:
            os.unlink(f"{self._stop_dir}/{escape(bnode)}")
        except FileNotFoundError:
            pass

    def _order(self, order: Callable[[Bus], None]) -> None:
        if self._bus is None:
            return  # what there is now is compared when it answers again
        if not self._bus.unanswered:
            self._heard = self._loop.time()
            if self._watch is None:
                self._watch = self._loop.call_later(SILENCE, self._check)
        self._orders.append(order)
        self._work()

    def _work(self) -> None:
        """Carry out orders, as many as may be under way."""
        orders, bus = self._orders, self._bus
        while orders and bus is not None and bus.unanswered < UNDER_WAY:
            orders.popleft()(bus)

    def _start(self, effect: StartUnit, bus: Bus) -> None:
        last = self._tracks.get(effect.unit)
        track = self._track(effect.unit, effect.restart)
        if last is not None and last.failed:
            _reset(bus, effect.unit)
        bar = f"{self._stop_dir}/{escape(effect.bnode)}"
        properties = of_process(effect, folder=self._log_dir, bar=bar)
        self._make(track, start_transient_unit(effect.unit, properties), EXISTS_RETRIES, bus)

    def _stop(self, unit: str, bus: Bus) -> None:
        known = self._tracks.get(unit)
        if known is not None:
            known.stopped = True
        arguments = apply_signature(b"ss", [unit.encode(), b"replace"])
        bus.order(b"StopUnit", arguments, partial(self._stop_answered, known, bus))

    def _stop_answered(self, track: Track | None, bus: Bus, job: Any) -> None:
        """Raises DBusBaseError when systemd refuses, unless because there is no such unit."""
        if job is not REFUSED or track is None or self._tracks.get(track.name) is not track:
            return
        try:
            bus.call(b"StopUnit", b"ss", track.name.encode(), b"replace")  # again, for the reason
        except DBusNoSuchUnitError:
            self._tell(track, track.vanished())

    def _make(self, track: Track, arguments: Arguments, retries: int, bus: Bus) -> None:
        """StartTransientUnit."""
        track.job = _ASKED
        answered = partial(self._make_answered, track, arguments, retries, bus)
        bus.order(b"StartTransientUnit", arguments, answered)

    def _make_answered(self, track: Track, arguments: Arguments, retries: int, bus: Bus, job: Any) -> None:
        """Raises DBusBaseError when the connection is broken."""
        if job is REFUSED:
            track.job = b""
            if track.stopped:
                self._tell(track, track.vanished())
                return
            try:
                job = bus.send(b"StartTransientUnit", arguments)  # again, for the reason
            except DBusBaseError as error:
                self._make_refused(track, arguments, retries, bus, error)
                return
        track.job = job
        self._jobs[job] = track

    def _make_refused(
        self, track: Track, arguments: Arguments, retries: int, bus: Bus, error: DBusBaseError
    ) -> None:
        text = str(error)
        if "UnitExists" in text and retries and self._tracks.get(track.name) is track:
            _reset(bus, track.name)
            again = partial(self._make, track, arguments, retries - 1)
            self._loop.call_later(EXISTS_PAUSE, self._order, again)
        elif bus.hung_up:
            raise error
        elif not self._end_errand(track, None):
            self._report(Refused(track.name, text.splitlines()[0]))

    # -- what happens

    def _plan_pump(self) -> None:
        """What came in during a call does not show on the descriptor."""
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        if self._silent is not None:
            self._drop()
            self.connect()
        bus = self._bus
        if bus is None:
            return
        self._heard = self._loop.time()
        try:
            more = bus.process()
        except DBusBaseError as error:
            self._lost(error)
            return
        self._work()
        if more:
            self._plan_pump()
        elif bus.hung_up:
            self._lost(ConnectionResetError("it has hung up"))

    def _changed(self, message: Any) -> None:
        """PropertiesChanged of any unit; most are none of ours and are not even unpacked. Nor is what comes
        while our start job is pending: when that is done all properties come once more. Nor what systemd says
        next in the same breath: that the unit of a process that has just begun is active."""
        path = message.get_path()
        track = self._paths.get(path)
        if track is None:
            if path.startswith(_OUR_PATHS) and path not in self._forgotten:
                # a unit named like ours that is not: counted by the engine
                self._report(Gone(path_decode(path, UNITS).decode(), ""))
            return
        if track.job or (path, message.get_cookie()) == self._dull:
            return
        message.process_reply(False)
        interface, properties, *_ = message.body
        if interface == SERVICE:
            before = track.running
            self._tell(track, track.service(properties))
            if track.running and track.running != before:
                self._dull = path, message.get_cookie() + 1
        elif interface == UNIT:
            self._tell(track, track.unit(properties))

    def _job_removed(self, message: Any) -> None:
        message.process_reply(False)
        _, job, _, result = message.body
        track = self._jobs.pop(job, None)
        if track is not None and track.job == job:
            self._tell(track, track.job_removed(result.decode()))

    def _tell(self, track: Track, reports: Iterable[Report]) -> None:
        for report in reports:
            if report is UNSURE:
                self._loop.call_later(LOOK_AGAIN, self._look, track)
            elif track.name in self._errands:
                if isinstance(report, Exited | Gone):
                    self._end_errand(track, report if isinstance(report, Exited) else None)
            else:
                if isinstance(report, Gone) and track.stopped and track.failed and self._bus is not None:
                    _reset(self._bus, track.name)  # a signal it was told to end by is no failure
                self._report(report)

    def _end_errand(self, track: Track, exited: Exited | None) -> bool:
        if not self._errands.end(track.name, exited):
            return False
        self._paths.pop(_path(track.name), None)
        return True

    def _look(self, track: Track) -> None:
        """A state that might not have stayed: what is it now?"""
        if not track.settled and self._paths.get(_path(track.name)) is track:
            self._order(partial(self._ask, track))

    def _ask(self, track: Track, bus: Bus) -> None:
        bus.ask(_path(track.name), UNIT, b"ActiveState", partial(self._looked, track))

    def _looked(self, track: Track, active: Any) -> None:
        if active is not REFUSED and self._paths.get(_path(track.name)) is track:
            self._tell(track, track.looked(active))

    # -- who is known

    def forget(self, units: frozenset[str]) -> None:
        """Keep only these."""
        for name in [name for name in self._tracks if name not in units]:
            del self._tracks[name]
            path = _path(name)
            self._paths.pop(path, None)
            self._forgotten.append(path)

    def _track(self, name: str, mode: Restart) -> Track:
        track = Track(name, mode, self._tracks.get(name))
        self._tracks[name] = self._paths[_path(name)] = track
        return track


def _path(unit: str) -> bytes:
    path: bytes = path_encode(UNITS, unit.encode())
    return path


def _reset(bus: Bus, unit: str) -> None:
    # should there be no such unit, so much the better
    bus.order(b"ResetFailedUnit", apply_signature(b"s", [unit.encode()]), None)


def _process(bus: Bus, path: bytes) -> tuple[int, tuple[int, int], int]:
    """Main pid, the last process by pid and start, restarts: of one moment, not of two processes."""
    for _ in range(10):
        pid = bus.get(path, SERVICE, b"MainPID", b"u")
        last = (
            bus.get(path, SERVICE, b"ExecMainPID", b"u"),
            bus.get(path, SERVICE, b"ExecMainStartTimestamp", b"t"),
        )
        restarts = bus.get(path, SERVICE, b"NRestarts", b"u")
        if bus.get(path, SERVICE, b"MainPID", b"u") == pid:
            break
    return pid, last, restarts


def _mode(word: bytes) -> Restart:
    text = word.decode()
    return Restart(text if text in ("always", "on-success") else "no")
