# SPDX-License-Identifier: GPL-3.0-or-later
"""A service manager in virtual time, as far as the supervisor can tell it from systemd 252.

It keeps these promises of the real one: a unit's start is reported with its pid; an exit is reported before
the restart; Restart= and the condition file decide about the restart; a start beyond StartLimitBurst in the
interval is refused and leaves the unit failed; stopping reports the exit, then that the unit is gone.
A program is a function from the number of its start (over all units of that name) to how long it lives and
how it ends.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from pydaemons.bnode.bosconfig import BosConfig, Entry
from pydaemons.bnode.commands import Desk
from pydaemons.bnode.effects import (
    Answer,
    Bar,
    BosLog,
    Perform,
    Remember,
    RunNotifier,
    StartUnit,
    StopUnit,
    Unbar,
)
from pydaemons.bnode.events import Asked, Caller, Connected, Exited, Found, Gone, Started
from pydaemons.bnode.folders import Folders
from pydaemons.bnode.model import Goal, Restart
from pydaemons.bnode.supervisor import Site, Supervisor
from pydaemons.bnode.tunables import BosTunables
from pydaemons.engine.effects import Effect, Leave, Persist
from pydaemons.engine.protocol import Now

FOLDERS = Folders("/usr/lib/openafs", "/s/log", "/s/etc", "/s/local")
ROOT = Caller("root", True)
EPOCH = 1_795_257_844.0
FOREVER = 1e12
A, B = "bos-a.service", "bos-b.service"
"""Units of bnodes a and b."""
SLEEP = ("/bin/sleep 100",)
"""What a simple bnode runs where it does not matter."""


@dataclass
class End:
    """How one run of a program goes."""

    after: float = FOREVER
    code: int = 0
    signal: int = 0
    core: bool = False
    at_stop: tuple[int, int] | None = None
    """code and signal when told to stop; None: it dies of the signal"""
    deaf: float = 0.0
    """how long it takes to stop"""


Program = Callable[[int], End]


@dataclass
class Unit:
    effect: StartUnit
    run: int = 0
    restarts: int = 0
    pid: int = 0
    started: list[float] = field(default_factory=list)
    failed: str = ""
    stopping: bool = False


class World:
    """A supervisor, its requests and its service manager, with one clock."""

    def __init__(self, config: BosConfig | None = None, *, connect: bool = True, **tunables: object) -> None:
        self.mono = 1000.0
        self.step = 0.0
        self.config = config or BosConfig()
        self.tunables = BosTunables()
        for name, value in tunables.items():
            self.tunables.put(name, value, "test")
        self.programs: dict[str, Program] = {}
        self.units: dict[str, Unit] = {}
        self.barred: set[str] = set()
        self.spawns: list[tuple[float, str]] = []
        self.stops: list[str] = []
        self.log: list[str] = []
        self.entries: list[BosLog] = []
        self.files: dict[str, bytes] = {}
        self.writes: list[str] = []
        self.notices: list[RunNotifier] = []
        self.answers: dict[object, Answer] = {}
        self.performed: list[Perform] = []
        self.other: list[Effect] = []
        self.left: list[Leave] = []
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._pids = count(100)
        self._tickets = count(1)
        self._boot(connect)

    # -- the supervisor

    def _boot(self, connect: bool) -> None:
        site = Site(FOLDERS, boot="b")
        self.supervisor = Supervisor(site, self.tunables, self.config)
        self.desk = Desk(self.supervisor)
        self.supervisor.commands = self.desk
        if connect:
            self.connect()

    def connect(self) -> None:
        found = [
            Found(
                name, unit.pid, self.wall - 1, unit.restarts, "" if unit.pid else unit.failed, unit.stopping
            )
            for name, unit in self.units.items()
        ]
        self.feed(Connected(found))

    def crash(self) -> None:
        """kill -9 the daemon and start it again; the units notice nothing."""
        old = self.supervisor
        self.config = old.config()
        records = {
            name: data
            for file, data in self.files.items()
            if file.startswith("history/")
            for name in [next(b.name for b in old.bnodes() if f"history/{b.name}" == file)]
        }
        marks = frozenset(
            name.removeprefix("local/SALVAGE.") for name in self.files if name.startswith("local/SALVAGE.")
        )
        self._boot(False)
        self.supervisor.restore(records, marks)
        self.connect()

    @property
    def wall(self) -> float:
        return EPOCH + self.mono - 1000.0 + self.step

    @property
    def now(self) -> Now:
        return Now(self.mono, self.wall)

    def feed(self, event: object) -> None:
        self.supervisor.handle(event, self.now)
        self._obey()

    def ask(
        self, verb: str, *, caller: Caller = ROOT, found: bool = True, **arguments: object
    ) -> Answer | None:
        ticket = next(self._tickets)
        self.feed(Asked(ticket, verb, arguments, caller, found))
        return self.answers.get(ticket)

    def create(self, name: str, *commands: str, kind: str = "simple", **more: object) -> Answer | None:
        return self.ask("Create", instance=name, type=kind, commands=list(commands), **more)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.mono + seconds
        for _ in range(1_000_000):
            due = self.supervisor.deadline()
            first = self._agenda[0][0] if self._agenda else FOREVER
            at = min(first, FOREVER if due is None else due)
            if at > end:
                self.mono = end
                return
            self.mono = max(self.mono, at)
            if first <= self.mono:
                heapq.heappop(self._agenda)[2]()
            else:
                self.supervisor.tick(self.now)
                self._obey()
        raise AssertionError("time stands still")

    def _obey(self) -> None:
        for effect in list(self.supervisor.drain()):
            match effect:
                case StartUnit():
                    self._start(effect)
                case StopUnit():
                    self._stop(effect.unit)
                case Bar():
                    self.barred.add(effect.bnode)
                case Unbar():
                    self.barred.discard(effect.bnode)
                case BosLog():
                    self.entries.append(effect)
                    self.log.append(effect.message)
                case Persist() | Remember():
                    self.writes.append(effect.name)
                    if effect.data is None:
                        self.files.pop(effect.name, None)
                    else:
                        self.files[effect.name] = effect.data
                case RunNotifier():
                    self.notices.append(effect)
                case Answer():
                    self.answers[effect.ticket] = effect
                case Perform():
                    self.performed.append(effect)
                case Leave():
                    self.left.append(effect)
                case _:
                    self.other.append(effect)

    # -- the service manager

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (self.mono + seconds, next(self._order), what))

    def _start(self, effect: StartUnit) -> None:
        unit = self.units.get(effect.unit)
        assert unit is None or unit.failed, f"{effect.unit} exists already"
        unit = self.units[effect.unit] = Unit(effect)
        self._later(0.0, lambda: self._begin(unit))

    def _begin(self, unit: Unit) -> None:
        name = unit.effect.unit
        if unit.stopping or self.units.get(name) is not unit:
            return
        if unit.effect.restart is not Restart.NO and unit.effect.bnode in self.barred:
            del self.units[name]
            self.feed(Gone(name, "success"))
            return
        recent = [at for at in unit.started if at > self.mono - unit.effect.limit_interval]
        if len(recent) >= unit.effect.limit_burst:
            unit.failed = "start-limit-hit"
            self.feed(Gone(name, "start-limit-hit"))
            return
        unit.started.append(self.mono)
        unit.pid = next(self._pids)
        number = len(self.spawned(name))
        unit.run = number
        self.spawns.append((self.mono - 1000.0, name))
        end = self.programs.get(name, lambda _: End())(number)
        pid = unit.pid
        self.feed(Started(name, pid, self.wall, unit.restarts))
        if end.after < FOREVER:
            self._later(end.after, lambda: self._exit(unit, pid, end.code, end.signal, end.core))

    def _exit(self, unit: Unit, pid: int, code: int, signal: int, core: bool = False) -> None:
        name = unit.effect.unit
        if unit.pid != pid or self.units.get(name) is not unit:
            return
        unit.pid = 0
        clean = code == 0 and signal in (0, 1, 2, 13, 15)
        mode = unit.effect.restart
        again = not unit.stopping and (mode is Restart.ALWAYS or (mode is Restart.ON_SUCCESS and clean))
        self.feed(Exited(name, pid, code, signal, core, self.mono, self.wall))
        if again and self.units.get(name) is unit and not unit.stopping:
            unit.restarts += 1
            self._later(0.0, lambda: self._begin(unit))
            return
        if self.units.get(name) is unit:
            result = "success" if clean else "signal" if signal else "exit-code"
            if clean or unit.stopping:
                del self.units[name]
            else:
                unit.failed = result
            self.feed(Gone(name, result))

    def _stop(self, name: str) -> None:
        self.stops.append(name)
        unit = self.units.get(name)
        if unit is None or not unit.pid:
            self.units.pop(name, None)
            asked = self.supervisor

            def tell() -> None:
                if self.supervisor is asked:  # the answer to a call dies with the one who called
                    self.feed(Gone(name, "success"))

            self._later(0.0, tell)
            return
        unit.stopping = True
        end = self.programs.get(name, lambda _: End())(unit.run)
        code, signal = end.at_stop or (0, unit.effect.signal)
        pid = unit.pid
        self._later(end.deaf, lambda: self._exit(unit, pid, code, signal))

    def kill(self, name: str, *, signal: int = 9, code: int = 0, core: bool = False) -> None:
        """Make a running process end."""
        unit = self.units[name]
        self._exit(unit, unit.pid, code, signal, core)

    # -- questions

    def bnode(self, name: str):
        bnode = self.supervisor.find(name)
        assert bnode is not None
        return bnode

    def spawned(self, name: str) -> list[float]:
        """When a unit was started, in seconds of the test."""
        return [at for at, unit in self.spawns if unit == name]

    def boslog(self, text: str) -> list[str]:
        return [line for line in self.log if text in line]


def dies(code: int = 1, *, every: float = 0.001, signal: int = 0) -> Program:
    """A program that ends each time."""
    return lambda _: End(every, code, signal)


def lives(*, at_stop: tuple[int, int] | None = (0, 0), deaf: float = 0.0) -> Program:
    """A daemon that ends cleanly when told to."""
    return lambda _: End(at_stop=at_stop, deaf=deaf)


def config(*entries: tuple[str, Goal]) -> BosConfig:
    """A file of simple bnodes."""
    return BosConfig(entries=tuple(Entry("simple", name, goal, SLEEP) for name, goal in entries))


def status(world: World, name: str) -> int:
    """As OpenAFS numbers them."""
    bnode = world.bnode(name)
    return int(bnode.kind.status(bnode))
