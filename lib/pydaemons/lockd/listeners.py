# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock manager's sockets: UDP and TCP, IPv4 and IPv6, all or none. Read Listeners.open first.

As the kernel's lockd has it: a socket that is there already (inherited from systemd, or from the run before)
is taken whatever its port, an IPv6 that the kernel lacks is no error, and if one of the set cannot be had the
others are given back. Unlike there a port can be changed while running: the new socket is opened, and the old
one drains for a while.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydaemons.engine.protocol import Address, Transport
from pydaemons.kit import sockets
from pydaemons.kit.batch import DatagramPort
from pydaemons.kit.driver import Driver
from pydaemons.kit.sockets import BindError, Inherited
from pydaemons.kit.streams import StreamListener

DRAIN = 10.0
"""Seconds that a socket on a port no longer configured goes on answering: clients still knock there."""

KINDS = {Transport.UDP: socket.SOCK_DGRAM, Transport.TCP: socket.SOCK_STREAM}
WILDCARD = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}


@dataclass(slots=True)
class Listener:
    """One socket of the set."""

    transport: Transport
    family: socket.AddressFamily
    sock: socket.socket
    port: DatagramPort | StreamListener | None = None
    """What the driver made of it, once it is fed to the engine."""

    @property
    def address(self) -> Address:
        return sockets.address_of(self.sock.getsockname())

    @property
    def netid(self) -> str:
        return self.transport.value + ("6" if self.family == socket.AF_INET6 else "")


class Listeners:
    """The set of one program. `say(text)` tells what an administrator should know."""

    def __init__(
        self, driver: Driver, *, name: str, passed: list[Inherited], say: Callable[[str], None]
    ) -> None:
        self._driver = driver
        self._name = name
        self._passed = passed
        self._say = say
        self._open: list[Listener] = []

    def __iter__(self) -> Iterator[Listener]:
        return iter(self._open)

    def addresses(self) -> list[tuple[Transport, Address]]:
        """Where it listens."""
        return [(listener.transport, listener.address) for listener in self._open]

    def port(self, transport: Transport) -> int:
        """The port of a transport (that of IPv4 where the families differ), 0 when there is none."""
        return next((each.address.port for each in self._open if each.transport is transport), 0)

    def open(self, ports: dict[Transport, int]) -> None:
        """Have the whole set, each transport on its port (0: any). Raises BindError, and then has nothing
        new."""
        families = [socket.AF_INET, socket.AF_INET6] if sockets.has_ipv6() else [socket.AF_INET]
        wanted = [(transport, family) for family in families for transport in ports]
        fresh: list[Listener] = []
        try:
            for transport, family in wanted:
                if not any(each.transport is transport and each.family == family for each in self._open):
                    fresh.append(self._get(transport, family, ports[transport], fresh))
        except BindError:
            for listener in fresh:
                listener.sock.close()
            raise
        self._serve(fresh)

    def move(self, transport: Transport, port: int) -> None:
        """Listen on another port from now on. Raises BindError, and then nothing changed."""
        old = [each for each in self._open if each.transport is transport]
        if port and all(each.address.port == port for each in old):
            return
        fresh: list[Listener] = []
        try:
            for each in old:
                fresh.append(self._bind(transport, each.family, port, fresh))
        except BindError:
            for listener in fresh:
                listener.sock.close()
            raise
        self._open = [each for each in self._open if each not in old]
        self._serve(fresh)
        for each in old:
            if each.port is not None:
                self._driver.loop.call_later(DRAIN, each.port.close)

    def _serve(self, fresh: list[Listener]) -> None:
        """Feed them to the engine, and have systemd keep them over a restart."""
        for listener in fresh:
            listener.port = self._driver.listen(listener.sock)
            self._driver.notify.forget(self._stored(listener.transport, listener.family))
            self._driver.notify.store(
                self._stored(listener.transport, listener.family), listener.sock.fileno(), poll=False
            )
        self._open += fresh

    def _stored(self, transport: Transport, family: socket.AddressFamily) -> str:
        """The name under which systemd keeps a socket."""
        return f"{self._name}-{transport.value}{'6' if family == socket.AF_INET6 else ''}"

    def _get(
        self, transport: Transport, family: socket.AddressFamily, port: int, beside: list[Listener]
    ) -> Listener:
        kind, stored = KINDS[transport], self._stored(transport, family)
        kept = sockets.take_listener(self._passed, kind, family, stored)
        given = sockets.take_listener(self._passed, kind, family, self._name)
        if given is not None:
            listener = Listener(transport, family, given)
            if port and listener.address.port != port:
                self._say(
                    f"using the inherited {transport.value} socket on port {listener.address.port}, "
                    f"not the configured port {port}"
                )
            return listener
        if kept is not None:
            listener = Listener(transport, family, kept)
            if port in (0, listener.address.port):
                return listener
            # the configuration moved the port while we were away
            self._driver.notify.forget(stored)
            kept.close()
        return self._bind(transport, family, port, beside)

    def _bind(
        self, transport: Transport, family: socket.AddressFamily, port: int, beside: list[Listener]
    ) -> Listener:
        bind = sockets.bind_udp if transport is Transport.UDP else sockets.bind_tcp
        host = WILDCARD[family]
        # any port will do, but the same one for both families is easier on people and firewalls
        twin = next((each.address.port for each in beside if each.transport is transport), 0)
        if not port and twin:
            try:
                return Listener(transport, family, bind(host, twin))
            except BindError:
                pass
        return Listener(transport, family, bind(host, port))
