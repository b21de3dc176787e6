# SPDX-License-Identifier: GPL-3.0-or-later
from ipaddress import IPv4Interface

import pytest

from pydaemons.nmbd import interfaces
from pydaemons.nmbd.interfaces import Watch, _matches, find, is_ipv6


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("eth0", True),
        ("eth*", True),
        ("eth1", False),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("192.0.2.0/24", True),
        ("192.0.2.7/255.255.255.0", True),
        ("192.0.2.7/16", False),
        ("192.0.3.0/24", False),
        ("192.0.2.7/nonsense", False),
        ("eth0;speed=1000", True),
    ],
)
def test_an_interface_is_picked_by_name_address_or_network(pattern, matches):
    assert _matches(pattern, "eth0", IPv4Interface("192.0.2.7/24")) is matches


def test_the_loopback_is_no_network_to_be_on():
    assert not [each for each in find(()) if each.name == "lo"]
    assert find(("lo", "127.0.0.1")) == ()


def test_an_address_that_vanishes_between_two_looks_is_left_out(monkeypatch):
    def gone(ask: object, name: str) -> int:
        raise OSError(19, "No such device")

    monkeypatch.setattr(interfaces, "_flags", gone)
    assert find(()) == ()


def test_news_are_read_until_there_are_no_more():
    calls = []
    watch = Watch(lambda: calls.append(1))
    assert watch.fileno() >= 0
    watch.look()
    watch.close()
    assert calls == [1]


@pytest.mark.parametrize(
    ("pattern", "answer"),
    [
        ("fd00::1", True),
        ("fd00::1/64", True),
        ("fe80::1;speed=1000", True),
        ("eth*", False),
        ("10.0.0.1/24", False),
    ],
)
def test_ipv6_is_told_from_what_can_be_a_network(pattern, answer):
    assert is_ipv6(pattern) is answer
