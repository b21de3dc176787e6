# SPDX-License-Identifier: GPL-3.0-or-later
"""Origins are what engines key their caches by."""

from __future__ import annotations

import gc
import weakref

from pydaemons.engine.protocol import Address, Origin, Transport, behind

PEER, LOCAL = Address("192.0.2.1", 1023), Address("192.0.2.9", 4045)


def test_origins_compare_by_identity_even_when_they_say_the_same():
    one, two = Origin(Transport.UDP, PEER, LOCAL), Origin(Transport.UDP, PEER, LOCAL)
    assert one != two
    assert {one: 1, two: 2}[one] == 1


def test_an_origin_can_key_a_cache_that_does_not_keep_it_alive():
    origin = Origin(Transport.TCP, PEER, LOCAL)
    cache = weakref.WeakKeyDictionary({origin: "seen"})
    assert cache[origin] == "seen"
    del origin
    gc.collect()
    assert not cache


def test_an_origin_shows_both_ends_in_a_log_line():
    assert repr(Origin(Transport.UDP, PEER, LOCAL)) == "Origin(udp 192.0.2.1:1023 -> 192.0.2.9:4045)"


def test_what_is_behind_some_packets_of_several_runs():
    runs = [(4, 10, 14, 3), (46, 20, 24, 1), (74, 10, 14, 2)]
    places = [(at + i * stride, size) for at, size, stride, count in runs for i in range(count)]
    for count in range(len(places) + 1):
        rest = behind(runs, count)
        assert [(at + i * stride, size) for at, size, stride, n in rest for i in range(n)] == places[count:]
        assert all(n for _, _, _, n in rest)
