# SPDX-License-Identifier: GPL-3.0-or-later
"""The port for bos: systemd's, our own, or one that another has."""

from __future__ import annotations

import socket

from fakes.shell import KeptLog, run_shell, until
from fakes.systemd_units import World
from hosts import rx
from pydaemons.bnode.rxdoor import Door
from pydaemons.bosd import rxport
from pydaemons.bosd.rxport import RxPort
from pydaemons.bosd.settings import Rx
from pydaemons.kit.sockets import Inherited


def settings(**values: object) -> Rx:
    found = Rx()
    for name, value in values.items():
        found.put(name, value, "test")
    return found


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def passed(name: str = "rx") -> Inherited:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return Inherited(name, sock.fileno(), sock)


def test_without_a_word_there_is_none():
    port = RxPort(settings(), [], KeptLog())
    assert not port.wanted
    port.open(None)
    assert not port.trouble


def test_a_socket_of_systemd_is_taken_and_nobody_elses():
    ours, other = passed(), passed("something")
    items = [other, ours]
    assert RxPort(settings(), items, KeptLog()).wanted and items == [other]


def test_calls_are_answered_on_the_port_that_is_configured():
    number = free_port()

    async def scenario(driver, engine):
        port = RxPort(settings(listen=f"127.0.0.1:{number}"), [], KeptLog())
        world = World()
        driver.engine = port.door(world.supervisor, lambda path: True)
        assert isinstance(driver.engine, Door)
        port.open(driver)
        with rx.Client(port=number) as client:
            call = client.begin(84, rx.u32(0))
            call.tick(0.0)
            client.sock.send(call.out.pop())

            def answered():
                try:
                    call.receive(client.sock.recv(2000), 0.0)
                except BlockingIOError:
                    return False
                return call.done

            await until(answered)
            assert call.code == 39429

    run_shell(scenario)


def test_a_port_that_another_has_is_told_once_and_taken_when_it_is_free(monkeypatch):
    monkeypatch.setattr(rxport, "RETRY", 0.01)
    holder = passed().sock
    number = holder.getsockname()[1]
    log, attempts = KeptLog(), []
    bind = rxport.bind_udp
    monkeypatch.setattr(rxport, "bind_udp", lambda *where: attempts.append(where) or bind(*where))

    async def scenario(driver, engine):
        port = RxPort(settings(listen=f"127.0.0.1:{number}", noauth=True), [], log)
        port.open(driver)
        assert "is held by" in port.trouble
        await until(lambda: len(attempts) > 3)
        assert len(log.lines) == 1
        holder.close()
        await until(lambda: not port.trouble)
        assert log.lines[-1] == f"Listening on 127.0.0.1:{number}, and everybody is an administrator"

    run_shell(scenario)
