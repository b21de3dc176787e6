# SPDX-License-Identifier: GPL-3.0-or-later
"""The small files beside BosConfig: UserList, ThisCell, CellServDB and KeyFile, as text or bytes and back.

Formats as the peer reads and writes them. Keys of KeyFile are single DES and only worth keeping for
cells that still have them: they are listed by checksum and taken as 16 hexadecimal digits.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydaemons.bnode import des
from pydaemons.wire.cursor import Reader
from pydaemons.wire.errors import WireError

MOST_KEYS = 8


def parse_users(text: str) -> tuple[str, ...]:
    """UserList: one name per line."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def format_users(users: tuple[str, ...]) -> str:
    return "".join(f"{user}\n" for user in users)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell and its database servers; a clone is written in brackets."""

    name: str
    hosts: tuple[str, ...] = ()


def parse_cell(this_cell: str, database: str) -> Cell:
    """ThisCell and CellServDB: `>CELL #comment`, then `ADDRESS #NAME` or `[ADDRESS] #NAME` lines."""
    name = this_cell.strip()
    hosts: list[str] = []
    inside = False
    for line in database.splitlines():
        if line.startswith(">"):
            inside = line[1:].split("#")[0].strip() == name
        elif inside and line.strip():
            address, _, host = line.partition("#")
            shown = host.strip() or address.strip(" []\t")
            hosts.append(f"[{shown}]" if address.strip().startswith("[") else shown)
    return Cell(name, tuple(hosts))


def format_cell(cell: Cell) -> str:
    """CellServDB with this cell; a host stands there as it was given, name or address."""
    lines = [f">{cell.name}\t#Cell name"]
    for host in cell.hosts:
        lines.append(f"{host}    \t#{host.strip('[]')}")
    return "\n".join(lines) + "\n"


def unpack_keys(data: bytes) -> dict[int, bytes]:
    """KeyFile: a count, then a version number and eight bytes for each. Raises WireError."""
    if not data:
        return {}
    reader = Reader(data)
    count = reader.u32()
    if count > MOST_KEYS:
        raise WireError(f"{count} keys, at most {MOST_KEYS} fit", 0)
    return {reader.u32(): reader.take(8) for _ in range(count)}


def pack_keys(keys: dict[int, bytes]) -> bytes:
    """The whole file, in the fixed size the peer reads."""
    rows = b"".join(number.to_bytes(4, "big") + keys[number] for number in sorted(keys))
    return (len(keys).to_bytes(4, "big") + rows).ljust(4 + 12 * MOST_KEYS, b"\0")


def key_checksum(key: bytes) -> int:
    """What listkeys shows instead of the key: four bytes of what it makes of zeros (seen of the peer)."""
    return int.from_bytes(des.encrypt(key, bytes(des.BLOCK))[:4], "big")
