# SPDX-License-Identifier: GPL-3.0-or-later
"""What the WINS server answers to name queries (RFC 1002 sections 4.2.13 and 4.2.14). Read
WinsQueries.answer, which is the packet path: one look-up by the name as it stands in the packet.
"""

from __future__ import annotations

from struct import Struct

from pydaemons.netbios import name
from pydaemons.netbios.codes import GROUP
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.netbios.node.winsdb import WinsDb
from pydaemons.netbios.node.winsrecord import ONE_OWNER, ONE_SIZE, ONE_VERSIONED, VERSIONED_OWNER, kind_of
from pydaemons.netbios.winsra import RecordKind

LIMITED_BROADCAST = b"\xff\xff\xff\xff"
"""Where the members of a normal group are: everywhere."""
POSITIVE = bytes.fromhex("8580 0000 0001 0000 0000")
NEGATIVE = bytes.fromhex("8583 0000 0001 0000 0000")
NULL_RECORD = bytes.fromhex("000a 0001 00000000 0000")
NB_RECORD = Struct(">HHIHH4s")
"""Type, class, ttl, length, NB flags and address: an answer behind its name."""
NB_IN = b"\0\x20\0\1"
ALL_MASTERS = b"\x20CK" + b"AA" * 14 + b"BL"
"""How the wire form of `*`<1b> begins, whatever its scope."""
MOST_MASTERS = 25
"""Addresses in an answer about all of them."""


class WinsQueries:
    """The answers out of one database."""

    __slots__ = ("_db", "_records", "_tunables")

    def __init__(self, db: WinsDb, tunables: NetbiosTunables) -> None:
        self._db = db
        self._records = db.records
        self._tunables = tunables

    def answer(self, id_: bytes, wire: bytes, wall: float) -> bytes | None:
        """The positive answer, or None when there is no such name. `id_` is the transaction id as it came,
        `wire` what stands where a name should."""
        packed = self._records.get(wire)
        if packed is None:
            return self._answer_masters(id_, wire, wall) if wire.startswith(ALL_MASTERS) else None
        if len(packed) == ONE_SIZE:
            state, flags, expires, address, _ = ONE_OWNER.unpack(packed)
            if state or expires <= wall:
                return None
            if flags & GROUP and wire[31:33] != b"BM":
                address = LIMITED_BROADCAST
            ttl = expires - int(wall)
            return id_ + POSITIVE + wire + NB_RECORD.pack(32, 1, ttl, 6, flags, address)
        if packed[0] == ONE_VERSIONED and len(packed) == VERSIONED_OWNER.size:
            _, flags, expires, _, _, address, _, _ = VERSIONED_OWNER.unpack(packed)
            if expires <= wall:
                return None
            return id_ + POSITIVE + wire + NB_RECORD.pack(32, 1, expires - int(wall), 6, flags, address)
        record = self._db.find_live(wire, wall)
        if record is None:
            return None
        addresses = [member.address for member in record.members if member.expires > wall]
        if kind_of(wire, record) is RecordKind.GROUP:
            addresses = [LIMITED_BROADCAST]
        return _pack(id_, wire, record.expires - int(wall), record.flags, addresses)

    def deny(self, data: bytes) -> bytes | None:
        """The negative answer to a plain query for a name in capitals; None: take the packet apart."""
        wire = data[12:-4]
        if not name.is_plain(wire) or name.upper(wire) != wire:
            return None
        return data[:2] + NEGATIVE + wire + NULL_RECORD

    def _answer_masters(self, id_: bytes, wire: bytes, wall: float) -> bytes | None:
        """`*`<1b>: where all domain master browsers are (Samba's way to learn of other workgroups)."""
        if not name.is_valid(wire):
            return None
        found: dict[bytes, None] = {}
        for master in self._db.masters:
            record = self._db.find_live(master, wall)
            if record is not None:
                found.update(dict.fromkeys(member.address for member in record.members))
                if len(found) >= MOST_MASTERS:
                    break
        return _pack(id_, wire, self._tunables.max_ttl, 0, list(found)[:MOST_MASTERS])


def _pack(id_: bytes, wire: bytes, ttl: int, flags: int, addresses: list[bytes]) -> bytes | None:
    if not addresses:
        return None
    data = b"".join([flags.to_bytes(2, "big") + address for address in addresses])
    head = b"".join([NB_IN, ttl.to_bytes(4, "big"), len(data).to_bytes(2, "big")])
    return id_ + POSITIVE + wire + head + data
