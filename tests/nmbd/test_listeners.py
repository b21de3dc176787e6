# SPDX-License-Identifier: GPL-3.0-or-later
import socket
from collections.abc import Callable

import pytest

from pydaemons.kit.sockets import Inherited
from pydaemons.netbios.node.subnet import Interface
from pydaemons.nmbd.listeners import Listeners


class Port:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.closed = False

    def close(self) -> None:
        self.closed = True
        self.sock.close()


class FakeDriver:
    """Keeps the sockets it is to listen on."""

    def __init__(self) -> None:
        self.ports: list[Port] = []

    def listen(self, sock: socket.socket) -> Port:
        self.ports.append(Port(sock))
        return self.ports[-1]

    def open(self) -> list[str]:
        return sorted(port.sock.getsockname()[0] for port in self.ports if not port.closed)


def loopback(number: int) -> Interface:
    return Interface("lo", 1, f"127.0.{number}.1", 24, f"127.0.{number}.255")


@pytest.fixture
def driver() -> FakeDriver:
    return FakeDriver()


@pytest.fixture
def listen(driver) -> Callable[..., Listeners]:
    def make(passed: list[Inherited] | None = None, standard_input: socket.socket | None = None) -> Listeners:
        return Listeners(driver, passed or [], standard_input=standard_input)

    return make


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_one_socket_serves_all_interfaces(driver, listen):
    listeners = listen()
    listeners.open("127.0.0.1", free_port(), [loopback(1)])
    listeners.follow([loopback(1), loopback(2)])
    assert driver.open() == ["127.0.0.1"]
    assert driver.ports[0].sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)


def test_sockets_of_single_interfaces_come_and_go_with_them(driver, listen):
    listeners = listen()
    listeners.open(None, free_port(), [loopback(1)])
    assert driver.open() == ["127.0.1.1", "127.0.1.255"]
    listeners.follow([loopback(1), loopback(2)])
    assert driver.open() == ["127.0.1.1", "127.0.1.255", "127.0.2.1", "127.0.2.255"]
    listeners.follow([loopback(2)])
    assert driver.open() == ["127.0.2.1", "127.0.2.255"]


def test_a_socket_passed_by_systemd_or_a_super_server_is_used(driver, listen):
    for by_systemd in (True, False):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        if by_systemd:
            listeners = listen([Inherited("netbios-ns", sock.fileno(), sock)])
        else:
            listeners = listen(standard_input=sock)
        listeners.open("127.0.0.9", 1, [])
        assert driver.ports[-1].sock is sock
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)
