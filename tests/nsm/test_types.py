# SPDX-License-Identifier: GPL-3.0-or-later
"""The status monitor's records on the wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.nsm import types
from pydaemons.wire.errors import WireError

names = st.binary(max_size=1024)
numbers = st.integers(0, 2**32 - 1)
states = st.integers(-(2**31), 2**31 - 1)
privates = st.binary(min_size=16, max_size=16)
callers = st.builds(types.Caller, names, numbers, numbers, numbers)

RECORDS = {
    types.HOST_NAME: st.builds(types.HostName, names),
    types.CALLER: callers,
    types.PAIR: st.builds(types.Pair, names, callers),
    types.MONITOR_ARGS: st.builds(types.MonitorArgs, names, callers, privates),
    types.MONITOR_RESULT: st.builds(types.MonitorResult, states, states),
    types.STATE: st.builds(types.State, states),
    types.CHANGE: st.builds(types.Change, names, states),
    types.STATUS: st.builds(types.Status, names, states, privates),
}


@pytest.mark.parametrize("codec", RECORDS, ids=repr)
@given(data=st.data())
def test_a_record_comes_back_and_a_shorter_one_is_a_wire_error(codec, data):
    record = data.draw(RECORDS[codec])
    packed = codec.pack(record)
    assert codec.unpack(packed, 0) == record
    with pytest.raises(WireError):
        codec.unpack(packed[: data.draw(st.integers(0, len(packed) - 1))], 0)


def test_a_registration_looks_as_rpc_statd_gets_it_from_the_kernel():
    args = types.MonitorArgs(b"10.97.0.2", types.Caller(b"h1", 100021, 4, 16), b"p" * 16)
    words = "00000009" + b"10.97.0.2\0\0\0".hex() + "00000002" + b"h1\0\0".hex() + "000186b50000000400000010"
    assert types.MONITOR_ARGS.pack(args).hex() == words + b"p".hex() * 16


def test_names_longer_than_the_protocol_allows_are_refused():
    with pytest.raises(WireError):
        types.CHANGE.unpack((1025).to_bytes(4, "big") + bytes(1028) + bytes(4), 0)
