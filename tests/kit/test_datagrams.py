# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import socket

import pytest

from fakes.shell import run_shell, until
from pydaemons.engine.effects import Send, SendFailed
from pydaemons.engine.protocol import Address, Transport
from pydaemons.kit import sockets


def test_our_own_datagrams_leave_from_the_listening_port_and_the_wanted_address():
    async def scenario(driver, engine):
        port = driver.listen(sockets.bind_udp("", 0))
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.bind(("127.0.0.1", 0))
        other.setblocking(False)
        to = Address(*other.getsockname())
        engine.effects.append(Send(Transport.UDP, to, b"granted", source="127.0.0.42"))
        driver.post("go")
        await until(lambda: driver.counts["datagrams out"])
        data, sender = other.recvfrom(100)
        assert (data, sender) == (b"granted", ("127.0.0.42", port.address.port))
        other.sendto(b"thanks", sender)
        await until(lambda: engine.received == [b"thanks"])
        assert engine.origins[0].peer == to

    run_shell(scenario)


def test_without_a_fitting_listener_a_socket_of_our_own_is_used_and_hears_the_answer():
    async def scenario(driver, engine):
        engine.answer = lambda data, origin: None
        driver.listen(sockets.bind_udp("127.0.0.2", 0))  # the wrong address
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.bind(("127.0.0.1", 0))
        to = Address(*other.getsockname())
        engine.effects += [Send(Transport.UDP, to, b"1"), Send(Transport.UDP, to, b"2")]
        driver.post("go")
        await until(lambda: driver.counts["datagrams out"] == 2)
        senders = {other.recvfrom(100)[1] for _ in range(2)}
        assert len(senders) == 1
        other.sendto(b"answer", senders.pop())
        await until(lambda: engine.received == [b"answer"])

    run_shell(scenario)


@pytest.mark.skipif(os.geteuid() != 0, reason="ports below 1024 need root")
def test_a_privileged_send_leaves_from_a_port_below_1024():
    async def scenario(driver, engine):
        engine.answer = lambda data, origin: None
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.bind(("127.0.0.1", 0))
        to = Address(*other.getsockname())
        engine.effects.append(Send(Transport.UDP, to, b"x", source="127.0.0.3", privileged=True))
        driver.post("go")
        await until(lambda: driver.counts["datagrams out"])
        host, port = other.recvfrom(100)[1]
        assert host == "127.0.0.3"
        assert 512 <= port < 1024
        other.sendto(b"answer", (host, port))
        await until(lambda: engine.received == [b"answer"])

    run_shell(scenario)


def test_the_source_port_chooses_among_the_listeners():
    async def scenario(driver, engine):
        driver.listen(sockets.bind_udp("", 0))
        second = driver.listen(sockets.bind_udp("", 0))
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.bind(("127.0.0.1", 0))
        to = Address(*other.getsockname())
        engine.effects.append(Send(Transport.UDP, to, b"x", source_port=second.address.port))
        engine.effects.append(Send(Transport.UDP, to, b"y", source_port=1))
        driver.post("go")
        await until(lambda: len(engine.events) == 2)
        assert other.recvfrom(100)[1][1] == second.address.port
        assert engine.events[1] == SendFailed(to, Transport.UDP, "not listening on port 1")

    run_shell(scenario)


@pytest.mark.parametrize(
    ("to", "source"),
    [
        (Address("127.0.0.1", 99), "192.0.2.1"),  # not an address of ours
        (Address("nfs.example", 99), None),  # not numeric: nothing is ever looked up
        (Address("255.255.255.255", 99), None),  # not allowed to broadcast
    ],
)
def test_what_cannot_be_sent_is_told(to, source):
    async def scenario(driver, engine):
        driver.listen(sockets.bind_udp("", 0))
        engine.effects.append(Send(Transport.UDP, to, b"x", source=source))
        driver.post("go")
        await until(lambda: len(engine.events) == 2)
        failed = engine.events[1]
        assert isinstance(failed, SendFailed)
        assert (failed.to, failed.transport) == (to, Transport.UDP)
        assert failed.error

    run_shell(scenario)


def test_a_refused_question_is_told_with_its_destination():
    async def scenario(driver, engine):
        closed = sockets.bind_udp("127.0.0.1", 0)
        to = Address(*closed.getsockname())
        closed.close()
        engine.effects.append(Send(Transport.UDP, to, b"anybody there?"))
        driver.post("go")
        await until(lambda: len(engine.events) == 2)
        assert engine.events[1] == SendFailed(to, Transport.UDP, "Connection refused")
        # and the socket it left from goes on
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.bind(("127.0.0.1", 0))
        engine.effects.append(Send(Transport.UDP, Address(*other.getsockname()), b"you?"))
        driver.post("go")
        await until(lambda: driver.counts["datagrams out"] == 2)
        assert other.recv(100) == b"you?"

    run_shell(scenario)
