# SPDX-License-Identifier: GPL-3.0-or-later
"""A repeated call gets its first answer, for a while and within bounds."""

from hypothesis import given
from hypothesis import strategies as st

from pydaemons.engine.protocol import Address
from pydaemons.sunrpc.dupcache import LIFETIME, Kept, ReplyCache, digest_of
from pydaemons.sunrpc.message import SUCCESS

CALL = b"xid1 and what follows"
PEER, OTHER = Address("10.0.0.2", 700), Address("10.0.0.3", 700)


def test_a_reply_is_found_again_until_its_time_is_over() -> None:
    cache = ReplyCache()
    cache.keep(CALL, PEER, b"reply", 100.0)
    assert cache.find(CALL, PEER, 100.0 + LIFETIME) == b"reply"
    assert cache.find(CALL, PEER, 100.1 + LIFETIME) is None
    assert cache.hits == 1


def test_only_the_same_bytes_from_the_same_port_are_the_same_call() -> None:
    cache = ReplyCache()
    cache.keep(CALL, PEER, b"reply", 100.0)
    assert cache.find(CALL + b"!", PEER, 100.0) is None
    assert cache.find(CALL, PEER._replace(port=701), 100.0) is None
    assert cache.find(CALL, OTHER, 100.0) is None
    assert cache.hits == 0


def test_it_keeps_at_least_the_newest_and_at_most_twice_its_size() -> None:
    cache = ReplyCache(size=10)
    for number in range(1000):
        cache.keep(number.to_bytes(4, "big"), PEER, b"r", 0.0)
        assert len(cache) <= 20
        for recent in range(max(0, number - 9), number + 1):
            assert cache.find(recent.to_bytes(4, "big"), PEER, 0.0) == b"r"


def test_hosts_that_use_the_same_xids_do_not_get_in_each_others_way() -> None:
    cache = ReplyCache(size=4)
    peers = [Address(f"10.0.0.{number}", 700 + port) for number in range(3) for port in range(2)]
    for turn in range(50):
        call = b"xid%d" % (turn % 10) + b"%d" % turn
        for peer in peers:
            cache.keep(call, peer, b"%d %d" % (peer.port, turn), 0.0)
            assert cache.find(call, peer, 0.0) == b"%d %d" % (peer.port, turn)
        for peer in peers[-4:]:
            assert cache.find(call, peer, 0.0) == b"%d %d" % (peer.port, turn)


def test_a_restarted_host_is_forgotten_alone() -> None:
    for size in (2, 3, 100):
        cache = ReplyCache(size=size)
        for peer in (PEER, OTHER, PEER, OTHER):
            cache.keep(CALL, peer, b"r", 0.0)
        cache.forget(PEER.host)
        assert cache.find(CALL, PEER, 0.0) is None
        assert cache.find(CALL, OTHER, 0.0) == b"r"
        assert cache.hosts() == {OTHER.host}
        cache.forget()
        assert len(cache) == 0


def test_what_one_process_froze_the_next_one_answers_until_its_time_is_over_or_the_host_forgotten() -> None:
    before, after = ReplyCache(), ReplyCache()
    for peer in (PEER, OTHER):
        before.keep(CALL, peer, CALL[:4] + SUCCESS + peer.host.encode(), 100.0)
    for digest, reply, mono in before.freeze():
        after.remember(digest, reply[4 + len(SUCCESS) :], mono)
    assert after.find(CALL, PEER, 100.0) == CALL[:4] + SUCCESS + PEER.host.encode()
    assert after.find(CALL + b"!", PEER, 100.0) is None
    assert sorted(after.freeze()) == sorted(before.freeze())
    after.forget(PEER.host)
    assert after.find(CALL, PEER, 100.0) is None
    assert after.find(CALL, OTHER, 100.0) == CALL[:4] + SUCCESS + OTHER.host.encode()
    assert after.hosts() == {OTHER.host}
    assert after.find(CALL, OTHER, 100.1 + LIFETIME) is None
    assert after.hosts() == set()


