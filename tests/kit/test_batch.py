# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import socket

import pytest

from fakes.shell import Glance, run_shell, said, until
from pydaemons.engine.effects import Reply
from pydaemons.engine.protocol import Address, Transport
from pydaemons.kit import arena, batch, sockets
from pydaemons.kit.arena import DATAGRAM, MESSAGES
from pydaemons.kit.batch import ROUNDS

needs_ipv6 = pytest.mark.skipif(not sockets.has_ipv6(), reason="this kernel has no IPv6")


@pytest.fixture(params=["recvmmsg", "recvmsg"])
def any_way(request, monkeypatch):
    """Both ways of reading: the fast one and the one for C libraries without it."""
    if request.param == "recvmsg":
        monkeypatch.setattr(arena, "AVAILABLE", False)
    return request.param


def peer(port, host="127.0.0.1"):
    """A client's socket, connected to a port of the driver."""
    sock = socket.socket(sockets.family_of(host), socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.connect((host, port.address.port))
    return sock


def test_a_datagram_is_answered_from_the_address_it_was_sent_to(any_way):
    async def scenario(driver, engine):
        port = driver.listen(sockets.bind_udp("", 0))
        for host in ("127.0.0.1", "127.0.0.77"):
            # Connected: the kernel shows nothing that comes from any other address.
            client = peer(port, host)
            client.send(b"question")
            assert await said(client) == b"question"
            origin = engine.origins[-1]
            assert origin.local == Address(host, port.address.port)
            assert origin.peer == Address(*client.getsockname())
            assert origin.transport is Transport.UDP

    run_shell(scenario)


@needs_ipv6
def test_ipv6_is_served_on_its_own_socket(any_way):
    async def scenario(driver, engine):
        port = driver.listen(sockets.bind_udp("::", 0))
        client = peer(port, "::1")
        client.send(b"six")
        assert await said(client) == b"six"
        assert engine.origins[-1].local == Address("::1", port.address.port)
        assert engine.origins[-1].peer.host == "::1"

    run_shell(scenario)


def test_the_same_peer_is_the_same_origin_and_another_one_is_not(any_way):
    async def scenario(driver, engine):
        port = driver.listen(sockets.bind_udp("", 0))
        first, second = peer(port), peer(port)
        other_address = peer(port, "127.0.0.2")
        for client in (first, second, first, other_address, first):
            client.send(b"x")
            await said(client)
        a, b, c, d, e = engine.origins
        assert a is c is e
        assert len({id(a), id(b), id(d)}) == 3

    run_shell(scenario)


def test_an_origin_somebody_keeps_outlives_the_memory_for_many_others(monkeypatch):
    monkeypatch.setattr(batch, "ORIGINS", 4)

    async def scenario(driver, engine):
        port = driver.listen(sockets.bind_udp("", 0))
        kept = peer(port)
        kept.send(b"x")
        await said(kept)
        for _ in range(20):
            client = peer(port)
            client.send(b"x")
            await said(client)
            client.close()
        kept.send(b"x")
        await said(kept)
        assert engine.origins[-1] is engine.origins[0]
        assert len(port._origins) <= 4
        assert len(port._older) <= 4

    run_shell(scenario)


def test_every_answer_of_a_burst_goes_to_its_own_peer(any_way):
    async def scenario(driver, engine):
        engine.answer = lambda data, origin: None if int(data) % 3 == 0 else data * 2
        port = driver.listen(sockets.bind_udp("", 0))
        clients = [peer(port, f"127.0.0.{1 + i % 3}") for i in range(50)]
        for i, client in enumerate(clients):
            client.send(b"%d" % i)
        for i, client in enumerate(clients):
            if i % 3:
                assert await said(client) == b"%d" % i * 2
        await until(lambda: len(engine.received) == 50)
        assert len(set(engine.times)) < 50, "the clock is read once a batch"

    run_shell(scenario)


def test_a_wakeup_takes_a_bounded_number_of_datagrams_and_the_rest_comes_next():
    async def scenario(driver, engine):
        port = driver.listen(sockets.bind_udp("127.0.0.1", 0))
        client = peer(port)
        sent = MESSAGES * ROUNDS + 10
        for _ in range(sent):
            client.send(b"x")
        port.drain()
        assert len(engine.received) == MESSAGES * ROUNDS
        await until(lambda: len(engine.received) == sent)

    run_shell(scenario)


def test_a_datagram_that_is_too_long_is_counted_and_the_next_one_served(any_way):
    async def scenario(driver, engine):
        port = driver.listen(sockets.bind_udp("127.0.0.1", 0))
        client = peer(port)
        client.send(bytes(DATAGRAM + 1))
        client.send(b"short")
        client.send(bytes(DATAGRAM))
        assert await said(client) == b"short"
        assert await said(client) == bytes(DATAGRAM)
        assert driver.counts["datagrams too long"] == 1

    run_shell(scenario)


def test_an_answer_longer_than_a_slot_still_arrives(any_way):
    async def scenario(driver, engine):
        engine.answer = lambda data, origin: data * 20000
        client = peer(driver.listen(sockets.bind_udp("", 0)), "127.0.0.5")
        client.send(b"abc")
        assert await said(client) == b"abc" * 20000

    run_shell(scenario)


def test_empty_datagrams_are_datagrams(any_way):
    async def scenario(driver, engine):
        client = peer(driver.listen(sockets.bind_udp("127.0.0.1", 0)))
        client.send(b"")
        client.send(b"x")
        assert [await said(client), await said(client)] == [b"", b"x"]
        assert engine.received == [b"", b"x"]

    run_shell(scenario)


def test_garbage_that_breaks_the_engine_costs_only_itself(any_way):
    def answer(data, origin):
        return bytes([data[5]])

    async def scenario(driver, engine):
        client = peer(driver.listen(sockets.bind_udp("127.0.0.1", 0)))
        for data in (b"\xde\xad", b"123456", b""):
            client.send(data)
        assert await said(client) == b"6"
        await until(lambda: driver.counts["exceptions"] == 2)
        assert any("dead" in line and "IndexError" in line for line in driver.log.lines)
        assert not driver.left.done()

    run_shell(scenario, answer=answer)


def test_a_peer_that_has_gone_disturbs_nobody(any_way):
    async def scenario(driver, engine):
        port = driver.listen(sockets.bind_udp("127.0.0.1", 0))
        gone, stays = peer(port), peer(port)
        for _ in range(5):
            gone.send(b"x")
        gone.close()  # its answers meet ICMP port unreachable
        for _ in range(5):
            stays.send(b"y")
            assert await said(stays) == b"y"

    run_shell(scenario)


def test_a_late_reply_leaves_from_the_address_of_its_question(any_way):
    async def scenario(driver, engine):
        engine.answer = lambda data, origin: None
        port = driver.listen(sockets.bind_udp("", 0))
        client = peer(port, "127.0.0.9")
        client.send(b"question")
        await until(lambda: engine.origins)
        engine.effects.append(Reply(engine.origins[0], b"late"))
        driver.post("now")
        assert await said(client) == b"late"

    run_shell(scenario)


def test_an_answer_that_cannot_be_sent_is_counted_and_the_others_arrive(any_way):
    async def scenario(driver, engine):
        # 65,508 bytes and more are no datagram; one slot's worth is checked by sendmmsg stopping there.
        engine.answer = lambda data, origin: bytes(70000) if data == b"big" else data
        port = driver.listen(sockets.bind_udp("127.0.0.1", 0))
        client = peer(port)
        for data in (b"a", b"big", b"b"):
            client.send(data)
        assert [await said(client), await said(client)] == [b"a", b"b"]
        await until(lambda: driver.counts["send errors: EMSGSIZE"] == 1)

    run_shell(scenario)


def test_a_batch_that_the_kernel_takes_in_part_is_sent_on_behind_the_bad_one(monkeypatch):
    calls = []
    real = batch.sendmmsg

    def sendmmsg(descriptor, address, count, flags):
        calls.append(count)
        if len(calls) == 1:
            return real(descriptor, address, 2, flags)  # partial
        if len(calls) == 2:
            batch.ctypes.set_errno(errno.EPERM)  # a packet filter's no, for the third
            return -1
        return real(descriptor, address, count, flags)

    async def scenario(driver, engine):
        port = driver.listen(sockets.bind_udp("127.0.0.1", 0))
        client = peer(port)
        for i in range(5):
            client.send(b"%d" % i)
        monkeypatch.setattr(batch, "sendmmsg", sendmmsg)
        port.drain()
        assert [await said(client) for _ in range(4)] == [b"0", b"1", b"3", b"4"]
        assert calls == [5, 3, 2]
        assert driver.counts["send errors: EPERM"] == 1
        assert driver.counts["datagrams out"] == 4

    run_shell(scenario)


def test_a_full_send_queue_drops_the_rest_of_the_batch_and_counts_it(monkeypatch):
    def sendmmsg(descriptor, address, count, flags):
        batch.ctypes.set_errno(errno.EAGAIN)
        return -1

    async def scenario(driver, engine):
        port = driver.listen(sockets.bind_udp("127.0.0.1", 0))
        client = peer(port)
        for _ in range(5):
            client.send(b"x")
        monkeypatch.setattr(batch, "sendmmsg", sendmmsg)
        port.drain()
        assert driver.counts["send errors: EAGAIN"] + driver.counts["datagrams dropped"] == 5
        monkeypatch.undo()
        client.send(b"y")
        assert await said(client) == b"y"

    run_shell(scenario)


def test_a_closed_port_gives_its_number_back_and_an_old_origin_is_harmless():
    async def scenario(driver, engine):
        port = driver.listen(sockets.bind_udp("127.0.0.1", 0))
        client = peer(port)
        client.send(b"x")
        await said(client)
        number = port.address.port
        port.close()
        port.close()
        engine.effects.append(Reply(engine.origins[0], b"late"))
        driver.post("go")
        await until(lambda: driver.counts["send errors: EBADF"])
        again = driver.listen(sockets.bind_udp("127.0.0.1", number))
        client.send(b"y")
        assert await said(client) == b"y"
        assert engine.origins[-1] is engine.origins[0]
        engine.effects.append(Reply(engine.origins[0], b"by the new socket"))
        driver.post("go")
        assert await said(client) == b"by the new socket"
        assert again.release().fileno() >= 0

    run_shell(scenario)


def test_what_the_engine_answers_at_a_glance_it_is_not_asked_about():
    async def scenario(driver, engine):
        driver.prompt = Glance()
        engine.answer = lambda data, origin: None if data == b"none" else data + b"."
        port = driver.listen(sockets.bind_udp("", 0))
        first, second = peer(port), peer(port)
        for data in (b"q1", b"q2", b"one", b"none", b"q333", b"q!", b"q4"):
            first.send(data)
        for data in (b"q5", b"q6"):
            second.send(data)
        first.send(b"q7")
        port.drain()
        assert [await said(first) for _ in range(6)] == [b"Q1", b"Q2", b"one.", b"Q333", b"Q4", b"Q7"]
        assert [await said(second) for _ in range(2)] == [b"Q5", b"Q6"]
        assert engine.received == [b"one", b"none"]
        assert driver.counts["exceptions"] == 1
        assert max(driver.prompt.calls) == 7, "those of one origin together, and no other's"
        (entry,) = [entry for entry in driver.log.entries if "PACKET" in entry]
        assert bytes.fromhex(entry["PACKET"]) == b"q!", "the packet that broke it is named"

    run_shell(scenario)


def test_what_comes_alone_is_treated_as_what_comes_with_others():
    async def scenario(driver, engine):
        driver.prompt = Glance()
        engine.answer = lambda data, origin: {b"none": None, b"long": bytes(DATAGRAM + 1)}.get(data, data)
        port = driver.listen(sockets.bind_udp("", 0))
        client = peer(port)
        for data in (b"q1", b"one", b"none", b"long", b"q!", bytes(DATAGRAM + 1), b"", b"q2"):
            client.send(data)
            port.drain()
        answers = [b"Q1", b"one", bytes(DATAGRAM + 1), b"", b"Q2"]
        assert [await said(client) for _ in answers] == answers
        assert engine.received == [b"one", b"none", b"long", b""]
        assert (driver.counts["exceptions"], driver.counts["datagrams too long"]) == (1, 1)

    run_shell(scenario)


def test_where_glances_are_in_vain_they_become_rare():
    async def scenario(driver, engine):
        driver.prompt = Glance()
        port = driver.listen(sockets.bind_udp("", 0))
        client = peer(port)
        packets = [b"x%d" % number for number in range(40)] + [b"q%d" % number for number in range(20)]
        for data in packets:
            client.send(data)
        port.drain()
        assert [await said(client) for _ in packets] == [
            data.upper() if data in set(packets) - set(engine.received) else data for data in packets
        ]
        assert len(driver.prompt.calls) < 15
        assert len(engine.received) < 55, "and come back when they are not"

    run_shell(scenario)
