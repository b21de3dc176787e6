# SPDX-License-Identifier: GPL-3.0-or-later
"""The sockets of the name service and of the datagram service. Read open and follow.

Usually one on 0.0.0.0: packet information says which address a packet came to and chooses whence one leaves,
so that one socket serves every interface, broadcasts included. With `bind interfaces only` there are two for
each network, on our address and on the broadcast address, and they follow the interfaces.

systemd keeps a copy of each (the descriptor store): at a restart they go on, and what comes meanwhile waits
in them.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

from pydaemons.kit.batch import DatagramPort
from pydaemons.kit.driver import Driver
from pydaemons.kit.sockets import BindError, Inherited, bind_udp, prepare_udp, take_listener
from pydaemons.kit.streams import StreamListener
from pydaemons.netbios.node.subnet import Interface

NAME_SERVICE = "netbios-ns"
DATAGRAM_SERVICE = "netbios-dgm"
"""What .socket units call the sockets of the two services, as services(5) does."""
WILDCARD = "0.0.0.0"


class Listeners:
    """All sockets of one service. `passed` are systemd's, `standard_input` a super-server's; `name` is what
    systemd calls them."""

    def __init__(
        self,
        driver: Driver,
        passed: list[Inherited],
        *,
        name: str = NAME_SERVICE,
        standard_input: socket.socket | None = None,
    ) -> None:
        self._driver = driver
        self._passed = passed
        self._name = name
        self._standard_input = standard_input
        self._wildcard: str | None = None
        self._port = 0
        self._given = False
        """The socket was made by somebody else, who decided what it is bound to."""
        self._open: dict[str, DatagramPort | StreamListener] = {}

    def open(self, wildcard: str | None, port: int, interfaces: Iterable[Interface]) -> None:
        """Have the sockets: one on `wildcard`, or, if None, those of the interfaces. BindError."""
        self._wildcard, self._port = wildcard, port
        given = self._standard_input or take_listener(
            self._passed, socket.SOCK_DGRAM, socket.AF_INET, self._name
        )
        if given is not None:
            self._standard_input = None
            self._given = True
            given.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            prepare_udp(given)
            self._open[WILDCARD] = self._driver.listen(given)
        self.follow(interfaces)
        self._drop_the_rest()

    def move(self, wildcard: str | None, interfaces: Iterable[Interface]) -> None:
        """Listen elsewhere from now on, as `open` has it. BindError, and then nothing changed."""
        there = tuple(interfaces)
        before, self._wildcard = self._wildcard, wildcard
        try:
            self.follow(there)
        except BindError:
            self._wildcard = before
            self.follow(there)
            raise

    def follow(self, interfaces: Iterable[Interface]) -> None:
        """The interfaces are these now. BindError when an address cannot be had."""
        if self._given:
            return
        if self._wildcard is not None:
            wanted = {self._wildcard}
        else:
            wanted = {host for each in interfaces for host in (each.address, each.broadcast)}
        for host in self._open.keys() - wanted:  # first: an address and 0.0.0.0 exclude each other
            self._driver.notify.forget(self._stored(host))
            self._open.pop(host).close()
        for host in sorted(wanted - self._open.keys()):
            self._listen(host)

    def _listen(self, host: str) -> None:
        sock = self._take_kept(host) or bind_udp(host, self._port, broadcast=True)
        self._open[host] = self._driver.listen(sock)
        name = self._stored(host)
        self._driver.notify.forget(name)  # or it would be there twice
        self._driver.notify.store(name, sock.fileno(), poll=False)

    def _take_kept(self, host: str) -> socket.socket | None:
        """The socket the last process left, if it is what is wanted now."""
        sock = take_listener(self._passed, socket.SOCK_DGRAM, socket.AF_INET, self._stored(host))
        if sock is None or sock.getsockname() == (host, self._port):
            return sock
        sock.close()
        return None

    def _drop_the_rest(self) -> None:
        """Sockets the last process left and nobody wants: as long as they are open, packets go there."""
        for item in [item for item in self._passed if item.name.startswith(f"{self._name}@")]:
            self._passed.remove(item)
            self._driver.notify.forget(item.name)
            if item.sock is not None:
                item.sock.close()

    def _stored(self, host: str) -> str:
        """The name under which systemd keeps a socket."""
        return f"{self._name}@{host}"
