# SPDX-License-Identifier: GPL-3.0-or-later
"""NLM arguments and results as bytes, versions 1, 3 and 4 (X/Open XNFS 3W chapter 10, RFC 1813 section 6).

Nothing of lib/ is in here (see rpc.py for why), nor does it know sockets: fakes in virtual time and tests on
the wire speak with the same words. `Alock` is nlm_lock; each function packs the arguments of one procedure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from hosts.rpc import Unpacker, opaque, u32, u64

VERSIONS = (1, 3, 4)
NULL, TEST, LOCK, CANCEL, UNLOCK, GRANTED = range(6)
TEST_MSG, LOCK_MSG, CANCEL_MSG, UNLOCK_MSG, GRANTED_MSG = range(6, 11)
TEST_RES, LOCK_RES, CANCEL_RES, UNLOCK_RES, GRANTED_RES = range(11, 16)
SM_NOTIFY, SHARE, UNSHARE, NM_LOCK, FREE_ALL = 16, 20, 21, 22, 23

OK, DENIED, NOLOCKS, BLOCKED, GRACE, DEADLOCK, ROFS, STALE, FBIG, FAILED = range(10)
"""nlm4_stats; versions 1 and 3 end with GRACE."""

COOKIE = b"\0\0\0\1"
LAST = 2**63 - 1
"""The last byte that can be locked."""


@dataclass(frozen=True, slots=True)
class Alock:
    """nlm_lock and nlm4_lock: who wants what of which file."""

    fh: bytes = b"file"
    svid: int = 1
    offset: int = 0
    length: int = 10
    caller: bytes = b"client"
    oh: bytes = b""
    """Empty: the owner handle Linux would send."""

    @property
    def owner_handle(self) -> bytes:
        return self.oh or f"{self.svid}@".encode() + self.caller

    def pack(self, version: int) -> bytes:
        where = u64(self.offset, self.length) if version == 4 else u32(self.offset, self.length)
        who = opaque(self.caller) + opaque(self.fh) + opaque(self.owner_handle) + u32(self.svid & 0xFFFFFFFF)
        return who + where

    @classmethod
    def read(cls, reader: Unpacker, version: int) -> Self:
        caller, fh, oh, svid = reader.opaque(), reader.opaque(), reader.opaque(), reader.u32()
        number = reader.u64 if version == 4 else reader.u32
        return cls(fh, svid, number(), number(), caller, oh)

    def but(self, **changes: Any) -> Self:
        return replace(self, **changes)


# ---------------------------------------------------------------------- arguments


def test(version: int, lock: Alock, *, exclusive: bool = True, cookie: bytes = COOKIE) -> bytes:
    """TEST, TEST_MSG; GRANTED and GRANTED_MSG have the same arguments."""
    return opaque(cookie) + u32(exclusive) + lock.pack(version)


def lock(
    version: int,
    lock: Alock,
    *,
    block: bool = False,
    exclusive: bool = True,
    reclaim: bool = False,
    state: int = 1,
    cookie: bytes = COOKIE,
) -> bytes:
    """LOCK, LOCK_MSG, NM_LOCK."""
    return opaque(cookie) + u32(block, exclusive) + lock.pack(version) + u32(reclaim, state)


def cancel(
    version: int, lock: Alock, *, block: bool = True, exclusive: bool = True, cookie: bytes = COOKIE
) -> bytes:
    """CANCEL, CANCEL_MSG."""
    return opaque(cookie) + u32(block, exclusive) + lock.pack(version)


def unlock(version: int, lock: Alock, *, cookie: bytes = COOKIE) -> bytes:
    """UNLOCK, UNLOCK_MSG."""
    return opaque(cookie) + lock.pack(version)


def share(
    lock: Alock, *, mode: int = 0, access: int = 1, reclaim: bool = False, cookie: bytes = COOKIE
) -> bytes:
    """SHARE, UNSHARE: `mode` is what others are denied, `access` what is wanted (0 none, 1 read, 2 write, 3
    both)."""
    who = opaque(lock.caller) + opaque(lock.fh) + opaque(lock.owner_handle)
    return opaque(cookie) + who + u32(mode, access) + u32(reclaim)


def free_all(name: bytes, state: int = 0) -> bytes:
    """FREE_ALL (nlm_notify)."""
    return opaque(name) + u32(state)


def sm_notify(name: bytes, state: int, priv: bytes = bytes(16)) -> bytes:
    """SM_NOTIFY, as the host's status monitor calls it."""
    return opaque(name) + u32(state) + priv


def result(status: int, cookie: bytes = COOKIE) -> bytes:
    """nlm_res: the arguments of LOCK_RES, CANCEL_RES, UNLOCK_RES and GRANTED_RES."""
    return opaque(cookie) + u32(status)


# ---------------------------------------------------------------------- results


@dataclass(frozen=True, slots=True)
class Holder:
    """nlm_holder: who stands in the way."""

    exclusive: bool
    svid: int
    oh: bytes
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Result:
    """What a procedure returned; `holder` only of a TEST that was denied."""

    cookie: bytes
    status: int
    holder: Holder | None = None


def read_result(data: bytes) -> Result:
    """nlm_res, to the last byte."""
    reader = Unpacker(data)
    found = Result(reader.opaque(), reader.u32())
    reader.done()
    return found


def read_test(data: bytes, version: int) -> Result:
    """nlm_testres, to the last byte."""
    reader = Unpacker(data)
    cookie, status = reader.opaque(), reader.u32()
    holder = None
    if status == DENIED:
        exclusive, svid, oh = reader.u32(), reader.u32(), reader.opaque()
        assert exclusive in (0, 1)
        number = reader.u64 if version == 4 else reader.u32
        holder = Holder(bool(exclusive), svid, oh, number(), number())
    reader.done()
    return Result(cookie, status, holder)


def read_share(data: bytes) -> Result:
    """nlm_shareres, to the last byte. The sequence number is unused: 0."""
    reader = Unpacker(data)
    found = Result(reader.opaque(), reader.u32())
    assert reader.u32() == 0
    reader.done()
    return found


def read(procedure: int, data: bytes, version: int) -> Result | None:
    """The result of any procedure, or the arguments of its *_RES twin; None where nothing is returned."""
    if procedure in (TEST, TEST_RES):
        return read_test(data, version)
    if procedure in (SHARE, UNSHARE):
        return read_share(data)
    if procedure in (NULL, FREE_ALL, SM_NOTIFY):
        assert data == b""
        return None
    return read_result(data)
