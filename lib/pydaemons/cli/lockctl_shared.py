# SPDX-License-Identifier: GPL-3.0-or-later
"""What the daemon verbs of pylockctl share: finding clients, and words for rows of pydaemons.nlm.views."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from pydaemons.cli.tables import Column
from pydaemons.kit.controlclient import ControlClient

OK, FAILED = 0, 1

Row = Mapping[str, Any]
Field = tuple[Column, Callable[[Row], object]]
"""A column, and what of a row stands in it."""


class DaemonError(Exception):
    """The request cannot be carried out; the words are for people."""


def find_clients(daemon: ControlClient, given: str) -> list[str]:
    """The addresses of a client given by address, by the name it calls itself (one that talks IPv4 and IPv6
    has two), or by a host name. DaemonError when there is none."""
    bare = given.removeprefix("[").removesuffix("]")
    try:
        return [str(ip_address(bare.removeprefix("::ffff:") if "." in bare else bare))]
    except ValueError:
        pass
    rows = daemon.call("Clients")["clients"]
    named = {str(row["client"]): None for row in rows if row["name"] == given}
    if named:
        return list(named)
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(given, None, type=socket.SOCK_DGRAM)}
    except (socket.gaierror, UnicodeError):
        found = set()
    known = {str(row["client"]): None for row in rows if row["client"] in found}
    if not known:
        raise DaemonError(f"no client {given} is known")
    return list(known)


def mode(row: Row) -> str:
    """As lslocks(8): READ or WRITE, with a * where the client has not acknowledged its grant yet. Shares:
    access/deny."""
    if row.get("kind") == "share":
        return f"{row['mode']}/{row['deny']}"
    return str(row["mode"]).upper() + ("" if row.get("acknowledged", True) else "*")


def whose(row: Row) -> str:
    """An owner: client:svid, as `pylockctl release --owner` takes it."""
    return f"{row['client']}:{row['svid']}" if "svid" in row else str(row["client"])


def behind(row: Row) -> str:
    """Those in the way of a request; not all, where they are many."""
    return ",".join(map(whose, row["holders"])) + (",…" if row["more_holders"] else "")


def bounds(row: Row) -> tuple[object, object]:
    """First and last byte."""
    if "offset" not in row:
        return None, None
    offset, length = row["offset"], row["length"]
    return offset, offset + length - 1 if length else "EOF"


def plain(heading: str, key: str = "", *, right: bool = False, cut: bool = False) -> Field:
    """A column with what the row calls `key` (the heading in small letters), if it has that."""
    name = key or heading.lower()
    return Column(heading, right=right, cut=cut), lambda row: row.get(name)


def columns_of(fields: Sequence[Field]) -> list[Column]:
    """The columns."""
    return [column for column, _ in fields]


def cells(fields: Sequence[Field], row: Row) -> tuple[object, ...]:
    """What stands in them for one row: one word each, for awk(1). What clients call themselves may have
    blanks, and could pass for other columns."""
    return tuple(
        found.replace(" ", r"\x20") if isinstance(found, str) else found
        for found in (value(row) for _, value in fields)
    )


CLIENT: tuple[Field, ...] = (plain("CLIENT"), plain("NAME", cut=True))
"""Whose a row is."""
BOUNDS: tuple[Field, ...] = (
    (Column("START", right=True), lambda row: bounds(row)[0]),
    (Column("END", right=True), lambda row: bounds(row)[1]),
)


def dump(value: object) -> int:
    print(json.dumps(value, indent=2, ensure_ascii=False))
    return OK


def stamp(wall: float, separator: str = " ") -> str:
    return time.strftime(f"%Y-%m-%d{separator}%H:%M:%S", time.localtime(wall))


def duration(seconds: float) -> str:
    """Two units at most: 4.2s, 3m12s, 5h03m, 2d04h."""
    if seconds < 60:
        return f"{max(seconds, 0.0):.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minutes:02}m"
    return f"{hours // 24}d{hours % 24:02}h"


def complain(message: str) -> None:
    print(f"pylockctl: {message}", file=sys.stderr)
