# SPDX-License-Identifier: GPL-3.0-or-later
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.controller import FOUND, answer, asked, elements
from pydaemons.netbios import cldap, logon
from pydaemons.netbios.cldap import Ping, Pong
from pydaemons.netbios.logon import Opcode
from pydaemons.wire.errors import WireError

GOLDEN = Path(__file__).resolve().parents[1] / "golden/samba-ad-4.17-ldap-pings.txt"
ids = st.integers(0, 2**31 - 1)


@given(ids, st.binary(max_size=300))
def test_what_a_controller_knows_is_found(id_, value):
    assert cldap.unpack(answer(id_, value)) == Pong(id_, value)


@pytest.mark.parametrize(
    ("what", "opcode", "user"),
    [
        ("any", Opcode.SAM_LOGON_RESPONSE_EX, ""),
        ("machine", Opcode.SAM_LOGON_RESPONSE_EX, "CLIENT$"),
        ("unknown-user", Opcode.SAM_USER_UNKNOWN_EX, "nobody"),
    ],
)
def test_answers_of_a_real_controller_are_read(what, opcode, user):
    lines = [line.split() for line in GOLDEN.read_text().splitlines() if not line.startswith("#")]
    (data,) = (bytes.fromhex(data) for name, data in lines if name == what)
    netlogon = cldap.unpack(data).netlogon
    found = logon.unpack_answer(netlogon)
    assert (found.opcode, found.server, found.domain, found.user) == (opcode, "DC1", "TESTGRP", user)
    assert (found.dns_host, found.site) == ("dc1.ad.example", "Default-First-Site-Name")
    assert found.address == bytes((10, 97, 0, 3))
    assert found.pack() == netlogon


def test_a_search_without_an_entry_and_an_entry_without_the_attribute_know_nothing():
    assert cldap.unpack(answer(7)) == Pong(7, None)
    assert cldap.unpack(answer(7, b"x", attribute=b"other")) == Pong(7, None)
    assert cldap.unpack(answer(7, b"x", attribute=b"netLOGON")) == Pong(7, b"x")


@given(ids, st.text("abcXYZ09$", max_size=40))
def test_a_ping_asks_for_host_version_and_account(id_, user):
    number, terms = asked(Ping(id_, "CLIENT", user, 0x80, 13).pack())
    assert number == id_
    expected = {"Host": b"CLIENT", "NtVer": b"\x0d\0\0\0"}
    if user:
        expected |= {"User": user.encode(), "AAC": b"\x80\0\0\0"}
    assert terms == expected


def test_a_ping_is_a_search_of_the_root_entry_for_netlogon():
    ((tag, message),) = elements(Ping(0x123456, "C" * 200).pack())
    assert tag == 0x30
    search = elements(message)[1][1]
    assert elements(search)[0] == (4, b"")
    assert elements(elements(search)[7][1]) == [(4, b"Netlogon")]


@given(st.binary(max_size=100))
def test_garbage_is_refused_by_the_one_error(data):
    try:
        cldap.unpack(data)
    except WireError:
        pass


def test_every_cut_and_every_flipped_byte_is_read_or_refused():
    dice = random.Random(389)
    whole = answer(99, FOUND.pack())
    for _ in range(5000):
        mutant = bytearray(whole[: dice.randrange(len(whole) + 1)])
        for _ in range(dice.randrange(3)):
            if mutant:
                mutant[dice.randrange(len(mutant))] = dice.randrange(256)
        try:
            cldap.unpack(bytes(mutant))
        except WireError:
            pass


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30\x80",
        b"\x30\x85\0\0\0\0\x01x",
        answer(1)[:-1],
        b"\x30\x03\x04\x01\x01",
        b"\x30\x05\x02\x01\x01\x61\x00",
    ],
    ids=["empty", "indefinite", "huge length", "cut", "no id", "a bind"],
)
def test_what_is_no_search_result_is_refused(data):
    with pytest.raises(WireError):
        cldap.unpack(data)
