# SPDX-License-Identifier: GPL-3.0-or-later
"""Call and reply messages, bit by bit (RFC 5531 section 9)."""

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.sunrpc import message
from pydaemons.sunrpc.auth import pack_sys
from pydaemons.sunrpc.message import AcceptStat, AuthStat, unpack_call, unpack_reply
from pydaemons.wire.errors import WireError


def test_a_call_is_taken_apart_as_it_was_put_together() -> None:
    data = message.pack_call(
        xid=7, program=100021, version=4, procedure=2, args=b"args", cred=pack_sys(b"host")
    )
    header = unpack_call(data)
    assert header[:5] == (2, 100021, 4, 2, 1)
    assert data[header.args_at :] == b"args"
    assert (header.verf_flavor, header.verf_body) == (0, b"")


def test_of_another_rpc_version_only_the_version_is_read() -> None:
    assert unpack_call(pack(">III", 1, 0, 3)).rpc_version == 3


@given(st.binary(max_size=80))
def test_any_bytes_are_a_call_or_a_wire_error(data: bytes) -> None:
    try:
        assert unpack_call(data).args_at <= len(data)
    except WireError:
        pass


@pytest.mark.parametrize("size", [401, 2**32 - 1])
def test_a_credential_beyond_400_bytes_is_refused(size: int) -> None:
    with pytest.raises(WireError, match="400 are allowed"):
        unpack_call(pack(">8I", 1, 0, 2, 100021, 4, 0, 1, size) + bytes(600))


def test_replies_are_read_back_with_their_status() -> None:
    xid = pack(">I", 9)
    assert unpack_reply(xid + message.SUCCESS + b"data") == (9, AcceptStat.SUCCESS, None, b"data")
    mismatch = unpack_reply(xid + message.prog_mismatch(1, 4))
    assert (mismatch.accept_stat, mismatch.data) == (AcceptStat.PROG_MISMATCH, pack(">II", 1, 4))
    refused = unpack_reply(xid + message.denied(AuthStat.TOOWEAK))
    assert refused.accept_stat is None
    assert "TOOWEAK" in (refused.refusal or "")
    assert "RPC version" in (unpack_reply(xid + message.RPC_MISMATCH).refusal or "")


@given(st.binary(max_size=80))
def test_any_bytes_are_a_reply_or_a_wire_error(data: bytes) -> None:
    try:
        unpack_reply(data)
    except WireError:
        pass


def test_a_call_cut_short_anywhere_in_its_header_is_a_wire_error() -> None:
    whole = message.pack_call(xid=7, program=100021, version=4, procedure=2, args=b"", cred=pack_sys(b"host"))
    assert unpack_call(whole).args_at == len(whole)
    for size in range(len(whole)):
        with pytest.raises(WireError):
            unpack_call(whole[:size])


@pytest.mark.parametrize("rest", [message.SUCCESS, message.denied(AuthStat.TOOWEAK), message.RPC_MISMATCH])
def test_a_reply_cut_short_anywhere_is_a_wire_error(rest: bytes) -> None:
    whole = pack(">I", 9) + rest
    unpack_reply(whole)
    for size in range(min(len(whole), 20)):
        with pytest.raises(WireError):
            unpack_reply(whole[:size])


def test_what_is_neither_accepted_nor_denied_is_no_reply() -> None:
    with pytest.raises(WireError, match="neither"):
        unpack_reply(pack(">IIIII", 9, 1, 2, 0, 0))
