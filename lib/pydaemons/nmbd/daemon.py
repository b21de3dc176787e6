# SPDX-License-Identifier: GPL-3.0-or-later
"""pynmbd: the NetBIOS node in its shell. Read PynmbdDaemon.compose, then start: they say what there is and in
which order it comes up. A packet's way: kit.batch -> netbios.node.Node.receive.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal as signals
from collections.abc import Sequence
from typing import Any

from pydaemons.engine.effects import Leave, Level
from pydaemons.engine.protocol import Now
from pydaemons.kit.clock import entropy
from pydaemons.kit.clock import now as read_clock
from pydaemons.kit.daemon import Daemon, Shell, StartError
from pydaemons.kit.driver import Driver, StateWriter
from pydaemons.kit.loop import PacketLoop
from pydaemons.kit.main import NOT_CONFIGURED, USAGE
from pydaemons.kit.sockets import BindError
from pydaemons.kit.treewatch import TreeWatch
from pydaemons.kit.varlink import Interface as ControlInterface
from pydaemons.kit.varlink import Value
from pydaemons.netbios.node import views
from pydaemons.netbios.node.browsesync import FetchList
from pydaemons.netbios.node.events import (
    CloseLink,
    FindAccount,
    LocalPacket,
    OpenLink,
    Reconfigured,
    Resolve,
    RunHook,
    SendLink,
    StopRequested,
    WriteBrowseList,
)
from pydaemons.netbios.node.node import Node
from pydaemons.netbios.node.office import Role
from pydaemons.netbios.node.winsdb import WinsDb
from pydaemons.nmbd import options, settings, standardinput
from pydaemons.nmbd.control import interface
from pydaemons.nmbd.files import Files, take_handover
from pydaemons.nmbd.hooks import Hooks
from pydaemons.nmbd.interfaces import host_name, is_ipv6
from pydaemons.nmbd.listfetch import ListFetcher
from pydaemons.nmbd.localpackets import SOCKET as UNEXPECTED
from pydaemons.nmbd.localpackets import LocalPackets
from pydaemons.nmbd.lookups import Lookups
from pydaemons.nmbd.networks import Networks
from pydaemons.nmbd.partners import Partners
from pydaemons.nmbd.settings import PynmbdConfiguration
from pydaemons.nmbd.store import WinsStore
from pydaemons.tunables.declare import TunableChanged
from pydaemons.tunables.layers import Resolved as ResolvedSettings

FAREWELL = 3.0
"""Seconds the node has to release its names."""
OWN_CACHE = "/var/cache/pynmbd"


class PynmbdDaemon(Daemon):
    """The NetBIOS name service."""

    name = "pynmbd"
    summary = "NetBIOS name service and WINS server (the nmbd of hosts without Samba)."

    def __init__(self) -> None:
        self.configuration: PynmbdConfiguration = PynmbdConfiguration()
        self.node: Node
        self._store: WinsStore | None = None
        self._released = asyncio.Event()
        self._handing_over = False

    # ---- command line and configuration (kit.daemon)

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """nmbd's options."""
        options.add(parser)

    def load(self, shell: Shell) -> ResolvedSettings:
        """Read the configuration."""
        arguments = shell.arguments
        sets = list(arguments.set)
        if arguments.port is not None:
            sets.append(f"net.netbios.nmb_port={arguments.port}")
        resolved, passed_over = settings.load(
            self.configuration, shell.config, sets=sets, required=arguments.config is not None
        )
        if passed_over:
            names = ", ".join(dict.fromkeys(passed_over))
            shell.log.debug(f"{shell.config}: parameters that do not concern a name service: {names}")
        return resolved

    def check(self, shell: Shell) -> None:
        """What only shows when all is known."""
        arguments = shell.arguments
        if arguments.log_stdout and not (arguments.foreground or arguments.interactive):
            raise StartError(
                "-S logs to stdout, which a daemon in the background has not: add -F or -i", USAGE
            )
        try:
            self.configuration.node_settings(host_name())
        except ValueError as error:
            raise StartError(f"{shell.config}: {error}", NOT_CONFIGURED) from error
        self._say_what_is_left_out(shell)

    def _say_what_is_left_out(self, shell: Shell) -> None:
        words = [word for word in self.configuration.smb.interfaces if is_ipv6(word)]
        if words:
            shell.log.notice(f"interfaces: {', '.join(words)} left out: NetBIOS is of IPv4 only")

    # ---- life

    def compose(self, shell: Shell) -> Node:
        """The engine, with the names the store kept."""
        arguments = shell.arguments
        if arguments.interactive or arguments.log_stdout:
            os.dup2(1, 2)
        self._shell = shell
        node_settings = self.configuration.node_settings(host_name())
        if self.configuration.smb.cldap_server and node_settings.logon is None:
            shell.log.warning("cldap server: without domain logons nobody is told about that controller")
        db = WinsDb()
        self._store = WinsStore(f"{shell.state_dir}/wins.db")
        try:
            lost = db.load(self._store.open())
        except OSError as error:
            reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            raise StartError(f"the WINS store cannot be had: {reason}") from error
        if lost:
            shell.log.error(f"{self._store.path}: {lost} rows are damaged and left out")
        self.node = Node(
            node_settings,
            self.configuration.tunables,
            entropy=entropy(),
            db=db,
            before=take_handover(shell.run_dir, shell.log),
        )
        self._hooks = Hooks(shell.log)
        self._files = Files(self.node, log=shell.log, run_dir=shell.run_dir, state_dir=shell.state_dir)
        return self.node

    def keeper(self, shell: Shell) -> StateWriter:
        """The WINS store takes what the node persists."""
        assert self._store is not None
        return self._store

    async def start(self, driver: Driver) -> None:
        """Tree, sockets, networks; READY when all that is there."""
        shell = self._shell
        self._driver = driver
        self._lookups = Lookups(lambda event: driver.loop.call_soon_threadsafe(driver.post, event))
        driver.on(Resolve, self._lookups.resolve)
        driver.on(FindAccount, self._lookups.find_account)
        driver.on(RunHook, lambda effect, now: self._hooks.run(effect.arguments))
        driver.on(Leave, self._node_left)
        self._lists = ListFetcher(driver.post)
        driver.on(FetchList, lambda effect, now: self._lists.fetch(effect, self.node.settings.charset))
        driver.on(
            WriteBrowseList, lambda effect, now: self._files.write_browse_list(effect, self._browse_folder())
        )
        self._tree = TreeWatch(
            self.configuration.tunables, self.name, driver.loop, log=shell.log, changed=self._written
        )
        self._files.load_lmhosts(shell.arguments.hosts)
        self._local = LocalPackets(f"{shell.run_dir}/{UNEXPECTED}", shell.log, driver.post)
        self._local.limit = self.configuration.smb.unexpected_clients
        await self._local.open()
        driver.on(LocalPacket, self._local.pass_on)
        self._partners = Partners(shell.log, driver.post)
        driver.on(OpenLink, self._partners.open)
        driver.on(SendLink, self._partners.send)
        driver.on(CloseLink, self._partners.hang_up)
        self._networks = Networks(self.node, self.configuration, driver, shell)
        self._retune("busy_poll", *(("debug",) if self.configuration.tunables.debug else ()))
        await self._networks.open()
        await self._have_partners()
        self._networks.begin()
        self._files.import_old_wins()
        self._files.write_pid_file(shell.arguments.pidfile)
        if shell.arguments.foreground or shell.arguments.interactive:
            standardinput.when_it_ends(driver.loop, lambda: driver.leave(0, "standard input has ended"))
        self._files.begin_to_dump(driver.loop)
        driver.settle()

    def reload(self, changes: Sequence[TunableChanged]) -> None:
        """SIGHUP: names dumped, everything that was read put in force, interfaces looked at."""
        self._files.dump_namelist()
        try:
            node_settings = self.configuration.node_settings(host_name())
        except ValueError as error:
            raise StartError(str(error)) from error
        now = read_clock()
        self._local.limit = self.configuration.smb.unexpected_clients
        self._retune(*(change.key.rpartition(".")[2] for change in changes))
        self.node.handle(Reconfigured(node_settings), now)
        self.node.browser.rewrite()
        self._partners_moving = asyncio.ensure_future(self._have_partners())
        self._files.load_lmhosts(self._shell.arguments.hosts)
        self._networks.scan(now)
        self._tree.publish()
        self._driver.settle()

    def signal(self, number: int) -> None:
        """SIGUSR2: hand over to the next process; names stay."""
        if number == signals.SIGUSR2:
            self._handing_over = True
            self._driver.leave(0, "handing over")

    def interfaces(self) -> list[ControlInterface]:
        """What pynmbctl asks."""
        return [interface(self)]

    def status(self) -> str:
        """For `systemctl status`."""
        node = self.node
        parts = [f"{node.settings.netbios_name} in {node.settings.workgroup}"]
        parts.append(
            f"{len(node.subnets.all)} networks" if node.subnets.all else "no network, waiting for one"
        )
        parts.append(f"{len(node.names)} names")
        if node.wins is not None:
            parts.append(f"WINS server with {len(node.db)} names")
        mastered = [place for place in node.browser.places.values() if place.office.role is Role.MASTER]
        if mastered:
            parts.append(f"master browser of {', '.join(each.subnet.interface.name for each in mastered)}")
        if node.browser.domain.is_held:
            parts.append("domain master browser")
        rivals = {holding.rival for holding in node.names if holding.rival}
        if rivals:
            parts.append(f"names in conflict with {', '.join(sorted(rivals))}")
        return ", ".join(parts)

    async def stop(self) -> None:
        """Write wins.dat and release the names; or neither, when the next process goes on with them."""
        if self._handing_over:
            self._files.hand_over(self.node.hand_over(read_clock()))
        else:
            if self.node.wins is not None:
                self._files.export()  # first: our own names are in it, as in nmbd's
            await self._release_names()
        self._partners.close()
        await self._local.close()
        await self._hooks.stop()
        await self._lists.stop()
        self._lookups.close()
        if self._store is not None:
            self._store.close()
        self._tree.close()
        self._files.remove_pid_file(self._shell.arguments.pidfile)

    async def _release_names(self) -> None:
        if self.node.names.settings is None:
            return
        self._driver.post(StopRequested())
        try:
            async with asyncio.timeout(FAREWELL):
                await self._released.wait()
        except TimeoutError:
            self._shell.log.warning(f"names could not be released within {FAREWELL:.0f} s")

    # ---- for pynmbctl (nmbd.control)

    def ask(self, verb: str, arguments: Value) -> dict[str, Any]:
        """One of views.VERBS."""
        answer = views.answer(self.node, verb, arguments, read_clock())
        self._driver.settle()
        return answer

    def import_wins(self, text: str) -> tuple[int, list[str]]:
        """Take names over from the text of a wins.dat."""
        result = self._files.import_wins(text)
        self._driver.settle()
        return result

    def export_wins(self) -> str:
        """Write wins.dat now; where it is."""
        return self._files.export()

    def shutdown(self) -> None:
        """As SIGTERM."""
        self._driver.leave(0, "asked to by pynmbctl")

    def _browse_folder(self) -> str:
        """Where browse.dat goes: where the configuration says that smbd looks, if we may write there, or else
        our own folder, to which a link may lead (units/pynmbd.service.d)."""
        said = self.configuration.smb.cache_directory
        if said and os.access(said, os.W_OK | os.X_OK):
            return said
        return self._shell.arguments.cache_dir or os.environ.get("CACHE_DIRECTORY", OWN_CACHE)

    async def _have_partners(self) -> None:
        """Listen for WINS partners, if there are any. Without the port they cannot come to us."""
        smb, tunables = self.configuration.smb, self.configuration.tunables
        hosts = [partner.address for partner in self.node.settings.partners]
        place = smb.wildcard or smb.wins_address or "0.0.0.0"
        try:
            await self._partners.serve(hosts, place, tunables.wins_repl_port)
        except BindError as error:
            self._shell.log.error(f"WINS partners cannot reach us: {error}")

    # ---- effects of the node

    def _node_left(self, effect: Leave, now: Now) -> None:
        self._released.set()

    def _written(self, change: TunableChanged) -> None:
        self._driver.post(change)
        self._retune(change.key.rpartition(".")[2])

    def _retune(self, *changed: str) -> None:
        """Put in force what is the shell's business."""
        tunables, loop = self.configuration.tunables, self._driver.loop
        if "busy_poll" in changed and isinstance(loop, PacketLoop):
            loop.linger(tunables.busy_poll / 1e6)
        if "interfaces_reload" in changed:
            self._networks.wait_anew()
        if "wins_dump_interval" in changed:
            self._files.begin_to_dump(loop)
        if "debug" in changed:
            self._shell.log.level = Level.DEBUG if tunables.debug else Level.INFO
