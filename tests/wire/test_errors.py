# SPDX-License-Identifier: GPL-3.0-or-later
"""The wire's one exception says where."""

from pydaemons.wire.errors import WireError


def test_the_message_names_the_offset() -> None:
    error = WireError("cut short", 17)
    assert (str(error), error.offset) == ("cut short at byte 17", 17)
    assert isinstance(error, ValueError)
