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
from pydaemons.netbios.codes import GROUP
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
        yield from _head(subnet.interface.address)
        for holding in node.names.on(subnet):
            if holding.state in ANSWERED:
                flags = node.settings.status_flags(holding.own)
                addresses = node.names.addresses(holding.own.wire, subnet)
                yield _entry(holding.own.wire, "SELF_NAME", flags, 0, addresses)
    if node.wins is not None:
        yield from _head("WINS_SERVER_SUBNET")
        for wire, packed in list(node.db.records.items()):
            record = winsdb.unpack(packed)
            if record.state == winsdb.State.ACTIVE and record.expires > wall:
                yield _entry(
                    wire,
                    "REGISTER_NAME",
                    record.flags,
                    record.expires,
                    [member.address for member in record.members],
                )


def _head(title: str) -> Iterator[str]:
    line = f"Subnet {title}"
    yield f"{line}\n{'-' * len(line)}\n"


def _entry(wire: bytes, source: str, flags: int, expires: int, addresses: list[bytes]) -> str:
    death = time.asctime(time.localtime(expires)) if expires else "PERMANENT"
    shown = " ".join(str(IPv4Address(address)) for address in addresses)
    group = " (group)" if flags & GROUP else ""
    return (
        f"\tName = {name.unpack(wire)}\tSource = {source}\n"
        f"\tb_flags = {flags >> 8:x}\tdeath_time = {death}{group}\n"
        f"\tnumber of IPS = {len(addresses)}\t{shown}\n\n"
    )
