# SPDX-License-Identifier: GPL-3.0-or-later
"""The set of sockets: all or none, kept ones taken over, ports that move."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from fakes.lockserver import free_port
from fakes.shell import ScriptedEngine
from pydaemons.engine.protocol import Transport
from pydaemons.kit.driver import Driver
from pydaemons.kit.log import Log
from pydaemons.kit.notify import Notifier
from pydaemons.kit.sockets import BindError, Inherited, bind_udp, has_ipv6
from pydaemons.lockd.listeners import Listeners

ANY = dict.fromkeys(Transport, 0)
FAMILIES = 2 if has_ipv6() else 1


def with_listeners(
    body: Callable[[Listeners, list[str]], None], passed: list[Inherited] | None = None
) -> None:
    async def scenario() -> None:
        driver = Driver(ScriptedEngine(), asyncio.get_running_loop(), log=Log("test"), notify=Notifier())
        said: list[str] = []
        try:
            body(Listeners(driver, name="nlm", passed=passed or [], say=said.append), said)
        finally:
            driver.close()

    asyncio.run(scenario())


def test_every_transport_and_family_is_there_and_families_share_their_port() -> None:
    def body(listeners: Listeners, said: list[str]) -> None:
        listeners.open(ANY)
        found = listeners.addresses()
        assert len(found) == 2 * FAMILIES
        for transport in Transport:
            assert {address.port for each, address in found if each is transport} == {
                listeners.port(transport)
            }
        listeners.open(ANY)
        assert listeners.addresses() == found, "what is there stays"

    with_listeners(body)


def test_if_one_cannot_be_had_the_others_are_given_back() -> None:
    port = free_port()
    holder = bind_udp("0.0.0.0", port)

    def body(listeners: Listeners, said: list[str]) -> None:
        with pytest.raises(BindError, match=f"udp port {port}"):
            listeners.open({Transport.TCP: port, Transport.UDP: port})
        assert listeners.addresses() == []
        holder.close()
        listeners.open({Transport.TCP: port, Transport.UDP: port})
        assert listeners.port(Transport.TCP) == port

    with_listeners(body)


def kept(name: str, port: int) -> Inherited:
    sock = bind_udp("0.0.0.0", port)
    return Inherited(name, sock.fileno(), sock)


def test_a_socket_of_a_socket_unit_is_taken_whatever_its_port_and_said_once() -> None:
    port = free_port()

    def body(listeners: Listeners, said: list[str]) -> None:
        listeners.open({Transport.UDP: free_port()})
        assert listeners.port(Transport.UDP) == port
        assert len(said) == 1 and str(port) in said[0]

    with_listeners(body, [kept("nlm", port)])


def test_a_socket_kept_over_a_restart_counts_only_on_the_configured_port() -> None:
    old, new = free_port(), free_port()

    def same(listeners: Listeners, said: list[str]) -> None:
        listeners.open({Transport.UDP: 0})
        assert listeners.port(Transport.UDP) == old

    def moved(listeners: Listeners, said: list[str]) -> None:
        listeners.open({Transport.UDP: new})
        assert listeners.port(Transport.UDP) == new

    with_listeners(same, [kept("nlm-udp", old)])
    with_listeners(moved, [kept("nlm-udp", old)])


def test_a_port_moves_while_running_and_stays_when_it_cannot() -> None:
    taken = free_port()
    holder = bind_udp("0.0.0.0", taken)

    def body(listeners: Listeners, said: list[str]) -> None:
        listeners.open(ANY)
        before, other = listeners.port(Transport.UDP), listeners.port(Transport.TCP)
        with pytest.raises(BindError):
            listeners.move(Transport.UDP, taken)
        assert listeners.port(Transport.UDP) == before
        port = free_port()
        listeners.move(Transport.UDP, port)
        assert (listeners.port(Transport.UDP), listeners.port(Transport.TCP)) == (port, other)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:
            late.connect(("127.0.0.1", before))
            late.send(b"the old one drains")  # no ICMP error: it is still there
            late.send(b"for a while")

    with_listeners(body)
    holder.close()
