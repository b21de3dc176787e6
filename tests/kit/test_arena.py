# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import socket
import sys

import pytest

from pydaemons.kit.arena import Arena, Family

GLOBAL, LINK, GROUP = "2001:db8::1", "fe80::1", "ff02::1"


@pytest.mark.parametrize(
    ("local", "peer", "source", "keeps_interface"),
    [
        (GLOBAL, "2001:db8::2", GLOBAL, False),
        (GLOBAL, "fe80::2", GLOBAL, True),
        (LINK, "fe80::2", LINK, True),
        (LINK, "2001:db8::2", LINK, True),
        (GROUP, "2001:db8::2", "::", False),
        (GROUP, "fe80::2", "::", True),
    ],
)
def test_an_answer_takes_its_own_route_but_for_link_local_addresses_and_never_comes_from_a_group(
    local, peer, source, keeps_interface
):
    family = Family(socket.AF_INET6)
    index = (7).to_bytes(4, sys.byteorder)
    info = socket.inet_pton(socket.AF_INET6, local) + index
    wanted = socket.inet_pton(socket.AF_INET6, source) + (index if keeps_interface else bytes(4))
    assert family.turn_around(info, peer) == wanted
    # and in place, where the batch has it
    memory = Arena(family)
    slot = memory.keys[3]
    key = bytearray(memory.key_size)
    key[16 : 16 + 20] = info
    key[family.control + 8 : family.control + 24] = socket.inet_pton(socket.AF_INET6, peer)
    memory.memory[slot] = bytes(key)
    memory.turn_around(3)
    key[16 : 16 + 20] = wanted
    assert memory.memory[slot] == bytes(key)


def test_an_ipv4_answer_takes_its_own_route():
    family = Family(socket.AF_INET)
    addresses = b"\x7f\0\0\x01\xff\xff\xff\xff"
    assert family.turn_around(b"\x05\0\0\0" + addresses, "127.0.0.1") == bytes(4) + addresses
    assert family.turn_around(b"", "127.0.0.1") == b""


def test_a_source_is_packed_as_it_is_parsed():
    v4, v6 = Family(socket.AF_INET), Family(socket.AF_INET6)
    assert v4.parse_local(v4.pack_source("192.0.2.7")) == "192.0.2.7"
    assert v6.parse_local(v6.pack_source("2001:db8::7")) == "2001:db8::7"
    scoped = f"fe80::1%{socket.if_indextoname(1)}"
    assert v6.parse_local(v6.pack_source(scoped)) == scoped
    assert v4.parse_local(b"") is None
