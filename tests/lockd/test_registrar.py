# SPDX-License-Identifier: GPL-3.0-or-later
"""Registering with an rpcbind that restarts, loses rows, gives them to others, or is somebody else's.
(tests/e2e/test_rpcbind.py has the real one.)"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from fakes.rpcbind import FakeRpcbind
from pydaemons.engine.effects import Level
from pydaemons.lockd import rpcstream
from pydaemons.lockd.registrar import Mode, Registrar, Row

NLM = 100021
ROWS = [
    Row(NLM, version, netid, port)
    for version in (1, 3, 4)
    for netid, port in (("udp", 4045), ("tcp", 4046), ("udp6", 4047), ("tcp6", 4048))
]
IPV4 = {tuple(row) for row in ROWS if not row.netid.endswith("6")}
WAIT = 20.0


class Said(list):
    """What the administrator is told."""

    def __call__(self, level: Level, text: str) -> None:
        self.append(text)


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "rpcbind.sock"


def registrar(rpcbind: FakeRpcbind, said: Said, path: object, mode: str = "auto") -> Registrar:
    return Registrar(
        mode=mode, report=said, port=rpcbind.port, socket_path=str(path), look_every=0.01, check_every=0.05
    )


async def until(true: Callable[[], object], what: str) -> None:
    """Wait for a fact; the limit is for a hung test only."""
    for _ in range(int(WAIT / 0.01)):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"waited {WAIT:g} s until {what}")


def test_every_row_is_registered_over_the_unix_socket_and_taken_back(said, path):
    async def story():
        async with FakeRpcbind(path) as rpcbind:
            mine = registrar(rpcbind, said, path)
            assert await mine.decide() is Mode.HOST
            assert await mine.register(ROWS)
            assert rpcbind.registered() == {tuple(row) for row in ROWS}
            assert {row.owner for row in rpcbind.rows.values()} == {b"1000"}
            assert rpcbind.rows[NLM, 4, "udp6"].uaddr == b"::.15.207"
            await mine.unregister()
            assert rpcbind.registered() == set()
        assert said == [] and mine.problem == ""

    asyncio.run(story())


def test_rows_of_a_dead_instance_of_ours_are_replaced(said, path):
    async def story():
        async with FakeRpcbind(path) as rpcbind:
            rpcbind.taken(NLM, 4, "udp", 999, "1000")
            mine = registrar(rpcbind, said, path)
            assert await mine.register(ROWS)
            assert rpcbind.registered() == {tuple(row) for row in ROWS}
            await mine.unregister()

    asyncio.run(story())


def test_rows_no_longer_wanted_go(said, path):
    async def story():
        async with FakeRpcbind(path) as rpcbind:
            mine = registrar(rpcbind, said, path)
            await mine.register(ROWS)
            moved = [row._replace(port=5000) for row in ROWS if row.version == 4]
            await mine.register(moved)
            assert rpcbind.registered() == {tuple(row) for row in moved}
            await mine.unregister()

    asyncio.run(story())


def test_another_owners_row_is_named_with_what_to_do(said, path):
    async def story():
        async with FakeRpcbind(path) as rpcbind:
            rpcbind.taken(NLM, 4, "udp", 999, "superuser")
            mine = registrar(rpcbind, said, path)
            assert not await mine.register(ROWS)
            assert len(said) == 1 and said[0] == mine.problem
            for part in ("100021", "version 4 udp", "0.0.0.0.3.231", "superuser", "rpcinfo -d 100021 4"):
                assert part in mine.problem
            await asyncio.sleep(0.2)
            assert len(said) == 1, "said once"
            del rpcbind.rows[NLM, 4, "udp"]
            await until(lambda: not mine.problem, "the way is free")
            assert rpcbind.registered() == {tuple(row) for row in ROWS}
            assert len(said) == 2
            await mine.unregister()

    asyncio.run(story())


def test_a_thief_is_noticed_and_its_row_left_alone_at_the_end(said, path):
    async def story():
        async with FakeRpcbind(path) as rpcbind:
            mine = registrar(rpcbind, said, path)
            await mine.register(ROWS)
            rpcbind.taken(NLM, 4, "tcp", 999, "superuser")
            await until(lambda: mine.problem, "the theft is noticed")
            assert "another owner (superuser)" in mine.problem
            await mine.unregister()
            assert rpcbind.registered() == {(NLM, 4, "tcp", 999)}

    asyncio.run(story())


def test_a_restarted_rpcbind_gets_the_rows_again(said, path):
    async def story():
        async with FakeRpcbind(path) as rpcbind:
            mine = registrar(rpcbind, said, path)
            await mine.register(ROWS)
        await until(lambda: mine.problem, "it is missed")
        assert "no rpcbind answers" in mine.problem
        async with FakeRpcbind(path, port=rpcbind.port) as again:
            await until(lambda: again.registered() == {tuple(row) for row in ROWS}, "registered again")
            await until(lambda: not mine.problem, "all is well")
            await mine.unregister()
        assert len(said) == 2

    asyncio.run(story())


def test_an_rpcbind_that_forgot_without_restarting_is_reminded(said, path):
    async def story():
        async with FakeRpcbind(path) as rpcbind:
            mine = registrar(rpcbind, said, path)
            await mine.register(ROWS)
            rpcbind.rows.clear()
            await until(lambda: rpcbind.registered() == {tuple(row) for row in ROWS}, "registered again")
            await mine.unregister()

    asyncio.run(story())


def test_the_rpcbind_of_another_network_namespace_gets_nothing(said, path):
    """Its unix socket is in reach, but our loopback has another one, or none."""

    async def story():
        async with FakeRpcbind(path, tcp=False) as theirs:
            async with FakeRpcbind(None) as ours:
                mine = registrar(ours, said, path)
                assert await mine.register(ROWS)
                assert ours.registered() == {tuple(row) for row in ROWS}
                await mine.unregister()
            mine = registrar(ours, said, path)
            assert await mine.decide() is Mode.EMBEDDED
            assert await mine.find(NLM) == []
            assert not await mine.register(ROWS)
            await mine.unregister()
            assert theirs.sets == []

    asyncio.run(story())


def test_an_rpcbind_that_cannot_be_told_from_another_is_used_over_loopback(said, path):
    async def story():
        async with FakeRpcbind(path) as rpcbind:
            rpcbind.statistics = False
            mine = registrar(rpcbind, said, path)
            assert await mine.register(ROWS)
            assert {row.owner for row in rpcbind.rows.values()} == {b"unknown"}
            await mine.unregister()
            assert rpcbind.registered() == set()

    asyncio.run(story())


def test_an_old_portmapper_gets_the_ipv4_rows(said, path):
    async def story():
        async with FakeRpcbind(None) as rpcbind:
            rpcbind.versions = (2,)
            mine = registrar(rpcbind, said, path)
            assert await mine.decide() is Mode.HOST
            assert await mine.register(ROWS)
            assert rpcbind.registered() == IPV4
            rpcbind.rows.clear()
            await until(lambda: rpcbind.registered() == IPV4, "reminded")
            await asyncio.sleep(0.2)
            sets = len(rpcbind.sets)
            await asyncio.sleep(0.2)
            assert len(rpcbind.sets) == sets, "content with the IPv4 rows"
            await mine.unregister()
            assert rpcbind.registered() == set()

    asyncio.run(story())


def test_find_tells_who_has_a_program(said, path):
    async def story():
        async with FakeRpcbind(path) as rpcbind:
            rpcbind.taken(100024, 1, "udp", 4002, "statd")
            mine = registrar(rpcbind, said, path)
            (row,) = await mine.find(100024)
            assert (row.netid, row.owner) == (b"udp", b"statd")
            assert await mine.find(NLM) == []

    asyncio.run(story())


def test_a_silent_rpcbind_holds_nothing_up_for_long(said, path, monkeypatch):
    monkeypatch.setattr(rpcstream, "TIMEOUT", 0.1)

    async def story():
        async with FakeRpcbind(path) as rpcbind:
            mine = registrar(rpcbind, said, path)
            await mine.register(ROWS)
            rpcbind.silent = True
            await until(lambda: mine.problem, "it is missed")
            await mine.unregister()

    asyncio.run(story())


def test_garbage_from_rpcbind_is_a_problem_and_no_crash(said, path):
    async def story():
        async with FakeRpcbind(path) as rpcbind:
            rpcbind.garbled = True
            mine = registrar(rpcbind, said, path)
            assert not await mine.register(ROWS)
            assert mine.problem
            rpcbind.garbled = False
            await until(lambda: not mine.problem, "all is well")
            await mine.unregister()

    asyncio.run(story())


@pytest.mark.parametrize("mode", ["host", "embedded", "off"])
def test_a_mode_that_is_not_auto_is_taken_at_its_word(said, path, mode):
    assert asyncio.run(Registrar(mode=mode, report=said, port=1, socket_path=str(path)).decide()) is Mode(
        mode
    )
