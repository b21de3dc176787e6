# SPDX-License-Identifier: GPL-3.0-or-later
import asyncio
import random
import socket
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest

from fakes.ether import interface
from fakes.shell import KeptLog, ScriptedEngine, run_shell, until
from pydaemons.engine.protocol import Now
from pydaemons.kit.driver import Driver
from pydaemons.kit.notify import Notifier
from pydaemons.netbios.node.node import Node
from pydaemons.netbios.node.settings import Settings
from pydaemons.netbios.node.subnet import Interface
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.nmbd import networks
from pydaemons.nmbd.networks import Networks
from pydaemons.nmbd.settings import PynmbdConfiguration

HERE = "127.0.0.1"
NOW = Now(1.0, 2.0)


def busy_port() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((HERE, 0))
    return sock


class Site:
    """Networks of a node on the loopback; the test says which interfaces there are."""

    def __init__(self, driver: Driver) -> None:
        self.there: tuple[Interface, ...] = (interface("10.0.0.1"),)
        self.failing: OSError | None = None
        self.looks = 0
        self.log = KeptLog()
        self.node = Node(Settings("TEST"), NetbiosTunables(), entropy=random.Random(1))
        self.configuration = PynmbdConfiguration()
        self.configuration.smb.set("nbt_client_socket_address", HERE, "test")
        for key in ("nmb_port", "dgram_port"):
            with busy_port() as free:
                self.configuration.tunables.put(key, free.getsockname()[1], "test")
        shell = SimpleNamespace(log=self.log, notify=Notifier(), inherited=[])
        self.networks = Networks(self.node, self.configuration, driver, shell)  # type: ignore[arg-type]

    def find(self, wanted: tuple[str, ...]) -> tuple[Interface, ...]:
        self.looks += 1
        if self.failing is not None:
            raise self.failing
        return self.there

    def on(self) -> list[str]:
        return [subnet.interface.address for subnet in self.node.subnets.all]


@pytest.fixture
def run(monkeypatch) -> Callable[[Callable[[Site], Awaitable[None]]], None]:
    def run(body: Callable[[Site], Awaitable[None]]) -> None:
        async def scenario(driver: Driver, engine: ScriptedEngine) -> None:
            site = Site(driver)
            monkeypatch.setattr(networks, "find", site.find)
            await body(site)

        run_shell(scenario)

    return run


def test_a_port_that_is_taken_is_waited_for_and_that_is_said_once(run, monkeypatch):
    monkeypatch.setattr(networks, "RETRY", 0.01)

    async def body(site: Site) -> None:
        with busy_port() as taken:
            port = taken.getsockname()[1]
            site.configuration.tunables.put("nmb_port", port, "test")
            opening = asyncio.ensure_future(site.networks.open())
            await until(lambda: site.looks >= 3)
            assert not opening.done()
        await opening
        (line,) = site.log.lines
        assert f"{port}" in line
        assert "trying again" in line
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rival,
            pytest.raises(OSError, match="in use"),
        ):
            rival.bind((HERE, port))

    run(body)


def test_the_node_is_told_where_it_is_and_of_every_change(run):
    async def body(site: Site) -> None:
        await site.networks.open()
        site.networks.begin()
        assert site.on() == ["10.0.0.1"]
        site.there = (interface("10.0.1.1"),)
        site.networks.scan(NOW)
        assert site.on() == ["10.0.1.1"]
        site.there = ()
        site.networks.scan(NOW)
        site.networks.scan(NOW)
        assert site.on() == []
        assert site.log.lines == ["no network left; waiting for one"]

    run(body)


def test_a_kernel_that_does_not_say_changes_nothing(run):
    async def body(site: Site) -> None:
        await site.networks.open()
        site.networks.begin()
        site.failing = OSError(105, "No buffer space available")
        site.networks.scan(NOW)
        assert site.on() == ["10.0.0.1"]
        assert site.log.lines == ["cannot list the interfaces: No buffer space available"]

    run(body)


def test_a_socket_that_cannot_move_is_said_and_the_node_told_all_the_same(run):
    async def body(site: Site) -> None:
        await site.networks.open()
        site.configuration.smb.set("nbt_client_socket_address", "192.0.2.1", "test")
        site.networks.scan(NOW)
        assert site.on() == ["10.0.0.1"]
        assert "192.0.2.1" in site.log.lines[0]

    run(body)


def test_news_in_bursts_are_one_look(run):
    async def body(site: Site) -> None:
        await site.networks.open()
        looks = site.looks
        for _ in range(20):
            site.networks._moved()
        await until(lambda: site.on() == ["10.0.0.1"])
        assert site.looks == looks + 1

    run(body)


def test_another_interval_between_looks_counts_from_now_on(run):
    async def body(site: Site) -> None:
        tunables = site.configuration.tunables
        await site.networks.open()
        site.networks.wait_anew()
        tunables.interfaces_reload = 86400
        site.networks.begin()
        looks = site.looks
        tunables.interfaces_reload = 0.01
        site.networks.wait_anew()
        await until(lambda: site.looks > looks + 2)

    run(body)
