# SPDX-License-Identifier: GPL-3.0-or-later
"""The service manager over D-Bus: units started and stopped, and what happens to them as events.

Read start, stop, and _changed. One connection, to systemd's own socket where that may be used (root, or one's
own manager: no bus daemon in between, so it works early at boot and late at shutdown) and else to the bus.
The calls made are short ones that only queue a job; what became of it comes as signals, which `track`
reads. When the connection breaks nothing is assumed: Disconnected, then a fresh look (Connected).
"""

from __future__ import annotations

import asyncio
import os
import select
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any

from pystemd.dbusexc import DBusBaseError, DBusNoSuchUnitError
from pystemd.dbuslib import DBus, DBusAddress, apply_signature, path_decode, path_encode

from pydaemons.bnode.effects import StartUnit
from pydaemons.bnode.events import Connected, Disconnected, Exited, Found, Gone, Refused
from pydaemons.bnode.model import Restart, escape
from pydaemons.bosd.properties import Arguments, of_errand, of_process, start_transient_unit
from pydaemons.bosd.track import UNSURE, Report, Track

SYSTEMD = b"org.freedesktop.systemd1"
ROOT = b"/org/freedesktop/systemd1"
UNITS = ROOT + b"/unit"
MANAGER = SYSTEMD + b".Manager"
SERVICE = SYSTEMD + b".Service"
UNIT = SYSTEMD + b".Unit"
PROPERTIES = b"org.freedesktop.DBus.Properties"

OURS = b"bos-*.service"
LOOK_AGAIN = 0.25
"""Seconds after which a state that might not stay is looked at again."""
RECONNECT = 1.0
EXISTS_RETRIES = 50
"""Attempts, 20 ms apart, to make a unit whose namesake systemd has not let go of yet."""
EXISTS_PAUSE = 0.02
MOST_SIGNALS = 2000
"""Handled in one go, before other work gets its turn."""

_OUR_PATHS = UNITS + b"/bos_2d"


