# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a blocked lock's client waits: from one host's UNLOCK leaving to GRANTED reaching another.

`Waiter` is the client side of a blocked NLM lock, as small as can be: registered with its host's rpcbind, it
takes GRANTED or GRANTED_MSG over UDP or TCP and acknowledges it.
"""

from __future__ import annotations

import select
import socket
import time
from typing import Self

from hosts import rpc
from hosts.lab import Host

LOCK, UNLOCK, GRANTED, GRANTED_MSG, GRANTED_RES = 2, 4, 5, 10, 15
OK, BLOCKED = 0, 3


def lock_arguments(host: Host, handle: bytes, *, block: bool, svid: int = 1, offset: int = 0) -> bytes:
    return (
        rpc.opaque(b"ck")
        + rpc.u32(int(block), 1)
        + _lock(host, handle, svid=svid, offset=offset)
        + rpc.u32(0, 1)  # no reclaim; the client's NSM state
    )


def unlock_arguments(host: Host, handle: bytes, *, svid: int = 1, offset: int = 0) -> bytes:
    return rpc.opaque(b"ck") + _lock(host, handle, svid=svid, offset=offset)


def _lock(host: Host, handle: bytes, *, svid: int, offset: int) -> bytes:
    owner = rpc.opaque(f"{svid}@{host.name}")
    return rpc.opaque(host.name) + rpc.opaque(handle) + owner + rpc.u32(svid) + rpc.u64(offset, 10)


def status_of(reply: rpc.Reply) -> int:
    result = reply.result()
    result.opaque()
    return result.u32()


class Waiter:
    """Takes callbacks for `host`; needs its rpcbind running."""

    def __init__(self, host: Host) -> None:
        with host.network():
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.udp.bind(("0.0.0.0", 0))
        self.tcp.bind(("0.0.0.0", 0))
        self.tcp.listen()
        self.streams: dict[socket.socket, bytes] = {}
        """Connections of servers, with what came in and is not a whole record yet."""
        with rpc.Udp("127.0.0.1", 111, place=host.network) as rpcbind:
            for version in (1, 3, 4):
                for protocol, sock in ((rpc.UDP, self.udp), (rpc.TCP, self.tcp)):
                    row = rpc.u32(rpc.NLM, version, protocol, sock.getsockname()[1])
                    assert rpcbind.call(rpc.PORTMAP, 2, 1, row).result().u32(), "rpcbind refused the waiter"

    def wait(self, server: tuple[str, int], *, timeout: float) -> float:
        """time.monotonic() of the moment a callback was there; it is acknowledged after that."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            ready, _, _ = select.select([self.udp, self.tcp, *self.streams], [], [], left)
            moment = time.monotonic()
            granted = False
            for sock in ready:
                if sock is self.tcp:
                    self.streams[sock.accept()[0]] = b""
                elif sock is self.udp:
                    data, sender = sock.recvfrom(65536)
                    answer, done = self._answer(data)
                    if answer:
                        sock.sendto(answer, server if done == GRANTED_MSG else sender)
                    granted |= done in (GRANTED, GRANTED_MSG)
                else:
                    granted |= self._stream(sock)
            if granted:
                return moment
        raise rpc.NoReplyError(f"no GRANTED within {timeout:g} s")

    def _stream(self, sock: socket.socket) -> bool:
        """Bytes came in on a connection: answer the whole records (small: one fragment each)."""
        data = sock.recv(65536)
        if not data:
            del self.streams[sock]
            sock.close()
            return False
        data = self.streams[sock] + data
        granted = False
        while len(data) >= 4 and len(data) >= 4 + (size := int.from_bytes(data[:4]) & 0x7FFF_FFFF):
            answer, done = self._answer(data[4 : 4 + size])
            if answer:
                sock.sendall(rpc.u32(0x8000_0000 | len(answer)) + answer)
            granted |= done in (GRANTED, GRANTED_MSG)
            data = data[4 + size :]
        self.streams[sock] = data
        return granted

    @staticmethod
    def _answer(message: bytes) -> tuple[bytes, int]:
        """What to send back, and the procedure that was called; nothing for a reply (to our GRANTED_RES)."""
        call = rpc.Unpacker(message)
        xid, kind = call.u32(), call.u32()
        if kind != rpc.CALL:
            return b"", -1
        _, _, _, procedure = (call.u32() for _ in range(4))
        for _ in range(2):  # credential and verifier
            call.u32()
            call.opaque()
        result = rpc.opaque(call.opaque()) + rpc.u32(OK) if procedure in (GRANTED, GRANTED_MSG) else b""
        if procedure == GRANTED_MSG:
            return rpc.call_bytes(rpc.NLM, 4, GRANTED_RES, result), procedure
        return rpc.u32(xid, rpc.REPLY, 0, 0, 0, 0) + result, procedure

    def close(self) -> None:
        for sock in (self.udp, self.tcp, *self.streams):
            sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def wake_latencies(
    holder: Host, blocked: Host, handle: bytes, *, address: str, port: int, count: int
) -> list[float]:
    """Seconds from sending UNLOCK to receiving GRANTED, `count` times; both hosts' rpcbind must run."""
    found = []
    with (
        Waiter(blocked) as waiter,
        rpc.Udp(address, port, place=holder.network) as one,
        rpc.Udp(address, port, place=blocked.network) as two,
    ):
        for number in range(count):
            offset = number * 100
            taken = one.call(rpc.NLM, 4, LOCK, lock_arguments(holder, handle, block=False, offset=offset))
            assert status_of(taken) == OK, f"LOCK answered {status_of(taken)}"
            queued = two.call(rpc.NLM, 4, LOCK, lock_arguments(blocked, handle, block=True, offset=offset))
            assert status_of(queued) == BLOCKED, f"a blocking LOCK answered {status_of(queued)}"
            time.sleep(0.02)  # not in the middle of whatever the server still does about the LOCK
            begun = time.monotonic()
            one.send(rpc.call_bytes(rpc.NLM, 4, UNLOCK, unlock_arguments(holder, handle, offset=offset)))
            found.append(waiter.wait((address, port), timeout=20) - begun)
            one.receive()
            two.call(rpc.NLM, 4, UNLOCK, unlock_arguments(blocked, handle, offset=offset))
    return found
