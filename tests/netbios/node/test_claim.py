# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from fakes.claims import claim, release, wire
from pydaemons.engine.protocol import Address, Origin, Transport
from pydaemons.netbios import nspacket
from pydaemons.netbios.codes import CLASS_IN, GROUP, Opcode, Rcode, RecordType
from pydaemons.netbios.node.claim import claim_of
from pydaemons.netbios.nspacket import Packet, Resource
from pydaemons.wire.errors import WireError

ORIGIN = Origin(Transport.UDP, Address("10.0.0.9", 137), Address("10.0.0.1", 137))


def test_a_registration_is_taken_apart_and_answered_with_its_own_data():
    packet = nspacket.unpack(claim("A#20", "10.0.0.9", id_=7, ttl=5, flags=GROUP))
    taken = claim_of(packet, packet.questions[0], ORIGIN)
    assert (taken.opcode, taken.id, taken.wire, taken.ttl) == (Opcode.REGISTRATION, 7, wire("A#20"), 5)
    assert taken.group
    assert taken.address == bytes([10, 0, 0, 9])
    answer = nspacket.unpack(taken.answer(Rcode.OK, 99))
    assert (answer.id, answer.flags, answer.answers[0].ttl) == (7, 0xAD80, 99)
    assert answer.answers[0].data == bytes.fromhex("8000 0a000009")


@pytest.mark.parametrize("opcode", [Opcode.MULTIHOMED, Opcode.REFRESH, Opcode.REFRESH_9])
def test_every_kind_of_claim_is_answered_as_a_registration_and_a_release_as_a_release(opcode):
    packet = nspacket.unpack(claim("A#20", "10.0.0.9", opcode=opcode))
    answer = nspacket.unpack(claim_of(packet, packet.questions[0], ORIGIN).answer(Rcode.ACT_ERR))
    assert (answer.opcode, answer.rcode) == (Opcode.REGISTRATION, Rcode.ACT_ERR)
    packet = nspacket.unpack(release("A#20", "10.0.0.9"))
    answer = nspacket.unpack(claim_of(packet, packet.questions[0], ORIGIN).answer(Rcode.OK))
    assert answer.flags == 0xB400


@pytest.mark.parametrize(
    "records",
    [
        (),
        (Resource(wire("B#20"), RecordType.NB, CLASS_IN, 0, bytes(6)),),
        (Resource(wire("A#20"), RecordType.NULL, CLASS_IN, 0, bytes(6)),),
        (Resource(wire("A#20"), RecordType.NB, CLASS_IN, 0, b""),),
        (Resource(wire("A#20"), RecordType.NB, CLASS_IN, 0, bytes(5)),),
    ],
    ids=["none", "another name", "another type", "empty", "cut"],
)
def test_a_claim_without_a_fitting_record_is_none(records):
    packet = nspacket.unpack(claim("A#20", "10.0.0.9"))
    broken = Packet(packet.id, packet.flags, packet.questions, (), (), records)
    with pytest.raises(WireError):
        claim_of(broken, broken.questions[0], ORIGIN)
