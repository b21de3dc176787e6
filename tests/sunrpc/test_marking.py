# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.engine.protocol import Run
from pydaemons.sunrpc.marking import HEADER, LAST, USUAL, Deframer, frame, mark
from pydaemons.wire.errors import WireError

LIMIT = 1000


def fragments(record: bytes, cuts: list[int]) -> bytes:
    """`record` as a stream of fragments that end at `cuts` (equal cuts make empty fragments)."""
    ends = [*sorted(min(cut, len(record)) for cut in cuts), len(record)]
    stream, start = b"", 0
    for index, end in enumerate(ends):
        last = LAST if index == len(ends) - 1 else 0
        stream += HEADER.pack(last | (end - start)) + record[start:end]
        start = end
    return stream


def split(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


def standing(buffer: bytes, runs: list[Run]) -> list[bytes]:
    """The records of a buffer."""
    return [buffer[at + i * stride :][:size] for at, size, stride, count in runs for i in range(count)]


def collect(pieces: list[bytes]) -> list[bytes]:
    deframer = Deframer(LIMIT)
    records = [record for piece in pieces for record in deframer.feed(piece)]
    other = Deframer(LIMIT)
    buffers = [other.cut(piece) for piece in pieces]
    cut = [record for buffer, runs in buffers for record in standing(buffer, runs)]
    assert cut == records
    assert other.pending == deframer.pending
    return records


records_with_cuts = st.lists(
    st.tuples(st.binary(max_size=40), st.lists(st.integers(0, 40), max_size=4)), max_size=6
)


@given(records_with_cuts, st.lists(st.integers(0, 400), max_size=12))
def test_any_fragments_and_any_split_of_the_stream_give_the_same_records(records, cuts):
    stream = b"".join(fragments(record, each) for record, each in records)
    assert collect(split(stream, cuts)) == [record for record, _ in records]


@given(records_with_cuts)
def test_byte_by_byte_gives_the_same_records_each_as_soon_as_it_is_whole(records):
    deframer = Deframer(LIMIT)
    for record, cuts in records:
        stream = fragments(record, cuts)
        *early, last = [deframer.feed(stream[i : i + 1]) for i in range(len(stream))]
        assert not any(early)
        assert last == [record]
        assert not deframer.pending


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=8))
def test_garbage_gives_the_same_whole_and_in_pieces(data, cuts):
    def outcome(pieces):
        deframer, records = Deframer(LIMIT), []
        for piece in pieces:
            try:
                records += standing(*deframer.cut(piece))
            except WireError as error:
                assert 0 <= error.offset <= len(piece)
                return None
        return records, deframer.pending

    # A refusal may come with any piece; what was complete before it is a matter of the split.
    assert outcome(split(data, cuts)) == outcome([data])


def test_a_record_sent_is_a_record_received():
    assert collect([frame(b"call") + frame(b"")]) == [b"call", b""]
    assert mark(5) == b"\x80\x00\x00\x05"


def test_records_that_come_whole_stay_where_they_are():
    stream = frame(b"call") + frame(b"") + frame(b"another")
    buffer, runs = Deframer(LIMIT).cut(stream)
    assert buffer is stream
    assert runs == [(4, 4, 8, 1), (12, 0, 4, 1), (16, 7, 11, 1)]


@given(st.lists(st.sampled_from([0, 1, 4, 256, 257]), max_size=20), st.integers(0, 300))
def test_records_of_one_size_that_stand_together_are_one_run(sizes, cut):
    stream = b"".join(frame(bytes([i]) * size) for i, size in enumerate(sizes))
    buffer, runs = Deframer(LIMIT).cut(stream)
    assert buffer is stream
    assert [(size, count) for _, size, _, count in runs] == [(s, len([*g])) for s, g in groupby(sizes)]
    deframer = Deframer(LIMIT)
    for _, runs in map(deframer.cut, (stream[:cut], stream[cut:])):
        assert all(one[1] != other[1] for one, other in pairwise(runs))


@pytest.mark.parametrize("size", [LIMIT + 1, 0x7FFFFFFF])
def test_a_record_over_the_limit_is_refused_before_it_has_come(size):
    with pytest.raises(WireError):
        Deframer(LIMIT).feed(mark(size))


def test_fragments_count_together_towards_the_limit():
    deframer = Deframer(LIMIT)
    half = HEADER.pack(LIMIT // 2) + bytes(LIMIT // 2)
    assert deframer.feed(half + half) == []
    with pytest.raises(WireError):
        deframer.feed(HEADER.pack(LAST | 1))


def test_a_record_of_exactly_the_limit_passes():
    assert collect([frame(bytes(LIMIT))]) == [bytes(LIMIT)]
    assert collect([fragments(bytes(LIMIT), [500])]) == [bytes(LIMIT)]


def test_empty_fragments_cost_nothing_but_their_header():
    deframer = Deframer(LIMIT)
    assert deframer.feed(HEADER.pack(0) * 10000) == []
    assert deframer.feed(frame(b"end")) == [b"end"]


def test_reading_only_what_is_wanted_ends_between_two_records():
    first = fragments(b"first record", [3, 7])
    stream = first + frame(b"second")
    deframer = Deframer(100)
    records, at = deframer.feed(stream[:1]), 1
    while deframer.pending:
        size = deframer.wanted
        records += deframer.feed(stream[at : at + size])
        at += size
    assert (records, at) == ([b"first record"], len(first))


def test_it_tells_whether_a_record_has_begun():
    deframer = Deframer(LIMIT)
    assert not deframer.pending
    deframer.feed(b"\x80")
    assert deframer.pending
    deframer.feed(b"\x00\x00\x01x")
    assert not deframer.pending


@pytest.mark.parametrize("read", [Deframer.feed, Deframer.cut])
def test_a_record_beyond_the_limit_is_refused_though_it_came_whole(read):
    small, large = frame(bytes(LIMIT)), frame(bytes(LIMIT + 1))
    read(Deframer(LIMIT), small + small)
    with pytest.raises(WireError, match=f"more than {LIMIT} bytes"):
        read(Deframer(LIMIT), small + large)


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 12)), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 400), st.integers(0, 255)), max_size=8),
)
def test_what_comes_in_usual_sizes_is_looked_at_all_the_same(sizes, reads):
    """Some like those before, some with another byte somewhere, be it in a header."""
    usual = [frame(b"x" * size) * count for size, count in sizes]
    seasoned = Deframer(LIMIT)
    for read in usual:
        seasoned.cut(read)
    for which, at, byte in reads:
        read = bytearray(usual[which % len(usual)])
        read[at % len(read)] = byte
        data = bytes(read)
        outcomes = []
        for deframer in (seasoned, Deframer(LIMIT)):
            try:
                outcomes.append((standing(*deframer.cut(data)), deframer.pending))
            except WireError as error:
                outcomes.append(str(error))
        assert outcomes[0] == outcomes[1]
        if outcomes[0][1:] != (False,):
            return  # the stream is out of step, or within a record


def test_sizes_of_reads_without_end_cost_no_memory():
    deframer = Deframer(1 << 16)
    for size in range(1, 1000):
        deframer.cut(frame(bytes(size)))
    assert len(deframer._usual) <= USUAL
