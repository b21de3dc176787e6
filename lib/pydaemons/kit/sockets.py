# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets to listen on: bound here or inherited from systemd (systemd.socket(5), sd_listen_fds(3)).

Read bind_udp, bind_tcp and inherited. IPv4 and IPv6 are always apart (IPV6_V6ONLY). A port that is taken is
an error that names who has it, as far as we may look.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import dataclass

from pydaemons.engine.protocol import Address

RECEIVE_BUFFER = 4 << 20
"""A burst waits in the kernel while a batch is worked off."""

PRIVILEGED = range(1023, 511, -1)
"""Ports that make a sender look privileged, in the order they are tried."""

_SO_RCVBUFFORCE = 33
IP_PKTINFO = 8
_SO_TIMESTAMP = 29
_SO_TIMESTAMPNS = 35
_SO_RXQ_OVFL = 40
_FIRST_PASSED = 3
_LISTEN_STATE = "0A"


class BindError(OSError):
    """An address could not be had. The text says which, and who has it where that can be seen."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a socket open."""

    command: str
    pid: int

    def __str__(self) -> str:
        return f"{self.command} (pid {self.pid})"


@dataclass(frozen=True, slots=True)
class Inherited:
    """A descriptor systemd passed: a listener of a .socket unit, or one that we stored (notify.store)."""

    name: str
    descriptor: int
    sock: socket.socket | None
    """The same as a socket; None if it is none."""

    @property
    def listening(self) -> bool:
        """Whether it takes connections (stream) or packets (an unconnected datagram socket)."""
        if self.sock is None:
            return False
        if self.sock.type == socket.SOCK_STREAM:
            return bool(self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        return not is_connected(self.sock)


def bind_udp(host: str, port: int, *, device: str | None = None, broadcast: bool = False) -> socket.socket:
    """A non-blocking UDP socket on `host` (numeric; "" is 0.0.0.0, "::" IPv6 only), ready for kit.batch."""
    sock = _bind(socket.SOCK_DGRAM, host, port, device=device, broadcast=broadcast)
    prepare_udp(sock)
    return sock


def bind_tcp(host: str, port: int, *, device: str | None = None, backlog: int = 1024) -> socket.socket:
    """A non-blocking listening TCP socket."""
    sock = _bind(socket.SOCK_STREAM, host, port, device=device, broadcast=False)
    try:
        sock.listen(backlog)
    except OSError as error:
        # Two sockets may share a port by SO_REUSEADDR until one of them listens.
        sock.close()
        raise _bind_error(error, socket.SOCK_STREAM, host, port) from error
    return sock


def prepare_udp(sock: socket.socket) -> None:
    """Set what kit.batch relies on, on a socket of ours or an inherited one: packet information as the only
    ancillary data, and a big receive buffer."""
    sock.setblocking(False)
    for option in (_SO_TIMESTAMP, _SO_TIMESTAMPNS, _SO_RXQ_OVFL):
        sock.setsockopt(socket.SOL_SOCKET, option, 0)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
    except OSError:  # wants CAP_NET_ADMIN; without it up to net.core.rmem_max
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)


def has_ipv6() -> bool:
    """Whether this kernel, here and now, has IPv6 (its absence is not an error)."""
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
    except OSError:
        return False
    return os.path.exists("/proc/net/if_inet6")


def is_connected(sock: socket.socket) -> bool:
    """Whether the socket has a peer."""
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def address_of(name: object) -> Address:
    """An Address from what the socket module calls one: a mapped IPv4 address folded, a link-local IPv6 one
    with its scope."""
    if not isinstance(name, tuple) or len(name) < 2:  # a unix socket's name
        return Address(str(name), 0)
    host, port = str(name[0]), int(name[1])
    if host.startswith("::ffff:") and "." in host:
        host = host[7:]
    elif len(name) == 4 and name[3] and "%" not in host:
        host = f"{host}%{scope_name(name[3])}"
    return Address(host, port)


