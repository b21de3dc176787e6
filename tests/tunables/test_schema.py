# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.tunables.kinds import Int
from pydaemons.tunables.schema import Row, Schema, parse, render

FIELD_NAMES = st.text(alphabet="abcdefgh", min_size=1, max_size=6)


@given(st.dictionaries(FIELD_NAMES, st.dictionaries(FIELD_NAMES, st.text(max_size=20)), max_size=4))
def test_a_schema_reads_back_whatever_its_fields_contain(rows: dict[str, dict[str, str]]) -> None:
    text = render(Schema("sampled", "fs.x", {name: Row(name, fields) for name, fields in rows.items()}))
    again = parse(text)
    assert (again.daemon, again.prefix) == ("sampled", "fs.x")
    assert {name: row.fields for name, row in again.rows.items()} == rows
    assert text.count("\n") == len(rows) + 1


def test_a_row_knows_its_kind_and_whether_it_may_be_written() -> None:
    row = parse("#pydaemons-schema 1 d fs\na\tkind=int 1..9\tmode=0644\nb\tmode=0444\n").rows
    assert isinstance(row["a"].kind(), Int) and row["a"].writable
    assert not row["b"].writable
    assert row["b"].get("default") == ""


@pytest.mark.parametrize("text", ["", "10\n", "#pydaemons-schema 2 d fs\n", "#pydaemons-schema 1 d\n"])
def test_what_is_no_schema_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


def test_a_kind_from_a_newer_daemon_is_a_value_error() -> None:
    with pytest.raises(ValueError):
        Row("a", {"kind": "quantum"}).kind()
