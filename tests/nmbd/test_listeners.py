# SPDX-License-Identifier: GPL-3.0-or-later
import socket
from collections.abc import Callable

import pytest

from pydaemons.kit.sockets import BindError, Inherited
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
        self.kept: dict[str, int] = {}
        self.notify = self

    def store(self, name: str, descriptor: int, *, poll: bool) -> bool:
        assert name not in self.kept, "systemd would have it twice"
        self.kept[name] = descriptor
        return True

    def forget(self, name: str) -> None:
        self.kept.pop(name, None)

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


def test_a_reload_moves_the_sockets(driver, listen):
    listeners = listen()
    port = free_port()
    listeners.open("0.0.0.0", port, [loopback(1)])
    listeners.move(None, [loopback(1)])
    assert driver.open() == ["127.0.1.1", "127.0.1.255"]
    listeners.move("127.0.0.1", [loopback(1)])
    assert driver.open() == ["127.0.0.1"]
    assert {port.sock.getsockname()[1] for port in driver.ports if not port.closed} == {port}


def test_a_reload_to_an_address_that_cannot_be_had_changes_nothing(driver, listen):
    listeners = listen()
    listeners.open("127.0.0.1", free_port(), [])
    with pytest.raises(BindError):
        listeners.move("192.0.2.1", [])
    assert driver.open() == ["127.0.0.1"]
    assert set(driver.kept) == {"netbios-ns@127.0.0.1"}


def test_systemd_keeps_exactly_the_sockets_that_are_open(driver, listen):
    listeners = listen()
    listeners.open(None, free_port(), [loopback(1), loopback(2)])
    listeners.follow([loopback(2)])
    assert set(driver.kept) == {"netbios-ns@127.0.2.1", "netbios-ns@127.0.2.255"}


def test_sockets_the_last_process_left_go_on_and_the_others_end(driver, listen):
    port = free_port()
    left = []
    for host, number in (("127.0.1.1", port), ("127.0.1.255", port), ("127.0.9.1", port)):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((host, number))
        left.append(Inherited(f"netbios-ns@{host}", sock.fileno(), sock))
    socks = [item.sock for item in left]
    listen(left).open(None, port, [loopback(1)])
    assert [each.sock for each in driver.ports] == socks[:2]
    assert socks[2].fileno() == -1
    assert left == []


def test_a_socket_left_on_another_port_is_not_used(driver, listen):
    port = free_port()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    listen([Inherited("netbios-ns@127.0.0.1", sock.fileno(), sock)]).open("127.0.0.1", port, [])
    assert driver.ports[0].sock is not sock
    assert driver.ports[0].sock.getsockname() == ("127.0.0.1", port)
