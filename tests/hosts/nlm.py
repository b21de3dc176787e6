# SPDX-License-Identifier: GPL-3.0-or-later
"""A small NLM client for wire tests, after X/Open XNFS (C702) and nothing of lib/: see rpc.py for why.

`Client` is one client host's lock manager seen from the server: it sends calls over one transport and gives
back statuses. `Waiter` is its other half: registered with the host's rpcbind, it takes GRANTED and
GRANTED_MSG over UDP or TCP and acknowledges them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from hosts import rpc
from hosts.callbacks import Callbacks
from hosts.lab import Host

NULL, TEST, LOCK, CANCEL, UNLOCK, GRANTED = range(6)
GRANTED_MSG, GRANTED_RES, SHARE, UNSHARE, NM_LOCK, FREE_ALL = 10, 15, 20, 21, 22, 23
STATUS_GRANTED, STATUS_DENIED, STATUS_NOLOCKS, STATUS_BLOCKED, STATUS_GRACE, STATUS_DEADLOCK = range(6)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who stands in the way, as TEST tells it."""

    exclusive: bool
    svid: int
    owner: bytes
    offset: int
    length: int


class Client:
    """Calls to the lock manager at `address`:`port` in the name of `host`.

    Ranges default to 0, 10; `length` 0 is to the end of the file. Statuses are the protocol's numbers.
    """

    def __init__(
        self, host: Host, address: str, port: int, *, tcp: bool = False, version: int = 4, caller: str = ""
    ) -> None:
        self.caller = caller or host.name
        self.version = version
        self.line = (rpc.Tcp if tcp else rpc.Udp)(address, port, place=host.network)

    def test(self, handle: bytes, *, exclusive: bool = True, **where: int) -> tuple[int, Holder | None]:
        result = self._call(TEST, self._cookie + rpc.u32(exclusive) + self._lock(handle, **where))
        status = result.u32()
        if status != STATUS_DENIED:
            return status, None
        is_exclusive, svid, owner = bool(result.u32()), result.u32(), result.opaque()
        number = result.u64 if self.version == 4 else result.u32
        return status, Holder(is_exclusive, svid, owner, number(), number())

    def lock(
        self,
        handle: bytes,
        *,
        exclusive: bool = True,
        block: bool = False,
        reclaim: bool = False,
        state: int = 1,
        **where: int,
    ) -> int:
        return self._call(
            LOCK,
            self._cookie + rpc.u32(block, exclusive) + self._lock(handle, **where) + rpc.u32(reclaim, state),
        ).u32()

    def cancel(self, handle: bytes, *, exclusive: bool = True, block: bool = True, **where: int) -> int:
        words = rpc.u32(block, exclusive)
        return self._call(CANCEL, self._cookie + words + self._lock(handle, **where)).u32()

    def unlock(self, handle: bytes, **where: int) -> int:
        return self._call(UNLOCK, self._cookie + self._lock(handle, **where)).u32()

    def send_lock(self, handle: bytes, **where: int) -> None:
        """An exclusive LOCK without waiting for its answer."""
        arguments = self._cookie + rpc.u32(0, 1) + self._lock(handle, **where) + rpc.u32(0, 1)
        self.line.send(rpc.call_bytes(rpc.NLM, self.version, LOCK, arguments))

    def send_unlock(self, handle: bytes, **where: int) -> None:
        """UNLOCK without waiting for its answer; read_reply() takes it."""
        arguments = self._cookie + self._lock(handle, **where)
        self.line.send(rpc.call_bytes(rpc.NLM, self.version, UNLOCK, arguments))

    def read_reply(self) -> int:
        result = rpc.Reply.parse(self.line.receive()).result()
        result.opaque()
        return result.u32()

    def share(self, handle: bytes, *, mode: int = 0, access: int = 1, svid: int = 1) -> int:
        """`mode` is what others shall not do (0 nothing, 1 read, 2 write, 3 both), `access` what we do."""
        return self._call(SHARE, self._share(handle, mode, access, svid)).u32()

    def unshare(self, handle: bytes, *, mode: int = 0, access: int = 1, svid: int = 1) -> int:
        return self._call(UNSHARE, self._share(handle, mode, access, svid)).u32()

    def free_all(self, *, state: int = 1) -> None:
        arguments = rpc.opaque(self.caller) + rpc.u32(state)
        self.line.call(rpc.NLM, self.version, FREE_ALL, arguments).result().done()

    # ---- shapes

    _cookie = rpc.opaque(b"\0\0\0\1")

    def _owner(self, svid: int) -> bytes:
        return rpc.opaque(f"{svid}@{self.caller}")

    def _lock(self, handle: bytes, *, svid: int = 1, offset: int = 0, length: int = 10) -> bytes:
        where = rpc.u64(offset, length) if self.version == 4 else rpc.u32(offset, length)
        return rpc.opaque(self.caller) + rpc.opaque(handle) + self._owner(svid) + rpc.u32(svid) + where

    def _share(self, handle: bytes, mode: int, access: int, svid: int) -> bytes:
        who = rpc.opaque(self.caller) + rpc.opaque(handle) + self._owner(svid)
        return self._cookie + who + rpc.u32(mode, access) + rpc.u32(0)

    def _call(self, procedure: int, arguments: bytes) -> rpc.Unpacker:
        """The result behind its cookie, which must be ours."""
        result = self.line.call(rpc.NLM, self.version, procedure, arguments).result()
        cookie = result.opaque()
        assert rpc.opaque(cookie) == self._cookie, f"cookie {cookie!r} came back"
        return result

    def close(self) -> None:
        self.line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Callback:
    """A call the server made to the waiter."""

    moment: float
    """time.monotonic() when it was read."""
    procedure: int
    version: int
    source: tuple[str, int]
    handle: bytes
    svid: int
    offset: int
    length: int


class Waiter:
    """Takes callbacks for `host`; needs its rpcbind running."""

    def __init__(self, host: Host) -> None:
        self._callbacks = Callbacks(host)

    @property
    def acknowledge(self) -> bool:
        """False: callbacks are seen but not answered, as by a client that hangs."""
        return self._callbacks.status is not None

    @acknowledge.setter
    def acknowledge(self, value: bool) -> None:
        self._callbacks.status = STATUS_GRANTED if value else None

    def wait(self, server: tuple[str, int], *, timeout: float = 30.0) -> Callback:
        """The next GRANTED or GRANTED_MSG; GRANTED_RES goes to `server`. NoReplyError when none comes."""
        told = self._callbacks.next(
            lambda call: call.procedure in (GRANTED, GRANTED_MSG), server=server, timeout=timeout
        )
        _, _, lock = told.granted()
        where = (lock.fh, lock.svid, lock.offset, lock.length)
        return Callback(told.moment, told.procedure, told.version, told.source, *where)

    def close(self) -> None:
        self._callbacks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
