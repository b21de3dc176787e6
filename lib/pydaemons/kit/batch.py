# SPDX-License-Identifier: GPL-3.0-or-later
"""UDP in batches: up to 64 datagrams a system call, answered from the address they came to (ip(7), ipv6(7),
recvmmsg(2)). Read Arena first, then DatagramPort.drain, the packet path.

ctypes calls recvmmsg and sendmmsg on one anonymous memory map that holds everything they want: message
headers, names, packet information and data of 64 received and 64 sent messages. A slice of the map is a bytes
object, a cast memoryview of it an array of lengths; no ctypes object is touched per packet. The header of an
answer points at the name and the packet information of its request, so that addresses are never decoded on
the way. An Origin is found by the raw bytes of both and only made when they are new.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import sys
from collections.abc import Callable
from mmap import mmap
from struct import Struct, calcsize
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from pydaemons.engine.effects import Send, SendFailed
from pydaemons.engine.protocol import Address, Origin, Transport
from pydaemons.kit.route import Route
from pydaemons.kit.sockets import (
    PRIVILEGED,
    BindError,
    address_of,
    bind_udp,
    family_of,
    scope_name,
    to_sockaddr,
)

if TYPE_CHECKING:
    from pydaemons.kit.driver import Driver

MESSAGES = 64
"""Datagrams per call."""
ROUNDS = 4
"""Calls per wakeup: others want their turn."""
DATAGRAM = 9216
"""The longest datagram taken; ONC RPC over UDP ends at 8800 bytes. Longer ones are counted and dropped."""
ORIGINS = 4096
"""Peers known by their raw bytes, per generation and port."""

_MSGHDR = "@PIPNPNi0P"
_MMSGHDR = Struct("@PIPNPNi0PI0P")
_LENGTH_AT = calcsize(_MSGHDR)
_CONTROLLEN_AT = calcsize("@PIPNPN") - calcsize("N")
_FLAGS_AT = calcsize("@PIPNPN")
_IOVEC = Struct("@PN")
_CMSG = Struct("@Nii")
_WORD = calcsize("N")
_RECVERR: dict[int, tuple[int, int]] = {
    socket.AF_INET: (socket.IPPROTO_IP, 11),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 25),
}
"""IP_RECVERR and IPV6_RECVERR."""
_ERROR_REPORTS = tuple(_RECVERR.values())
_IP_PKTINFO = 8
_IPV6_PKTINFO = socket.IPV6_PKTINFO
_MSG_DONTWAIT = socket.MSG_DONTWAIT
_IN_PKTINFO = Struct("@i4s4s")
_IN6_PKTINFO = Struct("@16si")
_SOCKADDR_IN = Struct("!2xH4s8x")
_SOCKADDR_IN6 = Struct("!2xHI16s4x")


def _load() -> tuple[Callable[..., int], Callable[..., int]] | None:
    """recvmmsg and sendmmsg of the C library; None if there are none. Called without releasing the
    interpreter's lock: they never wait."""
    try:
        library = ctypes.PyDLL(None, use_errno=True)
        functions = library.recvmmsg, library.sendmmsg
    except (OSError, AttributeError):
        return None
    plain = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
    functions[0].argtypes = (*plain, ctypes.c_void_p)
    functions[1].argtypes = plain
    return functions


def _missing(*arguments: object) -> int:
    raise NotImplementedError("no recvmmsg here: DatagramPort reads by drain_plain")


_LIBC = _load()
_recvmmsg, _sendmmsg = _LIBC or (_missing, _missing)


