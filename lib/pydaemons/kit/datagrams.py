# SPDX-License-Identifier: GPL-3.0-or-later
"""All UDP sockets of a driver: those it listens on, and those of our own for what fits none of them. Read
Datagrams.send."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from pydaemons.engine.effects import Send, SendFailed
from pydaemons.engine.protocol import Address, Origin, Transport
from pydaemons.kit import arena
from pydaemons.kit.arena import Arena, Family
from pydaemons.kit.batch import ERROR_QUEUES, DatagramPort
from pydaemons.kit.sockets import PRIVILEGED, BindError, bind_udp, family_of, to_sockaddr

if TYPE_CHECKING:
    from pydaemons.kit.driver import Driver


class Datagrams:
    """All UDP sockets of a driver."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._arenas: dict[int, Arena] = {}
        self._listening: list[DatagramPort] = []
        self._outgoing: dict[tuple[int, bool], DatagramPort] = {}
        self._known: WeakValueDictionary[tuple[Address, Address], Origin] = WeakValueDictionary()

    def listen(self, sock: socket.socket) -> DatagramPort:
        """Feed the engine from `sock` (prepared by kit.sockets)."""
        port = DatagramPort(self._driver, self, sock, self._arena(sock.family))
        self._listening.append(port)
        return port

    def intern(self, peer: Address, local: Address) -> Origin:
        """The one Origin of these two, as long as anybody still knows it."""
        origin = self._known.get((peer, local))
        if origin is None:
            origin = self._known[peer, local] = Origin(Transport.UDP, peer, local)
        return origin

    def send(self, effect: Send) -> None:
        """Carry out a Send: from a socket we listen on where source and port allow it, else from one of our
        own. Failure is a SendFailed event."""
        error: OSError | None
        try:
            name = to_sockaddr(effect.to)
            port = self._port_for(effect)
            control = b"" if effect.source is None else Family(port.sock.family).pack_source(effect.source)
            error = port.send_to(effect.data, name, control)
        except (OSError, ValueError) as found:
            error = found if isinstance(found, OSError) else OSError(errno.EINVAL, str(found))
        if error is not None:
            self._driver.post(SendFailed(effect.to, Transport.UDP, error.strerror or str(error)))

    def forget(self, port: DatagramPort) -> None:
        """A port is closed."""
        if port in self._listening:
            self._listening.remove(port)
        self._outgoing = {key: value for key, value in self._outgoing.items() if value is not port}

    def close(self) -> None:
        """Close all."""
        for port in (*self._listening, *self._outgoing.values()):
            port.close()

    def _port_for(self, effect: Send) -> DatagramPort:
        family = family_of(effect.to.host)
        if not effect.privileged:
            for port in self._listening:
                if effect.source_port not in (None, port.address.port) or port.sock.family != family:
                    continue
                if port.address.host in (effect.source, "0.0.0.0", "::"):
                    return port
            if effect.source_port is not None:
                raise OSError(errno.EADDRNOTAVAIL, f"not listening on port {effect.source_port}")
        key = family, effect.privileged
        found = self._outgoing.get(key)
        if found is None:
            sock = self._bind_outgoing(family, effect.privileged)
            # Whoever we asked may not be there: its ICMP message makes a quick SendFailed. A listening socket
            # goes without: there the errors of many peers would get between.
            level, option = ERROR_QUEUES[family]
            sock.setsockopt(level, option, 1)
            found = DatagramPort(self._driver, self, sock, self._arena(family), reports_errors=True)
            self._outgoing[key] = found
        return found

    def _bind_outgoing(self, family: int, privileged: bool) -> socket.socket:
        host = "::" if family == socket.AF_INET6 else "0.0.0.0"
        if not privileged:
            return bind_udp(host, 0)
        for number in PRIVILEGED:
            try:
                return bind_udp(host, number)
            except BindError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
        raise OSError(errno.EADDRINUSE, "no free port below 1024")

    def _arena(self, family: int) -> Arena | None:
        if not arena.AVAILABLE:
            return None
        found = self._arenas.get(family)
        if found is None:
            found = self._arenas[family] = Arena(Family(socket.AddressFamily(family)))
        return found
