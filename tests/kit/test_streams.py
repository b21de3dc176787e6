# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct

import pytest

from fakes.shell import run_shell, said, until
from pydaemons.engine.effects import Reply, Send, SendFailed
from pydaemons.engine.protocol import Address, Transport
from pydaemons.kit import sockets, streams
from pydaemons.sunrpc.marking import HEADER, Deframer, frame, mark


def open_listener(driver):
    return driver.listen(sockets.bind_tcp("127.0.0.1", 0))


async def connect(listener, **options):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    for name, value in options.items():
        sock.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", listener.address.port))
    return sock


async def read_records(sock, count):
    deframer, records = Deframer(1 << 24), []
    while len(records) < count:
        data = await said(sock)
        assert data, f"closed after {len(records)} of {count} records"
        records += deframer.feed(data)
    assert not deframer.pending
    return records


async def closed(sock):
    """Whether the peer ends it (and says nothing more)."""
    try:
        return await said(sock) == b""
    except ConnectionResetError:
        return True


def test_records_are_answered_on_their_connection_in_their_order():
    async def scenario(driver, engine):
        listener = open_listener(driver)
        first, second = await connect(listener), await connect(listener)
        first.send(b"".join(frame(b"%d" % i) for i in range(40)))
        second.send(frame(b"other"))
        assert await read_records(first, 40) == [b"%d" % i for i in range(40)]
        assert await read_records(second, 1) == [b"other"]
        origins = {id(origin): origin for origin in engine.origins}
        assert len(origins) == 2
        origin = engine.origins[0]
        assert origin.transport is Transport.TCP
        assert origin.local == Address("127.0.0.1", listener.address.port)

    run_shell(scenario)


def test_the_answers_of_a_read_leave_in_one_piece():
    async def scenario(driver, engine):
        sock = await connect(open_listener(driver))
        sock.send(b"".join(frame(b"%d" % i) for i in range(30)))
        assert await said(sock) == b"".join(frame(b"%d" % i) for i in range(30))
        assert len(set(engine.times)) == 1, "one batch, one look at the clock"

    run_shell(scenario)


def test_fragments_of_any_size_down_to_single_bytes_are_put_together():
    async def scenario(driver, engine):
        sock = await connect(open_listener(driver))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        record = os.urandom(40)
        stream = b"".join(HEADER.pack(1) + record[i : i + 1] for i in range(39))
        stream += HEADER.pack(0) * 3 + mark(1) + record[39:]
        for i in range(len(stream)):
            sock.send(stream[i : i + 1])
            await asyncio.sleep(0)
        assert await read_records(sock, 1) == [record]

    run_shell(scenario)


@pytest.mark.parametrize("bad", [mark(streams.RECORD + 1), b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64])
def test_a_stream_out_of_step_is_closed_and_counted_and_others_go_on(bad):
    async def scenario(driver, engine):
        listener = open_listener(driver)
        bad_peer, good = await connect(listener), await connect(listener)
        bad_peer.send(bad)
        assert await closed(bad_peer)
        assert driver.counts["streams out of step"] == 1
        good.send(frame(b"x"))
        assert await read_records(good, 1) == [b"x"]

    run_shell(scenario)


def test_a_record_that_breaks_the_engine_costs_only_itself():
    async def scenario(driver, engine):
        engine.answer = lambda data, origin: bytes([data[3]])
        sock = await connect(open_listener(driver))
        sock.send(frame(b"abcd") + frame(b"") + frame(b"efgh"))
        assert await read_records(sock, 2) == [b"d", b"h"]
        assert driver.counts["exceptions"] == 1

    run_shell(scenario)


def test_a_peer_that_does_not_read_is_not_read_from_until_it_does():
    size, count = 60000, 100

    async def scenario(driver, engine):
        listener = open_listener(driver)
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        sock = await connect(listener, SO_RCVBUF=65536)
        engine.answer = lambda data, origin: data[:4] + bytes(size)
        questions = b"".join(frame(struct.pack(">I", i) + bytes(2000)) for i in range(count))
        sending = asyncio.ensure_future(driver.loop.sock_sendall(sock, questions))
        connection = None
        for _ in range(200):
            await asyncio.sleep(0.005)
            (connection,) = driver.streams.connections()
            if connection._paused:
                break
        assert connection is not None
        assert connection._paused
        assert not connection.quiet
        held = len(connection._out)
        # What one read may have completed before we stopped.
        assert held < streams.HIGH_WATER + streams.READ // 2000 * (size + 8) + size
        stopped = len(engine.received)
        await asyncio.sleep(0.05)
        assert len(engine.received) == stopped < count
        records = await read_records(sock, count)
        assert [struct.unpack(">I", record[:4])[0] for record in records] == list(range(count))
        await sending
        assert connection.quiet

    run_shell(scenario)


def test_a_peer_that_never_reads_is_given_up_when_we_have_too_much_to_say(monkeypatch):
    monkeypatch.setattr(streams, "UNSENT", 300000)

    async def scenario(driver, engine):
        listener = open_listener(driver)
        sock = await connect(listener, SO_RCVBUF=4096)
        sock.send(frame(b"x"))
        await until(lambda: engine.origins)
        while not driver.counts["connections closed: peer does not read"]:
            engine.effects.append(Reply(engine.origins[0], bytes(100000)))
            driver.post("more")
            await asyncio.sleep(0)
        assert driver.streams.connections() == ()
        engine.effects.append(Reply(engine.origins[0], b"nobody there"))
        driver.post("last")
        await until(lambda: driver.counts["replies to closed connections"])

    run_shell(scenario)


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


def test_a_peer_that_has_finished_sending_still_gets_its_answers():
    async def scenario(driver, engine):
        listener = open_listener(driver)
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        engine.answer = lambda data, origin: data * 100000
        sock = await connect(listener, SO_RCVBUF=65536)
        sock.send(b"".join(frame(b"%d" % i) for i in range(10)))
        sock.shutdown(socket.SHUT_WR)
        await until(lambda: len(engine.received) == 10)
        assert await read_records(sock, 10) == [b"%d" % i * 100000 for i in range(10)]
        assert await closed(sock)
        await until(lambda: driver.streams.connections() == ())

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
    monkeypatch.setattr(streams, "CONNECT", 0.05)

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


def test_another_framing_may_be_spoken():
    class Lines:
        def __init__(self, limit):
            self._rest = b""

        @property
        def pending(self):
            return bool(self._rest)

        def feed(self, data):
            *lines, self._rest = (self._rest + data).split(b"\n")
            return lines

    async def scenario(driver, engine):
        engine.answer = lambda data, origin: data.upper() + b"\n"
        framing = streams.Framing(Lines, lambda size: b"> ")
        listener = driver.streams.listen(sockets.bind_tcp("127.0.0.1", 0), framing)
        sock = await connect(listener)
        sock.send(b"one\ntwo\nthr")
        assert await said(sock) == b"> ONE\n> TWO\n"
        listener.close()
        sock.send(b"ee\n")
        assert await said(sock) == b"> THREE\n", "closing the listener leaves its connections"

    run_shell(scenario)
