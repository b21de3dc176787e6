# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may lock: each kind of rule, and names that are looked up without holding anybody up."""

from ipaddress import ip_network

import pytest

from pydaemons.lockd.access import REMEMBERED, Access, Network, confirmed_names

LINKS = [ip_network("192.0.2.0/24"), ip_network("fe80::/64")]


def rules(*allow: str) -> tuple[Access, list[str]]:
    asked: list[str] = []
    return Access(allow, attached=lambda: LINKS, resolve=asked.append), asked


@pytest.mark.parametrize(
    ("rule", "inside", "outside"),
    [
        ("*", "203.0.113.9", None),
        ("198.51.100.7", "198.51.100.7", "198.51.100.8"),
        ("198.51.100.0/24", "198.51.100.255", "198.51.101.0"),
        ("2001:db8::/32", "2001:db8::1", "2001:db9::1"),
        ("::1", "::1", "::2"),
        ("198.51.*", "198.51.100.7", "198.52.100.7"),
        ("198.51.100.?", "198.51.100.7", "198.51.100.17"),
        ("link", "192.0.2.77", "192.0.3.1"),
        ("link", "fe80::1%eth0", "fe81::1%eth0"),
    ],
)
def test_addresses_are_judged_at_once(rule: str, inside: str, outside: str | None) -> None:
    access, asked = rules(rule)
    assert access.admits(inside, 0.0) is True
    if outside is not None:
        assert access.admits(outside, 0.0) is False
    assert asked == []


def test_an_empty_list_admits_nobody() -> None:
    access, _ = rules()
    assert access.admits("127.0.0.1", 0.0) is False


def test_a_network_that_came_lately_counts_when_its_first_host_calls() -> None:
    links = [ip_network("192.0.2.0/24")]
    looks: list[int] = []

    def attached() -> list[Network]:
        looks.append(1)
        return list(links)

    access = Access(["link"], attached=attached, resolve=lambda address: None)
    assert access.admits("198.51.100.1", 10.0) is False
    links.append(ip_network("198.51.100.0/24"))
    assert access.admits("198.51.100.1", 10.5) is False, "strangers cause one look a second at most"
    assert access.admits("198.51.100.1", 11.0) is True
    assert len(looks) == 3
    assert access.refresh() is False
    links.pop()
    assert access.refresh() is True


def test_a_host_name_may_begin_with_a_digit() -> None:
    access, asked = rules("3com.example", "10-*.example")
    assert access.admits("198.51.100.1", 0.0) is None
    access.resolved("198.51.100.1", ["10-4.example"], [], 0.0)
    assert access.admits("198.51.100.1", 0.0) is True
    assert asked == ["198.51.100.1"]


def test_a_wildcard_without_digits_is_about_names() -> None:
    access, asked = rules("*.*")
    assert access.admits("198.51.100.1", 0.0) is None
    assert asked == ["198.51.100.1"]


def test_a_name_rule_waits_for_the_resolver_and_asks_it_once() -> None:
    access, asked = rules("*.lab.example", "@trusted")
    assert access.admits("198.51.100.1", 0.0) is None
    assert access.admits("198.51.100.1", 0.0) is None
    assert asked == ["198.51.100.1"]
    access.resolved("198.51.100.1", ["Host1.Lab.Example"], [], 1.0)
    assert access.admits("198.51.100.1", 1.0) is True
    access.resolved("198.51.100.2", ["host.elsewhere.example"], [], 1.0)
    assert access.admits("198.51.100.2", 1.0) is False
    access.resolved("198.51.100.3", [], ["trusted"], 1.0)
    assert access.admits("198.51.100.3", 1.0) is True


def test_a_verdict_is_looked_up_again_when_it_is_old() -> None:
    access, asked = rules("known.example")
    access.resolved("198.51.100.1", ["known.example"], [], 0.0)
    assert access.admits("198.51.100.1", REMEMBERED) is True
    assert access.admits("198.51.100.1", REMEMBERED + 1) is None
    assert asked == ["198.51.100.1"]


def test_a_flood_of_strangers_is_bounded() -> None:
    access, asked = rules("known.example")
    for number in range(20_000):
        assert access.admits(f"10.0.{number >> 8}.{number & 255}", 0.0) is None
    assert len(asked) <= 4096


def test_a_name_counts_only_when_it_leads_back(monkeypatch: pytest.MonkeyPatch) -> None:
    forward = {"good.example": "198.51.100.1", "liar.example": "203.0.113.1"}
    monkeypatch.setattr("socket.gethostbyaddr", lambda address: ("liar.example", ["good.example"], [address]))
    monkeypatch.setattr("socket.getaddrinfo", lambda name, port: [(2, 1, 6, "", (forward[name], 0))])
    assert confirmed_names("198.51.100.1") == ["good.example"]


def test_a_resolver_that_fails_finds_no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(address: str) -> None:
        raise OSError("no resolver")

    monkeypatch.setattr("socket.gethostbyaddr", fail)
    access, _ = rules("*.example", "@nosuchgroup")
    assert access.look_up("198.51.100.1") == ([], [])
