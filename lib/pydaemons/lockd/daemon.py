# SPDX-License-Identifier: GPL-3.0-or-later
"""pylockd: the lock engine in its shell. Read PylockdDaemon.compose, then start: they say what there is and
in which order it comes up. A request's way: kit.batch or kit.streams -> sunrpc.program.Service -> nlm.procs
-> nlm.server.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal as signals
import socket
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import pydaemons
from pydaemons.engine.effects import Level
from pydaemons.engine.protocol import Now, Transport
from pydaemons.kit import conffile
from pydaemons.kit.clock import entropy
from pydaemons.kit.clock import now as read_clock
from pydaemons.kit.daemon import Daemon, Shell
from pydaemons.kit.driver import Driver
from pydaemons.kit.interfaces import addresses
from pydaemons.kit.loop import PacketLoop
from pydaemons.kit.sockets import BindError
from pydaemons.kit.treewatch import TreeWatch
from pydaemons.kit.varlink import Interface
from pydaemons.lockd import nfsconf
from pydaemons.lockd.access import Access
from pydaemons.lockd.control import interface
from pydaemons.lockd.directory import Directory
from pydaemons.lockd.engine import LockEngine, NamesFound, StatusMonitor
from pydaemons.lockd.hacallout import Callout
from pydaemons.lockd.handover import Handover
from pydaemons.lockd.listeners import Listeners
from pydaemons.lockd.localfs import LocalTable
from pydaemons.lockd.memory import Memory
from pydaemons.lockd.realfile import Mounts
from pydaemons.lockd.registrar import Mode
from pydaemons.lockd.settings import PylockdConfiguration
from pydaemons.nsm.monitor import Monitor
from pydaemons.nsm.off import Unmonitored
from pydaemons.nsm.statd import StatdMonitor
from pydaemons.nsm.store import Start, begin
from pydaemons.sunrpc.client import RpcClient
from pydaemons.tunables.declare import TunableChanged
from pydaemons.tunables.layers import Resolved

RETRY = 2.0
"""Seconds between attempts to get the sockets."""
LINKS_EVERY = 30.0
"""Seconds between looks at the attached networks, where the rules depend on them."""
PORTS = {"nlm_udpport": Transport.UDP, "nlm_tcpport": Transport.TCP}


class PylockdDaemon(Daemon):
    """The NFS lock manager."""

    name = "pylockd"
    summary = "NFSv3 lock manager (NLM 1, 3, 4) and status monitor for servers that have none."

    def __init__(self) -> None:
        self.configuration: PylockdConfiguration = PylockdConfiguration()
        self.engine: LockEngine
        self.since = read_clock()
        self._handing_over = False
        self._files: LocalTable | None = None
        self._publishing: asyncio.Task[None] | None = None

    def now(self) -> Now:
        """The time."""
        return read_clock()

    # -- the life of a daemon (kit.daemon)

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Several may run, each in a network namespace of its own."""
        parser.add_argument(
            "--instance",
            metavar="NAME",
            type=instance,
            help="be one of several: files and folders are called pylockd@NAME, tunables fs.nfs@NAME",
        )

    def stem(self, arguments: argparse.Namespace) -> str:
        """pylockd, or pylockd@NAME; the tunables move along."""
        name: str | None = arguments.instance
        if name is None:
            return self.name
        self.configuration.tunables.move(name)
        return f"{self.name}@{name}"

    def load(self, shell: Shell) -> Resolved:
        """Its own files, and below them the host's nfs.conf; that is not for instances."""
        arguments = shell.arguments
        below, problems = nfsconf.read() if arguments.instance is None else ([], [])
        resolved = conffile.load(
            self.configuration,
            shell.config,
            sets=arguments.set,
            required=arguments.config is not None,
            below=below,
        )
        return replace(resolved, problems=[*problems, *resolved.problems])

    async def prepare(self, shell: Shell) -> None:
        """Find out whether this host has an rpcbind and a status monitor."""
        rpcbind = self.configuration.rpcbind
        # port 111 handed to us answers nobody yet, and nobody else can have it
        ours = rpcbind.mode == "auto" and any(item.name.startswith("rpcbind") for item in shell.inherited)
        mode = "embedded" if ours else rpcbind.mode
        self.directory = Directory(mode=mode, port=rpcbind.port, report=shell.log.log)
        self.monitoring = self.configuration.nsm.mode
        if self.monitoring == "auto":
            self.monitoring = "statd" if await self.directory.somebody_monitors() else "embedded"

    def compose(self, shell: Shell) -> LockEngine:
        """The engine, from settings and what is on disk."""
        self._shell = shell
        self._handover = Handover(shell)
        hostname = socket.gethostname().encode()
        files, embedded = shell.state.read(), self.monitoring == "embedded"

        def engine(start: Start) -> LockEngine:
            return LockEngine(
                self.configuration,
                access=self._access(),
                entropy=entropy(),
                hostname=hostname,
                monitor=lambda rpc, engine: self._monitor(start, hostname, rpc, engine),
                programs=[],
                locks_lost=start.needs_grace,
                local=self._local(),
                callout=self._callout(),
            )

        self._memory = Memory(shell.run_dir, shell.log)
        self.engine = self._memory.recall(
            lambda kept: begin(files, locks_kept=kept, we_notify=embedded, first=entropy().getrandbits(30)),
            engine,
            read_clock(),
        )
        return self.engine

    async def start(self, driver: Driver) -> None:
        """Tree, sockets, rpcbind, control; READY when all that is there."""
        shell, configuration = self._shell, self.configuration
        self._driver = driver
        driver.journal = self._memory.file
        self._memory.stamp(driver.loop.call_later)
        self.listeners, self._nsm, rpcbind = (
            Listeners(driver, name=name, passed=shell.inherited, say=shell.log.notice)
            for name in ("nlm", "nsm", "rpcbind")
        )
        driver.streams.limit = lambda: configuration.tunables.nlm_max_connections
        configuration.tunables.bind(
            nlm_connections=lambda: len(list(driver.streams.connections())),
            nlm_version=lambda: pydaemons.__version__,
            nlm_grace_left=lambda: round(self.engine.server.grace.left(read_clock().mono)),
        )
        self._tree = TreeWatch(
            configuration.tunables, self.name, driver.loop, log=shell.log, changed=self._written
        )
        self._linger()
        self.engine.grace_changed = self._show_tree_soon
        self.engine.prepare(read_clock())
        await self._have_sockets(rpcbind)
        self._handover.take(driver, files_wanted=self._files is not None)
        await self._publish()
        self._watch_links()
        self.engine.begin(read_clock())
        ports = ", ".join(f"{each.value} port {self.listeners.port(each)}" for each in Transport)
        found = f"{self.directory.status()}; status monitor: {self.monitoring}"
        shell.log.notice(f"serving NLM on {ports}; {found}")

    def reload(self, changes: Sequence[TunableChanged]) -> None:
        """New rules of admission; ports that moved."""
        self.engine.access = self._access()
        self.engine.reload()
        for change in changes:
            self._changed(change)
        self._tree.publish()

    def signal(self, number: int) -> None:
        """SIGUSR1: drop all locks. SIGUSR2: hand over to the next process."""
        if number == signals.SIGUSR1:
            self.engine.drop_all(read_clock())
            self.settle()
        elif number == signals.SIGUSR2:
            self._handing_over = True
            self._driver.leave(0, "handing over")

    def status(self) -> str:
        """For `systemctl status`."""
        server = self.engine.server
        parts = [
            f"{len(server.hosts)} clients",
            f"{len(server.table)} locks",
            f"{len(server.waiters)} waiting",
        ]
        if server.refuse:
            parts.insert(0, "refusing all locks")
        if server.grace.active:
            parts.append(f"grace period, {server.grace.left(read_clock().mono):.0f} s left")
        return ", ".join(parts)

    async def stop(self) -> None:
        """Leave rpcbind (unless another process goes on in our place) and the tree."""
        if self._handing_over:
            files = self._files
            await self._handover.give(self._driver, lambda: [] if files is None else files.descriptors())
        else:
            await self.directory.close()
        self._tree.close()
        self._memory.file.stamp()

    def interfaces(self) -> list[Interface]:
        """What pylockctl asks."""
        return [interface(self)]

    # -- for pylockctl (lockd.control)

    def overview(self) -> dict[str, Any]:
        """What is not in the engine."""
        return {
            "pid": os.getpid(),
            "version": pydaemons.__version__,
            "since": self.since.wall,
            "mode": self.configuration.pylockd.mode,
            "connections": len(list(self._driver.streams.connections())),
            "listeners": [
                {"transport": transport.value, "host": address.host, "port": address.port}
                for transport, address in self.listeners.addresses()
            ],
            "rpcbind": self.directory.status(),
            "nsm": {
                "mode": self.monitoring,
                "state": self.engine.monitor.state,
                "monitored": len(self.engine.monitor.hosts),
            },
        }

    def counts(self) -> dict[str, int]:
        """The shell's counters."""
        return dict(self._driver.counts)

    def settle(self) -> None:
        """Carry out what a request from beside the network led to."""
        self._driver.settle()

    def notify(self, client: str | None, server: str | None) -> list[str]:
        """Tell monitored clients (or one, or those that call our address `server`) that this server
        restarted, so that they reclaim their locks."""
        monitor = self.engine.monitor
        if not isinstance(monitor, Monitor):
            return []
        return monitor.announce(client, read_clock(), local=server)

    # -- how it is done

    def _monitor(self, start: Start, hostname: bytes, rpc: RpcClient, engine: LockEngine) -> StatusMonitor:
        if self.monitoring == "embedded":
            short = hostname.partition(b".")[0]
            names = (short,) if short == hostname else (short, hostname)
            return Monitor(
                start, rpc=rpc, names=names, restarted=engine.client_restarted, crashed=engine.crash_simulated
            )
        if self.monitoring == "statd":
            return StatdMonitor(
                start,
                rpc=rpc,
                entropy=entropy(),
                hostname=hostname,
                restarted=engine.client_restarted,
                settings=self.configuration.tunables,
            )
        return Unmonitored()

    def _callout(self) -> Callout | None:
        """`[nsm] ha_callout`; rpc.statd has its own."""
        program = self.configuration.nsm.ha_callout
        if not program or self.monitoring != "embedded":
            return None
        return Callout(program, warn=self._shell.log.warning)

    def _local(self) -> LocalTable | None:
        """`[handles] mounts`: locks on the real files too."""
        handles, log = self.configuration.handles, self._shell.log
        if not handles.mounts:
            return None
        if handles.codec == "opaque" and not handles.codec_at:
            log.warning("[handles] mounts does nothing without a codec whose handles tell the file")
        mounts = Mounts(handles.mounts)
        self._files = LocalTable(
            mounts,
            limit=handles.max_files,
            clock=lambda: read_clock().mono,
            warn=log.warning,
            kept=self._handover.files(),
        )
        return self._files

    def _access(self) -> Access:
        return Access(self.configuration.access.allow, attached=_attached, resolve=self._resolve)

    def _resolve(self, address: str) -> None:
        """Look the names of a client up in another thread; the engine hears of it by an event."""
        loop, access = self._driver.loop, self.engine.access

        def look_up() -> None:
            names, groups = access.look_up(address)
            loop.call_soon_threadsafe(self._driver.post, NamesFound(address, tuple(names), tuple(groups)))

        loop.run_in_executor(None, look_up)

    def _watch_links(self) -> None:
        if self.engine.access.refresh():
            self.engine.service.forget_callers()  # who was refused may be attached now
        self._driver.loop.call_later(LINKS_EVERY, self._watch_links)

    async def _have_sockets(self, rpcbind: Listeners) -> None:
        """Try until the whole set of sockets stands. READY is not sent before; one warning, not one a try."""
        shell, settings, said = self._shell, self.configuration.tunables, ""
        while True:
            try:
                self.listeners.open(
                    {Transport.UDP: settings.nlm_udpport, Transport.TCP: settings.nlm_tcpport}
                )
                if self.monitoring == "embedded":
                    self._nsm.open(dict.fromkeys(Transport, self.configuration.nsm.port))
                await self.directory.open(rpcbind)
            except BindError as error:
                if error.strerror != said:
                    said = error.strerror or str(error)
                    shell.log.warning(f"{said}; trying again every {RETRY:.0f} s")
                shell.notify.status(f"waiting for its sockets: {said}", read_clock().mono)
                await asyncio.sleep(RETRY)
            else:
                break
        if self.directory.mode is Mode.EMBEDDED:
            self.engine.service.serve(self.directory.portmapper.program())

    async def _publish(self) -> None:
        """Have clients find us where we listen now."""
        await self.directory.publish(self.listeners.addresses(), self._nsm.addresses())

    def _show_tree_soon(self) -> None:
        self._driver.loop.call_soon(self._tree.publish)

    def _linger(self) -> None:
        loop = self._driver.loop
        if isinstance(loop, PacketLoop):
            loop.linger(self.configuration.tunables.nlm_busy_poll / 1e6)

    def _written(self, change: TunableChanged) -> None:
        """A value was written to the tree."""
        self._driver.post(change)
        self._changed(change)

    def _changed(self, change: TunableChanged) -> None:
        name = change.key.rpartition(".")[2]
        if name == "nlm_busy_poll":
            self._linger()
        transport = PORTS.get(name)
        if transport is None:
            return
        port = int(str(change.new))
        try:
            self.listeners.move(transport, port)
        except BindError as error:
            still, why = self.listeners.port(transport), error.strerror or str(error)
            self._shell.log.log(Level.ERROR, f"{change.key}: {why}; still on port {still}")
            # what is not in force is not to be read there
            self.configuration.tunables.put(name, change.old, f"kept, for {port} could not be had")
        else:
            self._publishing = self._driver.loop.create_task(self._publish())


def instance(name: str) -> str:
    """The NAME of pylockd@NAME.service: what can name a file."""
    if not name or "/" in name or name.startswith(".") or not name.isprintable() or " " in name:
        raise argparse.ArgumentTypeError(f"{name!r} cannot name an instance: want a network namespace's name")
    return name


def _attached() -> list[IPv4Network | IPv6Network]:
    """The directly attached networks."""
    try:
        return [entry.address.network for entry in addresses()]
    except OSError:
        return []
