# SPDX-License-Identifier: GPL-3.0-or-later
"""Where clients find our programs: which rpcbind it is, and what is told there."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from pydaemons.engine.effects import Level
from pydaemons.engine.protocol import Address, Transport
from pydaemons.kit.sockets import BindError
from pydaemons.lockd.directory import Directory
from pydaemons.lockd.registrar import Mode
from pydaemons.sunrpc.rpcbind import Rpcb

NLM = [(Transport.UDP, Address("0.0.0.0", 4045)), (Transport.TCP, Address("::", 4046))]
NSM = [(Transport.UDP, Address("0.0.0.0", 700))]


class Sockets:
    """The part of Listeners that a directory uses."""

    def __init__(self, error: BindError | None = None) -> None:
        self.error = error
        self.opened: dict[Transport, int] = {}

    def open(self, ports: dict[Transport, int]) -> None:
        if self.error is not None:
            raise self.error
        self.opened = ports

    def addresses(self) -> list[tuple[Transport, Address]]:
        return [(transport, Address("0.0.0.0", port)) for transport, port in self.opened.items()]


def directory(mode: str, nobody_answers: bool = True) -> tuple[Directory, list[tuple[Level, str]]]:
    said: list[tuple[Level, str]] = []
    made = Directory(mode=mode, port=11111, report=lambda level, text: said.append((level, text)))

    async def connect() -> None:
        return None

    if nobody_answers:
        made._registrar._connect = connect  # type: ignore[method-assign,assignment]
    return made, said


def test_our_own_rpcbind_tells_of_every_version_and_transport_and_follows_a_moved_port() -> None:
    made, _ = directory("auto")
    sockets = Sockets()

    async def scenario() -> None:
        await made.open(sockets)  # type: ignore[arg-type]
        await made.publish(NLM, NSM)
        for version in (1, 3, 4):
            assert made.portmapper.find(100021, version, "udp") == 4045
            assert made.portmapper.find(100021, version, "tcp6") == 4046
        assert made.portmapper.find(100021, 4, "tcp") == 0
        assert made.portmapper.find(100024, 1, "udp") == 700
        assert made.portmapper.find(100000, 2, "udp") == 11111
        await made.publish([(Transport.UDP, Address("0.0.0.0", 5000))], [])
        assert made.portmapper.find(100021, 4, "udp") == 5000
        assert made.portmapper.find(100021, 4, "tcp6") == 0
        assert made.portmapper.find(100024, 1, "udp") == 0
        await made.close()

    asyncio.run(scenario())
    assert made.mode is Mode.EMBEDDED
    assert sockets.opened == {Transport.UDP: 11111, Transport.TCP: 11111}
    assert "itself" in made.status()


def test_a_port_that_cannot_be_had_is_a_warning_by_auto_and_an_error_by_order() -> None:
    taken = BindError(errno.EADDRINUSE, "udp port 11111 is held by somebody")
    made, said = directory("auto")
    asyncio.run(made.open(Sockets(taken)))  # type: ignore[arg-type]
    assert made.mode is Mode.HOST
    assert [level for level, _ in said] == [Level.WARNING]
    assert "held by somebody" in said[0][1]
    strict, _ = directory("embedded")
    with pytest.raises(BindError):
        asyncio.run(strict.open(Sockets(taken)))  # type: ignore[arg-type]


def test_off_tells_nobody() -> None:
    made, said = directory("off")

    async def scenario() -> None:
        await made.open(Sockets())  # type: ignore[arg-type]
        await made.publish(NLM, NSM)
        await made.close()

    asyncio.run(scenario())
    assert (made.mode, said) == (Mode.OFF, [])
    assert "not registered" in made.status()


def test_a_monitor_counts_only_when_it_answers() -> None:
    made, _ = directory("auto")
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    rows = [
        Rpcb(100024, 1, b"udp", b"0.0.0.0.3.1", b"0"),
        Rpcb(100024, 1, b"tcp", b"not an address", b"0"),
        Rpcb(100024, 1, b"tcp", f"0.0.0.0.{port >> 8}.{port & 255}".encode(), b"0"),
    ]

    async def find(program: int) -> list[Rpcb]:
        return rows

    made._registrar.find = find  # type: ignore[method-assign]
    assert asyncio.run(made.somebody_monitors()) is True
    listener.close()
    assert asyncio.run(made.somebody_monitors()) is False
