# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.wire import frames
from pydaemons.wire.errors import WireError

KIND, BOOT = "test journal", bytes(range(16))
payloads = st.lists(st.binary(max_size=40), max_size=6)


def written(parts: list[bytes], stamp: int = 7) -> tuple[bytes, list[int]]:
    """A journal, and where each of its frames ends."""
    data = frames.header(KIND, 1, BOOT, stamp)
    chain, ends = frames.first_chain(data), [len(data)]
    for part in parts:
        whole, chain = frames.frame(part, chain)
        data += whole
        ends.append(len(data))
    return data, ends


@given(payloads, st.integers(-(2**63), 2**63 - 1))
def test_what_was_written_is_read(parts, stamp):
    data, ends = written(parts, stamp)
    found = frames.parse(data, KIND, 1)
    assert [bytes(part) for part in found.payloads] == parts
    assert (found.boot, found.stamp, found.end) == (BOOT, stamp, ends[-1])
    more, _ = frames.frame(b"more", found.chain)
    assert bytes(frames.parse(data + more, KIND, 1).payloads[-1]) == b"more"


@given(payloads, st.data())
def test_cut_at_any_byte_it_holds_the_frames_before_the_cut(parts, data):
    whole, ends = written(parts)
    at = data.draw(st.integers(ends[0], len(whole)))
    found = frames.parse(whole[:at], KIND, 1)
    assert [bytes(part) for part in found.payloads] == parts[: sum(end <= at for end in ends) - 1]
    assert found.end == max(end for end in ends if end <= at)


@given(payloads, st.data())
def test_no_bit_can_turn_unnoticed(parts, data):
    whole = bytearray(written(parts)[0])
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    whole[bit // 8] ^= 1 << bit % 8
    with pytest.raises(WireError):
        frames.parse(bytes(whole), KIND, 1)


@given(st.lists(st.binary(max_size=40), min_size=3, max_size=6, unique=True), st.data())
def test_a_frame_lost_or_moved_in_the_middle_is_noticed(parts, data):
    whole, ends = written(parts)
    n = data.draw(st.integers(0, len(parts) - 2))
    lost = whole[: ends[n]] + whole[ends[n + 1] :]
    moved = whole[: ends[n]] + whole[ends[n + 1] : ends[n + 2]] + whole[ends[n] : ends[n + 1]]
    for wrong in (lost, moved):
        with pytest.raises(WireError):
            frames.parse(wrong, KIND, 1)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    try:
        frames.parse(data, KIND, 1)
    except WireError:
        pass
    head = frames.header(KIND, 1, BOOT, 0)
    try:
        frames.parse(head + data, KIND, 1)
    except WireError:
        pass


def test_another_version_or_kind_is_named():
    data = frames.header(KIND, 2, BOOT, 0)
    with pytest.raises(WireError, match="of version 2, not 1"):
        frames.parse(data, KIND, 1)
    with pytest.raises(WireError, match="not a lock journal"):
        frames.parse(data, "lock journal", 2)


def test_versions_from_the_oldest_readable_on_are_read():
    for version in (2, 3):
        assert frames.parse(frames.header(KIND, version, BOOT, 0), KIND, 3, 2).payloads == []
    for version in (1, 4):
        with pytest.raises(WireError, match=f"of version {version}, not 3"):
            frames.parse(frames.header(KIND, version, BOOT, 0), KIND, 3, 2)
