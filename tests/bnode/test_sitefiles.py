# SPDX-License-Identifier: GPL-3.0-or-later
"""UserList, CellServDB, KeyFile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.bnode import sitefiles
from pydaemons.bnode.sitefiles import Cell
from pydaemons.wire.errors import WireError

WORDS = st.text(st.sampled_from("abcz0.-"), min_size=1, max_size=12)


@given(st.lists(WORDS, unique=True).map(tuple))
def test_users_come_back(users):
    assert sitefiles.parse_users(sitefiles.format_users(users)) == users


@given(WORDS, st.lists(st.tuples(WORDS, st.booleans()), unique_by=lambda h: h[0]))
def test_a_cell_comes_back_with_its_clones(name, hosts):
    cell = Cell(name, tuple(f"[{host}]" if clone else host for host, clone in hosts))
    assert sitefiles.parse_cell(f"{name}\n", sitefiles.format_cell(cell)) == cell


def test_only_this_cells_hosts_are_read():
    text = ">other\n1.2.3.4 #x\n>here #ours\n5.6.7.8 #db1.here\n[5.6.7.9] #db2.here\n>third\n9.9.9.9 #y\n"
    assert sitefiles.parse_cell("here", text).hosts == ("db1.here", "[db2.here]")


@given(st.dictionaries(st.integers(0, 255), st.binary(min_size=8, max_size=8), max_size=8))
def test_keys_come_back(keys):
    data = sitefiles.pack_keys(keys)
    assert len(data) == 100 and sitefiles.unpack_keys(data) == keys


@given(st.binary(max_size=120))
def test_any_bytes_are_keys_or_a_wire_error(data):
    try:
        sitefiles.unpack_keys(data)
    except WireError:
        pass


def test_a_cut_file_is_an_error():
    with pytest.raises(WireError):
        sitefiles.unpack_keys(b"\0\0\0\2" + bytes(12))
