# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.netbios import rap
from pydaemons.netbios.rap import Answer, Entry
from pydaemons.wire.errors import WireError

text = st.binary(max_size=16).map(lambda raw: raw.replace(b"\0", b"x"))
comments = st.binary(max_size=48).map(lambda raw: raw.replace(b"\0", b"x"))
entries = st.builds(
    Entry, text, st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**32 - 1), comments
)
answers = st.builds(
    Answer, st.integers(0, 65535), st.lists(entries, max_size=40).map(tuple), st.integers(0, 65535)
)


@given(answers)
def test_an_answer_survives_the_wire(answer):
    assert rap.unpack_answer(*rap.pack_answer(answer)) == answer


@given(st.binary(max_size=12), st.binary(max_size=200))
def test_anything_is_an_answer_or_a_wire_error(parameters, data):
    try:
        rap.unpack_answer(parameters, data)
    except WireError:
        pass


@given(answers, st.integers(0, 400))
def test_an_answer_cut_anywhere_keeps_to_its_bytes(answer, size):
    parameters, data = rap.pack_answer(answer)
    try:
        found = rap.unpack_answer(parameters, data[:size])
    except WireError:
        return
    assert [entry.name for entry in found.entries] == [entry.name for entry in answer.entries]


def test_a_request_asks_for_level_1_of_a_group():
    asked = rap.request(0x40000000, b"GRP")
    assert asked[:2] == (104).to_bytes(2, "little")
    assert asked[2:18] == b"WrLehDz\0B16BBDz\0"
    assert asked[18:] == b"\1\0\xe0\xff\0\0\0\x40GRP\0"


def test_a_request_for_what_follows_names_the_last_one():
    asked = rap.request(1, b"GRP", b"LAST")
    assert asked[:11] == b"\xd7\0WrLehDzz\0"
    assert asked.endswith(b"GRP\0LAST\0")


def test_more_entries_than_bytes_are_refused():
    parameters, data = rap.pack_answer(Answer(0, (Entry(b"A", 6, 1, 3, b""),), 1))
    with pytest.raises(WireError):
        rap.unpack_answer(parameters, data[:20])
