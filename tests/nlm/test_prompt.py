# SPDX-License-Identifier: GPL-3.0-or-later
"""What is answered at a glance is answered as it would have been otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.twins import HOSTS, Twins
from hosts import nlmcalls as nlm
from hosts import rpc
from hosts.nlmcalls import LAST, Alock
from pydaemons.engine.protocol import Transport


def test_what_comes_again_and_again_is_answered_at_a_glance():
    twins = Twins()
    twins.warm()
    twins.glances()
    for offset in (0, 5, 2**40, LAST):
        one = Alock(offset=offset, length=0 if offset == LAST else 7)
        assert twins.lock(one) == nlm.OK
        assert twins.unlock(one) == nlm.OK
    assert twins.glances() == 8


@pytest.mark.parametrize("version", [1, 3])
def test_so_it_is_in_the_old_versions(version):
    twins = Twins()
    twins.warm(version=version)
    twins.glances()
    far = Alock(offset=2**32 - 1, length=2**32 - 1)
    assert twins.lock(far, version=version) == twins.unlock(far, version=version) == nlm.OK
    assert twins.glances() == 2


def test_a_repeated_call_gets_its_first_answer():
    twins = Twins()
    twins.warm()
    for transport in Transport:
        assert twins.lock(xid=1, transport=transport) == nlm.OK
        assert twins.unlock(xid=2, transport=transport) == nlm.OK
        assert twins.lock(xid=1, transport=transport) == nlm.OK
        assert not twins.quick.locks(), "the lock was not taken a second time"


def test_another_client_in_the_way_is_found_and_the_blocked_call_waits():
    twins = Twins()
    twins.warm()
    assert twins.lock(Alock(svid=9), host=HOSTS[1]) == nlm.OK
    assert twins.lock() == nlm.DENIED
    assert twins.lock(block=True) == nlm.BLOCKED
    assert twins.unlock(Alock(svid=9), host=HOSTS[1]) == nlm.OK
    assert ("10.0.0.2", 1, b"file", 0, 10, True) in twins.quick.locks(), "it was handed on"


def test_what_is_being_told_is_settled_by_the_clients_next_call():
    twins = Twins()
    twins.warm()
    assert twins.lock(Alock(svid=9), host=HOSTS[1]) == nlm.OK
    assert twins.lock(block=True) == nlm.BLOCKED
    assert twins.unlock(Alock(svid=9), host=HOSTS[1]) == nlm.OK
    assert len(twins.quick.server.grants) == 1
    assert twins.unlock() == nlm.OK
    assert len(twins.quick.server.grants) == 0


def test_a_client_no_longer_admitted_is_refused():
    twins = Twins()
    twins.warm()
    for world in twins.worlds:
        world.engine.access = type(world.engine.access)((), attached=list, resolve=world.asked.append)
        world.engine.reload()
    assert twins.lock() == 1, "AUTH_BADCRED"
    assert not twins.quick.locks()


@pytest.mark.parametrize(
    ("offset", "length"), [(LAST, 2), (LAST + 1, 0), (LAST + 1, 1), (2**64 - 1, 2**64 - 1), (1, LAST + 1)]
)
def test_ranges_beyond_the_largest_file_are_refused(offset, length):
    twins = Twins()
    twins.warm()
    assert twins.lock(Alock(offset=offset, length=length)) == nlm.FBIG
    assert twins.unlock(Alock(offset=offset, length=length)) == nlm.FBIG


def test_reclaims_are_for_the_grace_period():
    twins = Twins()
    twins.both(lambda world: world.engine.start_grace(world.now, "test"))
    for _ in range(3):
        assert twins.lock(reclaim=True) == nlm.OK
    twins.both(lambda world: world.engine.end_grace())
    assert twins.lock(reclaim=True) == nlm.GRACE
    assert twins.lock() == nlm.OK


def test_answers_of_an_earlier_process_are_given_again():
    twins = Twins()
    twins.warm()
    assert twins.lock(xid=1) == twins.unlock(xid=2) == nlm.OK
    heirs = Twins()
    for old, new in zip(twins.worlds, heirs.worlds, strict=True):
        new.engine.restore(old.journal)
        new.clock.mono = old.clock.mono
    heirs.xid = twins.xid
    for _ in range(3):
        assert heirs.lock() == heirs.unlock() == nlm.OK
    assert heirs.lock(xid=1) == nlm.OK
    assert not heirs.quick.locks(), "the lock was not taken a second time"


def test_the_reply_cache_keeps_its_bounds():
    twins = Twins()
    for world in twins.worlds:
        world.engine.cache.size = 8
    for _ in range(20):
        assert twins.lock() == twins.unlock() == nlm.OK
        assert len(twins.quick.engine.cache) <= 16
    twins.compare()


files = st.sampled_from([b"file", b"elsewhere"])
ranges = st.tuples(
    st.sampled_from([0, 5, 10, 90, 2**31, 2**32 - 1]), st.sampled_from([0, 1, 5, 10, 2**32 - 1])
)
far = st.sampled_from(
    [(LAST, 0), (LAST, 1), (LAST, 2), (2**63, 0), (2**64 - 1, 2**64 - 1), (1, LAST), (1, LAST + 1)]
)


@st.composite
def packets(draw: st.DrawFn) -> tuple[bytes, str, Transport]:
    """A call of few owners about few files, sometimes damaged, sometimes repeated."""
    version = draw(st.sampled_from([4, 4, 4, 3, 1]))
    offset, length = draw(st.one_of(ranges, far) if version == 4 else ranges)
    one = Alock(
        fh=draw(files),
        svid=draw(st.sampled_from([1, 2, 10])),
        offset=offset,
        length=length,
        caller=draw(st.sampled_from([b"client", b"client", b"client", b"other"])),
        oh=draw(st.sampled_from([b"", b"", b"", b"handle"])),
    )
    procedure = draw(st.sampled_from([nlm.LOCK, nlm.LOCK, nlm.UNLOCK, nlm.UNLOCK, nlm.TEST, nlm.CANCEL]))
    exclusive = draw(st.booleans())
    if procedure == nlm.LOCK:
        packed = nlm.lock(
            version,
            one,
            block=draw(st.booleans()),
            exclusive=exclusive,
            reclaim=draw(st.sampled_from([False, False, False, True])),
            state=draw(st.sampled_from([1, 1, 1, 0, 3])),
        )
    elif procedure == nlm.UNLOCK:
        packed = nlm.unlock(version, one)
    elif procedure == nlm.TEST:
        packed = nlm.test(version, one, exclusive=exclusive)
    else:
        packed = nlm.cancel(version, one, exclusive=exclusive)
    xid = draw(st.integers(0, 2**20))
    data = rpc.call_bytes(rpc.NLM, version, procedure, packed, xid=xid)
    match draw(st.integers(0, 9)):
        case 0:
            at = draw(st.integers(0, len(data) - 1))
            data = data[:at] + bytes([data[at] ^ draw(st.integers(1, 255))]) + data[at + 1 :]
        case 1:
            data = data[: draw(st.integers(0, len(data)))] + draw(st.binary(max_size=8))
    return data, draw(st.sampled_from(HOSTS)), draw(st.sampled_from(list(Transport)))


@settings(max_examples=200, deadline=None)
@given(st.lists(packets(), min_size=1, max_size=6), st.lists(st.integers(0, 5), min_size=10, max_size=40))
def test_the_two_cannot_be_told_apart(kinds, order):
    twins = Twins()
    for number, index in enumerate(order):
        packet, host, transport = kinds[index % len(kinds)]
        if number % 7:  # otherwise it is a repeated call, perhaps
            packet = packet[:3] + bytes([number]) + packet[4:]
        twins.packet(packet, host, transport)
        if number % 15 == 14:
            twins.both(lambda world: world.run(0.5))
    twins.compare()
