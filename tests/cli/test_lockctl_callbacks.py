# SPDX-License-Identifier: GPL-3.0-or-later
"""How a waiting command is found: by rows in this host's rpcbind, or by a portmapper of its own."""

from __future__ import annotations

import asyncio
import random

import pytest

from fakes.lockserver import free_port
from fakes.rpcbind import FakeRpcbind
from hosts import rpc
from pydaemons.cli.lockctl_callbacks import Callbacks
from pydaemons.cli.lockctl_calls import Calls
from pydaemons.cli.lockctl_engine import LockClient
from pydaemons.cli.lockctl_report import Request
from pydaemons.kit.driver import Driver
from pydaemons.kit.log import Log
from pydaemons.kit.notify import Notifier
from pydaemons.kit.sockets import bind_udp

NETIDS = {"udp", "tcp", "udp6", "tcp6"}


def scenario(body, port):
    """Run `body(callbacks)` in a loop with a driver."""

    async def run():
        engine = LockClient(random.Random(1), hostname=b"h", rpcbind_port=port)
        driver = Driver(engine, asyncio.get_running_loop(), log=Log("test"), notify=Notifier())
        calls = Calls(Request("null", "127.0.0.1"), ["127.0.0.1"], engine, driver)
        try:
            await body(Callbacks(driver, engine, calls, rpcbind_port=port, privileged=False))
        finally:
            driver.close()
        assert driver.counts["exceptions"] == 0

    asyncio.run(run())


def with_rpcbind(body):
    """Run `body(callbacks, rpcbind)` beside an rpcbind."""

    async def run():
        async with FakeRpcbind(None) as rpcbind:
            engine = LockClient(random.Random(1), hostname=b"h", rpcbind_port=rpcbind.port)
            driver = Driver(engine, asyncio.get_running_loop(), log=Log("test"), notify=Notifier())
            calls = Calls(Request("null", "127.0.0.1"), ["127.0.0.1"], engine, driver)
            try:
                await body(
                    Callbacks(driver, engine, calls, rpcbind_port=rpcbind.port, privileged=False), rpcbind
                )
            finally:
                driver.close()
            assert driver.counts["exceptions"] == 0

    asyncio.run(run())


def test_where_an_rpcbind_runs_all_versions_and_transports_are_set_and_unset():
    async def body(callbacks, rpcbind):
        await callbacks.open()
        assert (callbacks.how, callbacks.missing) == ("rpcbind", "")
        assert {row[:3] for row in rpcbind.registered()} == {
            (rpc.NLM, version, netid) for version in (1, 3, 4) for netid in NETIDS
        }
        await callbacks.close()
        assert not rpcbind.registered()

    with_rpcbind(body)


def test_a_lock_manager_that_is_registered_and_alive_stays_and_is_named():
    async def body(callbacks, rpcbind):
        with bind_udp("0.0.0.0", 0) as sock:
            port = sock.getsockname()[1]
            rpcbind.taken(rpc.NLM, 4, "udp", port, "unknown")
            before = rpcbind.registered()
            await callbacks.open()
            assert callbacks.how == ""
            assert f"udp port {port}" in callbacks.missing
            assert "pid" in callbacks.missing
            assert rpcbind.registered() == before

    with_rpcbind(body)


def test_a_row_left_by_one_that_was_killed_is_replaced():
    async def body(callbacks, rpcbind):
        port = free_port()
        await callbacks.open()
        owner = next(iter(rpcbind.rows.values())).owner.decode()
        await callbacks.close()
        rpcbind.taken(rpc.NLM, 4, "udp", port, owner)
        await callbacks.open()
        assert callbacks.how == "rpcbind"
        assert (rpc.NLM, 4, "udp", port) not in rpcbind.registered()

    with_rpcbind(body)


def test_a_dead_row_of_another_owner_cannot_be_replaced_and_is_told():
    async def body(callbacks, rpcbind):
        rpcbind.taken(rpc.NLM, 4, "udp", free_port(), "superuser")
        await callbacks.open()
        assert callbacks.how == ""
        assert "registered on this host" in callbacks.missing

    with_rpcbind(body)


def test_without_an_rpcbind_its_port_is_served():
    port = free_port()

    async def body(callbacks):
        await callbacks.open()
        assert (callbacks.how, callbacks.missing) == ("embedded", "")
        found = await asyncio.to_thread(ask, port)
        assert found == callbacks._ports["udp"]

    scenario(body, port)


def ask(port):
    with rpc.Udp("127.0.0.1", port) as client:
        return client.call(rpc.PORTMAP, 2, 3, rpc.u32(rpc.NLM, 4, rpc.UDP, 0)).result().u32()


def test_a_port_that_cannot_be_had_is_a_sentence_and_no_error():
    port = free_port()

    async def body(callbacks):
        with bind_udp("0.0.0.0", port):
            await callbacks.open()
        assert callbacks.how == ""
        assert f"udp port {port} is held by" in callbacks.missing

    scenario(body, port)


@pytest.mark.parametrize("netid", sorted(NETIDS))
def test_the_ports_are_those_it_listens_at(netid):
    async def body(callbacks):
        await callbacks.open()
        port = callbacks._ports[netid]
        host = "::1" if netid.endswith("6") else "127.0.0.1"
        assert await asyncio.to_thread(rpc.answers, host, port, rpc.NLM, 4, tcp=netid.startswith("tcp"))

    scenario(body, free_port())
