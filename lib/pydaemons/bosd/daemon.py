# SPDX-License-Identifier: GPL-3.0-or-later
"""pybosd: the supervisor in its shell. Read compose and start: what there is and how it comes up.

The engine (bnode.supervisor) decides, systemd (systemd1) runs the processes. SIGTERM, SIGINT and SIGQUIT
stop everything and then us; SIGUSR2 leaves everything running for the next daemon; SIGHUP reads the
configuration and BosConfig again; SIGFPE ends restricted mode.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal as signals
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from pydaemons.bnode.bosconfig import BosConfigError
from pydaemons.bnode.commands import Desk as Requests
from pydaemons.bnode.effects import (
    Answer,
    Bar,
    BosLog,
    CheckBinaries,
    KeepCore,
    Perform,
    Remember,
    RunNotifier,
    StartAnew,
    StartUnit,
    StopUnit,
    Unbar,
)
from pydaemons.bnode.events import (
    AccessSeen,
    BinariesSeen,
    ConfigRead,
    CoresSeen,
    Exited,
    HandOver,
    Performed,
    Released,
    RestrictionLifted,
    ShutdownAsked,
)
from pydaemons.bnode.folders import Folders, Site
from pydaemons.bnode.history import FOLDER as HISTORY
from pydaemons.bnode.model import Code, escape
from pydaemons.bnode.rxdoor import Door
from pydaemons.bnode.supervisor import Supervisor
from pydaemons.bosd import access, cores, files, state
from pydaemons.bosd.boslog import BosLogFile
from pydaemons.bosd.bus import Bus
from pydaemons.bosd.control import Desk
from pydaemons.bosd.rxport import RxPort
from pydaemons.bosd.settings import PybosdConfiguration
from pydaemons.bosd.systemd1 import Systemd
from pydaemons.engine.effects import Level
from pydaemons.engine.protocol import Now
from pydaemons.kit.daemon import Daemon, Shell, StartError
from pydaemons.kit.driver import Driver
from pydaemons.kit.main import NOT_CONFIGURED
from pydaemons.kit.treewatch import TreeWatch
from pydaemons.kit.varlink import Interface
from pydaemons.tunables.declare import TunableChanged

START_ANEW = 75
"""Exit status that the unit answers by a fresh start (EX_TEMPFAIL)."""
PATIENCE = 60.0
"""Seconds by which an orderly stop is prolonged while processes still stop."""
CLERKS = 2
"""Threads that read and write files for who asks. One may hang at a disk, and each has memory of its own."""
NOTE_AGAIN = 1.0
"""Seconds between attempts to write what the disk refused."""


class PybosdDaemon(Daemon):
    """The basic overseer."""

    name = "pybosd"
    summary = (
        "Supervises bnodes as systemd units: goals, error stops, cron, file server kinds, as bosserver(8)."
    )

    def __init__(self) -> None:
        self.configuration: PybosdConfiguration = PybosdConfiguration()

    # -- the life of a daemon (kit.daemon)

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        add = parser.add_argument
        add("--user", action="store_true", help="use the service manager of the calling user")
        add("--noauth", "-noauth", action="store_true", help="everybody is an administrator")
        add("--restricted", "-restricted", action="store_true", help="start in restricted mode")
        add("--pidfiles", "-pidfiles", action="store_true", help="keep local/INSTANCE.pid")
        add("-nofork", "-log", dest="ignored", action="store_true", help=argparse.SUPPRESS)

    def check(self, shell: Shell) -> None:
        try:
            state.read_config(f"{shell.state_dir}/BosConfig", quoting=self.configuration.tunables.quoting)
        except BosConfigError as error:
            raise StartError("; ".join(error.args), NOT_CONFIGURED) from error

    def compose(self, shell: Shell) -> Supervisor | Door:
        """The engine, from settings and what is on disk."""
        self._shell = shell
        tunables, settings, arguments = (
            self.configuration.tunables,
            self.configuration.pybosd,
            shell.arguments,
        )
        if arguments.pidfiles:
            tunables.put("pid_files", True, "--pidfiles")
        state.make_folders(shell.state_dir)
        self._stop_dir = f"{shell.run_dir}/stop"
        os.makedirs(self._stop_dir, 0o755, exist_ok=True)
        try:
            loaded = state.load(shell.state_dir, quoting=tunables.quoting)
        except BosConfigError as error:
            raise StartError("; ".join(error.args), NOT_CONFIGURED) from error
        for remark in loaded.remarks:
            shell.log.warning(remark)
        top = shell.state_dir
        self.folders = Folders(settings.bin_dir, f"{top}/log", f"{top}/etc", f"{top}/local")
        supervisor = Supervisor(Site(self.folders, state.boot_id()), tunables, loaded.config)
        supervisor.restricted |= settings.restricted or arguments.restricted
        supervisor.restore(loaded.histories, loaded.salvage)
        supervisor.commands = Requests(
            supervisor,
            users=loaded.users,
            cell=loaded.cell,
            keys=loaded.keys,
            keys_changed=loaded.keys_changed,
            no_auth=loaded.no_auth or settings.no_auth or arguments.noauth,
        )
        self.supervisor = supervisor
        self._notebook, self._noting = state.Notebook(top), False
        self._boslog = BosLogFile(f"{self.folders.log}/BosLog")
        self._boslog.open()
        self._remove_stale_bars()
        self._rx = RxPort(self.configuration.rx, shell.inherited, shell.log)
        return self._rx.door(supervisor, self._notifier_exists) if self._rx.wanted else supervisor

    def interfaces(self) -> list[Interface]:
        self._desk = Desk(self._post, self._notifier_exists)
        return [self._desk.interface()]

    def _post(self, event: object) -> None:
        self._driver.post(event)

    async def start(self, driver: Driver) -> None:
        """Effects, signals, the tree, and the service manager, which says what runs already."""
        self._driver = driver
        self.systemd = Systemd(
            driver.loop,
            driver.post,
            partial(Bus, user=self._shell.arguments.user),
            log_dir=self.folders.log,
            stop_dir=self._stop_dir,
        )
        self._clerks = ThreadPoolExecutor(CLERKS, "files")
        self._core_search = cores.Search(driver.loop, self.folders.log, self._see_cores)
        self._register(driver)
        for number in (signals.SIGTERM, signals.SIGINT, signals.SIGQUIT):
            driver.loop.add_signal_handler(number, self._stop_all, int(number))
        driver.loop.add_signal_handler(signals.SIGFPE, driver.post, RestrictionLifted())
        self._tree = TreeWatch(
            self.configuration.tunables, self.name, driver.loop, log=self._shell.log, changed=driver.post
        )
        driver.post(CoresSeen(cores.listed(self.folders.log)))
        self._look_at_access()
        self.systemd.connect()
        self._rx.open(driver)

    def _register(self, driver: Driver) -> None:
        driver.on(StartUnit, lambda effect, now: self.systemd.start(effect))
        driver.on(StopUnit, lambda effect, now: self.systemd.stop(effect.unit))
        driver.on(Bar, self._bar)
        driver.on(Unbar, self._bar)
        driver.on(Answer, self._answer)
        driver.on(BosLog, self._log)
        driver.on(Remember, self._remember)
        driver.on(RunNotifier, self._run_notifier)
        driver.on(KeepCore, self._keep_core)
        driver.on(Perform, self._perform)
        driver.on(CheckBinaries, self._check_binaries)
        driver.on(StartAnew, self._start_anew)

    def reload(self, changes: Sequence[TunableChanged]) -> None:
        """BosConfig again, and a log file that was moved away. Raises StartError when BosConfig is wrong: the
        last good one stays in force."""
        self._boslog.reopen()
        path = f"{self._shell.state_dir}/BosConfig"
        try:
            text = state.read_text(path)
            state.judge(text, path, quoting=self.configuration.tunables.quoting)
            self._driver.post(ConfigRead(text, path))
        except BosConfigError as error:
            raise StartError("; ".join(error.args)) from error
        except FileNotFoundError:
            # nobody has made a bnode yet; but where there are some, a lost file must not end them
            if any(self.supervisor.bnodes()):
                raise
        self._look_at_access()
        self._tree.publish()

    def signal(self, number: int) -> None:
        if number == signals.SIGUSR2:
            self._driver.post(HandOver())

    def status(self) -> str:
        tunables = self.configuration.tunables
        figures = [f"{tunables.value('bnodes')} bnodes", f"{tunables.value('running')} processes"]
        if tunables.value("error_stopped"):
            figures.append(f"{tunables.value('error_stopped')} stopped for too many errors")
        for name, error in self.supervisor.unwritten.items():
            figures.insert(0, f"{name} cannot be written ({error})")
        if self.supervisor.trouble:
            figures.insert(0, f"systemd does not answer ({self.supervisor.trouble})")
        if self.supervisor.leaving is not None:
            figures.insert(0, "stopping all")
        if self._rx.trouble:
            figures.append(f"no Rx: {self._rx.trouble}")
        return ", ".join(figures)

    async def stop(self) -> None:
        self._notebook.retry()
        for name, error in self._shell.state.retry().items():
            self._shell.log.error(f"{name} could not be written to the end: {error}; its last version stays")
        self.systemd.close()
        self._tree.close()
        self._boslog.close()

    # -- signals

    def _stop_all(self, number: int) -> None:
        self._shell.notify.stopping()
        self._prolong()
        self._driver.post(ShutdownAsked(f"signal {number}"))

    def _prolong(self) -> None:
        """A file server may take half an hour to detach its volumes."""
        self._shell.notify.extend(PATIENCE)
        self._driver.loop.call_later(PATIENCE / 3, self._prolong)

    # -- effects

    def _log(self, effect: BosLog, now: Now) -> None:
        self._boslog.write(now.wall, effect.message)
        # administrative actions and exits are never so alike that one stands for many
        kind = "\0".join((effect.message, *effect.fields.values()))
        self._shell.log.log(effect.level, effect.message, effect.fields, effect.message_id, kind)

    def _bar(self, effect: Bar | Unbar, now: Now) -> None:
        try:
            if isinstance(effect, Bar):
                self.systemd.bar(effect.bnode)
            else:
                self.systemd.unbar(effect.bnode)
        except OSError as error:
            reason = f"{self._stop_dir}: {error.strerror}; the error stop of {effect.bnode} may come late"
            self._shell.log.error(reason)

    def _answer(self, effect: Answer, now: Now) -> None:
        """A yes that promises what is not on disk is none."""
        for name in effect.keeps:
            error = self._driver.failing.get(name)
            if error and effect.code == Code.OK:
                reason = (
                    f"{name} cannot be written: {error}; the change is in force and is written when it can be"
                )
                effect = Answer(effect.ticket, Code.IO, {}, reason)
        if not self._rx.answer(effect):
            self._desk.answer(effect)

    def _remember(self, effect: Remember, now: Now) -> None:
        self._note(self._notebook.write(effect.name, effect.data))
        if effect.data is None and effect.name.startswith(HISTORY):
            self.systemd.forget(self.supervisor.known_units())

    def _note(self, error: str) -> None:
        """The notebook could not be written, for this reason, if any: try again, as often as it takes."""
        if error and not self._noting:
            self._noting = True
            self._shell.log.error(f"the history of bnodes cannot be written: {error}; trying again")
            self._driver.loop.call_later(NOTE_AGAIN, self._note_again)

    def _note_again(self) -> None:
        if self._notebook.retry():
            self._driver.loop.call_later(NOTE_AGAIN, self._note_again)
        else:
            self._noting = False
            self._shell.log.notice("the history of bnodes is written again")

    def _run_notifier(self, effect: RunNotifier, now: Now) -> None:
        if not os.access(effect.program, os.X_OK):
            self._log(BosLog(Level.ERROR, f"BNODE: Failed to find notifier '{effect.program}'; ignored"), now)
            self._driver.post(Released(effect.bnode))
            return
        self.systemd.run(
            [effect.program],
            purpose="notify",
            data=effect.data,
            environment=(f"BOS_EVENT={effect.occasion.value}", f"BOS_BNODE={effect.bnode}"),
            done=lambda exited: self._driver.post(Released(effect.bnode)),
        )

    def _notifier_exists(self, path: str) -> bool:
        return os.path.isfile(self.folders.local_path(path))

    def _keep_core(self, effect: KeepCore, now: Now) -> None:
        try:
            found = cores.keep(self.folders.log, effect, now.wall)
        except OSError as error:
            self._shell.log.error(f"the core of {effect.bnode} keeps the kernel's name: {error.strerror}")
            return
        if found:
            self._see_cores()
        elif cores.piped():
            self._core_search.begin(effect, now.wall)

    def _see_cores(self) -> None:
        self._driver.post(CoresSeen(cores.listed(self.folders.log)))

    def _perform(self, effect: Perform, now: Now) -> None:
        if effect.verb == "Exec":
            self.systemd.run(
                ["/bin/sh", "-c", effect.arguments["command"]],
                purpose="exec",
                data=None,
                done=partial(self._executed, effect.ticket),
            )
            return
        work = partial(files.perform, effect.verb, self.folders, effect.arguments, now.wall)
        future = self._driver.loop.run_in_executor(self._clerks, work)
        future.add_done_callback(lambda done: self._performed(effect, done))

    def _performed(self, effect: Perform, done: asyncio.Future[tuple[Code, files.Result, str]]) -> None:
        error = done.exception()
        if error is not None:
            self._driver.post(Performed(effect.ticket, Code.IO, {}, f"{type(error).__name__}: {error}"))
            return
        self._driver.post(Performed(effect.ticket, *done.result()))
        if effect.verb == "Prune":
            self._see_cores()

    def _executed(self, ticket: object, exited: Exited | None) -> None:
        if exited is None:
            self._driver.post(Performed(ticket, Code.IO, {}, "the command could not be run"))
            return
        wait_status = exited.signal | (0x80 if exited.core else 0) if exited.signal else exited.code << 8
        self._driver.post(Performed(ticket, Code.OK, {"status": wait_status}))

    def _check_binaries(self, effect: CheckBinaries, now: Now) -> None:
        times = {}
        for program in effect.programs:
            try:
                times[program] = os.stat(program).st_mtime
            except OSError:
                pass
        self._driver.post(BinariesSeen(times))

    def _start_anew(self, effect: StartAnew, now: Now) -> None:
        """systemd starts us again for this status; without it we replace ourselves."""
        if self._shell.notify.active:
            self._driver.leave(START_ANEW, "starting anew")
        else:
            os.execv(sys.executable, sys.orig_argv)

    # -- folders

    def _look_at_access(self) -> None:
        self._driver.post(AccessSeen(access.too_open(self._shell.state_dir, self.folders)))

    def _remove_stale_bars(self) -> None:
        """Marks of bnodes that are not barred, from a daemon that was killed in between."""
        wanted = {escape(bnode.name) for bnode in self.supervisor.bnodes() if bnode.barred}
        for name in os.listdir(self._stop_dir):
            if name not in wanted:
                os.unlink(f"{self._stop_dir}/{name}")
        for name in wanted - set(os.listdir(self._stop_dir)):
            os.close(os.open(f"{self._stop_dir}/{name}", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
