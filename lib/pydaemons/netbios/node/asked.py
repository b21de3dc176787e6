# SPDX-License-Identifier: GPL-3.0-or-later
"""What all requests of people have in common: long answers come in pages, and what makes no sense is refused
with the reason. Read page_of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PAGE = 1000
"""Entries in one answer at most; the rest by asking again from where it ended."""
_MOST = 1 << 32


class AskedWrongly(ValueError):  # noqa: N818  # a rule said no; nothing went wrong here
    """The arguments of a request make no sense; the text says why."""


def page_of(arguments: Mapping[str, Any]) -> tuple[int, int]:
    """Where the page begins that is asked for (`after`: where the one before ended), and where it ends."""
    after = int(arguments.get("after", 0))
    if not 0 <= after < _MOST:
        raise AskedWrongly(f"no page begins after {after} entries")
    return after, after + PAGE


def next_page(end: int, count: int) -> int | None:
    """What `after` is for the next page of `count` entries; None: that was the last one."""
    return end if end < count else None
