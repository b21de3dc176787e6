# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct

import pytest

from fakes.shell import run_shell, until
from fakes.tcp import closed, connect, open_listener, read_records
from pydaemons.engine.effects import Send, SendFailed
from pydaemons.engine.protocol import Address, Transport
from pydaemons.kit import connection, streams
from pydaemons.sunrpc.marking import frame, mark


def test_at_the_limit_the_connection_quiet_longest_makes_room():
    async def scenario(driver, engine):
        limit = [3]
        driver.streams.limit = lambda: limit[0]
        listener = open_listener(driver)
        a, b, c = [await connect(listener) for _ in range(3)]
        for sock in (a, b, c, a):  # b is now the one heard from longest ago
            sock.send(frame(b"x"))
            await read_records(sock, 1)
        d = await connect(listener)
        assert await closed(b)
        for sock in (a, c, d):
            sock.send(frame(b"y"))
            assert await read_records(sock, 1) == [b"y"]
        limit[0] = 1  # live: at the next accept
        e = await connect(listener)
        assert all([await closed(sock) for sock in (a, c, d)])
        e.send(frame(b"z"))
        assert await read_records(e, 1) == [b"z"]

    run_shell(scenario)


def test_a_connection_in_the_middle_of_a_record_is_spared_before_an_idle_one():
    async def scenario(driver, engine):
        driver.streams.limit = lambda: 2
        listener = open_listener(driver)
        busy = await connect(listener)
        busy.send(mark(4) + b"ab")
        await until(lambda: any(not each.quiet for each in driver.streams.connections()))
        idle = await connect(listener)
        await until(lambda: len(driver.streams.connections()) == 2)
        await connect(listener)
        assert await closed(idle)
        busy.send(b"cd")
        assert await read_records(busy, 1) == [b"abcd"]

    run_shell(scenario)


def test_silence_ends_a_connection():
    async def scenario(driver, engine):
        driver.streams.idle = 0.2
        listener = open_listener(driver)
        silent = await connect(listener)
        await until(lambda: driver.counts["connections in"])
        assert await closed(silent)
        assert driver.counts["connections closed: idle"] == 1

    run_shell(scenario)


def test_a_reset_connection_is_forgotten():
    async def scenario(driver, engine):
        sock = await connect(open_listener(driver))
        await until(driver.streams.connections)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        await until(lambda: not driver.streams.connections())

    run_shell(scenario)


def test_without_descriptors_accepting_pauses_instead_of_spinning(monkeypatch):
    monkeypatch.setattr(streams, "NO_DESCRIPTORS_PAUSE", 0.05)

    class Exhausted:
        """A listening socket in a process that is out of descriptors for a while."""

        def __init__(self, sock):
            self._sock, self.asked, self.exhausted = sock, 0, True

        def __getattr__(self, name):
            return getattr(self._sock, name)

        def accept(self):
            self.asked += 1
            if self.exhausted:
                raise OSError(errno.EMFILE, "Too many open files")
            return self._sock.accept()

    async def scenario(driver, engine):
        listener = open_listener(driver)
        old = await connect(listener)
        await until(driver.streams.connections)
        listener.sock = poor = Exhausted(listener.sock)
        new = await connect(listener)
        start = driver.now().mono
        assert await closed(old), "the connection quiet longest makes room"
        await asyncio.sleep(0.2)
        assert poor.asked <= (driver.now().mono - start) / 0.05 + 2
        poor.exhausted = False
        new.send(frame(b"x"))
        assert await read_records(new, 1) == [b"x"]

    run_shell(scenario)


def test_a_connection_can_be_handed_over_and_taken_up_again():
    async def scenario(driver, engine):
        sock = await connect(open_listener(driver))
        sock.send(frame(b"before"))
        await read_records(sock, 1)
        (connection,) = driver.streams.connections()
        assert connection.quiet
        kept = connection.release()
        sock.send(frame(b"meanwhile"))
        await asyncio.sleep(0.02)
        assert engine.received == [b"before"]
        driver.streams.adopt(kept)
        assert await read_records(sock, 1) == [b"meanwhile"]

    run_shell(scenario)


def peer_listener():
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    sock.setblocking(False)
    return sock


async def accept(sock):
    connection, name = await asyncio.get_running_loop().sock_accept(sock)
    connection.setblocking(False)
    return connection, name


