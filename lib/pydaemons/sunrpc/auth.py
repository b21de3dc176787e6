# SPDX-License-Identifier: GPL-3.0-or-later
"""Who a caller says it is: AUTH_NONE and AUTH_SYS (RFC 5531 section 8.2 and appendix A). Nothing here is
proof."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydaemons.sunrpc.message import AuthStat, CallHeader
from pydaemons.wire.errors import WireError
from pydaemons.wire.record import Codec, Fixed
from pydaemons.wire.xdr import UInt, array, opaque

AUTH_NONE, AUTH_SYS = 0, 1


class SysCredential(NamedTuple):
    """authsys_parms."""

    stamp: UInt
    machine_name: Annotated[bytes, opaque(255)]
    uid: UInt
    gid: UInt
    gids: Annotated[tuple[int, ...], array(Fixed("I"), 16)]


SYS_CREDENTIAL = Codec(SysCredential)


class Credential(NamedTuple):
    """Flavour of a call's credential, and what AUTH_SYS said."""

    flavor: int
    sys: SysCredential | None


def authenticate(header: CallHeader) -> Credential | AuthStat:
    """The credential of a call, or why it is refused. Only AUTH_NONE and AUTH_SYS are spoken, their verifier
    is empty."""
    if header.cred_flavor == AUTH_NONE:
        if header.cred_body:
            return AuthStat.BADCRED
        credential = Credential(AUTH_NONE, None)
    elif header.cred_flavor == AUTH_SYS:
        try:
            parms, end = SYS_CREDENTIAL.unpack_from(header.cred_body, 0)
        except WireError:
            return AuthStat.BADCRED
        if end != len(header.cred_body):
            return AuthStat.BADCRED
        credential = Credential(AUTH_SYS, parms)
    else:
        return AuthStat.BADCRED
    if header.verf_flavor != AUTH_NONE or header.verf_body:
        return AuthStat.BADVERF
    return credential


def pack_sys(machine_name: bytes, *, uid: int = 0, gid: int = 0, stamp: int = 0) -> bytes:
    """An AUTH_SYS opaque_auth, ready for message.pack_call."""
    body = SYS_CREDENTIAL.pack(SysCredential(stamp, machine_name[:255], uid, gid, ()))
    return AUTH_SYS.to_bytes(4, "big") + len(body).to_bytes(4, "big") + body
