# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a daemon, the same for all of them: daemon(7) in the foreground, with systemd or without.

Read run, then _Life. Exit status: 0 ended as asked, 1 failed, 2 usage, 4 not permitted, 6 not configured
(LSB's numbers; a unit can tell them apart by RestartPreventExitStatus=).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from typing import Any, NoReturn

import pydaemons
from pydaemons.engine.effects import Level
from pydaemons.kit import sockets
from pydaemons.kit.clock import StepWatch
from pydaemons.kit.common import Reloaded, interfaces
from pydaemons.kit.control import Control
from pydaemons.kit.daemon import Daemon, Shell, StartError
from pydaemons.kit.driver import Driver
from pydaemons.kit.log import Log
from pydaemons.kit.loop import PacketLoop
from pydaemons.kit.notify import STATUS_INTERVAL, Notifier
from pydaemons.kit.privileges import settle
from pydaemons.kit.statefile import StateFolder
from pydaemons.tunables.conf import Problem, Severity
from pydaemons.tunables.layers import adopt

OK, FAILED, USAGE, NOT_PERMITTED, NOT_CONFIGURED = 0, 1, 2, 4, 6

START_PATIENCE = 30.0
"""Seconds by which a start that takes its time is prolonged, again and again."""
STOP_PATIENCE = 30.0
"""Seconds for Daemon.stop."""

_LEVELS = {Severity.ERROR: Level.ERROR, Severity.WARNING: Level.WARNING, Severity.NOTICE: Level.NOTICE}


def run(daemon: Daemon, argv: Sequence[str] | None = None) -> NoReturn:
    """The whole program of `bin/<daemon>`."""
    # A daemon's own pipes and sockets report EPIPE; the signal would end it. The others get their meaning
    # once the loop runs; until then they must not end us either.
    for number in (signal.SIGPIPE, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(main(daemon, argv))


def main(daemon: Daemon, argv: Sequence[str] | None = None) -> int:
    """As `run`, returning the exit status."""
    arguments = parse_arguments(daemon, argv)
    log = Log.of_process(daemon.name, level=Level.DEBUG if arguments.debug else Level.INFO)
    if arguments.check:
        return _check(daemon, _shell(daemon, arguments, log))
    # Before anything else looks at the environment, and before there is a second thread or a child.
    notify = Notifier()
    shell = _shell(daemon, arguments, log, notify, sockets.inherited())
    try:
        _configure(daemon, shell)
        settle(daemon.name, log)
        with asyncio.Runner(loop_factory=PacketLoop) as runner:
            return runner.run(_Life(daemon, shell).live())
    except StartError as error:
        return _give_up(shell, str(error), error.status, 0)
    except OSError as error:
        status = NOT_PERMITTED if isinstance(error, PermissionError) else FAILED
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
        return _give_up(shell, text, status, error.errno or 0)


def parse_arguments(daemon: Daemon, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; argparse leaves with status 2 when it is wrong."""
    # "resolve": a daemon's own option of the same name counts (nmbd's -d takes a level)
    parser = argparse.ArgumentParser(
        prog=daemon.name,
        description=daemon.summary,
        epilog=f"See {daemon.name}(8).",
        conflict_handler="resolve",
    )
    add = parser.add_argument
    add("--config", metavar="FILE", help=f"configuration file (/etc/{daemon.name}.conf)")
    add("--run-dir", metavar="DIR", help=f"runtime folder ($RUNTIME_DIRECTORY or /run/{daemon.name})")
    add("--state-dir", metavar="DIR", help=f"state folder ($STATE_DIRECTORY or /var/lib/{daemon.name})")
    add("--set", metavar="KEY=VALUE", action="append", default=[], help="override a setting; may be repeated")
    add("-n", "--check", action="store_true", help="check the configuration and leave")
    add("-d", "--debug", action="store_true", help="log everything")
    add("--foreground", action="store_true", help="accepted; it never does anything else")
    add("-V", "--version", action="version", version=f"{daemon.name} {pydaemons.__version__}")
    daemon.arguments(parser)
    return parser.parse_args(argv)


def _shell(
    daemon: Daemon,
    arguments: argparse.Namespace,
    log: Log,
    notify: Notifier | None = None,
    inherited: list[sockets.Inherited] | None = None,
) -> Shell:
    environ, stem = os.environ, daemon.stem(arguments)
    state_dir = arguments.state_dir or _first(environ.get("STATE_DIRECTORY")) or f"/var/lib/{stem}"
    return Shell(
        config=arguments.config or f"/etc/{stem}.conf",
        run_dir=arguments.run_dir or _first(environ.get("RUNTIME_DIRECTORY")) or f"/run/{stem}",
        state_dir=state_dir,
        state=StateFolder(state_dir),
        log=log,
        notify=notify or Notifier(),
        arguments=arguments,
        inherited=inherited or [],
    )


def _first(folders: str | None) -> str:
    """systemd lists several by colons; the first is the daemon's own."""
    return (folders or "").split(":")[0]


def _configure(daemon: Daemon, shell: Shell) -> None:
    """Read the configuration and put it in force. Raises StartError when it is wrong."""
    resolved = daemon.load(shell)
    _report(shell.log, resolved.problems)
    if resolved.fatal:
        raise StartError(f"the configuration is not usable; {daemon.name} does not start", NOT_CONFIGURED)
    adopt(daemon.configuration, resolved)
    daemon.check(shell)


def _check(daemon: Daemon, shell: Shell) -> int:
    """-n: people are reading."""
    resolved = daemon.load(shell)
    for problem in resolved.problems:
        print(f"{daemon.name}: {problem.severity.value}: {problem}", file=sys.stderr)
    if resolved.fatal:
        return NOT_CONFIGURED
    adopt(daemon.configuration, resolved)
    try:
        daemon.check(shell)
    except StartError as error:
        print(f"{daemon.name}: error: {error}", file=sys.stderr)
        return error.status
    print("configuration OK")
    return OK


def _report(log: Log, problems: Sequence[Problem]) -> None:
    for problem in problems:
        fields = {"CONFIG": problem.where, **({"KEY": problem.key} if problem.key else {})}
        log.log(_LEVELS[problem.severity], str(problem), fields)


def _give_up(shell: Shell, text: str, status: int, errno: int) -> int:
    shell.log.error(text)
    shell.notify.failed(text, errno)
    return status


class _Life:
    """From the first loop iteration to the last."""

    def __init__(self, daemon: Daemon, shell: Shell) -> None:
        self._daemon = daemon
        self._shell = shell
        self._log = shell.log
        self._notify = shell.notify
        self._status_planned = False

    async def live(self) -> int:
        """Start, serve until told to leave, stop; the exit status."""
        daemon, shell, notify = self._daemon, self._shell, self._notify
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._exception)
        self._log.later = loop.call_later
        control = Control(shell.run_dir, self._log)
        control.claim()
        try:
            shell.state.claim()
            await daemon.prepare(shell)
            engine = daemon.compose(shell)
        except BaseException:
            await control.close()
            raise
        driver = self._driver = Driver(engine, loop, log=self._log, notify=notify, state=daemon.keeper(shell))
        watch = StepWatch(driver.post)
        if watch.fileno() >= 0:
            loop.add_reader(watch.fileno(), watch.look)
        self._catch_signals(loop, driver)
        if notify.watchdog_interval is not None:
            self._feed_watchdog()
        try:
            await control.serve(interfaces(daemon, driver, self.reload))
            if await self._unless_left(daemon.start(driver)):
                _spare_the_collector()
                driver.changed = self._plan_status
                notify.ready(daemon.status())
                for item in shell.inherited:
                    self._log.debug(f"not using inherited descriptor {item.descriptor} ({item.name})")
                driver.settle()
            leave = await driver.left
            if leave.reason:
                self._log.log(Level.ERROR if leave.status else Level.NOTICE, f"leaving: {leave.reason}")
            notify.stopping()
            driver.changed = None
            await self._stop()
            return leave.status
        finally:
            if watch.fileno() >= 0:
                loop.remove_reader(watch.fileno())
            watch.close()
            driver.close()
            await control.close()
            self._log.flush()

    async def _unless_left(self, start: Coroutine[Any, Any, None]) -> bool:
        """Run `start` to its end (True), unless the daemon is told to leave meanwhile (False)."""
        task = asyncio.ensure_future(start)
        either: set[asyncio.Future[Any]] = {task, self._driver.left}
        while not await self._first(either, START_PATIENCE / 3):
            # It waits for something (a port, a disk) and says so; that is no reason to kill it.
            self._notify.extend(START_PATIENCE)
            self._notify.status(self._daemon.status(), self._driver.now().mono)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
            return False
        task.result()
        return True

    @staticmethod
    async def _first(either: set[asyncio.Future[Any]], patience: float) -> bool:
        done, _ = await asyncio.wait(either, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)

    async def _stop(self) -> None:
        self._notify.extend(STOP_PATIENCE)
        try:
            async with asyncio.timeout(STOP_PATIENCE):
                await self._daemon.stop()
        except TimeoutError:
            self._log.warning(f"stopping took more than {STOP_PATIENCE:.0f} s; leaving now")
        except OSError as error:
            self._log.warning(f"while stopping: {error}")

    def _catch_signals(self, loop: asyncio.AbstractEventLoop, driver: Driver) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, driver.leave)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            loop.add_signal_handler(number, self._daemon.signal, int(number))

    def reload(self) -> Reloaded:
        """SIGHUP: read the configuration again; a wrong one changes nothing."""
        self._notify.reloading()
        try:
            problems = self._read_again()
        finally:
            self._notify.ready(self._daemon.status())
        usable = all(problem.severity is not Severity.ERROR for problem in problems)
        return Reloaded(usable, [str(problem) for problem in problems])

    def _read_again(self) -> Sequence[Problem]:
        daemon = self._daemon
        resolved = daemon.load(self._shell)
        _report(self._log, resolved.problems)
        if resolved.fatal:
            self._log.error("the configuration is not usable; keeping the old one")
            return resolved.problems
        changes = adopt(daemon.configuration, resolved)
        for change in changes:
            self._driver.post(change)
        try:
            daemon.reload(changes)
        except (StartError, OSError) as error:
            self._log.error(f"reload: {error}")
            return [*resolved.problems, Problem(self._shell.config, "", str(error), "")]
        self._log.notice(f"configuration read again, {len(changes)} changed")
        return resolved.problems

    def _plan_status(self) -> None:
        """After a batch: offer the status line within a second. A daemon nothing happens to is not woken."""
        if not self._status_planned and self._notify.active:
            self._status_planned = True
            self._driver.loop.call_later(STATUS_INTERVAL, self._offer_status)

    def _offer_status(self) -> None:
        self._status_planned = False
        if not self._notify.status(self._daemon.status(), self._driver.now().mono):
            self._plan_status()

    def _feed_watchdog(self) -> None:
        interval = self._notify.watchdog_interval
        if interval is not None:
            self._notify.watchdog()
            self._driver.loop.call_later(interval, self._feed_watchdog)

    def _exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        if isinstance(error, Exception):
            self._driver.failed(error, None, None)
        else:
            self._log.error(f"event loop: {context.get('message')}")


def _spare_the_collector() -> None:
    """What start made never dies: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()
