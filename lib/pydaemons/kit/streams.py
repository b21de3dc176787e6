# SPDX-License-Identifier: GPL-3.0-or-later
"""All TCP sockets of a driver: listeners, connections that came in, connections of our own. Read Streams.

The number of connections that came in is limited by a callable read at every accept; at the limit the one
that was quiet longest makes room. kit.connection is what happens on each.
"""

from __future__ import annotations

import errno
import socket
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from pydaemons.engine.effects import Send, SendFailed
from pydaemons.engine.protocol import Address, Origin, Transport
from pydaemons.kit.connection import RECORD_MARKING, Connection, Framing
from pydaemons.kit.sockets import PRIVILEGED, address_of, family_of, to_sockaddr

if TYPE_CHECKING:
    from pydaemons.kit.driver import Driver

RECORD = 65536
"""The longest record taken."""
CONNECTIONS = 1024
IDLE = 360.0
"""Seconds of silence after which a connection that came in is closed."""
OUTGOING_IDLE = 60.0
ACCEPTS = 32
"""Connections taken per wakeup."""
NO_DESCRIPTORS_PAUSE = 0.5
"""Seconds without accepting when the process is out of descriptors."""

_OUT_OF_SOMETHING = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class StreamListener:
    """One listening TCP socket."""

    def __init__(self, streams: Streams, sock: socket.socket, framing: Framing) -> None:
        self.sock = sock
        self.address = address_of(sock.getsockname())
        """Where it is bound."""
        self._streams = streams
        self._framing = framing
        self._loop = streams.driver.loop
        self._fd = sock.fileno()
        self._loop.add_reader(self._fd, self.accept)

    def accept(self) -> None:
        """Take the connections that wait."""
        for _ in range(ACCEPTS):
            try:
                sock, _name = self.sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _OUT_OF_SOMETHING:
                    self._pause(error)
                    return
                continue  # the peer has gone again: ECONNABORTED and its like (accept(2))
            self._streams.adopt(sock, self._framing)

    def close(self) -> None:
        """Stop listening; connections made go on."""
        self.release().close()

    def release(self) -> socket.socket:
        """Stop taking connections here; the socket itself goes on listening (for a successor)."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._streams.forget_listener(self)
            self._fd = -1
        return self.sock

    def _pause(self, error: OSError) -> None:
        """Readable and yet not to be accepted: asking again at once would only burn the processor."""
        driver = self._streams.driver
        driver.log.warning(f"cannot take connections on port {self.address.port}: {error.strerror}")
        driver.counts["accept failures"] += 1
        self._streams.make_room()
        self._loop.remove_reader(self._fd)
        self._loop.call_later(NO_DESCRIPTORS_PAUSE, self._resume)

    def _resume(self) -> None:
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self.accept)


class Streams:
    """All TCP sockets of a driver."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.limit: Callable[[], int] = lambda: CONNECTIONS
        """How many connections may come in; asked at each accept."""
        self.idle = IDLE
        self.record_limit = RECORD
        self._listening: list[StreamListener] = []
        self._incoming: OrderedDict[Connection, None] = OrderedDict()
        self._latest: Connection | None = None
        """The last of these, if that is known."""
        """The longest quiet one first."""
        self._outgoing: dict[object, Connection] = {}
        self._sweeping = False

    def listen(self, sock: socket.socket, framing: Framing = RECORD_MARKING) -> StreamListener:
        """Take connections on `sock`."""
        listener = StreamListener(self, sock, framing)
        self._listening.append(listener)
        return listener

    def adopt(self, sock: socket.socket, framing: Framing = RECORD_MARKING) -> Connection | None:
        """Serve a connection that stands: just accepted, or handed over by a predecessor. None if the peer
        has gone already."""
        limit = max(1, self.limit())
        while len(self._incoming) >= limit and self.make_room():
            pass
        try:
            origin = Origin(Transport.TCP, address_of(sock.getpeername()), address_of(sock.getsockname()))
            _set_up(sock)
        except OSError:
            sock.close()
            return None
        connection = Connection(self, sock, origin, framing)
        self._incoming[connection] = None
        self._latest = connection
        self.driver.counts["connections in"] += 1
        connection.start()
        self._sweep_later()
        return connection

    @property
    def count(self) -> int:
        """How many connections came in and stand."""
        return len(self._incoming)

    def connections(self) -> Iterable[Connection]:
        """The connections that came in, the longest quiet one first."""
        return tuple(self._incoming)

    def send(self, effect: Send) -> None:
        """Carry out a Send over a connection of our own, kept for the next one."""
        key = effect.to, effect.source, effect.privileged
        connection = self._outgoing.get(key)
        if connection is None:
            try:
                connection = self._connect(effect, key)
            except (OSError, ValueError) as error:
                text = (error.strerror if isinstance(error, OSError) else None) or str(error)
                self.driver.post(SendFailed(effect.to, Transport.TCP, text))
                return
        connection.ask(effect.data)

    def refuse(self) -> None:
        """Take no more connections: they wait at the listening sockets, which go on to a successor."""
        for listener in tuple(self._listening):
            listener.release()

    def make_room(self) -> bool:
        """Close the connection that was quiet longest, or the longest silent one. False if there is none."""
        if not self._incoming:
            return False
        victim = next((each for each in self._incoming if each.quiet), None) or next(iter(self._incoming))
        self.driver.counts["connections closed: limit"] += 1
        victim.close()
        return True

    def touch(self, connection: Connection) -> None:
        """Something came from it."""
        if connection is not self._latest and connection in self._incoming:
            self._incoming.move_to_end(connection)
            self._latest = connection

    def forget(self, connection: Connection, key: object) -> None:
        """A connection has ended."""
        self._incoming.pop(connection, None)
        self._latest = None
        if key is not None and self._outgoing.get(key) is connection:
            del self._outgoing[key]

    def forget_listener(self, listener: StreamListener) -> None:
        """A listener has ended."""
        self._listening.remove(listener)

    def close(self) -> None:
        """Close all."""
        for listener in tuple(self._listening):
            listener.close()
        for connection in (*self._incoming, *self._outgoing.values()):
            connection.close()

    def _connect(self, effect: Send, key: object) -> Connection:
        family = family_of(effect.to.host)
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            _set_up(sock)
            _bind_source(sock, effect.source or ("::" if family == socket.AF_INET6 else "0.0.0.0"), effect)
            try:
                sock.connect(to_sockaddr(effect.to))
            except BlockingIOError:
                pass
        except BaseException:
            sock.close()
            raise
        origin = Origin(Transport.TCP, effect.to, address_of(sock.getsockname()))
        connection = self._outgoing[key] = Connection(self, sock, origin, RECORD_MARKING, key)
        connection.start()
        self._sweep_later()
        return connection

    def _sweep_later(self) -> None:
        if not self._sweeping:
            self._sweeping = True
            self.driver.loop.call_later(min(self.idle, OUTGOING_IDLE) / 4, self._sweep)

    def _sweep(self) -> None:
        """Close what has been silent too long."""
        self._sweeping = False
        now = self.driver.now().mono
        for connection in tuple(self._incoming):
            if now - connection.active < self.idle:
                break
            self.driver.counts["connections closed: idle"] += 1
            connection.close()
        for connection in tuple(self._outgoing.values()):
            if now - connection.active >= OUTGOING_IDLE:
                connection.lost(None)
        if self._incoming or self._outgoing:
            self._sweep_later()


def _set_up(sock: socket.socket) -> None:
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _bind_source(sock: socket.socket, host: str, effect: Send) -> None:
    if not effect.privileged:
        if effect.source is not None:
            sock.bind(to_sockaddr(Address(host, 0)))
        return
    for port in PRIVILEGED:
        try:
            sock.bind(to_sockaddr(Address(host, port)))
            return
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, "no free port below 1024")
