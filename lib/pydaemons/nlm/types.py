# SPDX-License-Identifier: GPL-3.0-or-later
"""What NLM version 4 sends and returns (X/Open XNFS version 3W, chapter 10 and appendix; RFC 1813 section 6).

The rules know only these shapes. Versions 1 and 3 are the same with 32-bit ranges: see versions.py. A lock's
fields stand flat in the records of the procedures, so that one struct call decodes all of a request.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydaemons.wire.enums import OpenEnum
from pydaemons.wire.record import Codec, Fixed
from pydaemons.wire.xdr import Bool, Int, UHyper, UInt, opaque

NLM_PROGRAM = 100021
LONGEST_NAME = 1024
LONGEST_FH = 64
"""Bytes of an NFSv3 file handle (RFC 1813 section 2.4: NFS3_FHSIZE)."""


class Status(OpenEnum):
    """nlm4_stats; versions 1 and 3 know the first five."""

    GRANTED = 0
    DENIED = 1
    DENIED_NOLOCKS = 2
    BLOCKED = 3
    DENIED_GRACE_PERIOD = 4
    DEADLCK = 5
    ROFS = 6
    STALE_FH = 7
    FBIG = 8
    FAILED = 9


Cookie = Annotated[bytes, opaque(1024)]
Name = Annotated[bytes, opaque(LONGEST_NAME)]
FileHandle = Annotated[bytes, opaque(LONGEST_FH)]
OwnerHandle = Annotated[bytes, opaque(1024)]


class ProbeArgs(NamedTuple):
    """nlm4_testargs: TEST, TEST_MSG, GRANTED and GRANTED_MSG."""

    cookie: Cookie
    exclusive: Bool
    caller_name: Name
    fh: FileHandle
    oh: OwnerHandle
    svid: Int
    offset: UHyper
    length: UHyper


class LockArgs(NamedTuple):
    """nlm4_lockargs: LOCK, LOCK_MSG and NM_LOCK."""

    cookie: Cookie
    block: Bool
    exclusive: Bool
    caller_name: Name
    fh: FileHandle
    oh: OwnerHandle
    svid: Int
    offset: UHyper
    length: UHyper
    reclaim: Bool
    state: Int
    """The client's NSM state number; 0 in the reclaims of Linux 6.1."""


class CancelArgs(NamedTuple):
    """nlm4_cancargs: CANCEL and CANCEL_MSG."""

    cookie: Cookie
    block: Bool
    exclusive: Bool
    caller_name: Name
    fh: FileHandle
    oh: OwnerHandle
    svid: Int
    offset: UHyper
    length: UHyper


class UnlockArgs(NamedTuple):
    """nlm4_unlockargs: UNLOCK and UNLOCK_MSG."""

    cookie: Cookie
    caller_name: Name
    fh: FileHandle
    oh: OwnerHandle
    svid: Int
    offset: UHyper
    length: UHyper


class Result(NamedTuple):
    """nlm4_res: what LOCK, CANCEL, UNLOCK and GRANTED return, and what their *_RES twins carry."""

    cookie: Cookie
    status: UInt


class HolderBody(NamedTuple):
    """nlm4_holder: the lock in the way."""

    exclusive: Bool
    svid: Int
    oh: OwnerHandle
    offset: UHyper
    length: UHyper
    """0: to the end of the file."""


class ProbeResult(NamedTuple):
    """nlm4_testres: a status and, exactly when it is DENIED, the holder."""

    cookie: bytes
    status: int
    holder: HolderBody | None


class ShareArgs(NamedTuple):
    """nlm4_shareargs: SHARE and UNSHARE."""

    cookie: Cookie
    caller_name: Name
    fh: FileHandle
    oh: OwnerHandle
    mode: UInt
    """fsh_mode: what others are denied, 0 none, 1 read, 2 write, 3 both."""
    access: UInt
    """fsh_access: what is wanted, by the same numbers."""
    reclaim: Bool


class ShareResult(NamedTuple):
    """nlm4_shareres."""

    cookie: Cookie
    status: UInt
    sequence: Int


class FreeAllArgs(NamedTuple):
    """nlm4_notify: FREE_ALL."""

    name: Name
    state: Int


class StatusArgs(NamedTuple):
    """nlm_sm_status: what the host's own status monitor calls us with (procedure 16)."""

    mon_name: Name
    state: Int
    priv: Annotated[bytes, Fixed("16s")]


HOLDER = Codec(HolderBody)
RESULT = Codec(Result)


class ProbeResultCodec(Codec[ProbeResult]):
    """A union (RFC 4506 section 4.15) discriminated by the status: its one arm is the holder of a DENIED."""

    def __init__(self, holder: Codec[HolderBody] = HOLDER) -> None:
        self.record = ProbeResult

        def unpack_from(data: bytes, offset: int) -> tuple[ProbeResult, int]:
            (cookie, status), offset = RESULT.unpack_from(data, offset)
            body = None
            if status == Status.DENIED:
                body, offset = holder.unpack_from(data, offset)
            return ProbeResult(cookie, status, body), offset

        def pack(value: ProbeResult) -> bytes:
            head = RESULT.pack(Result(value.cookie, value.status))
            return head if value.holder is None else head + holder.pack(value.holder)

        self.unpack_from = unpack_from
        self.unpack = lambda data, offset: unpack_from(data, offset)[0]
        self.pack = pack
