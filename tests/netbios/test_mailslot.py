# SPDX-License-Identifier: GPL-3.0-or-later
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.datagrams import golden, write_in
from pydaemons.netbios import dgram, mailslot
from pydaemons.netbios.mailslot import Write
from pydaemons.wire.errors import WireError

names = st.binary(max_size=60).map(lambda rest: mailslot.PREFIX + rest.replace(b"\0", b""))
writes = st.builds(Write, names, st.binary(max_size=600), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))


@given(writes)
def test_what_is_packed_is_unpacked(write):
    assert mailslot.unpack(write.pack()) == write


@pytest.mark.parametrize("what", [what for what in golden() if not what.startswith("smbtorture")])
def test_writes_of_nmbd_come_out_byte_for_byte(what):
    packet, write = write_in(golden()[what])
    assert write.pack() == packet.data


@pytest.mark.parametrize(
    ("what", "slot", "first"),
    [
        ("host-announcement", mailslot.BROWSE, 1),
        ("lanman-announcement", mailslot.LANMAN, 1),
        ("smbtorture-primary-query", mailslot.NETLOGON, 7),
        ("primary-response", rb"\MAILSLOT\NET\GETDC466", 12),
    ],
)
def test_name_and_data_are_found(what, slot, first):
    write = write_in(golden()[what])[1]
    assert write.mailslot == slot
    assert (write.priority, write.klass) == (1, 2)
    assert write.data[0] == first


def test_names_are_compared_without_regard_to_case():
    assert mailslot.unpack(Write(rb"\Mailslot\Browse", b"x").pack()).key == mailslot.BROWSE


def test_padding_between_name_and_data_is_passed_over():
    packed = bytearray(Write(mailslot.BROWSE, b"data").pack())
    packed[86:86] = b"\0\0"
    packed[57:59] = (88).to_bytes(2, "little")
    assert mailslot.unpack(bytes(packed)) == Write(mailslot.BROWSE, b"data")


@given(st.binary(max_size=200), st.booleans())
def test_garbage_is_refused_by_the_one_error(data, headed):
    try:
        mailslot.unpack(Write(mailslot.BROWSE, b"").pack()[:33] + data if headed else data)
    except WireError:
        pass


def test_every_cut_and_every_flipped_byte_is_read_or_refused():
    dice = random.Random(7)
    for packet in golden().values():
        data = dgram.unpack(packet).data
        for end in range(len(data)):
            mutant = bytearray(data[:end])
            for _ in range(2):
                if mutant:
                    mutant[dice.randrange(len(mutant))] = dice.randrange(256)
            try:
                write = mailslot.unpack(bytes(mutant))
            except WireError:
                continue
            assert len(write.data) <= len(mutant)


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, 0), (4, 0x32), (32, 16), (59, 2), (61, 2), (57, 10), (56, 0xFF)],
    ids=["magic", "command", "words", "setup words", "opcode", "data offset", "data size"],
)
def test_other_transactions_are_refused(at, value):
    packed = bytearray(Write(mailslot.BROWSE, b"data").pack())
    assert packed[at] != value
    packed[at] = value
    with pytest.raises(WireError):
        mailslot.unpack(bytes(packed))


def test_names_that_are_none_and_data_that_is_too_long_are_refused():
    for text in (b"", rb"\PIPE\LANMAN", mailslot.PREFIX + b"x" * mailslot.LONGEST_NAME):
        with pytest.raises(WireError):
            mailslot.unpack(Write(text, b"data").pack())
    with pytest.raises(WireError):
        Write(mailslot.BROWSE, bytes(65536)).pack()