def _align(size: int, to: int = 64) -> int:
    return -(-size // to) * to


class Family:
    """What differs between IPv4 and IPv6 on the way of a datagram."""

    __slots__ = ("control", "family", "index_at", "info", "level", "name", "type")

    def __init__(self, family: socket.AddressFamily) -> None:
        self.family = family
        v6 = family == socket.AF_INET6
        self.name = 28 if v6 else 16
        """Bytes of a socket address."""
        self.level, self.type = (
            (socket.IPPROTO_IPV6, _IPV6_PKTINFO) if v6 else (socket.IPPROTO_IP, _IP_PKTINFO)
        )
        self.info = _IN6_PKTINFO.size if v6 else _IN_PKTINFO.size
        """Bytes of the packet information."""
        self.control = socket.CMSG_SPACE(self.info)
        """Bytes of it as ancillary data."""
        self.index_at = _CMSG.size + (16 if v6 else 0)
        """Where in the ancillary data the interface index stands."""

    def parse_name(self, data: bytes) -> tuple[str, int] | tuple[str, int, int, int]:
        """A socket address as the socket module has it."""
        if self.family == socket.AF_INET:
            port, host = _SOCKADDR_IN.unpack(data)
            return socket.inet_ntop(socket.AF_INET, host), port
        port, flow, host = _SOCKADDR_IN6.unpack_from(data)
        return socket.inet_ntop(socket.AF_INET6, host), port, flow, int.from_bytes(data[24:28], sys.byteorder)

    def parse_local(self, info: bytes) -> str | None:
        """The local address out of packet information; None if it tells none."""
        if len(info) < self.info:
            return None
        if self.family == socket.AF_INET:
            return socket.inet_ntop(socket.AF_INET, info[4:8])
        host = socket.inet_ntop(socket.AF_INET6, info[:16])
        if host.startswith("::ffff:") and "." in host:
            return host[7:]
        index = int.from_bytes(info[16:20], sys.byteorder)
        return f"{host}%{scope_name(index)}" if index and host.startswith("fe80:") else host

    def pack_source(self, source: str) -> bytes:
        """Packet information that makes a datagram leave from `source`."""
        if self.family == socket.AF_INET:
            return _IN_PKTINFO.pack(0, socket.inet_pton(socket.AF_INET, source), bytes(4))
        name = to_sockaddr(Address(source, 0))
        return _IN6_PKTINFO.pack(socket.inet_pton(socket.AF_INET6, name[0]), name[-1])

    def turn_around(self, info: bytes, peer: str) -> bytes:
        """Received packet information as that of the answer to `peer`: from the address the packet came to,
        by whatever interface the route takes (it may be another one). Where either is link-local (fe80::/10),
        only the packet's own interface will do; a multicast address cannot be a source."""
        if self.family == socket.AF_INET:
            return bytes(4) + info[4:] if info else b""
        if not info:
            return info
        address, index = info[:16], info[16:]
        linked = address[0] == 0xFE or peer.startswith("fe")
        return (bytes(16) if address[0] == 0xFF else address) + (index if linked else bytes(4))


class DatagramRoute(Route):
    """By the port it came in on, to its source, from the address it had been sent to."""

    __slots__ = ("_control", "_name", "port")

    def __init__(self, port: DatagramPort, name: object, control: bytes) -> None:
        self.port = port
        self._name = name
        self._control = control

    def send(self, data: bytes) -> None:
        self.port.send_to(data, self._name, self._control)


class Arena:
    """Memory for a batch of one family, and the system calls that work on it."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.key_size = family.name + family.control
        header, names = _MMSGHDR.size, _align(self.key_size, _WORD)
        layout = {
            "rx": header,
            "tx": header,
            "iov": _IOVEC.size * 2,
            "name": names,
            "in": DATAGRAM,
            "out": DATAGRAM,
        }
        start: dict[str, int] = {}
        size = 0
        for part, each in layout.items():
            start[part] = size
            size = _align(size + each * MESSAGES, 4096 if part in ("name", "in") else 64)
        self.memory = memory = mmap(-1, size)
        self._anchor = ctypes.c_char.from_buffer(memory)
        base = ctypes.addressof(self._anchor)
        self.words = memoryview(memory).cast("L")
        self.ints = memoryview(memory).cast("i")
        self.rx_at, self.tx_at = base + start["rx"], base + start["tx"]
        self._tx_start = start["tx"]
        self._header = header
        self.rx_templates: list[bytes] = []
        self.tx_templates: list[bytes] = []
        self.data_at: list[int] = []
        self.out_at: list[int] = []
        self.keys: list[slice] = []
        self.tx_slices: list[slice] = []
        self.rx_slices: list[slice] = []
        self.length_at: list[int] = []
        self.flags_at: list[int] = []
        self.control_at: list[int] = []
        self.index_at: list[int] = []
        self.out_length_at: list[int] = []
        self.answered = [0] * MESSAGES
        for i in range(MESSAGES):
            rx, tx = start["rx"] + i * header, start["tx"] + i * header
            iov_in = start["iov"] + i * 2 * _IOVEC.size
            iov_out = iov_in + _IOVEC.size
            control = start["name"] + i * names
            name = control + family.control
            data, out = start["in"] + i * DATAGRAM, start["out"] + i * DATAGRAM
            _IOVEC.pack_into(memory, iov_in, base + data, DATAGRAM)
            _IOVEC.pack_into(memory, iov_out, base + out, 0)
            fixed = (base + name, family.name)
            self.rx_templates.append(
                _MMSGHDR.pack(*fixed, base + iov_in, 1, base + control, family.control, 0, 0)
            )
            self.tx_templates.append(
                _MMSGHDR.pack(*fixed, base + iov_out, 1, base + control, family.control, 0, 0)
            )
            self.data_at.append(data)
            self.out_at.append(out)
            self.keys.append(slice(control, control + self.key_size))
            self.rx_slices.append(slice(rx, rx + header))
            self.tx_slices.append(slice(tx, tx + header))
            self.length_at.append((rx + _LENGTH_AT) // 4)
            self.flags_at.append((rx + _FLAGS_AT) // 4)
            self.control_at.append((rx + _CONTROLLEN_AT) // _WORD)
            self.index_at.append((control + family.index_at) // 4)
            self.out_length_at.append((iov_out + calcsize("@P")) // _WORD)
            memory[self.rx_slices[i]] = self.rx_templates[i]

    def turn_around(self, i: int) -> None:
        """Family.turn_around for message `i` (IPv6), in place."""
        index = self.index_at[i]
        address = index * 4 - 16
        peer = index * 4 + 16
        first = self.memory[address]
        if first == 0xFF:
            self.memory[address : address + 16] = bytes(16)
        if first != 0xFE and self.memory[peer] != 0xFE:
            self.ints[index] = 0


class DatagramPort:
    """One UDP socket that feeds the engine."""

    def __init__(
        self,
        driver: Driver,
        owner: Datagrams,
        sock: socket.socket,
        arena: Arena | None,
        *,
        reports_errors: bool = False,
    ) -> None:
        self.sock = sock
        self._reports_errors = reports_errors
        self.address = address_of(sock.getsockname())
        """Where it is bound."""
        self._driver = driver
        self._owner = owner
        self._arena = arena
        self._family = Family(sock.family)
        self._fd = sock.fileno()
        self._origins: dict[bytes, Origin] = {}
        self._older: dict[bytes, Origin] = {}
        driver.loop.add_reader(self._fd, self.drain_plain if arena is None else self.drain)

    def close(self) -> None:
        """Stop feeding the engine and close the socket."""
        self.release().close()

    def release(self) -> socket.socket:
        """Stop feeding the engine; the socket itself goes on (to a successor)."""
        if self._fd >= 0:
            self._driver.loop.remove_reader(self._fd)
            self._owner.forget(self)
            self._fd = -1
        return self.sock

    def drain(self) -> None:
        """The packet path: receive, have the engine answer, send, until nothing is left or it is another's
        turn."""
        arena = self._arena
        assert arena is not None
        driver = self._driver
        fd = self._fd
        memory, words, ints = arena.memory, arena.words, arena.ints
        length_at, flags_at, data_at, keys = arena.length_at, arena.flags_at, arena.data_at, arena.keys
        index_at, control_at, control_size = arena.index_at, arena.control_at, arena.family.control
        out_at, out_length_at = arena.out_at, arena.out_length_at
        tx_slices, tx_templates = arena.tx_slices, arena.tx_templates
        origins = self._origins
        answered = arena.answered
        counts = driver.counts
        receive = driver.engine.receive
        v4 = self._family.family == socket.AF_INET
        for _ in range(ROUNDS):
            count = _recvmmsg(fd, arena.rx_at, MESSAGES, _MSG_DONTWAIT, None)
            if count <= 0:
                if count < 0:
                    self._receive_failed(ctypes.get_errno())
                return
            now = driver.now()
            counts["datagrams in"] += count
            ready = 0
            late: list[tuple[Origin, bytes]] = []
            for i in range(count):
                if ints[flags_at[i]] or words[control_at[i]] != control_size:
                    origin = self._odd(arena, i)
                    if origin is None:
                        continue
                    usual = False
                else:
                    if v4:
                        ints[index_at[i]] = 0
                    else:
                        arena.turn_around(i)
                    key = memory[keys[i]]
                    origin = origins.get(key) or self._find_origin(key)
                    usual = True
                at = data_at[i]
                data = memory[at : at + ints[length_at[i]]]
                try:
                    reply = receive(data, origin, now)
                except Exception as error:
                    driver.failed(error, data, origin)
                    continue
                if reply is None:
                    continue
                size = len(reply)
                if usual and size <= DATAGRAM:
                    memory[tx_slices[ready]] = tx_templates[i]
                    at = out_at[i]
                    memory[at : at + size] = reply
                    words[out_length_at[i]] = size
                    answered[ready] = i
                    ready += 1
                else:
                    late.append((origin, reply))
            if not driver.commit():
                for i in answered[:ready]:
                    at = out_at[i]
                    late.append(
                        (self._find_origin(memory[keys[i]]), memory[at : at + words[out_length_at[i]]])
                    )
                driver.hold(late)
            elif ready or late:
                sent = _sendmmsg(fd, arena.tx_at, ready, _MSG_DONTWAIT) if ready else 0
                if sent != ready:
                    sent = self._send_rest(arena, ready, sent)
                counts["datagrams out"] += sent
                for origin, reply in late:
                    driver.answer(origin, reply)
            driver.finish(now)
            if count < MESSAGES or self._fd < 0:
                return

    def drain_plain(self) -> None:
        """The same without recvmmsg: where ctypes or the C library does not offer it."""
        driver = self._driver
        replies: list[tuple[Origin, bytes]] = []
        now = driver.now()
        received = 0
        while received < MESSAGES:
            try:
                data, ancillary, flags, name = self.sock.recvmsg(DATAGRAM, 128, _MSG_DONTWAIT)
            except OSError as error:
                self._receive_failed(error.errno or 0)
                break
            received += 1
            driver.counts["datagrams in"] += 1
            if flags & socket.MSG_TRUNC:
                driver.counts["datagrams too long"] += 1
                continue
            control = next(
                (bytes(value) for level, kind, value in ancillary if kind == self._family.type), b""
            )
            origin = self._intern(name, self._family.turn_around(control, name[0]))
            try:
                reply = driver.engine.receive(data, origin, now)
            except Exception as error:
                driver.failed(error, data, origin)
                continue
            if reply is not None:
                replies.append((origin, reply))
        if not received:
            return
        if driver.commit():
            for origin, reply in replies:
                driver.answer(origin, reply)
        else:
            driver.hold(replies)
        driver.finish(now)

    def send_to(self, data: bytes, name: object, control: bytes) -> OSError | None:
        """Send one datagram to `name`; `control` is packet information (whence) or empty. What went wrong is
        returned, not raised: a datagram may always be lost."""
        ancillary = [(self._family.level, self._family.type, control)] if control else []
        try:
            try:
                self.sock.sendmsg([data], ancillary, _MSG_DONTWAIT, name)  # type: ignore[arg-type]
            except OSError:
                # May be an earlier datagram's ICMP error, which the kernel hands to whoever comes next.
                if not self._take_errors():
                    raise
                self.sock.sendmsg([data], ancillary, _MSG_DONTWAIT, name)  # type: ignore[arg-type]
        except OSError as error:
            self._count(error.errno or 0, "send")
            return error
        self._driver.counts["datagrams out"] += 1
        return None

    def _take_errors(self) -> int:
        """Empty the socket's error queue (ip(7), IP_RECVERR; our own sockets have one): each entry carries
        the destination of the datagram it is about. How many."""
        taken = 0
        while self._reports_errors and taken < MESSAGES:
            try:
                _data, ancillary, _flags, name = self.sock.recvmsg(
                    0, 512, socket.MSG_ERRQUEUE | _MSG_DONTWAIT
                )
            except OSError:
                break
            taken += 1
            for level, kind, value in ancillary:
                if (level, kind) in _ERROR_REPORTS and len(value) >= 4:
                    number = int.from_bytes(value[:4], sys.byteorder)
                    self._count(number, "send")
                    self._driver.post(SendFailed(address_of(name), Transport.UDP, os.strerror(number)))
        return taken

    def _find_origin(self, key: bytes) -> Origin:
        """The origin of this raw name and control, from the older generation or new."""
        origin = self._origins.get(key) or self._older.get(key)
        if origin is None:
            family = self._family
            name, control = family.parse_name(key[family.control :]), key[_CMSG.size : family.control]
            origin = self._intern(name, control[: family.info])
        if len(self._origins) >= ORIGINS:
            self._older = self._origins
            self._origins = {}
        self._origins[key] = origin
        return origin

    def _intern(self, name: object, control: bytes) -> Origin:
        local = self._family.parse_local(control)
        address = self.address if local is None else Address(local, self.address.port)
        origin = self._owner.intern(address_of(name), address)
        handle = origin.handle
        if not isinstance(handle, DatagramRoute) or handle.port is not self:
            origin.handle = DatagramRoute(self, name, control)
        return origin

    def _odd(self, arena: Arena, i: int) -> Origin | None:
        """A message that is too long (None) or came without its packet information."""
        flags = arena.ints[arena.flags_at[i]]
        key = arena.memory[arena.keys[i]]
        arena.memory[arena.rx_slices[i]] = (
            arena.rx_templates[i][:_LENGTH_AT]
            + arena.memory[arena.rx_slices[i].start + _LENGTH_AT : arena.rx_slices[i].stop]
        )
        if flags & socket.MSG_TRUNC:
            self._driver.counts["datagrams too long"] += 1
            return None
        return self._intern(self._family.parse_name(key[self._family.control :]), b"")

    def _send_rest(self, arena: Arena, ready: int, sent: int) -> int:
        """sendmmsg stopped early: the message it stopped at is dropped and counted, the others go on."""
        done = 0
        start = 0
        while True:
            if sent < 0:
                number = ctypes.get_errno()
                self._count(number, "send")
                start += 1
                if number in (errno.EAGAIN, errno.ENOBUFS):
                    # The queue is full: more of the same would only be refused one by one.
                    self._driver.counts["datagrams dropped"] += ready - start
                    return done
            else:
                done += sent
                start += sent
            if start >= ready:
                return done
            sent = _sendmmsg(self._fd, arena.tx_at + start * _MMSGHDR.size, ready - start, _MSG_DONTWAIT)

    def _receive_failed(self, number: int) -> None:
        """recvmmsg gave nothing: EAGAIN is the usual end, anything else an ICMP error that waited."""
        if self._take_errors() == 0 and number not in (errno.EAGAIN, errno.EINTR):
            self._count(number, "receive")

    def _count(self, number: int, what: str) -> None:
        self._driver.counts[f"{what} errors: {errno.errorcode.get(number, number)}"] += 1


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
            level, option = _RECVERR[family]
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
        if _LIBC is None:
            return None
        arena = self._arenas.get(family)
        if arena is None:
            arena = self._arenas[family] = Arena(Family(socket.AddressFamily(family)))
        return arena
