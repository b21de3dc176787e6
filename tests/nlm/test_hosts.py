# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients and lock owners."""

from __future__ import annotations

from pydaemons.engine.protocol import Now
from pydaemons.nlm.hosts import Hosts

OURS = "10.0.0.1"
FIRST, LATER = Now(1.0, 1001.0), Now(2.0, 1002.0)


def test_a_client_is_one_object_per_address():
    hosts = Hosts()
    host = hosts.get("10.0.0.2", OURS, b"fred", FIRST)
    assert hosts.get("10.0.0.2", OURS, b"barney", LATER) is host
    assert hosts.get("10.0.0.3", OURS, b"fred", LATER) is not host
    assert hosts.find(("10.0.0.2", OURS)) is host
    assert hosts.find(("10.0.0.9", OURS)) is None
    assert len(hosts) == 2 and set(hosts) == {host, hosts.find(("10.0.0.3", OURS))}


def test_a_client_that_calls_two_addresses_of_ours_is_two():
    """Linux numbers its owners anew for each server address it has mounted."""
    hosts = Hosts()
    one, other = (hosts.get("10.0.0.2", ours, b"fred", FIRST) for ours in ("10.0.0.1", "10.0.0.9"))
    assert one is not other
    assert one.owner(0, b"0@fred") is not other.owner(0, b"0@fred")
    hosts.remove(one)
    assert hosts.find(("10.0.0.2", "10.0.0.9")) is other


def test_its_newest_name_and_the_times_it_was_seen_are_kept():
    hosts = Hosts()
    host = hosts.get("10.0.0.2", OURS, b"fred", FIRST)
    hosts.get("10.0.0.2", OURS, b"", LATER)
    assert (host.name, host.first_seen, host.last_seen) == (b"fred", 1001.0, 1002.0)
    hosts.get("10.0.0.2", OURS, b"barney", LATER)
    assert host.name == b"barney"


def test_an_owner_is_one_object_per_client_and_svid():
    hosts = Hosts()
    one, two = hosts.get("10.0.0.2", OURS, b"", FIRST), hosts.get("10.0.0.3", OURS, b"", FIRST)
    owner = one.owner(7, b"first")
    assert one.owner(7, b"second") is owner and owner.oh == b"second"
    assert one.owner(8, b"") is not owner
    assert two.owner(7, b"") is not owner
    assert repr(owner) == "<7@10.0.0.2 10.0.0.1>"


def test_clients_may_be_removed_while_all_are_looked_at():
    hosts = Hosts()
    for number in range(5):
        hosts.get(f"10.0.0.{number}", OURS, b"", FIRST)
    for host in hosts:
        hosts.remove(host)
        hosts.remove(host)
    assert len(hosts) == 0
