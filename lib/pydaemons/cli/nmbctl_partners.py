# SPDX-License-Identifier: GPL-3.0-or-later
"""How pynmbctl shows WINS replication: partners, and whose names are known."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

from pydaemons.cli.tables import Column, render, style_of

PARTNERS = [
    *(Column("PARTNER"), Column("WAY"), Column("STATE"), Column("PULLED"), Column("PUSHED")),
    *(Column("TAKEN", right=True), Column("TROUBLE", cut=True)),
]
OWNERS = [Column("OWNER"), Column("VERSION", right=True), Column("NAMES", right=True), Column("WHO")]


def partners(answer: Any) -> Iterator[str]:
    """The answer of WinsPartners."""
    rows = []
    for entry in answer["partners"]:
        way = "+".join(word for word in ("push", "pull") if entry[word])
        times = _stamp(entry["pulled"]), _stamp(entry["told"])
        rows.append((entry["partner"], way, entry["state"], *times, entry["taken"], entry["error"]))
    return iter(render(PARTNERS, rows, style_of(sys.stdout)))


def owners(answer: Any) -> Iterator[str]:
    """The answer of WinsOwners."""
    rows = [
        (entry["owner"], entry["version"], entry["names"], "ours" if number == 0 else "")
        for number, entry in enumerate(answer["owners"])
    ]
    return iter(render(OWNERS, rows, style_of(sys.stdout)))


def origin(entry: Any) -> str:
    """Where a name of WinsList comes from, on a server with partners."""
    if "version" not in entry:
        return ""
    static = " static" if entry["static"] else ""
    return f"[{entry['owner'] or 'ours'} {entry['version']}{static}]"


def _stamp(wall: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M", time.localtime(wall)) if wall else "never"
