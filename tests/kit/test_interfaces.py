# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel says about addresses."""

from ipaddress import ip_interface

from pydaemons.kit.interfaces import addresses


def test_loopback_is_among_the_addresses() -> None:
    found = addresses()
    assert ip_interface("127.0.0.1/8") in [entry.address for entry in found]
    assert all(entry.interface > 0 for entry in found)
