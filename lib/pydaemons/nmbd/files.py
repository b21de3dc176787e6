# SPDX-License-Identifier: GPL-3.0-or-later
"""Files for others to read: wins.dat, and namelist.debug at SIGHUP, in the forms nmbd writes.

Both are replaced as a whole. A big wins.dat is written in pieces between packets; it is an export, the names
themselves are in the store.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from itertools import islice

from pydaemons.netbios import name
from pydaemons.netbios.codes import ACTIVE, PERMANENT
from pydaemons.netbios.node import winsdat, winsdb
from pydaemons.netbios.node.names import ANSWERED
from pydaemons.netbios.node.node import Node

PIECE = 200
"""Lines between two looks at the network: less than a millisecond."""


def write(path: str, lines: Iterator[str]) -> None:
    """Replace a file, at once."""
    with open(f"{path}.new", "w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.writelines(lines)
    os.rename(f"{path}.new", path)


async def write_slowly(path: str, lines: Iterator[str]) -> None:
    """Replace a file, giving way to the network between pieces."""
    with open(f"{path}.new", "w", encoding="utf-8", errors="surrogateescape") as stream:
        while piece := list(islice(lines, PIECE)):
            stream.write("".join(piece))
            await asyncio.sleep(0.002)
    os.rename(f"{path}.new", path)


def wins_lines(node: Node, wall: float) -> Iterator[str]:
    """A wins.dat of what is known now."""
    return winsdat.format_(list(node.db.records.items()), wall, charset=node.settings.charset)


def namelist(node: Node, wall: float) -> Iterator[str]:
    """A namelist.debug: every network with our names, then the WINS server's names."""
    for subnet in node.subnets.all:
        yield _head(subnet.interface.address)
        for holding in node.names.on(subnet):
            if holding.state in ANSWERED:
                addresses = node.names.addresses(holding.own.wire, subnet)
                flags = node.settings.status_flags(holding.own)
                if not holding.own.group:
                    flags |= PERMANENT
                yield _entry(holding.own.wire, "SELF_NAME", flags, addresses, death=0, refresh=holding.since)
        for wire in sorted(node.settings.silent_names()):
            flags = node.settings.node_type | ACTIVE
            yield _entry(wire, "PERMANENT_NAME", flags, [subnet.address], death=0, refresh=wall)
    if node.wins is not None:
        yield _head("WINS_SERVER_SUBNET")
        for wire, packed in list(node.db.records.items()):
            record = winsdb.unpack(packed)
            if record.state == winsdb.State.ACTIVE and record.expires > wall:
                addresses = [member.address for member in record.members]
                # by then it must have been refreshed: when it will be is the owner's business
                ends = record.expires
                flags = record.flags | ACTIVE
                yield _entry(wire, "REGISTER_NAME", flags, addresses, death=ends, refresh=ends)


def _head(title: str) -> str:
    return f"Subnet {title}\n{'-' * 22}\n"


def _entry(
    wire: bytes, source: str, flags: int, addresses: list[bytes], *, death: int, refresh: float
) -> str:
    ends = f"{_date(death)}\n" if death else "PERMANENT"
    shown = " ".join(str(IPv4Address(address)) for address in addresses)
    return (
        f"\tName = {name.unpack(wire)}\tSource = {source}\n"
        f"b_flags = {flags >> 8:x}\tdeath_time = {ends}\trefresh_time = {_date(refresh)}\n\n"
        f"\t\tnumber of IPS = {len(addresses)}\t{shown}\n\n"
    )


def _date(wall: float) -> str:
    return time.asctime(time.localtime(wall))
