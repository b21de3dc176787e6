# SPDX-License-Identifier: GPL-3.0-or-later
"""The sockets of the name service. Read open.

Usually one on 0.0.0.0: packet information says which address a packet came to and chooses whence one leaves,
so that one socket serves every interface, broadcasts included. With `bind interfaces only` there are two for
each network, on our address and on the broadcast address, and they follow the interfaces.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

from pydaemons.kit.batch import DatagramPort
from pydaemons.kit.driver import Driver
from pydaemons.kit.sockets import Inherited, bind_udp, prepare_udp, take_listener
from pydaemons.kit.streams import StreamListener
from pydaemons.netbios.node.subnet import Interface


class Listeners:
    """All of them. `passed` are systemd's, `standard_input` a super-server's."""

    def __init__(
        self, driver: Driver, passed: list[Inherited], *, standard_input: socket.socket | None = None
    ) -> None:
        self._driver = driver
        self._passed = passed
        self._standard_input = standard_input
        self._wildcard: str | None = None
        self._port = 0
        self._open: dict[str, DatagramPort | StreamListener] = {}

    def open(self, wildcard: str | None, port: int, interfaces: Iterable[Interface]) -> None:
        """Have the sockets: one on `wildcard`, or, if None, those of the interfaces. BindError."""
        self._wildcard, self._port = wildcard, port
        given = self._standard_input or take_listener(
            self._passed, socket.SOCK_DGRAM, socket.AF_INET, "netbios-ns"
        )
        if given is not None:
            self._standard_input = None
            given.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            prepare_udp(given)
            self._wildcard = "0.0.0.0"
            self._open["0.0.0.0"] = self._driver.listen(given)
        elif wildcard is not None and wildcard not in self._open:
            self._listen(wildcard)
        self.follow(interfaces)

    def follow(self, interfaces: Iterable[Interface]) -> None:
        """The interfaces are these now. BindError when a new one's address cannot be had."""
        if self._wildcard is not None:
            return
        wanted = {host for each in interfaces for host in (each.address, each.broadcast)}
        for host in self._open.keys() - wanted:
            self._open.pop(host).close()
        for host in sorted(wanted - self._open.keys()):
            self._listen(host)

    def _listen(self, host: str) -> None:
        self._open[host] = self._driver.listen(bind_udp(host, self._port, broadcast=True))
