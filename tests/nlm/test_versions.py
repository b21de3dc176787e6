# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions 1 and 3 at the border: what of a request is widened, what of an answer is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts import nlmcalls as nlm
from pydaemons.nlm import procs
from pydaemons.nlm.types import HolderBody, ProbeResult, Result, ShareResult, Status
from pydaemons.nlm.versions import (
    LAST_32_BIT,
    NEWEST,
    VERSIONS,
    args_codec,
    narrow,
    narrow_status,
    result_codec,
)
from pydaemons.wire.xdr import NOTHING

KNOWN_TO_OLD = {
    Status.GRANTED,
    Status.DENIED,
    Status.DENIED_NOLOCKS,
    Status.BLOCKED,
    Status.DENIED_GRACE_PERIOD,
}


def test_there_is_no_version_2():
    assert VERSIONS == (1, 3, 4) and NEWEST == 4


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_a_word_in_the_old_versions(status):
    assert narrow_status(status) in KNOWN_TO_OLD
    if status in KNOWN_TO_OLD:
        assert narrow_status(status) == status


def test_a_deadlock_is_a_denial_and_what_has_no_word_a_want_of_locks():
    assert narrow_status(Status.DEADLCK) == Status.DENIED
    for status in (Status.ROFS, Status.STALE_FH, Status.FBIG, Status.FAILED, 4711):
        assert narrow_status(status) == Status.DENIED_NOLOCKS


@pytest.mark.parametrize("result", [Result(b"c", 8), ProbeResult(b"c", 8, None), ShareResult(b"c", 8, 0)])
def test_every_kind_of_result_is_narrowed_and_otherwise_left_alone(result):
    assert narrow(result) == result._replace(status=2)


@pytest.mark.parametrize("result", [NOTHING, None])
def test_what_has_no_status_passes(result):
    assert narrow(result) is result


@pytest.mark.parametrize("version", [1, 3])
@given(offset=st.integers(0, 2**32 - 1), length=st.integers(0, 2**32 - 1))
def test_requests_of_old_versions_decode_to_the_newest_records(version, offset, length):
    alock = nlm.Alock(offset=offset, length=length)
    old = args_codec(procs.LOCK_ARGS, version).unpack(nlm.lock(version, alock), 0)
    assert old == procs.LOCK_ARGS.unpack(nlm.lock(4, alock), 0)


@pytest.mark.parametrize("version", [1, 3])
@given(offset=st.integers(0, 2**64 - 1), length=st.integers(0, 2**64 - 1))
def test_a_holders_range_is_cut_to_what_signed_32_bit_clients_understand(version, offset, length):
    held = HolderBody(True, 5, b"oh", offset, length)
    packed = result_codec(procs.TEST_RESULT, version).pack(ProbeResult(b"c", Status.DENIED, held))
    holder = nlm.read_test(packed, version).holder
    assert (holder.offset, holder.length) == (min(offset, LAST_32_BIT), min(length, LAST_32_BIT))


def test_the_newest_version_is_left_alone():
    assert args_codec(procs.LOCK_ARGS, 4) is procs.LOCK_ARGS
    assert result_codec(procs.TEST_RESULT, 4) is procs.TEST_RESULT
    assert result_codec(procs.RESULT, 1) is procs.RESULT


def test_what_old_versions_send_is_compiled_once():
    """GRANTED asks for it at each call, and compiling takes longer than a client's whole unlock."""
    codec = procs.BY_NAME["GRANTED"].args
    assert args_codec(codec, 1) is args_codec(codec, 3) is not args_codec(codec, 4)
