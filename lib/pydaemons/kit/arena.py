# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory for a batch of datagrams, and the system calls that work on it (recvmmsg(2), ip(7), ipv6(7)).

ctypes calls recvmmsg and sendmmsg on one anonymous memory map that holds everything they want: message
headers, names, packet information and data of 64 received and 64 sent messages. A slice of the map is a bytes
object, a cast memoryview of it an array of lengths; no ctypes object is touched per packet. The header of an
answer points at the name and the packet information of its request, so that addresses are never decoded on
the way. Read Arena; kit.batch is its only user.
"""

from __future__ import annotations

import ctypes
import socket
import sys
from collections.abc import Callable
from mmap import mmap
from struct import Struct, calcsize

from pydaemons.engine.protocol import Address
from pydaemons.kit.sockets import IP_PKTINFO, scope_name, to_sockaddr

MESSAGES = 64
"""Datagrams per call."""
DATAGRAM = 9216
"""The longest datagram taken; ONC RPC over UDP ends at 8800 bytes. Longer ones are counted and dropped."""

# struct mmsghdr: name, its length, iovec, their number, control, its length, flags; then the data's length
_MSGHDR = "@PIPNPNi0P"
MMSGHDR = Struct("@PIPNPNi0PI0P")
LENGTH_AT = calcsize(_MSGHDR)
_CONTROLLEN_AT = calcsize("@PIPNPN") - calcsize("N")
_FLAGS_AT = calcsize("@PIPNPN")
_IOVEC = Struct("@PN")
CMSG = Struct("@Nii")
_WORD = calcsize("N")
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
AVAILABLE = _LIBC is not None
"""Whether this C library has them; without, kit.batch reads one datagram a call."""
recvmmsg, sendmmsg = _LIBC or (_missing, _missing)


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
            (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO) if v6 else (socket.IPPROTO_IP, IP_PKTINFO)
        )
        self.info = _IN6_PKTINFO.size if v6 else _IN_PKTINFO.size
        """Bytes of the packet information."""
        self.control = socket.CMSG_SPACE(self.info)
        """Bytes of it as ancillary data."""
        self.index_at = CMSG.size + (16 if v6 else 0)
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


class Arena:
    """Memory for a batch of one family, and the system calls that work on it."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self.key_size = family.name + family.control
        header, names = MMSGHDR.size, _align(self.key_size, _WORD)
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
                MMSGHDR.pack(*fixed, base + iov_in, 1, base + control, family.control, 0, 0)
            )
            self.tx_templates.append(
                MMSGHDR.pack(*fixed, base + iov_out, 1, base + control, family.control, 0, 0)
            )
            self.data_at.append(data)
            self.out_at.append(out)
            self.keys.append(slice(control, control + self.key_size))
            self.rx_slices.append(slice(rx, rx + header))
            self.tx_slices.append(slice(tx, tx + header))
            self.length_at.append((rx + LENGTH_AT) // 4)
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
