# SPDX-License-Identifier: GPL-3.0-or-later
"""AUTH_NONE and AUTH_SYS are understood, all else is refused with the reason."""

from struct import pack

import pytest

from pydaemons.sunrpc.auth import AUTH_NONE, AUTH_SYS, Credential, authenticate, pack_sys
from pydaemons.sunrpc.message import AuthStat, CallHeader


def header(flavor: int, body: bytes, verf_flavor: int = 0, verf: bytes = b"") -> CallHeader:
    return CallHeader(2, 1, 1, 1, flavor, body, verf_flavor, verf, 40)


def test_auth_sys_tells_machine_and_ids() -> None:
    packed = pack_sys(b"client", uid=5, gid=6, stamp=7)
    credential = authenticate(header(AUTH_SYS, packed[8:]))
    assert isinstance(credential, Credential)
    assert credential.sys == (7, b"client", 5, 6, ())


def test_auth_none_is_a_credential() -> None:
    assert authenticate(header(AUTH_NONE, b"")) == Credential(AUTH_NONE, None)


@pytest.mark.parametrize(
    ("flavor", "body"),
    [
        (2, b""),
        (6, b"gss"),
        (AUTH_NONE, b"\0\0\0\0"),
        (AUTH_SYS, b""),
        (AUTH_SYS, pack(">II", 0, 300) + bytes(320)),
        (AUTH_SYS, pack(">IIIII", 0, 0, 0, 0, 17) + bytes(68)),
        (AUTH_SYS, pack(">IIIII", 0, 0, 0, 0, 0) + b"surplus!"),
    ],
)
def test_what_is_no_such_credential_is_a_bad_one(flavor: int, body: bytes) -> None:
    assert authenticate(header(flavor, body)) is AuthStat.BADCRED


def test_a_verifier_of_another_flavour_is_a_bad_one() -> None:
    assert authenticate(header(AUTH_NONE, b"", verf_flavor=6, verf=b"abcd")) is AuthStat.BADVERF
