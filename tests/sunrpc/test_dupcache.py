# SPDX-License-Identifier: GPL-3.0-or-later
"""A repeated call gets its first answer, for a while and within bounds."""

from pydaemons.sunrpc.dupcache import LIFETIME, ReplyCache

KEY = ("10.0.0.2", b"call")


def test_a_reply_is_found_again_until_its_time_is_over() -> None:
    cache = ReplyCache()
    cache.keep(KEY, 700, b"reply", 100.0)
    assert cache.find(KEY, 700, 100.0 + LIFETIME) == b"reply"
    assert cache.find(KEY, 700, 100.1 + LIFETIME) is None
    assert cache.hits == 1


def test_it_keeps_at_least_the_newest_and_at_most_twice_its_size() -> None:
    cache = ReplyCache(size=10)
    for number in range(1000):
        cache.keep(("h", b"%d" % number), 700, b"r", 0.0)
        assert len(cache) <= 20
        for recent in range(max(0, number - 9), number + 1):
            assert cache.find(("h", b"%d" % recent), 700, 0.0) == b"r"


def test_a_restarted_host_is_forgotten_alone() -> None:
    cache = ReplyCache(size=2)
    for host in ("a", "b", "a", "b"):
        cache.keep((host, b"x" + host.encode()), 700, b"r", 0.0)
    cache.forget("a")
    assert cache.find(("a", b"xa"), 700, 0.0) is None
    assert cache.find(("b", b"xb"), 700, 0.0) == b"r"
    cache.forget()
    assert len(cache) == 0
