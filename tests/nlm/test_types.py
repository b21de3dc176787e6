# SPDX-License-Identifier: GPL-3.0-or-later
"""NLM's records: round trips, limits, and the bytes that others would send."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosts import nlmcalls as nlm
from hosts import rpc
from pydaemons.nlm import procs, types
from pydaemons.nlm.types import HolderBody, ProbeResult, Status
from pydaemons.wire.errors import WireError
from pydaemons.wire.record import Codec

UINT = st.integers(0, 2**32 - 1)
INT = st.integers(-(2**31), 2**31 - 1)
U64 = st.integers(0, 2**64 - 1)
COOKIES = st.binary(max_size=40)
NAMES = st.binary(max_size=40)
FILES = st.binary(max_size=64)
HOLDERS = st.builds(HolderBody, st.booleans(), INT, NAMES, U64, U64)

RECORDS: dict[str, tuple[Codec[Any], st.SearchStrategy[Any]]] = {
    "TEST": (
        procs.TEST_ARGS,
        st.builds(types.ProbeArgs, COOKIES, st.booleans(), NAMES, FILES, NAMES, INT, U64, U64),
    ),
    "LOCK": (
        procs.LOCK_ARGS,
        st.builds(
            types.LockArgs,
            *(COOKIES, st.booleans(), st.booleans(), NAMES, FILES, NAMES, INT, U64, U64),
            *(st.booleans(), INT),
        ),
    ),
    "CANCEL": (
        procs.CANCEL_ARGS,
        st.builds(
            types.CancelArgs, COOKIES, st.booleans(), st.booleans(), NAMES, FILES, NAMES, INT, U64, U64
        ),
    ),
    "UNLOCK": (procs.UNLOCK_ARGS, st.builds(types.UnlockArgs, COOKIES, NAMES, FILES, NAMES, INT, U64, U64)),
    "SHARE": (
        procs.SHARE_ARGS,
        st.builds(types.ShareArgs, COOKIES, NAMES, FILES, NAMES, UINT, UINT, st.booleans()),
    ),
    "FREE_ALL": (procs.FREE_ALL_ARGS, st.builds(types.FreeAllArgs, NAMES, INT)),
    "SM_NOTIFY": (
        procs.STATUS_ARGS,
        st.builds(types.StatusArgs, NAMES, INT, st.binary(min_size=16, max_size=16)),
    ),
    "result": (procs.RESULT, st.builds(types.Result, COOKIES, UINT)),
    "share result": (procs.SHARE_RESULT, st.builds(types.ShareResult, COOKIES, UINT, INT)),
    "test result": (
        procs.TEST_RESULT,
        st.one_of(
            st.builds(ProbeResult, COOKIES, UINT.filter(lambda status: status != Status.DENIED), st.none()),
            st.builds(ProbeResult, COOKIES, st.just(int(Status.DENIED)), HOLDERS),
        ),
    ),
}


@pytest.mark.parametrize("name", RECORDS)
@given(data=st.data())
def test_every_record_survives_packing(name, data):
    codec, values = RECORDS[name]
    value = data.draw(values)
    packed = codec.pack(value)
    assert len(packed) % 4 == 0
    assert codec.unpack(packed, 0) == value
    assert codec.unpack_from(b"front" + packed + b"rest", 5) == (value, 5 + len(packed))


@pytest.mark.parametrize("name", RECORDS)
@given(data=st.data())
def test_a_record_cut_short_anywhere_is_a_wire_error(name, data):
    codec, values = RECORDS[name]
    packed = codec.pack(data.draw(values))
    for size in range(len(packed)):
        with pytest.raises(WireError):
            codec.unpack(packed[:size], 0)


@pytest.mark.parametrize("name", RECORDS)
@given(junk=st.binary(max_size=200))
def test_any_bytes_decode_or_are_a_wire_error(name, junk):
    codec, _ = RECORDS[name]
    try:
        codec.unpack(junk, 0)
    except WireError as error:
        assert 0 <= error.offset <= len(junk)


ALOCK = nlm.Alock(b"\1\2\3", -7, 5, 6, b"caller", b"oh")


@pytest.mark.parametrize("version", nlm.VERSIONS)
def test_what_the_tests_own_client_packs_is_understood_word_for_word(version):
    def unpack(codec: Codec[Any], data: bytes) -> Any:
        return procs.args_codec(codec, version).unpack(data, 0)

    lock = (b"caller", b"\1\2\3", b"oh", -7, 5, 6)
    packed = nlm.lock(version, ALOCK, block=True, exclusive=False, reclaim=True, state=9, cookie=b"c")
    assert unpack(procs.LOCK_ARGS, packed) == (b"c", True, False, *lock, True, 9)
    assert unpack(procs.TEST_ARGS, nlm.test(version, ALOCK, cookie=b"c")) == (b"c", True, *lock)
    packed = nlm.cancel(version, ALOCK, block=False, cookie=b"c")
    assert unpack(procs.CANCEL_ARGS, packed) == (b"c", False, True, *lock)
    assert unpack(procs.UNLOCK_ARGS, nlm.unlock(version, ALOCK, cookie=b"c")) == (b"c", *lock)
    packed = nlm.share(ALOCK, mode=2, access=3, reclaim=True, cookie=b"c")
    assert unpack(procs.SHARE_ARGS, packed) == (b"c", b"caller", b"\1\2\3", b"oh", 2, 3, True)
    assert unpack(procs.FREE_ALL_ARGS, nlm.free_all(b"n", 4)) == (b"n", 4)
    assert unpack(procs.STATUS_ARGS, nlm.sm_notify(b"n", 4, b"p" * 16)) == (b"n", 4, b"p" * 16)


@pytest.mark.parametrize(("field", "longest"), [("fh", 64), ("caller", 1024), ("oh", 1024), ("cookie", 1024)])
def test_fields_have_the_longest_size_the_protocol_allows_and_no_more(field, longest):
    def packed(size: int) -> bytes:
        if field == "cookie":
            return nlm.lock(4, ALOCK, cookie=b"x" * size)
        return nlm.lock(4, ALOCK.but(**{field: b"x" * size}))

    assert b"x" * longest in procs.LOCK_ARGS.unpack(packed(longest), 0)
    with pytest.raises(WireError):
        procs.LOCK_ARGS.unpack(packed(longest + 1), 0)


def test_a_denied_test_carries_its_holder_and_no_other_does():
    held = HolderBody(True, -1, b"oh", 2**63 - 1, 0)
    packed = procs.TEST_RESULT.pack(ProbeResult(b"c", Status.DENIED, held))
    assert nlm.read_test(packed, 4) == nlm.Result(
        b"c", nlm.DENIED, nlm.Holder(True, 2**32 - 1, b"oh", 2**63 - 1, 0)
    )
    assert procs.TEST_RESULT.pack(ProbeResult(b"c", Status.GRANTED, None)) == rpc.opaque(b"c") + rpc.u32(0)


def test_a_status_nobody_defined_stays_its_number():
    assert Status(4711) == 4711
    assert Status(9).name == "FAILED"
