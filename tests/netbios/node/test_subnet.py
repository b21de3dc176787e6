# SPDX-License-Identifier: GPL-3.0-or-later
from ipaddress import IPv4Network

import pytest

from fakes.ether import interface
from pydaemons.engine.protocol import Address, Origin, Transport
from pydaemons.netbios.node.subnet import Interface, Standing, Subnets


def test_a_host_on_two_of_our_networks_counts_to_the_narrower():
    subnets = Subnets()
    wide = Interface("net0", 1, "10.0.0.1", 8, "10.255.255.255")
    narrow = interface("10.0.5.1", "net1")
    subnets.replace((wide, narrow))
    assert subnets.find("10.0.5.7").interface == narrow
    assert subnets.find("10.9.9.9").interface == wide


def test_a_changed_mask_is_a_removal_and_an_addition():
    subnets = Subnets()
    subnets.replace((interface("10.0.0.1"),))
    gone, new = subnets.replace((Interface("net0", 2, "10.0.0.1", 16, "10.0.255.255"),))
    assert [subnet.network.prefixlen for subnet in gone] == [24]
    assert [subnet.network.prefixlen for subnet in new] == [16]


@pytest.mark.parametrize(
    ("host", "port", "standing"),
    [
        ("10.0.0.9", 4000, Standing.FULL),
        ("10.0.0.9", 0, Standing.REFUSED),
        ("10.0.0.255", 137, Standing.REFUSED),
        ("10.0.0.1", 137, Standing.OURSELVES),
        ("10.0.0.1", 4000, Standing.FULL),
        ("127.0.0.1", 137, Standing.OURSELVES),
        ("127.0.0.1", 4000, Standing.FULL),
        ("203.0.113.5", 137, Standing.FULL),
        ("192.168.7.5", 137, Standing.WINS),
        ("8.8.8.8", 137, Standing.REFUSED),
        ("224.0.0.1", 137, Standing.REFUSED),
        ("0.1.2.3", 137, Standing.REFUSED),
        ("fd00::1", 137, Standing.REFUSED),
        ("", 137, Standing.REFUSED),
    ],
)
def test_what_a_source_may_have(host, port, standing):
    subnets = Subnets()
    subnets.replace((interface("10.0.0.1"),))
    origin = Origin(Transport.UDP, Address(host, port), Address("10.0.0.1", 137))
    found, _ = subnets.admit(
        origin,
        port=137,
        allow=[IPv4Network("203.0.113.0/24")],
        wins_allow=[IPv4Network("192.168.0.0/16")],
    )
    assert found is standing
