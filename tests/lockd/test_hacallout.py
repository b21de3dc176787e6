# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster's program that is told of clients."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fakes.locking import Monitor, World
from hosts import nlmcalls as nlm
from pydaemons.engine.protocol import Now
from pydaemons.lockd.hacallout import Announced, Callout

NOW = Now(0.0, 0.0)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Writes its arguments down, one to a line; `slow` sleeps, `bad` fails."""
    path = tmp_path / "callout"
    path.write_text(
        '#!/bin/sh\nfor word; do echo "$word" >>"$0.said"; done\n'
        "case $1 in slow) exec sleep 60 ;; bad) exit 3 ;; esac\n"
    )
    path.chmod(0o755)
    return path


def run(program: Path, *calls: tuple[str, ...], patience: float = 30.0) -> list[str]:
    """Make the calls; the warnings."""
    said: list[str] = []

    async def make() -> None:
        callout = Callout(str(program), warn=said.append, patience=patience)
        for call in calls:
            callout(*call)
        await callout.finish()

    asyncio.run(make())
    return said


def words(program: Path) -> list[str]:
    return program.with_suffix(".said").read_text().splitlines()


def test_a_client_is_told_of_once_and_when_it_goes():
    calls: list[tuple[str, ...]] = []
    inner = Monitor()
    monitor = Announced(inner, lambda *words: calls.append(words))
    for _ in range(2):
        monitor.watch("192.0.2.7", b"client", NOW, local="192.0.2.1")
    monitor.unwatch("192.0.2.7", NOW, local="192.0.2.1")
    monitor.watch("192.0.2.7", b"client", NOW, local="192.0.2.2")
    assert calls == [
        ("add-client", "192.0.2.7", "192.0.2.1"),
        ("del-client", "192.0.2.7", "192.0.2.1"),
        ("add-client", "192.0.2.7", "192.0.2.2"),
    ]
    assert [call[0] for call in inner.calls] == ["watch", "watch", "unwatch", "watch"]


def test_a_client_that_comes_to_several_addresses_is_told_of_at_each():
    calls: list[tuple[str, ...]] = []
    monitor = Announced(Monitor(), lambda *words: calls.append(words))
    for _ in range(2):
        monitor.watch("192.0.2.7", b"", NOW, local="192.0.2.1")
        monitor.watch("192.0.2.7", b"", NOW, local="192.0.2.2")
    assert [call[2] for call in calls] == ["192.0.2.1", "192.0.2.2"]
    monitor.unwatch("192.0.2.7", NOW, local="192.0.2.1")
    assert calls[2:] == [("del-client", "192.0.2.7", "192.0.2.1")]


def test_a_client_known_from_the_last_process_was_told_of():
    calls: list[tuple[str, ...]] = []
    monitor = Announced(Monitor(), lambda *words: calls.append(words))
    monitor.watch("192.0.2.7", b"", NOW, local="192.0.2.1", resumed=True)
    monitor.watch("192.0.2.7", b"", NOW, local="192.0.2.1")
    assert calls == []
    monitor.unwatch("192.0.2.7", NOW, local="192.0.2.1")
    assert calls == [("del-client", "192.0.2.7", "192.0.2.1")]


def test_reports_of_the_host_s_monitor_go_through():
    inner = Monitor()
    Announced(inner, lambda *words: None).notified(b"client", 3, bytes(16), NOW)
    assert inner.reports == [(b"client", 3, bytes(16))]


def test_the_lock_manager_tells_of_its_first_lock_of_a_client():
    calls: list[tuple[str, ...]] = []
    world = World(callout=lambda *words: calls.append(words))
    one = world.client(2)
    for offset in (0, 20):
        assert one.lock(offset=offset) == nlm.OK
    assert calls == [("add-client", "10.0.0.2", "10.0.0.1")]
    one.free_all()
    world.run(3600)
    assert calls[1:] == [("del-client", "10.0.0.2", "10.0.0.1")]


def test_the_program_gets_its_arguments_as_they_are_and_in_order(program):
    assert run(program, ("add-client", "$(id); x", "2001:db8::1"), ("del-client", "", "b")) == []
    assert words(program) == ["add-client", "$(id); x", "2001:db8::1", "del-client", "", "b"]


def test_a_program_that_fails_or_hangs_is_told_of_and_the_next_run_comes(program):
    said = run(program, ("bad", "a", "b"), ("slow", "a", "b"), ("add-client", "c", "d"), patience=3.0)
    assert [text.partition(": ")[2] for text in said] == ["exit status 3", "ended after 3 s"]
    assert words(program)[-3:] == ["add-client", "c", "d"]


def test_a_program_that_is_not_there_is_told_of(tmp_path):
    (text,) = run(tmp_path / "no", ("add-client", "a", "b"))
    assert "No such file" in text


@pytest.mark.parametrize("steps", range(6))
def test_told_to_stop_in_the_moment_a_program_ends_no_other_is_run(monkeypatch, steps):
    """Before Python 3.12 asyncio.wait_for loses a cancellation that meets the end of what it waits for."""
    started: list[str] = []

    async def body() -> None:
        ended = [asyncio.Event() for _ in range(3)]

        async def start(program: str, word: str, **_: object) -> Child:
            started.append(word)
            return Child(ended[int(word)])

        monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
        callout = Callout("program", warn=started.append)
        for word in "012":
            callout(word)
        running = asyncio.ensure_future(callout.finish())
        while not started:
            await asyncio.sleep(0)
        ended[0].set()
        for _ in range(steps):
            await asyncio.sleep(0)
        before = list(started)
        running.cancel()
        await asyncio.wait({running}, timeout=5)
        assert running.cancelled()
        assert started == before

    asyncio.run(body())


class Child:
    """A process that ends when it is told to."""

    def __init__(self, ended: asyncio.Event) -> None:
        self._ended = ended

    async def wait(self) -> int:
        await self._ended.wait()
        return 0
