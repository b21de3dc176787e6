# SPDX-License-Identifier: GPL-3.0-or-later
"""The service manager: units started and stopped, and what happens to them as events.

Read start, stop, and _changed. Orders are carried out in their sequence, each a call that only queues a job.
A call waits for its answer, and systemd starts processes only when no call is there: so many orders go out a
bunch at a time, and in the pause between two, while systemd starts what the last one was about, requests and
signals get their turn. What became of a job comes as signals, which `track` reads. When the connection breaks
nothing is assumed: Disconnected, then a fresh look (Connected). `errands` has what is run once for somebody.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from pystemd.dbusexc import DBusBaseError, DBusNoSuchUnitError
from pystemd.dbuslib import path_decode, path_encode

from pydaemons.bnode.effects import StartUnit
from pydaemons.bnode.events import Connected, Disconnected, Exited, Found, Gone, Refused
from pydaemons.bnode.model import Restart, escape
from pydaemons.bosd.bus import SERVICE, UNIT, UNITS, Bus
from pydaemons.bosd.errands import Errands
from pydaemons.bosd.properties import Arguments, of_process, start_transient_unit
from pydaemons.bosd.track import UNSURE, Report, Track

OURS = b"bos-*.service"
LOOK_AGAIN = 0.25
"""Seconds after which a state that might not stay is looked at again."""
RECONNECT = 1.0
BUNCH = 0.02
"""Seconds that orders are carried out in one go, at most."""
PAUSE = 0.01
"""Seconds between two such goes, while there come more."""
EXISTS_RETRIES = 50
"""Attempts, 20 ms apart, to make a unit whose namesake systemd has not let go of yet."""
EXISTS_PAUSE = 0.02

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
        self._worked = 0.0  # when the last bunch of them was done, by the loop's clock
        self._more = False  # there came some since that began
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
        if self._bus is not None:
            self._bus.close()
            self._bus = None

    def _lost(self, error: Exception) -> None:
        self._drop()
        self._report(Disconnected(str(error).splitlines()[0]))
        self._errands.abandon()
        if not self._closed:
            self._loop.call_later(RECONNECT, self.connect)

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
        self._orders.append(order)
        self._more = True
        if len(self._orders) == 1:
            self._plan_work(self._worked + PAUSE - self._loop.time())

    def _plan_work(self, pause: float) -> None:
        if pause > 0:
            self._loop.call_later(pause, self._work)
        else:  # after the next turn: answers that are ready leave before the calls begin
            self._loop.call_soon(self._loop.call_soon, self._work)

    def _work(self) -> None:
        """Carry out a bunch of orders."""
        time, orders, bus = self._loop.time, self._orders, self._bus
        if not orders or bus is None:
            return
        end = time() + BUNCH
        more, self._more = self._more, False
        try:
            orders.popleft()(bus)
            while orders and time() < end:
                self._pump()  # systemd is busy with the last one; what it has said is not to pile up
                if orders:
                    orders.popleft()(bus)
        except DBusBaseError as error:
            self._lost(error)
            return
        self._worked = time()
        if orders:
            self._plan_work(PAUSE if more else 0.0)
        self._plan_pump()

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
        try:
            bus.call(b"StopUnit", b"ss", unit.encode(), b"replace")
        except DBusNoSuchUnitError:
            if known is not None:
                self._tell(known, known.vanished())

    def _make(self, track: Track, arguments: Arguments, retries: int, bus: Bus) -> None:
        """StartTransientUnit. Raises DBusBaseError when the connection is broken."""
        try:
            track.job = bus.send(b"StartTransientUnit", arguments)
        except DBusBaseError as error:
            text = str(error)
            if "UnitExists" in text and retries and self._tracks.get(track.name) is track:
                _reset(bus, track.name)
                again = partial(self._make, track, arguments, retries - 1)
                self._loop.call_later(EXISTS_PAUSE, self._order, again)
            elif bus.hung_up:
                raise
            elif not self._end_errand(track, None):
                self._report(Refused(track.name, text.splitlines()[0]))
            return
        self._jobs[track.job] = track

    # -- what happens

    def _plan_pump(self) -> None:
        """Signals that came in during a call do not show on the descriptor."""
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        bus = self._bus
        if bus is None:
            return
        try:
            more = bus.process()
        except DBusBaseError as error:
            self._lost(error)
            return
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
        path = _path(track.name)
        if self._bus is None or track.settled or self._paths.get(path) is not track:
            return
        try:
            active = self._bus.get(path, UNIT, b"ActiveState", b"s")
            sub = self._bus.get(path, UNIT, b"SubState", b"s")
        except DBusBaseError:
            return  # should the connection be broken, _pump meets it
        self._pump()
        self._tell(track, track.looked(active, sub))

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
    try:
        bus.call(b"ResetFailedUnit", b"s", unit.encode())
    except DBusBaseError:
        pass  # there is no such unit; or the call that follows says what is wrong


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