def test_calls_answered_together_are_found_one_by_one() -> None:
    calls = [b"xid%d and more" % number for number in range(4)]
    replies = [b"xid%d granted" % number for number in range(4)]
    cache = ReplyCache()
    assert cache.are_new([call[:4] for call in calls], b"xid0", PEER)
    data, answers = b"gap" + b"gap".join(calls), b"lead" + b"lead".join(replies)
    cache.keep_new(Kept(PEER, data, 3, 13, 16, answers, 4, 4, 100.0, outlive=True), b"xid3")
    for call, reply in zip(calls, replies, strict=True):
        assert cache.find(call, PEER, 101.0) == reply
        assert cache.find(call + b"!", PEER, 101.0) is None
        assert cache.find(call, OTHER, 101.0) is None
    cache.keep(b"xid2, another", PEER, b"another", 101.0)
    frozen = [digest for digest, _, _ in cache.freeze()]
    assert sorted(frozen) == sorted(
        digest_of(PEER.host, call) for call in (calls[0], calls[1], b"xid2, another", calls[3])
    )
    cache.keep(calls[0], OTHER, b"theirs", 101.0)
    cache.forget(OTHER.host)
    assert cache.find(calls[0], PEER, 101.0) == replies[0]
    assert cache.find(calls[0], OTHER, 101.0) is None
    cache.forget(PEER.host)
    assert cache.find(calls[0], PEER, 101.0) is None


def test_a_call_is_only_called_new_if_it_is() -> None:
    cache = ReplyCache()
    cache.keep(b"xid5", PEER, b"r", 0.0)
    assert not cache.are_new([b"xid4", b"xid5"], b"xid4", PEER)
    assert cache.are_new([b"xid6", b"xid7"], b"xid6", PEER)
    cache.keep_new(Kept(PEER, b"xid6xid7", 0, 4, 4, b"rr", 0, 2, 0.0, outlive=True), b"xid7")
    assert not cache.are_new([b"xid7", b"xid8"], b"xid7", PEER)
    assert cache.are_new([b"xid4", b"xid8"], b"xid4", PEER), "below the latest, but unknown"
    assert cache.find(b"xid6", PEER, 0.0) == b"r"


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(1, 5), st.sampled_from([PEER, OTHER]), st.booleans()),
        max_size=60,
    )
)
def test_kept_one_by_one_or_together_the_newest_are_found(
    batches: list[tuple[int, int, Address, bool]],
) -> None:
    cache = ReplyCache(size=12)
    newest: dict[tuple[bytes, Address], bytes] = {}  # in the order they were kept
    for turn, (first, count, peer, look) in enumerate(batches):
        calls = [b"%04d" % (first + number) for number in range(count)]
        reply = b"%06d" % turn
        known = [call for call in calls if cache.find(call, peer, 0.0) is not None] if look else None
        if cache.are_new(calls, calls[0], peer):
            assert not known
            data = b"".join(calls)
            cache.keep_new(Kept(peer, data, 0, 4, 4, reply * count, 0, count, 0.0, outlive=True), calls[-1])
        else:
            for call in calls:
                cache.keep(call, peer, reply, 0.0)
        for call in calls:
            newest.pop((call, peer), None)
            newest[call, peer] = reply
        for (call, whose), answer in list(newest.items())[-12:]:
            assert not cache.are_new([call], call, whose)
            if look:
                assert cache.find(call, whose, 0.0) == answer
    assert len(cache) <= 24 + 5


def test_what_does_not_outlive_the_process_is_known_as_long_as_it_lives_only() -> None:
    cache = ReplyCache()
    cache.fresh = []
    cache.keep(b"xid1", PEER, b"r", 0.0, outlive=False)
    cache.keep_new(Kept(PEER, b"xid2", 0, 4, 4, b"r", 0, 1, 0.0, outlive=False), b"xid2")
    assert (list(cache.freeze()), cache.fresh) == ([], [])
    cache.keep_new(Kept(OTHER, b"xid3", 0, 4, 4, b"r", 0, 1, 0.0, outlive=True), b"xid3")
    assert [digest[1] for digest, _, _ in cache.freeze()] == [b"xid3"]
    assert [kept.data for kept in cache.fresh] == [b"xid3"]
    assert cache.hosts() == {PEER.host, OTHER.host}
    assert all(cache.find(b"xid%d" % number, PEER, 0.0) for number in (1, 2))