class Systemd:
    """One service manager. `report` gets the events of bnode.events."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        report: Callable[[object], None],
        *,
        user: bool,
        log_dir: str,
        stop_dir: str,
    ) -> None:
        self._loop = loop
        self._report = report
        self._user = user
        self._log_dir = log_dir
        self._stop_dir = stop_dir
        self._bus: Any = None
        self._descriptor = -1
        self._callbacks: list[Callable[..., None]] = []
        self._tracks: dict[str, Track] = {}
        self._paths: dict[bytes, str] = {}
        self._jobs: dict[bytes, Track] = {}
        self._errands: dict[str, Callable[[Exited | None], None]] = {}
        self._errand_tracks: dict[str, Track] = {}
        self._numbers = count(1)
        # units of deleted bnodes may still be heard of
        self._forgotten: deque[bytes] = deque(maxlen=64)
        self._pumping = False
        self._closed = False

    # -- the connection

    def connect(self) -> None:
        """Connect and say what is there; when that fails, say so and try again."""
        try:
            self._open()
            found = self._list()
        except (DBusBaseError, OSError) as error:
            self._lost(error)
            return
        self._report(Connected(found))
        self._plan_pump()

    def close(self) -> None:
        self._closed = True
        self._drop()

    def _open(self) -> None:
        private = (
            f"{os.environ.get('XDG_RUNTIME_DIR', '')}/systemd/private"
            if self._user
            else "/run/systemd/private"
        )
        if os.access(private, os.W_OK):
            bus, sender = DBusAddress(b"unix:path=" + os.fsencode(private), True), None
        else:
            bus, sender = DBus(self._user), SYSTEMD
        bus.open()

        # pystemd keeps its notes on the callback, so it must be a plain function, and a bare pointer to it,
        # so it must outlive the connection
        def changed(message: Any, error: Any = None, userdata: Any = None) -> None:
            self._changed(message)

        def job_removed(message: Any, error: Any = None, userdata: Any = None) -> None:
            self._job_removed(message)

        bus.match_signal(sender, None, PROPERTIES, b"PropertiesChanged", changed, None)
        bus.match_signal(sender, ROOT, MANAGER, b"JobRemoved", job_removed, None)
        self._callbacks += [changed, job_removed]
        self._bus = bus
        if sender is not None:
            self._call(b"Subscribe")
        self._listen()

    def _listen(self) -> None:
        """Have signals handled as they come. A descriptor of our own: sd-bus closes its one when the
        connection breaks, and the next socket of this process would get the number."""
        self._descriptor = os.dup(self._bus.get_fd())
        self._loop.add_reader(self._descriptor, self._pump)

    def _drop(self) -> None:
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
        if self._bus is not None:
            self._bus.close()
            self._bus = None

    def _hung_up(self) -> bool:
        """Is nobody at the other end any more? (process() does not tell.)"""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLHUP)
        return bool(poll.poll(0))

    def _lost(self, error: Exception) -> None:
        self._drop()
        self._report(Disconnected(str(error).splitlines()[0]))
        errands, self._errands = self._errands, {}
        for done in errands.values():
            done(None)
        if not self._closed:
            self._loop.call_later(RECONNECT, self.connect)

    def _list(self) -> list[Found]:
        """All units of ours: one list, and a few numbers for each that is not dead."""
        self._tracks.clear()
        self._jobs.clear()
        found = []
        for row in self._call(b"ListUnitsByPatterns", b"asas", [], [OURS]):
            name, active, path = row[0].decode(), row[3], row[6]
            if active == b"inactive" and not row[7]:
                continue
            pid, last, restarts = self._process(path)
            mode = Restart(_mode(self._get(path, SERVICE, b"Restart", b"s")))
            track = self._track(name, mode)
            track.found(active, last, alive=pid != 0)
            result = self._get(path, SERVICE, b"Result", b"s").decode() if active == b"failed" else ""
            found.append(
                Found(name, pid, last[1] / 1e6, restarts, result, stopping=active == b"deactivating")
            )
        return found

    def _process(self, path: bytes) -> tuple[int, tuple[int, int], int]:
        """Main pid, the last process by pid and start, restarts: of one moment, not of two processes."""
        for _ in range(10):
            pid = self._get(path, SERVICE, b"MainPID", b"u")
            last = (
                self._get(path, SERVICE, b"ExecMainPID", b"u"),
                self._get(path, SERVICE, b"ExecMainStartTimestamp", b"t"),
            )
            restarts = self._get(path, SERVICE, b"NRestarts", b"u")
            if self._get(path, SERVICE, b"MainPID", b"u") == pid:
                break
        return pid, last, restarts

    # -- orders

    def start(self, effect: StartUnit) -> None:
        """Make a process's unit; its end, or why there is none, is reported."""
        bar = f"{self._stop_dir}/{escape(effect.bnode)}"
        properties = of_process(effect, folder=self._log_dir, bar=bar)
        last = self._tracks.get(effect.unit)
        track = self._track(effect.unit, effect.restart)
        if last is not None and last.failed:
            self._reset(effect.unit)
        self._make(track, start_transient_unit(effect.unit, properties), EXISTS_RETRIES)

    def stop(self, unit: str) -> None:
        """Stop a unit and all its processes."""
        known = self._tracks.get(unit)
        if known is not None:
            known.stopped = True
        try:
            self._call(b"StopUnit", b"ss", unit.encode(), b"replace")
        except DBusNoSuchUnitError:
            if known is not None:
                self._tell(known, known.vanished())
        except DBusBaseError as error:
            self._lost(error)
            return
        self._plan_pump()

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
        name = f"pybosd-{purpose}-{os.getpid()}-{next(self._numbers)}.service"
        properties = of_errand(
            argv,
            description=f"pybosd {purpose}",
            folder=self._log_dir,
            data=data,
            environment=environment,
        )
        track = Track(name, Restart.NO)
        self._errands[name] = done
        self._errand_tracks[name] = track
        self._paths[path_encode(UNITS, name.encode())] = name
        self._make(track, start_transient_unit(name, properties), 0)

    def bar(self, bnode: str) -> None:
        """From now on systemd does not restart its units."""
        descriptor = os.open(
            f"{self._stop_dir}/{escape(bnode)}", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644
        )
        os.close(descriptor)

    def unbar(self, bnode: str) -> None:
        """It may again."""
        try:
            os.unlink(f"{self._stop_dir}/{escape(bnode)}")
        except FileNotFoundError:
            pass

    def _make(self, track: Track, arguments: Arguments, retries: int) -> None:
        if self._bus is None:
            return
        try:
            track.job = self._bus.call_method(SYSTEMD, ROOT, MANAGER, b"StartTransientUnit", arguments).body
        except DBusBaseError as error:
            text = str(error)
            if "UnitExists" in text and retries and self._find(track.name) is track:
                self._reset(track.name)
                self._loop.call_later(EXISTS_PAUSE, self._make, track, arguments, retries - 1)
            elif self._hung_up():
                self._lost(error)
            else:
                self._refused(track, text.splitlines()[0])
            return
        self._jobs[track.job] = track
        self._plan_pump()

    def _refused(self, track: Track, reason: str) -> None:
        done = self._errands.pop(track.name, None)
        if done is not None:
            self._forget_errand(track.name)
            done(None)
        else:
            self._report(Refused(track.name, reason))

    def _reset(self, unit: str) -> None:
        try:
            self._call(b"ResetFailedUnit", b"s", unit.encode())
        except DBusNoSuchUnitError:
            pass
        except DBusBaseError:
            pass  # the call that follows says what is wrong

    # -- what happens

    def _plan_pump(self) -> None:
        """Signals that came in during a call wait in the connection and do not show on its descriptor."""
        if not self._pumping:
            self._pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = False
        if self._bus is None:
            return
        try:
            for _ in range(MOST_SIGNALS):
                if self._bus.process().is_empty():
                    break
            else:
                self._plan_pump()
        except DBusBaseError as error:
            self._lost(error)
            return
        if self._hung_up():
            self._lost(ConnectionResetError("it has hung up"))

    def _changed(self, message: Any) -> None:
        """PropertiesChanged of any unit; most are none of ours and are not even unpacked."""
        path = message.get_path()
        name = self._paths.get(path)
        if name is None:
            if path.startswith(_OUR_PATHS) and path not in self._forgotten:
                self._stranger(path)
            return
        message.process_reply(False)
        interface, properties, *_ = message.body
        track = self._find(name)
        if track is None:
            return
        if interface == SERVICE:
            self._tell(track, track.service(properties))
        elif interface == UNIT:
            self._tell(track, track.unit(properties))

    def _job_removed(self, message: Any) -> None:
        message.process_reply(False)
        _, job, _, result = message.body
        track = self._jobs.pop(job, None)
        if track is not None and track.job == job:
            self._tell(track, track.job_removed(result.decode()))

    def _tell(self, track: Track, reports: Any) -> None:
        for report in reports:
            if report is UNSURE:
                self._loop.call_later(LOOK_AGAIN, self._look, track)
            elif track.name in self._errand_tracks:
                self._errand_report(track, report)
            else:
                if isinstance(report, Gone) and track.stopped and track.failed:
                    self._reset(track.name)  # a signal it was told to end by is no failure
                self._report(report)

    def _errand_report(self, track: Track, report: Report) -> None:
        if isinstance(report, Exited | Gone):
            done = self._errands.pop(track.name, None)
            self._forget_errand(track.name)
            if done is not None:
                done(report if isinstance(report, Exited) else None)

    def _forget_errand(self, name: str) -> None:
        self._errand_tracks.pop(name, None)
        self._paths.pop(path_encode(UNITS, name.encode()), None)

    def _look(self, track: Track) -> None:
        """A state that might not have stayed: what is it now?"""
        if self._bus is None or self._find(track.name) is not track:
            return
        path = path_encode(UNITS, track.name.encode())
        try:
            active = self._get(path, UNIT, b"ActiveState", b"s")
            sub = self._get(path, UNIT, b"SubState", b"s")
        except DBusBaseError:
            return  # should the connection be broken, _pump meets it
        self._pump()
        self._tell(track, track.looked(active, sub))

    def _stranger(self, path: bytes) -> None:
        """A unit named like ours that is not: counted by the engine."""
        name = path_decode(path, UNITS).decode()
        self._report(Gone(name, ""))

    # -- small things

    def forget(self, units: frozenset[str]) -> None:
        """Keep only these."""
        for name in [name for name in self._tracks if name not in units]:
            del self._tracks[name]
            path = path_encode(UNITS, name.encode())
            self._paths.pop(path, None)
            self._forgotten.append(path)

    def _track(self, name: str, mode: Restart) -> Track:
        track = self._tracks[name] = Track(name, mode, self._tracks.get(name))
        self._paths[path_encode(UNITS, name.encode())] = name
        return track

    def _find(self, name: str) -> Track | None:
        return self._tracks.get(name) or self._errand_tracks.get(name)

    def _call(self, method: bytes, signature: bytes = b"", *values: Any) -> Any:
        arguments = apply_signature(signature, list(values)) if signature else []
        return self._bus.call_method(SYSTEMD, ROOT, MANAGER, method, arguments).body

    def _get(self, path: bytes, interface: bytes, name: bytes, signature: bytes) -> Any:
        return self._bus.get_property(SYSTEMD, path, interface, name, signature)


def _mode(word: bytes) -> str:
    text = word.decode()
    return text if text in ("always", "on-success") else "no"
