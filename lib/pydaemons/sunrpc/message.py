# SPDX-License-Identifier: GPL-3.0-or-later
"""ONC RPC version 2 call and reply messages (RFC 5531 section 9): their fixed parts, taken apart and put
together.

A message is `xid, type, body`. Replies of a server differ only in the xid and what follows a constant middle,
so they are kept as ready tails: `xid + SUCCESS + result`.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from pydaemons.wire.enums import OpenEnum
from pydaemons.wire.errors import WireError

CALL, REPLY = 0, 1
RPC_VERSION = 2
LONGEST_AUTH = 400
"""Bytes a credential or verifier may have (RFC 5531 section 8.2)."""

CALL_FIXED = Struct(">IIIIII")
"""xid, message type, RPC version, program, version, procedure."""
_TWO = Struct(">II")
_THREE = Struct(">III")


class AcceptStat(OpenEnum):
    """How an accepted call ended."""

    SUCCESS = 0
    PROG_UNAVAIL = 1
    PROG_MISMATCH = 2
    PROC_UNAVAIL = 3
    GARBAGE_ARGS = 4
    SYSTEM_ERR = 5


class AuthStat(OpenEnum):
    """Why a credential was refused."""

    BADCRED = 1
    REJECTEDCRED = 2
    BADVERF = 3
    REJECTEDVERF = 4
    TOOWEAK = 5


def accepted(stat: AcceptStat, rest: bytes = b"") -> bytes:
    """Everything behind the xid of an accepted reply with an AUTH_NONE verifier."""
    return Struct(">IIIII").pack(REPLY, 0, 0, 0, stat) + rest


def prog_mismatch(low: int, high: int) -> bytes:
    """Everything behind the xid: the program is here, that version of it is not."""
    return accepted(AcceptStat.PROG_MISMATCH, _TWO.pack(low, high))


def denied(stat: AuthStat) -> bytes:
    """Everything behind the xid of MSG_DENIED, AUTH_ERROR."""
    return Struct(">IIII").pack(REPLY, 1, 1, stat)


SUCCESS = accepted(AcceptStat.SUCCESS)
RPC_MISMATCH = Struct(">IIIII").pack(REPLY, 1, 0, RPC_VERSION, RPC_VERSION)


def padded(size: int) -> int:
    """`size` rounded up to XDR's unit of four bytes."""
    return size + 3 & ~3


class CallHeader(NamedTuple):
    """The part of a call that says what is called and by whom; its arguments begin at `args_at`."""

    rpc_version: int
    program: int
    version: int
    procedure: int
    cred_flavor: int
    cred_body: bytes
    verf_flavor: int
    verf_body: bytes
    args_at: int


def unpack_call(data: bytes) -> CallHeader:
    """Take apart the header of a call message; WireError when it is cut short or a length is out of bounds.

    Of a call with another RPC version only the version is known to mean anything."""
    if len(data) < 12:
        raise WireError("cut short", len(data))
    version = int.from_bytes(data[8:12], "big")
    if version != RPC_VERSION:
        return CallHeader(version, 0, 0, 0, 0, b"", 0, b"", 12)
    if len(data) < CALL_FIXED.size:
        raise WireError("cut short", len(data))
    _, _, _, program, version, procedure = CALL_FIXED.unpack_from(data)
    cred_flavor, cred_body, offset = _opaque_auth(data, CALL_FIXED.size)
    verf_flavor, verf_body, offset = _opaque_auth(data, offset)
    return CallHeader(
        RPC_VERSION, program, version, procedure, cred_flavor, cred_body, verf_flavor, verf_body, offset
    )


def _opaque_auth(data: bytes, offset: int) -> tuple[int, bytes, int]:
    if offset + 8 > len(data):
        raise WireError("cut short", offset)
    flavor, size = _TWO.unpack_from(data, offset)
    start = offset + 8
    if size > LONGEST_AUTH:
        raise WireError(f"{size} bytes of authentication where {LONGEST_AUTH} are allowed", offset)
    end = start + padded(size)
    if end > len(data):
        raise WireError("cut short", start)
    return flavor, data[start : start + size], end


def pack_call(
    *, xid: int, program: int, version: int, procedure: int, args: bytes, cred: bytes | None = None
) -> bytes:
    """A call message. `cred` is a packed opaque_auth (auth.pack_sys); None means AUTH_NONE."""
    fixed = CALL_FIXED.pack(xid, CALL, RPC_VERSION, program, version, procedure)
    return b"".join((fixed, cred if cred is not None else bytes(8), bytes(8), args))


class ReplyMessage(NamedTuple):
    """A reply taken apart: exactly one of `accept_stat` and `refusal` is set; `data` is the result when
    SUCCESS."""

    xid: int
    accept_stat: AcceptStat | None
    refusal: str | None
    data: bytes


def unpack_reply(data: bytes) -> ReplyMessage:
    """Take apart a reply message; WireError when it is none or is cut short."""
    if len(data) < 12:
        raise WireError("cut short", len(data))
    xid, kind, status = _THREE.unpack_from(data)
    if kind != REPLY:
        raise WireError("not a reply", 4)
    if status == 0:
        _, _, offset = _opaque_auth(data, 12)
        if offset + 4 > len(data):
            raise WireError("cut short", offset)
        stat = AcceptStat(int.from_bytes(data[offset : offset + 4], "big"))
        return ReplyMessage(xid, stat, None, data[offset + 4 :])
    if status != 1 or len(data) < 20:
        raise WireError("neither accepted nor denied", 8)
    why, detail = _TWO.unpack_from(data, 12)
    if why == 0:
        return ReplyMessage(xid, None, f"RPC version not {RPC_VERSION}", b"")
    return ReplyMessage(xid, None, f"authentication refused: {AuthStat(detail).name}", b"")
