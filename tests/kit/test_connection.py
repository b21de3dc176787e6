# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import asyncio
import os
import socket
import struct
from itertools import accumulate

import pytest

from fakes.shell import Glance, Tape, run_shell, said, until
from fakes.tcp import closed, connect, open_listener, read_records
from pydaemons.engine.effects import Reply, Rewrite
from pydaemons.engine.protocol import Address, Transport
from pydaemons.kit import connection as connection_module
from pydaemons.kit import sockets
from pydaemons.kit.connection import BATCH, HIGH_WATER, READ, READS, Framing
from pydaemons.kit.streams import RECORD
from pydaemons.sunrpc.marking import HEADER, frame, mark


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


@pytest.mark.parametrize("bad", [mark(RECORD + 1), b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64])
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


def test_what_the_engine_answers_at_a_glance_it_is_not_asked_about():
    async def scenario(driver, engine):
        driver.prompt = Glance()
        engine.answer = lambda data, origin: None if data == b"none" else data + b"."
        sock = await connect(open_listener(driver))
        records = [b"q1", b"q2", b"one", b"none", b"q333", b"q!", b"q4", b"two", b"q5"]
        sock.send(b"".join(map(frame, records)))
        expected = [b"Q1", b"Q2", b"one.", b"Q333", b"Q4", b"two.", b"Q5"]
        assert await read_records(sock, len(expected)) == expected
        assert engine.received == [b"one", b"none", b"two"]
        assert driver.counts["exceptions"] == 1
        assert driver.counts["records out"] == len(expected)
        (entry,) = [entry for entry in driver.log.entries if "PACKET" in entry]
        assert bytes.fromhex(entry["PACKET"]) == b"q!", "the packet that broke it is named"

    run_shell(scenario)


def test_where_glances_are_in_vain_they_become_rare():
    async def scenario(driver, engine):
        driver.prompt = Glance()
        sock = await connect(open_listener(driver))
        sock.send(b"".join(frame(b"x%d" % number) for number in range(BATCH)))
        assert await read_records(sock, BATCH) == [b"x%d" % number for number in range(BATCH)]
        assert len(driver.prompt.calls) < BATCH // 2

    run_shell(scenario)


def test_answers_held_for_the_journal_leave_record_by_record_when_it_can_be_written():
    async def scenario(driver, engine):
        tape = driver.journal = Tape([])
        driver.prompt = Glance()
        engine.answer = lambda data, origin: data + b"."
        driver.settle()
        sock = await connect(open_listener(driver))
        tape.full = True
        driver.prompt.appends = [b"lost"]
        sock.send(frame(b"q1") + frame(b"q22"))
        await until(lambda: driver.counts["replies held for the disk"] == 2)
        sock.send(frame(b"one") + frame(b"q3"))
        await until(lambda: driver.counts["replies held for the disk"] == 4)
        with pytest.raises(BlockingIOError):
            sock.recv(100)
        tape.full = False
        engine.effects = [Rewrite(iter([b"everything"]))]
        driver.post("write it")
        assert await read_records(sock, 4) == [b"Q1", b"Q22", b"one.", b"Q3"]

    run_shell(scenario)


def test_who_sends_without_pause_leaves_others_their_turn():
    async def scenario(driver, engine):
        engine.answer = lambda data, origin: None
        listener = open_listener(driver)
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        busy, other = await connect(listener), await connect(listener)
        await until(lambda: len(driver.streams.connections()) == 2)
        flood = frame(b"x" * 1000) * (2 * READS * READ // 1000)
        busy.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        sent = busy.send(flood)
        assert sent > (READS + 1) * READ
        other.send(frame(b"other"))
        await until(lambda: b"other" in engine.received)
        assert engine.received.index(b"other") <= READS * (READ // 1000) + 2
        await until(lambda: len(engine.received) == 1 + sent // 1004)

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
        assert held < HIGH_WATER + READ // 2000 * (size + 8) + size
        stopped = len(engine.received)
        await asyncio.sleep(0.05)
        assert len(engine.received) == stopped < count
        records = await read_records(sock, count)
        assert [struct.unpack(">I", record[:4])[0] for record in records] == list(range(count))
        await sending
        assert connection.quiet

    run_shell(scenario)


def test_a_peer_that_never_reads_is_given_up_when_we_have_too_much_to_say(monkeypatch):
    monkeypatch.setattr(connection_module, "UNSENT", 300000)

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


def test_another_framing_may_be_spoken():
    class Lines:
        def __init__(self, limit):
            self._rest = b""

        @property
        def wanted(self):
            return 1

        @property
        def pending(self):
            return bool(self._rest)

        def cut(self, data):
            data = self._rest + data
            *lines, self._rest = data.split(b"\n")
            ends = accumulate(len(line) + 1 for line in lines)
            return data, [
                (end - 1 - len(line), len(line), 0, 1) for end, line in zip(ends, lines, strict=True)
            ]

    async def scenario(driver, engine):
        engine.answer = lambda data, origin: data.upper() + b"\n"
        framing = Framing(Lines, lambda size: b"> ")
        listener = driver.streams.listen(sockets.bind_tcp("127.0.0.1", 0), framing)
        sock = await connect(listener)
        sock.send(b"one\ntwo\nthr")
        assert await said(sock) == b"> ONE\n> TWO\n"
        listener.close()
        sock.send(b"ee\n")
        assert await said(sock) == b"> THREE\n", "closing the listener leaves its connections"

    run_shell(scenario)


@pytest.mark.parametrize("cut", range(1, 22))
def test_a_connection_is_handed_over_between_two_records_and_the_next_one_is_not_begun(cut):
    async def scenario(driver, engine):
        sock = await connect(open_listener(driver))
        stream = frame(b"before") + frame(b"the cut") + frame(b"after")
        cut_at = len(frame(b"before")) - 10 + cut
        sock.send(stream[:cut_at])
        await until(lambda: driver.streams.count and (engine.received or cut < 10))
        taken = []
        (connection,) = driver.streams.connections()
        connection.hand_over(taken.append)
        for i in range(cut_at, len(stream)):
            sock.send(stream[i : i + 1])
            await asyncio.sleep(0.001)
        await until(lambda: taken)
        assert not driver.streams.count
        seen = len(engine.received)
        assert await read_records(sock, seen) == [b"before", b"the cut", b"after"][:seen]
        driver.streams.adopt(taken[0])
        left = [b"before", b"the cut", b"after"][seen:]
        assert left
        assert await read_records(sock, len(left)) == left

    run_shell(scenario)


def test_answers_that_the_peer_has_not_read_are_sent_before_a_connection_is_handed_over():
    async def scenario(driver, engine):
        sock = await connect(open_listener(driver))
        engine.answer = lambda data, origin: bytes(60_000)
        taken = []
        await until(lambda: driver.streams.count)
        (connection,) = driver.streams.connections()
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sock.send(frame(b"x") * 50)
        await until(lambda: len(engine.received) == 50)
        assert not connection.quiet
        connection.hand_over(taken.append)
        sock.send(frame(b"later"))
        await asyncio.sleep(0.05)
        assert not taken
        await read_records(sock, 50)
        await until(lambda: taken)
        assert len(engine.received) == 50
        driver.streams.adopt(taken[0])
        await read_records(sock, 1)

    run_shell(scenario)
