# SPDX-License-Identifier: GPL-3.0-or-later
"""Open enumerations keep numbers they do not know."""

import pytest

from pydaemons.wire.enums import OpenEnum


class Colour(OpenEnum):
    RED = 1


def test_an_unknown_number_stays_that_number_and_is_named_so() -> None:
    unknown = Colour(77)
    assert (unknown, unknown.name) == (77, "UNKNOWN_77")
    assert Colour(1) is Colour.RED


def test_unknown_numbers_are_not_remembered() -> None:
    for number in range(2, 1000):
        Colour(number)
    assert len(Colour) == 1
    assert len(Colour._value2member_map_) == 1


def test_what_is_no_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="red"):
        Colour("red")
