# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from pydaemons.netbios.node.asked import PAGE, AskedWrongly, next_page, page_of


def test_a_page_begins_where_the_one_before_ended():
    assert page_of({}) == (0, PAGE)
    assert page_of({"after": 7}) == (7, 7 + PAGE)


def test_the_last_page_names_no_next_one():
    assert next_page(PAGE, PAGE + 1) == PAGE
    assert next_page(PAGE, PAGE) is None


@pytest.mark.parametrize("after", [-1, 1 << 32, 1 << 70])
def test_no_page_begins_before_the_first_or_beyond_all(after):
    with pytest.raises(AskedWrongly, match="page"):
        page_of({"after": after})
