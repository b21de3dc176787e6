# SPDX-License-Identifier: GPL-3.0-or-later
"""How pynmbctl shows WINS replication: partners, and whose names are known."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any


def partners(answer: Any) -> Iterator[str]:
    """The answer of WinsPartners."""
    yield (
        f"{'PARTNER':<15} {'WAY':<10} {'STATE':<13} {'LAST PULL':<16} {'LAST PUSH':<16} {'TAKEN':>8}  TROUBLE"
    )
    for entry in answer["partners"]:
        way = "+".join(word for word in ("push", "pull") if entry[word])
        yield (
            f"{entry['partner']:<15} {way:<10} {entry['state']:<13} {_stamp(entry['pulled']):<16} "
            f"{_stamp(entry['told']):<16} {entry['taken']:>8}  {entry['error']}"
        ).rstrip()


def owners(answer: Any) -> Iterator[str]:
    """The answer of WinsOwners."""
    yield f"{'OWNER':<15} {'VERSION':>12} {'NAMES':>9}"
    for number, entry in enumerate(answer["owners"]):
        ours = "  (this server)" if number == 0 else ""
        yield f"{entry['owner']:<15} {entry['version']:>12} {entry['names']:>9}{ours}"


def origin(entry: Any) -> str:
    """Behind a name of WinsList: where it comes from, on a server with partners."""
    if "version" not in entry:
        return ""
    static = " static" if entry["static"] else ""
    return f" [{entry['owner'] or 'ours'} {entry['version']}{static}]"


def _stamp(wall: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(wall)) if wall else "never"
