# SPDX-License-Identifier: GPL-3.0-or-later
"""pylockd without its life as a daemon: a lock engine under the real driver on loopback, and its control
socket, in a thread of their own. For tests of commands, which run in the test's thread.
"""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

from fakes.locking import Monitor
from hosts.waiting import wait_for
from pydaemons.engine.protocol import Now
from pydaemons.kit import clock
from pydaemons.kit.control import Control
from pydaemons.kit.driver import Driver
from pydaemons.kit.journalfile import JournalFile
from pydaemons.kit.log import Log
from pydaemons.kit.notify import Notifier
from pydaemons.kit.sockets import bind_tcp, bind_udp
from pydaemons.kit.varlink import Interface, Method
from pydaemons.lockd.access import Access
from pydaemons.lockd.control import interface
from pydaemons.lockd.engine import LockEngine
from pydaemons.lockd.settings import PylockdConfiguration
from pydaemons.nlm.records import KIND, VERSION

T = TypeVar("T")
ADDRESSES = ("127.0.0.1", "::1")


def free_port() -> int:
    """A port that nobody has, for UDP and TCP, IPv4 and IPv6."""
    for _ in range(100):
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
            port = probe.getsockname()[1]
        socks = []
        try:
            for host in ("0.0.0.0", "::"):
                socks += [bind_udp(host, port), bind_tcp(host, port)]
        except OSError:
            continue
        finally:
            for sock in socks:
                sock.close()
        return port
    raise AssertionError("no free port")


class LockServer:
    """`with LockServer(folder) as server`; it asks clients' rpcbinds at `rpcbind_port`."""

    def __init__(self, folder: Path, *, mode: str = "serve", **tunables: int) -> None:
        self.control = str(folder / "control")
        self.rpcbind_port = free_port()
        self.port = free_port()
        self.notified: list[str] = []
        self.problems: list[str] = []
        """What a reload finds wrong."""
        self.listening = True
        self._folder = folder
        self._configuration = PylockdConfiguration()
        self._configuration.pylockd.mode = mode
        self._configuration.rpcbind.port = self.rpcbind_port
        for name, value in tunables.items():
            self._configuration.tunables.set(name, str(value), "test")
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._over = asyncio.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="lock server", daemon=True)
        self.engine: LockEngine
        self.driver: Driver

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30)
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(30)
        assert not self._thread.is_alive()
        self._loop.close()
        assert self.driver.counts["exceptions"] == 0

    def do(self, what: Callable[[], T]) -> T:
        """Run something in the server's thread."""

        async def call() -> T:
            result = what()
            self.driver.settle()
            return result

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(30)

    def wait_blocked(self, count: int = 1) -> None:
        """Until so many requests wait."""
        wait_for(lambda: self.do(lambda: len(self.engine.server.waiters)) == count, what=f"{count} blocked")

    def locks(self) -> int:
        """How many are held."""
        return self.do(lambda: len(self.engine.server.table))

    def release(self, svid: int = 7) -> None:
        """As the holder of that number would."""
        self.do(lambda: self.engine.server.release(lambda owner: owner.svid == svid, self.now()))

    # -- what lockd.control needs

    def now(self) -> Now:
        return clock.now()

    def overview(self) -> dict[str, Any]:
        listeners = [
            {"transport": transport, "host": host, "port": self.port}
            for host in ADDRESSES
            for transport in ("udp", "tcp")
        ]
        return {
            "pid": 4711,
            "version": "0",
            "since": 1_700_000_000.0,
            "mode": "serve",
            "listeners": listeners if self.listening else [],
            "rpcbind": "",
            "nsm": {"mode": "embedded", "state": 3, "monitored": 2},
            "connections": 0,
        }

    def counts(self) -> dict[str, int]:
        return dict(self.driver.counts)

    def settle(self) -> None:
        self.driver.settle()

    def notify(self, client: str | None, server: str | None) -> list[str]:
        if client is not None and server is not None:
            return [client]
        return [name for name in self.notified if client in (None, name)]

    # -- the thread

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._live())
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _live(self) -> None:
        self.engine = LockEngine(
            self._configuration,
            access=Access(("*",), attached=list, resolve=lambda address: None),
            entropy=random.Random(1),
            hostname=b"server",
            monitor=lambda rpc, engine: Monitor(),
            programs=[],
        )
        log = Log("lock server")
        self.driver = Driver(self.engine, self._loop, log=log, notify=Notifier())
        self.driver.journal = journal = JournalFile(f"{self._folder}/journal", kind=KIND, version=VERSION)
        assert journal.rewrite(self.engine.snapshot()) == ""
        control = Control(str(self._folder), log)
        try:
            for host in ADDRESSES:
                self.driver.listen(bind_udp(host, self.port))
                self.driver.listen(bind_tcp(host, self.port))
            reload = Method("Reload", lambda parameters, caller: self._reload(), trusted=True)
            await control.serve([interface(self), Interface("org.pydaemons.Daemon", [reload])])
            self._ready.set()
            await self._over.wait()
        finally:
            self.driver.close()
            await control.close()

    def _reload(self) -> dict[str, Any]:
        return {"usable": not self.problems, "problems": self.problems}