def scope_name(index: int) -> str:
    """The interface's name for a scope id; the number itself when the interface is gone."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return str(index)


def to_sockaddr(address: Address) -> tuple[str, int] | tuple[str, int, int, int]:
    """The inverse of address_of, for an address of its own family. OSError when it is not numeric."""
    host, port = address
    if ":" not in host:
        socket.inet_pton(socket.AF_INET, host)  # a name would be looked up, and that may take its time
        return host, port
    host, _, scope = host.partition("%")
    socket.inet_pton(socket.AF_INET6, host)
    index = 0
    if scope:
        index = int(scope) if scope.isdecimal() else socket.if_nametoindex(scope)
    return host, port, 0, index


def family_of(host: str) -> socket.AddressFamily:
    """The family of a numeric host."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def inherited(environ: MutableMapping[str, str] | None = None) -> list[Inherited]:
    """What systemd passed to this process, in its order. Takes the variables out of the environment, so that
    neither a second call nor a child finds them."""
    environ = os.environ if environ is None else environ
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    environ.pop("LISTEN_PIDFDID", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    found = []
    for index in range(int(count)):
        descriptor = _FIRST_PASSED + index
        name = names[index] if index < len(names) and names[index] else "unknown"
        try:
            os.set_inheritable(descriptor, False)
        except OSError:
            continue  # not there: the count was wrong
        found.append(Inherited(name, descriptor, _socket_of(descriptor)))
    return found


def take_listener(
    passed: list[Inherited], kind: socket.SocketKind, family: socket.AddressFamily, name: str | None = None
) -> socket.socket | None:
    """Take the first listener of this type and family (and name) out of `passed`, ready for use; its port is
    what it is. None if there is none."""
    for item in passed:
        sock = item.sock
        if sock is None or sock.type != kind or sock.family != family or not item.listening:
            continue
        if name is not None and item.name != name:
            continue
        passed.remove(item)
        sock.setblocking(False)
        if kind == socket.SOCK_DGRAM:
            prepare_udp(sock)
        return sock
    return None


def holders(kind: socket.SocketKind, family: socket.AddressFamily, port: int) -> list[Holder]:
    """Who has `port` open in this network namespace, as far as /proc shows it to us."""
    table = ("udp" if kind == socket.SOCK_DGRAM else "tcp") + ("6" if family == socket.AF_INET6 else "")
    inodes = set(_inodes(f"/proc/net/{table}", port, listening=kind == socket.SOCK_STREAM))
    if not inodes:
        return []
    return list(_who_has({f"socket:[{inode}]" for inode in inodes}))


def _bind(
    kind: socket.SocketKind, host: str, port: int, *, device: str | None, broadcast: bool
) -> socket.socket:
    family = family_of(host)
    try:
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    except OSError as error:
        raise _bind_error(error, kind, host, port) from error
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if broadcast:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if device is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        sock.bind(to_sockaddr(Address(host or "0.0.0.0", port)))
    except OSError as error:
        sock.close()
        raise _bind_error(error, kind, host, port) from error
    return sock


def _bind_error(error: OSError, kind: socket.SocketKind, host: str, port: int) -> BindError:
    protocol = "udp" if kind == socket.SOCK_DGRAM else "tcp"
    text = f"{protocol} port {port} on {host or '0.0.0.0'}: {error.strerror or error}"
    if error.errno == errno.EADDRINUSE:
        who = ", ".join(map(str, holders(kind, family_of(host), port)))
        text = f"{protocol} port {port} is held by {who or 'another process (whose name needs root to see)'}"
    elif error.errno == errno.EACCES:
        text += " (ports below 1024 need CAP_NET_BIND_SERVICE)"
    return BindError(error.errno, text)


def _inodes(path: str, port: int, *, listening: bool) -> Iterator[str]:
    try:
        with open(path, encoding="ascii") as table:
            next(table)
            for line in table:
                column = line.split()
                if int(column[1].rpartition(":")[2], 16) != port:
                    continue
                if not listening or column[3] == _LISTEN_STATE:
                    yield column[9]
    except (OSError, StopIteration, IndexError, ValueError):
        return


def _who_has(links: Iterable[str]) -> Iterator[Holder]:
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            folder = f"/proc/{pid}/fd"
            if any(os.readlink(f"{folder}/{name}") in links for name in os.listdir(folder)):
                with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as comm:
                    yield Holder(comm.read().strip(), int(pid))
        except OSError:
            continue  # gone meanwhile, or not ours to look into


def _socket_of(descriptor: int) -> socket.socket | None:
    try:
        return socket.socket(fileno=descriptor)
    except OSError:
        return None
