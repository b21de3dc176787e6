# SPDX-License-Identifier: GPL-3.0-or-later
"""A claim to a name: a registration, refresh or release of somebody else, taken apart. Read Claim,
claim_of."""

from __future__ import annotations

from pydaemons.engine.protocol import Origin
from pydaemons.netbios import nspacket
from pydaemons.netbios.codes import GROUP, Opcode, RecordType
from pydaemons.netbios.nspacket import Packet, Question
from pydaemons.wire.errors import WireError


class Claim:
    """A registration, refresh or release, taken apart."""

    __slots__ = ("address", "flags", "id", "nb_flags", "opcode", "origin", "ttl", "wire")

    def __init__(
        self,
        opcode: int,
        id_: int,
        *,
        flags: int,
        wire: bytes,
        ttl: int,
        nb_flags: int,
        address: bytes,
        origin: Origin,
    ) -> None:
        self.opcode = opcode
        self.id = id_
        self.flags = flags
        self.wire = wire
        self.ttl = ttl
        self.nb_flags = nb_flags
        self.address = address
        self.origin = origin

    @property
    def group(self) -> bool:
        """Is it about a group?"""
        return self.nb_flags & GROUP != 0

    def answer(self, rcode: int, ttl: int = 0) -> bytes:
        """The answer: the claimed data with a lifetime or a reason."""
        opcode = Opcode.RELEASE if self.opcode == Opcode.RELEASE else Opcode.REGISTRATION
        data = self.nb_flags.to_bytes(2, "big") + self.address
        return nspacket.answer(opcode, self.id, self.wire, data, ttl=ttl, rcode=rcode)


def claim_of(packet: Packet, question: Question, origin: Origin) -> Claim:
    """The claim in a registration, refresh or release; WireError when a part is missing (CVE-2026-3238)."""
    if not packet.additionals:
        raise WireError("a claim without its record", 12)
    record = packet.additionals[0]
    if record.name != question.name or record.kind != RecordType.NB:
        raise WireError("a claim about another name", 12)
    nb = nspacket.unpack_nb(record.data)[0]
    return Claim(
        packet.opcode,
        packet.id,
        flags=packet.flags,
        wire=question.name,
        ttl=record.ttl,
        nb_flags=nb.flags,
        address=nb.address,
        origin=origin,
    )
