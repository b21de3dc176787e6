# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections and locked files on their way from one process to the next, over a store that is systemd's in
small."""

from __future__ import annotations

import asyncio
import os
import socket
from types import SimpleNamespace

import pytest

from fakes.shell import KeptLog, run_shell, said, until
from pydaemons.kit.sockets import Inherited, bind_tcp
from pydaemons.lockd import handover
from pydaemons.lockd.handover import Handover


class Store:
    """What systemd keeps, and the notifier before it."""

    def __init__(self, *, active: bool = True) -> None:
        self.active = active
        self.kept: dict[str, int] = {}
        self.barriers = 0

    def store(self, name: str, descriptor: int, *, poll: bool = True) -> bool:
        self.kept[name] = os.dup(descriptor)
        if name.startswith(handover.CONNECTION):
            os.close(descriptor)
        return True

    def forget(self, name: str) -> None:
        os.close(self.kept.pop(name))

    def barrier(self) -> None:
        self.barriers += 1

    def passed(self) -> list[Inherited]:
        """As the next process finds them: descriptors of its own."""
        found = []
        for name, descriptor in self.kept.items():
            mine = os.dup(descriptor)
            is_socket = name.startswith(handover.CONNECTION)
            found.append(Inherited(name, mine, socket.socket(fileno=mine) if is_socket else None))
        return found


def shell(store: Store, inherited: list[Inherited] = ()) -> SimpleNamespace:
    return SimpleNamespace(notify=store, inherited=list(inherited), log=KeptLog())


def record(text: bytes) -> bytes:
    return (0x8000_0000 | len(text)).to_bytes(4, "big") + text


def test_a_connection_goes_on_in_the_next_process_with_what_came_meanwhile():
    store = Store()
    sockets: list[socket.socket] = []

    async def first(driver, engine):
        engine.answer = lambda data, origin: b"one:" + data
        listener = bind_tcp("127.0.0.1", 0)
        driver.listen(listener)
        client = socket.create_connection(listener.getsockname())
        client.setblocking(False)
        sockets.append(client)
        client.send(record(b"before"))
        assert await said(client) == record(b"one:before")
        await Handover(shell(store)).give(driver, list)
        client.send(record(b"meanwhile"))
        assert list(store.kept) == ["connection-0"]
        assert store.barriers == 1

    async def second(driver, engine):
        engine.answer = lambda data, origin: b"two:" + data
        here = shell(store, store.passed())
        Handover(here).take(driver, files_wanted=False)
        assert here.inherited == []
        assert store.kept == {}, "systemd keeps it no longer"
        assert await said(sockets[0]) == record(b"two:meanwhile")
        sockets[0].send(record(b"after"))
        assert await said(sockets[0]) == record(b"two:after")

    run_shell(first)
    run_shell(second)
    sockets[0].close()


def test_locked_files_stay_open_and_no_more_than_the_store_has_room_for(tmp_path, monkeypatch):
    monkeypatch.setattr(handover, "MOST_FILES", 2)
    store = Store()
    locked = [os.open(tmp_path / name, os.O_CREAT | os.O_RDWR) for name in "abc"]

    async def first(driver, engine):
        await Handover(shell(store)).give(driver, lambda: locked)

    async def second(driver, engine):
        here = shell(store, store.passed())
        taken = Handover(here).files()
        assert [os.fstat(each).st_ino for each in taken] == [os.fstat(each).st_ino for each in locked[:2]]
        Handover(here).take(driver, files_wanted=True)
        assert [os.fstat(each).st_size for each in taken] == [0, 0], "they are the engine's now"
        for each in taken:
            os.close(each)

    run_shell(first)
    assert sorted(store.kept) == ["file-0", "file-1"]
    run_shell(second)
    assert store.kept == {}
    for each in locked:
        os.close(each)


def test_files_that_nobody_locks_any_more_are_closed(tmp_path):
    store = Store()
    descriptor = os.open(tmp_path / "a", os.O_CREAT | os.O_RDWR)

    async def scenario(driver, engine):
        await Handover(shell(store)).give(driver, lambda: [descriptor])
        here = shell(store, store.passed())
        (mine,) = Handover(here).files()
        Handover(here).take(driver, files_wanted=False)
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(mine)

    run_shell(scenario)
    os.close(descriptor)


def test_what_others_left_in_the_store_is_left_alone():
    store = Store()
    ours, _ = socket.socketpair()

    async def scenario(driver, engine):
        listener = bind_tcp("127.0.0.1", 0)
        here = shell(store, [Inherited("nlm", listener.fileno(), listener)])
        Handover(here).take(driver, files_wanted=False)
        assert [item.name for item in here.inherited] == ["nlm"]
        listener.close()

    run_shell(scenario)
    ours.close()


@pytest.mark.parametrize("why", ["no systemd", "a disk that fails"])
def test_nothing_is_handed_over_where_nobody_would_take_it_or_answers_wait(why):
    store = Store(active=why != "no systemd")

    async def scenario(driver, engine):
        listener = bind_tcp("127.0.0.1", 0)
        driver.listen(listener)
        client = socket.create_connection(listener.getsockname())
        await until(lambda: driver.streams.count)
        if why != "no systemd":
            driver._unwritten = "No space left on device"
        await asyncio.wait_for(Handover(shell(store)).give(driver, list), 10)
        assert store.kept == {}
        client.close()

    run_shell(scenario)
