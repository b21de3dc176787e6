# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
from collections.abc import Awaitable, Callable

import pytest

from fakes.shell import PATIENCE
from pydaemons.kit import loop as loop_module
from pydaemons.kit.loop import PacketLoop, PacketSelector


def run(scenario: Callable[[PacketLoop], Awaitable[None]]) -> None:
    async def live() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, PacketLoop)
        await asyncio.wait_for(scenario(loop), PATIENCE)

    with asyncio.Runner(loop_factory=PacketLoop) as runner:
        runner.run(live())


@pytest.fixture(params=[0.0, 0.01], ids=["sleeping", "lingering"])
def pair(request, monkeypatch):
    """Two ends of a stream, with and without looking for packets before sleeping."""
    made = PacketSelector.__init__

    def make(self):
        made(self)
        self.linger = request.param

    monkeypatch.setattr(PacketSelector, "__init__", make)
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    yield ends
    for end in ends:
        end.close()


def test_a_reader_is_called_for_what_comes_and_can_wake_a_task(pair):
    ours, theirs = pair

    async def scenario(loop):
        got: asyncio.Queue[bytes] = asyncio.Queue()
        loop.add_reader(ours.fileno(), lambda: got.put_nowait(ours.recv(100)))
        for word in (b"one", b"two", b"three"):
            theirs.send(word)
            assert await got.get() == word
        assert loop.remove_reader(ours.fileno())
        theirs.send(b"four")
        await asyncio.sleep(0.01)
        assert got.empty()
        assert not loop.remove_reader(ours.fileno())

    run(scenario)


def test_arguments_reach_the_reader(pair):
    ours, theirs = pair

    async def scenario(loop):
        called = loop.create_future()
        loop.add_reader(ours.fileno(), lambda *args: (ours.recv(9), called.set_result(args)), 1, "two")
        theirs.send(b"x")
        assert await called == (1, "two")

    run(scenario)


def test_timers_and_tasks_have_their_turn_while_packets_never_end(pair):
    ours, theirs = pair

    async def scenario(loop):
        count = 0

        def echo():
            nonlocal count
            count += 1
            ours.send(ours.recv(100))

        def back():
            theirs.send(theirs.recv(100))

        loop.add_reader(ours.fileno(), echo)
        loop.add_reader(theirs.fileno(), back)
        theirs.send(b"to and fro")
        for _ in range(3):
            await asyncio.sleep(0.005)
        ran = asyncio.Event()
        loop.call_soon_threadsafe(ran.set)
        await ran.wait()
        assert count > 3

    run(scenario)


def test_what_another_thread_wants_done_is_done(pair):
    async def scenario(loop):
        assert await loop.run_in_executor(None, lambda: 42) == 42

    run(scenario)


def test_a_signal_is_handled(pair):
    async def scenario(loop):
        came = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, came.set)
        os.kill(os.getpid(), signal.SIGUSR1)
        await came.wait()
        loop.remove_signal_handler(signal.SIGUSR1)

    run(scenario)


def test_a_socket_may_be_read_and_written_by_turns(pair):
    ours, theirs = pair

    async def scenario(loop):
        read, written = [], asyncio.Event()
        loop.add_reader(ours.fileno(), lambda: read.append(ours.recv(100)))

        def writable():
            ours.send(b"pong")
            loop.remove_writer(ours.fileno())
            written.set()

        theirs.send(b"ping")
        loop.add_writer(ours.fileno(), writable)
        await written.wait()
        theirs.send(b"more")
        while len(read) < 2:
            await asyncio.sleep(0.001)
        assert read == [b"ping", b"more"]
        assert theirs.recv(9) == b"pong"

    run(scenario)


def test_an_exception_of_a_reader_is_told_and_others_go_on(pair):
    ours, theirs = pair

    async def scenario(loop):
        told = []
        loop.set_exception_handler(lambda loop, context: told.append(context["exception"]))

        def bad():
            ours.recv(1)
            raise ValueError("no")

        loop.add_reader(ours.fileno(), bad)
        theirs.send(b"ab")
        while len(told) < 2:
            await asyncio.sleep(0.001)
        assert [type(each) for each in told] == [ValueError] * 2

    run(scenario)


def test_a_reader_that_another_one_removed_is_not_called(pair):
    ours, theirs = pair

    async def scenario(loop):
        called = []

        def reader(name, other):
            called.append(name)
            loop.remove_reader(other)

        loop.add_reader(ours.fileno(), reader, "ours", theirs.fileno())
        loop.add_reader(theirs.fileno(), reader, "theirs", ours.fileno())
        ours.send(b"x")
        theirs.send(b"x")
        while not called:
            await asyncio.sleep(0.001)
        first = called[0]
        loop.remove_reader((ours if first == "ours" else theirs).fileno())
        assert set(called) == {first}

    run(scenario)


def test_asyncios_own_streams_work_on_it(pair):
    async def scenario(loop):
        async def serve(reader, writer):
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        writer.close()
        server.close()
        await server.wait_closed()

    run(scenario)