def test_our_own_records_share_a_connection_and_its_answers_come_in():
    async def scenario(driver, engine):
        engine.answer = lambda data, origin: None
        server = peer_listener()
        to = Address(*server.getsockname())
        for data in (b"1", b"2"):
            engine.effects.append(Send(Transport.TCP, to, data, source="127.0.0.8"))
        driver.post("go")
        sock, (host, _) = await accept(server)
        assert host == "127.0.0.8"
        assert await read_records(sock, 2) == [b"1", b"2"]
        sock.send(frame(b"answer"))
        await until(lambda: engine.received == [b"answer"])
        assert engine.origins[0].peer == to
        engine.effects.append(Send(Transport.TCP, to, b"3", source="127.0.0.8"))
        driver.post("go")
        assert await read_records(sock, 1) == [b"3"]
        with pytest.raises(BlockingIOError):
            server.accept()

    run_shell(scenario)


@pytest.mark.skipif(os.geteuid() != 0, reason="ports below 1024 need root")
def test_a_privileged_connection_leaves_from_a_port_below_1024():
    async def scenario(driver, engine):
        server = peer_listener()
        engine.effects.append(Send(Transport.TCP, Address(*server.getsockname()), b"x", privileged=True))
        driver.post("go")
        _, (_, port) = await accept(server)
        assert 512 <= port < 1024

    run_shell(scenario)


def test_a_refused_connection_is_told():
    async def scenario(driver, engine):
        server = peer_listener()
        to = Address(*server.getsockname())
        server.close()
        engine.effects.append(Send(Transport.TCP, to, b"x"))
        driver.post("go")
        await until(lambda: len(engine.events) == 2)
        assert engine.events[1] == SendFailed(to, Transport.TCP, "Connection refused")

    run_shell(scenario)


def test_a_connection_lost_with_a_question_open_is_told_and_one_lost_in_silence_is_not():
    async def scenario(driver, engine):
        engine.answer = lambda data, origin: None
        server = peer_listener()
        to = Address(*server.getsockname())
        engine.effects.append(Send(Transport.TCP, to, b"x"))
        driver.post("go")
        sock, _ = await accept(server)
        await read_records(sock, 1)
        sock.close()
        await until(lambda: len(engine.events) == 2)
        assert engine.events[1] == SendFailed(to, Transport.TCP, "connection lost")
        engine.effects.append(Send(Transport.TCP, to, b"y"))
        driver.post("go")
        sock, _ = await accept(server)
        assert await read_records(sock, 1) == [b"y"]
        sock.send(frame(b"answer"))
        await until(lambda: engine.received)
        sock.close()
        await asyncio.sleep(0.05)
        assert len(engine.events) == 3

    run_shell(scenario)


def test_a_connection_of_our_own_is_closed_when_nothing_more_is_said_on_it(monkeypatch):
    monkeypatch.setattr(streams, "OUTGOING_IDLE", 0.1)

    async def scenario(driver, engine):
        engine.answer = lambda data, origin: None
        server = peer_listener()
        engine.effects.append(Send(Transport.TCP, Address(*server.getsockname()), b"x"))
        driver.post("go")
        sock, _ = await accept(server)
        await read_records(sock, 1)
        sock.send(frame(b"answer"))
        await until(lambda: engine.received)
        assert await closed(sock)
        assert len(engine.events) == 1

    run_shell(scenario)


def test_a_connection_that_does_not_come_about_is_given_up(monkeypatch):
    monkeypatch.setattr(connection, "CONNECT", 0.05)

    async def scenario(driver, engine):
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        to = Address(*server.getsockname())
        waiting = []
        for _ in range(3):  # its queue is full: further SYNs are dropped
            waiting.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(tuple(to))
        engine.effects.append(Send(Transport.TCP, to, b"x"))
        driver.post("go")
        await until(lambda: len(engine.events) == 2)
        assert engine.events[1] == SendFailed(to, Transport.TCP, "Connection timed out")

    run_shell(scenario)


def test_what_is_said_before_the_connection_stands_is_sent_when_it_does():
    async def scenario(driver, engine):
        server = peer_listener()
        to = Address(*server.getsockname())
        big = os.urandom(60000)
        for i in range(20):
            engine.effects.append(Send(Transport.TCP, to, b"%d" % i + big))
        driver.post("go")
        sock, _ = await accept(server)
        assert await read_records(sock, 20) == [b"%d" % i + big for i in range(20)]

    run_shell(scenario)


def test_what_is_no_address_is_told():
    async def scenario(driver, engine):
        to = Address("nfs.example", 1)
        engine.effects.append(Send(Transport.TCP, to, b"x"))
        driver.post("go")
        await until(lambda: len(engine.events) == 2)
        assert isinstance(engine.events[1], SendFailed)

    run_shell(scenario)
