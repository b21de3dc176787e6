# SPDX-License-Identifier: GPL-3.0-or-later
"""Open enumerations: a number the protocol does not name stays that number and prints as such."""

from __future__ import annotations

from enum import IntEnum
from typing import Self


class OpenEnum(IntEnum):
    """An IntEnum for protocol numbers: `Status(99)` of an unknown 99 is a member of that value named
    UNKNOWN_99, made on the spot and not remembered, so that a peer cannot make it grow."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, int):
            return None
        unknown = int.__new__(cls, value)
        unknown._name_ = f"UNKNOWN_{value}"
        unknown._value_ = value
        return unknown
