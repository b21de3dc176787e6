# SPDX-License-Identifier: GPL-3.0-or-later
"""TCP: connections that came in and connections of our own, as batches of records. Read Connection.readable,
the packet path, first.

Everything a read completes is one batch: the engine answers its records one after the other and the answers
leave in one send. A peer that does not read its answers is not read from until it does (HIGH_WATER). The
number of connections is limited by a callable read at every accept; at the limit the connection that was
quiet longest makes room. Framing is record marking (RFC 5531 §11) unless another is given.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from typing import Protocol as TypingProtocol

from pydaemons.engine.effects import Level, Send, SendFailed
from pydaemons.engine.protocol import Address, Origin, Transport
from pydaemons.kit.route import Route
from pydaemons.kit.sockets import PRIVILEGED, address_of, family_of, to_sockaddr
from pydaemons.sunrpc import marking
from pydaemons.wire.errors import WireError

if TYPE_CHECKING:
    from pydaemons.kit.driver import Driver

READ = 32768
"""Bytes per read: a batch. What it holds is worked off before others have their turn."""
HIGH_WATER = 262144
"""Unsent bytes from which on we stop reading from a peer."""
LOW_WATER = 65536
"""Unsent bytes down to which we stay stopped."""
RECORD = 65536
"""The longest record taken."""
UNSENT = 4 << 20
"""Unsent bytes at which a connection is given up: what we say on our own account is not held back by
HIGH_WATER."""
CONNECTIONS = 1024
IDLE = 360.0
"""Seconds of silence after which a connection that came in is closed."""
OUTGOING_IDLE = 60.0
CONNECT = 10.0
"""Seconds to wait for a connection of our own."""
ACCEPTS = 32
"""Connections taken per wakeup."""
NO_DESCRIPTORS_PAUSE = 0.5
"""Seconds without accepting when the process is out of descriptors."""

_OUT_OF_SOMETHING = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Deframer(TypingProtocol):
    """The receiving end of a framing."""

    @property
    def pending(self) -> bool:
        """A record has begun and is not complete."""

    def feed(self, data: bytes) -> list[bytes]:
        """The records that the next bytes of the stream complete; WireError when it makes no sense."""


@dataclass(frozen=True, slots=True)
class Framing:
    """How records stand in a stream."""

    deframer: Callable[[int], Deframer]
    """Makes the receiving end for one connection from the longest record allowed."""
    header: Callable[[int], bytes]
    """What goes before a record of this size."""


RECORD_MARKING = Framing(marking.Deframer, marking.mark)


class Connection(Route):
    """One TCP connection; the `handle` of its Origin."""

    __slots__ = (
        "_asked",
        "_deframer",
        "_driver",
        "_ending",
        "_fd",
        "_header",
        "_key",
        "_out",
        "_paused",
        "_streams",
        "_timer",
        "active",
        "connecting",
        "origin",
        "sock",
    )

    def __init__(
        self, streams: Streams, sock: socket.socket, origin: Origin, framing: Framing, key: object = None
    ) -> None:
        self.sock = sock
        self.origin = origin
        self.active = streams.driver.now().mono
        """When something last came or left, in monotonic seconds."""
        self.connecting = key is not None
        self._streams = streams
        self._driver = streams.driver
        self._fd = sock.fileno()
        self._deframer = framing.deframer(streams.record_limit)
        self._header = framing.header
        self._key = key
        """Which connection of our own it is; None if it came in."""
        self._asked = 0
        """Records sent on our own account since something last came."""
        self._out = bytearray()
        self._paused = False
        self._ending = False
        self._timer: asyncio.TimerHandle | None = None
        origin.handle = self

    def start(self) -> None:
        """Begin to read, or to wait for the connection to stand."""
        if self.connecting:
            self._timer = self._driver.loop.call_later(CONNECT, self._give_up)
            self._driver.loop.add_writer(self._fd, self._connected)
        else:
            self._driver.loop.add_reader(self._fd, self.readable)

    @property
    def outgoing(self) -> bool:
        """We opened it."""
        return self._key is not None

    @property
    def quiet(self) -> bool:
        """Between records, with nothing to send: could be closed or handed over without loss."""
        return not self._out and not self._deframer.pending and not self.connecting

    def readable(self) -> None:
        """The packet path: one read, its records through the engine, their answers in one send."""
        driver = self._driver
        try:
            data = self.sock.recv(READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.lost(error)
            return
        if not data:
            self._ended()
            return
        try:
            records = self._deframer.feed(data)
        except WireError as error:
            driver.counts["streams out of step"] += 1
            peer = self.origin.peer.host
            text = f"closing the connection with {peer}: {error}"
            driver.log.log(Level.INFO, text, {"PEER": peer}, kind="stream out of step")
            self.lost(None)
            return
        now = driver.now()
        self.active = now.mono
        self._asked = 0
        self._streams.touch(self)
        if not records:
            return
        driver.counts["records in"] += len(records)
        receive = driver.engine.receive
        header = self._header
        origin = self.origin
        out: list[bytes] = []
        for record in records:
            try:
                reply = receive(record, origin, now)
            except Exception as error:
                driver.failed(error, record, origin)
                continue
            if reply is not None:
                out.append(header(len(reply)))
                out.append(reply)
        if not driver.commit():
            driver.hold([(origin, reply) for reply in out[1::2]])
        elif out:
            driver.counts["records out"] += len(out) // 2
            self._write(b"".join(out))
        driver.finish(now)

    def send(self, data: bytes) -> None:
        """Send one record, apart from a batch."""
        if self._fd < 0:
            self._driver.counts["replies to closed connections"] += 1
            return
        self._driver.counts["records out"] += 1
        self._write(self._header(len(data)) + data)

    def ask(self, data: bytes) -> None:
        """Send one record on our own account: should the connection fail before something came back, that is
        told."""
        self._asked += 1
        self.active = self._driver.now().mono
        self.send(data)

    def close(self) -> None:
        """Close, dropping what is not sent."""
        if self._fd < 0:
            return
        self.release().close()

    def release(self) -> socket.socket:
        """Give up the connection without closing its socket (it goes on elsewhere)."""
        loop = self._driver.loop
        loop.remove_reader(self._fd)
        loop.remove_writer(self._fd)
        if self._timer is not None:
            self._timer.cancel()
        self._fd = -1
        self._out.clear()
        self._streams.forget(self, self._key)
        return self.sock

    def lost(self, error: OSError | None) -> None:
        """The connection is of no use any more."""
        asked, self._asked = self._asked, 0
        self.close()
        if asked and self._key is not None:
            reason = "connection lost" if error is None else error.strerror or str(error)
            self._driver.post(SendFailed(self.origin.peer, Transport.TCP, reason))

    def _write(self, data: bytes) -> None:
        out = self._out
        if out or self.connecting:
            out += data
        else:
            try:
                sent = self.sock.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as error:
                self.lost(error)
                return
            if sent == len(data):
                return
            out += memoryview(data)[sent:]
            self._driver.loop.add_writer(self._fd, self._writable)
        if len(out) > UNSENT:
            self._driver.counts["connections closed: peer does not read"] += 1
            self.lost(OSError(errno.ENOBUFS, "peer does not read"))
        elif len(out) > HIGH_WATER and not self._paused:
            self._paused = True
            self._driver.loop.remove_reader(self._fd)

    def _writable(self) -> None:
        out = self._out
        try:
            sent = self.sock.send(out)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.lost(error)
            return
        del out[:sent]
        self.active = self._driver.now().mono
        if not out:
            self._driver.loop.remove_writer(self._fd)
            if self._ending:
                self.lost(None)
                return
        if self._paused and len(out) <= LOW_WATER:
            self._paused = False
            if not self._ending:
                self._driver.loop.add_reader(self._fd, self.readable)

    def _ended(self) -> None:
        """The peer sends no more; what it asked is still answered."""
        if self._out and not self.outgoing:
            self._ending = True
            self._driver.loop.remove_reader(self._fd)
        else:
            self.lost(None)

    def _connected(self) -> None:
        number = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self.lost(OSError(number, errno_text(number)))
            return
        loop = self._driver.loop
        self.connecting = False
        self.origin = Origin(Transport.TCP, self.origin.peer, address_of(self.sock.getsockname()), self)
        if self._timer is not None:
            self._timer.cancel()
        loop.remove_writer(self._fd)
        loop.add_reader(self._fd, self.readable)
        if self._out:
            loop.add_writer(self._fd, self._writable)

    def _give_up(self) -> None:
        self.lost(OSError(errno.ETIMEDOUT, errno_text(errno.ETIMEDOUT)))


def errno_text(number: int) -> str:
    """strerror(3) without the process's locale having a say in the type."""
    return os.strerror(number)


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
        if connection in self._incoming:
            self._incoming.move_to_end(connection)

    def forget(self, connection: Connection, key: object) -> None:
        """A connection has ended."""
        self._incoming.pop(connection, None)
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