class Scripted:
    """An epoll that finds something at the polls told beforehand; `clock` is the time it takes."""

    def __init__(self, monkeypatch, found: list[int]) -> None:
        self.found = found
        self.timeouts: list[float | None] = []
        self.now = 1.0
        self.pause = 10e-6
        self.nap = 1.0
        monkeypatch.setattr(loop_module, "monotonic", lambda: self.now)

    def poll(self, timeout: float | None, limit: int) -> list[tuple[int, int]]:
        self.timeouts.append(timeout)
        self.now += self.pause if timeout == 0 else self.nap
        return [(9, select.EPOLLIN)] if len(self.timeouts) in self.found else []

    def close(self) -> None:
        pass


def scripted(monkeypatch, found: list[int]) -> tuple[PacketSelector, Scripted]:
    """A selector that lingers 50 us, five polls long, on such an epoll."""
    selector = PacketSelector()
    selector.linger = 50e-6
    script = Scripted(monkeypatch, found)
    selector._poll_set.close()
    selector._poll_set = script
    return selector, script


def waits(monkeypatch, found: list[int], times: int) -> list[float | None]:
    selector, script = scripted(monkeypatch, found)
    for _ in range(times):
        selector._wait(None)
    selector.close()
    return script.timeouts


def test_who_hears_nothing_sleeps_at_once(monkeypatch):
    assert waits(monkeypatch, [2, 4], 2) == [0, None, 0, None]


def test_after_a_packet_that_was_there_already_the_next_is_looked_for_a_while(monkeypatch):
    assert waits(monkeypatch, [1, 4], 2) == [0, 0, 0, 0]


def test_a_wait_in_vain_ends_it(monkeypatch):
    timeouts = waits(monkeypatch, [1], 3)
    assert timeouts[1:-2].count(0) > 2
    assert timeouts[-3:] == [None, 0, None]


def test_who_is_woken_soon_looks_again_the_next_time(monkeypatch):
    selector, script = scripted(monkeypatch, [2, 5])
    script.nap = 70e-6
    selector._wait(None)
    selector._wait(None)
    assert script.timeouts == [0, None, 0, 0, 0], "70 us, with the time it takes to wake, are close"
    selector.close()


def test_looks_in_vain_become_rare_where_packets_always_come_a_little_late(monkeypatch):
    selector, script = scripted(monkeypatch, [])
    script.nap = 30e-6
    selector._close = True
    looked = []
    for _ in range(300):
        before = len(script.timeouts)
        selector._wait(None)
        looked.append(len(script.timeouts) - before > 2)
    assert [at for at, look in enumerate(looked) if look] == [0, 2, 6, 14, 30, 62, 126, 190, 254]
    script.found = [len(script.timeouts) + 3]
    selector._asleep = 0
    selector._wait(None)
    assert script.found == [len(script.timeouts)], "found by looking"
    script.found = []
    for expected in (True, False, True):
        before = len(script.timeouts)
        selector._wait(None)
        assert (len(script.timeouts) - before > 2) is expected, "the count began anew"
    selector.close()


def test_who_lost_the_processor_meanwhile_does_not_linger_for_a_while(monkeypatch):
    selector, script = scripted(monkeypatch, list(range(1, 100, 2)))
    selector._wait(None)
    script.pause = 3e-3
    selector._wait(None)
    assert script.timeouts == [0, 0, 0], "found while lingering, but late"
    script.pause = 10e-6
    script.found = [5]
    selector._close = True
    selector._wait(None)
    assert script.timeouts[3:] == [0, None], "sleeps at once"
    script.found = [6, 8]
    selector._wait(None)
    assert script.timeouts[5:] == [0]
    selector._wait(None)
    assert script.timeouts[6:] == [0, 0], "a second has passed: it lingers again"
    selector.close()


@pytest.mark.parametrize(("taken", "rest"), [(60e-6, 1.2e-3), (3e-3, 60e-3), (0.5, 0.1)])
def test_the_pause_is_as_long_as_the_need_for_the_processor_was(taken, rest, monkeypatch):
    selector, script = scripted(monkeypatch, [1, 3])
    selector._wait(None)
    script.pause = taken
    selector._wait(None)
    script.pause = 10e-6
    lost = script.now
    for after, looks in ((0.9 * rest, False), (1.1 * rest, True)):
        script.now = lost + after
        selector._close = True
        before = len(script.timeouts)
        selector._wait(None)
        assert (len(script.timeouts) - before > 2) is looks
    selector.close()


def test_a_timer_that_is_nearer_than_the_wait_is_waited_for_asleep(monkeypatch):
    selector, script = scripted(monkeypatch, [])
    selector._close = True
    selector._wait(20e-6)
    selector._wait(0)
    assert script.timeouts == [20e-6, 0]
    selector.close()


def test_on_a_single_processor_nobody_lingers(monkeypatch):
    loop = PacketLoop()
    loop.linger(1e-3)
    assert loop._packets.linger == 1e-3 or len(os.sched_getaffinity(0)) == 1
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0})
    loop.linger(1e-3)
    assert loop._packets.linger == 0.0
    loop.close()
