# SPDX-License-Identifier: GPL-3.0-or-later
"""Universal addresses and the records of rpcbind."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.engine.protocol import Address, Transport
from pydaemons.sunrpc.rpcbind import (
    MAPPING,
    MAPPINGS,
    RPCB,
    ListCodec,
    Mapping,
    Rpcb,
    format_uaddr,
    netid,
    parse_uaddr,
)
from pydaemons.wire.errors import WireError

hosts = st.ip_addresses().map(str)
ports = st.integers(0, 65535)


@given(hosts, ports)
def test_an_address_comes_back_from_its_universal_form(host, port):
    assert parse_uaddr(format_uaddr(Address(host, port))) == Address(host, port)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (Address("192.0.2.1", 111), "192.0.2.1.0.111"),
        (Address("0.0.0.0", 4045), "0.0.0.0.15.205"),
        (Address("::", 65535), "::.255.255"),
        (Address("fe80::1%eth0", 2049), "fe80::1.8.1"),
    ],
)
def test_universal_addresses_look_as_in_rfc_5665(address, text):
    assert format_uaddr(address) == text


@given(st.text(max_size=40) | st.from_regex(r"[0-9a-f:.]{0,30}", fullmatch=True))
def test_any_text_is_an_address_or_a_wire_error(text):
    try:
        address = parse_uaddr(text)
    except WireError:
        return
    assert parse_uaddr(format_uaddr(address)) == address


@pytest.mark.parametrize(
    "text",
    ["", "1.2", "10.0.0.1.256.1", "10.0.0.1.1", "10.0.0.1.1.-1", "10.0.0.1.+1.1", "::1.0.٣", "x.0.111"],
)
def test_what_is_no_universal_address_is_refused(text):
    with pytest.raises(WireError):
        parse_uaddr(text)


def test_netids_tell_transport_and_family():
    assert [netid(t, h) for t in Transport for h in ("10.0.0.1", "::1")] == ["udp", "udp6", "tcp", "tcp6"]


def test_a_portmap_row_is_four_words():
    assert MAPPING.pack(Mapping(100021, 4, 17, 4045)).hex() == "000186b5000000040000001100000fcd"


def test_an_rpcbind_row_has_its_strings_in_order():
    row = Rpcb(100021, 4, b"udp6", b"::.15.205", b"superuser")
    assert RPCB.unpack(RPCB.pack(row), 0) == row
    assert b"udp6\0\0\0\x09::.15.205\0\0\0\0\0\0\x09superuser" in RPCB.pack(row)


@given(st.lists(st.builds(Mapping, *[st.integers(0, 2**32 - 1)] * 4), max_size=20))
def test_a_list_of_rows_comes_back_and_every_cut_is_a_wire_error(rows):
    data = MAPPINGS.pack(rows)
    assert MAPPINGS.unpack(data, 0) == tuple(rows)
    for size in range(len(data)):
        with pytest.raises(WireError):
            MAPPINGS.unpack(data[:size], 0)


def test_a_list_has_an_end():
    with pytest.raises(WireError, match="more than"):
        ListCodec(MAPPING, longest=2).unpack(MAPPINGS.pack([Mapping(1, 2, 3, 4)] * 3), 0)
