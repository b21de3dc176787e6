# SPDX-License-Identifier: GPL-3.0-or-later
"""GRANTED: when it is sent, from where, what it says, and what becomes of the lock by what the client
answers."""

from __future__ import annotations

from itertools import pairwise

import pytest

from fakes.locking import HOURS, SERVER, LockClient, World
from hosts import nlmcalls as nlm
from hosts import rpc
from pydaemons.engine.protocol import Transport

TRANSPORTS = [Transport.UDP, Transport.TCP]


def gaps(moments: list[float]) -> list[float]:
    return [round(b - a, 2) for a, b in pairwise(moments)]


def async_wait(client: LockClient, **where: object) -> None:
    """A blocking LOCK_MSG, its LOCK_RES awaited."""
    alock = client.alock(**where)
    client.remember(alock, exclusive=True)
    assert client.call(nlm.LOCK_MSG, nlm.lock(client.version, alock, block=True)) is None


# ---------------------------------------------------------------------- what it says and whence


@pytest.mark.parametrize("version", nlm.VERSIONS)
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("exclusive", [True, False])
def test_granted_repeats_the_clients_own_words(world, one, version, transport, exclusive):
    two = world.client(3, version=version, transport=transport)
    fh, oh = bytes(range(64)), b"\0odd \xff owner"
    one.lock(fh=fh, offset=0, length=0)
    assert two.wait(fh=fh, svid=0x7FFFFFFF, oh=oh, offset=7, length=9, exclusive=exclusive) == nlm.BLOCKED
    one.unlock(fh=fh, offset=0, length=0)
    world.run()
    (grant,) = two.grants
    assert (grant.procedure, grant.version, grant.exclusive) == (nlm.GRANTED, version, exclusive)
    assert grant.lock == nlm.Alock(fh, 0x7FFFFFFF, 7, 9, b"server", oh)
    assert grant.send.transport is transport
    assert grant.answer == nlm.OK
    assert world.locks() == {(two.address, 0x7FFFFFFF, fh, 7, 16, exclusive)}


def test_a_length_of_zero_is_granted_as_a_length_of_zero(world, one, two):
    one.lock()
    two.wait(offset=5, length=0)
    one.unlock()
    world.run()
    assert (two.grants[0].lock.offset, two.grants[0].lock.length) == (5, 0)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_granted_leaves_from_the_address_the_lock_came_to(world, one, transport):
    two = world.client(3, transport=transport)
    one.lock()
    two.wait(local="10.0.0.99")
    one.unlock()
    world.run()
    (grant,) = two.grants
    assert grant.send.source == "10.0.0.99"
    assert grant.send.source_port == (4045 if transport is Transport.UDP else None)
    assert grant.answer == nlm.OK


def test_rpcbind_is_asked_from_that_address_too(world, one, two):
    """A client with a packet filter that knows the server's service address must not see another one."""
    one.lock()
    two.wait(local="10.0.0.99")
    one.unlock()
    world.run()
    assert {send.source for _, send in world.sent} == {"10.0.0.99"}


def test_an_ipv6_client_is_called_back_by_ipv6(world, one):
    two = world.client(address="fd00::3")
    one.lock()
    two.wait(local="fd00::1")
    one.unlock()
    world.run()
    assert {(send.to.host, send.source) for _, send in world.sent} == {("fd00::3", "fd00::1")}
    assert [grant.answer for grant in two.grants] == [nlm.OK]


def test_a_repetition_by_another_way_changes_the_way_back(world, one, two):
    one.lock()
    two.wait()
    two.transport, two.version = Transport.TCP, 3
    two.wait()
    one.unlock()
    world.run()
    (grant,) = two.grants
    assert (grant.version, grant.send.transport, grant.send.source) == (3, Transport.TCP, SERVER)


def test_the_port_is_asked_for_once_and_kept(world, one, two):
    for number in range(20):
        one.lock(fh=b"%d" % number)
        two.wait(fh=b"%d" % number)
        one.unlock(fh=b"%d" % number)
        world.run()
    assert len(two.grants) == 20
    assert two.asked == 1


def test_the_port_is_known_before_the_lock_is_free(world, one, two):
    """So that GRANTED leaves at once, without the way to the client's rpcbind and back."""
    one.lock()
    two.wait()
    world.run(2.0)
    assert two.asked == 1 and not two.grants
    world.sent.clear()
    one.unlock()
    world.run()
    assert [send.to.port for _, send in world.sent] == [two.port]
    assert [grant.answer for grant in two.grants] == [nlm.OK]


def test_a_client_that_moved_to_another_port_is_found_again(world, one, two):
    one.lock()
    two.wait()
    one.unlock()
    world.run(5)
    two.unlock()
    two.port = 6000
    one.lock()
    two.wait()
    one.unlock()
    world.run(30)
    assert [grant.send.to.port for grant in two.grants] == [5000, 6000]


# ---------------------------------------------------------------------- when


def test_granted_leaves_at_once_and_only_once_to_a_client_that_answers(world, one, two):
    one.lock()
    two.wait()
    world.run(100)
    unlocked = world.clock.mono
    one.unlock()
    world.run(HOURS)
    assert len(world.grants_sent()) == 1
    assert world.grants_sent()[0] - unlocked < 0.001
    assert len(world.server.grants) == 0


@pytest.mark.parametrize("timeout", [3, 10, 20])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_unanswered_it_is_repeated_after_nlm_timeout_growing_to_six_times(timeout, asynchronous):
    world = World(nlm_timeout=timeout)
    one, two = world.client(2), world.client(3, silent=True)
    one.lock()
    async_wait(two) if asynchronous else two.wait()
    one.unlock()
    world.run(HOURS)
    assert gaps([grant.moment for grant in two.grants]) == [timeout * n for n in (1, 2, 3, 4, 5)]
    assert {grant.procedure for grant in two.grants} == {nlm.GRANTED_MSG if asynchronous else nlm.GRANTED}
    # given up when the sixth wait is over
    assert one.lock() == nlm.OK


def test_a_change_of_nlm_timeout_is_obeyed_by_the_next_callback():
    world = World(nlm_timeout=3)
    one, two = world.client(2), world.client(3, silent=True)
    for timeout in (3, 10):
        world.tune("nlm_timeout", timeout)
        two.grants.clear()
        one.lock()
        two.wait()
        one.unlock()
        world.run(timeout * 1.5)
        assert gaps([grant.moment for grant in two.grants]) == [timeout]
        two.unlock()
        world.run(HOURS)


def test_repetitions_of_granted_are_the_same_call(world, one):
    """Same xid and bytes, so that a client with a reply cache sees one call."""
    two = world.client(3, silent=True)
    one.lock()
    two.wait()
    one.unlock()
    world.run(100)
    assert len(two.grants) > 2
    assert len({grant.send.data for grant in two.grants}) == 1


# ---------------------------------------------------------------------- what the client answers


def test_a_client_that_refuses_loses_the_lock_to_the_next(world, one):
    two, three = world.client(3, willing=False), world.client(4)
    one.lock()
    two.wait()
    three.wait()
    one.unlock()
    world.run(1)
    assert [grant.answer for grant in two.grants] == [nlm.DENIED]
    assert [grant.answer for grant in three.grants] == [nlm.OK]
    assert world.locks() == {(three.address, 1, b"file", 0, 10, True)}


@pytest.mark.parametrize("how", ["refused", "never answered"])
def test_what_its_owner_held_before_stays_when_a_grant_over_it_is_not_wanted(world, one, how):
    two = world.client(3, silent=how == "never answered", willing=False)
    two.lock(offset=0, length=4)
    two.lock(offset=4, length=4, exclusive=False)
    one.lock(offset=8, length=4)
    two.wait(offset=2, length=10)
    one.unlock(offset=8, length=4)
    assert (two.address, 1, b"file", 0, 12, True) in world.locks()
    world.run(300)
    assert two.grants
    assert world.locks() == {
        (two.address, 1, b"file", 0, 4, True),
        (two.address, 1, b"file", 4, 8, False),
    }


def test_a_downgrade_that_is_refused_is_exclusive_again_where_nobody_reads_by_now(world, one):
    two, three = world.client(3, willing=False), world.client(4)
    two.lock(offset=0, length=4)
    one.lock(offset=4, length=1)
    two.wait(offset=0, length=5, exclusive=False)
    one.unlock(offset=4, length=1)
    assert three.lock(offset=1, length=1, exclusive=False) == nlm.OK
    world.run(1)
    assert world.locks() == {
        (two.address, 1, b"file", 0, 1, True),
        (two.address, 1, b"file", 1, 2, False),
        (three.address, 1, b"file", 1, 2, False),
        (two.address, 1, b"file", 2, 4, True),
    }


def test_of_two_grants_one_over_the_other_the_refusal_of_the_first_leaves_the_second(world, one):
    two = world.client(3, silent=True)
    one.lock(offset=0, length=8)
    two.wait(offset=0, length=6, exclusive=False)
    two.wait(offset=2, length=6)
    one.unlock(offset=0, length=8)
    world.run(1)
    first, second = two.grants
    two.answer(first, nlm.DENIED)
    world.run(1)
    assert world.locks() == {(two.address, 1, b"file", 2, 8, True)}
    two.answer(second, nlm.DENIED)
    world.run(1)
    assert world.locks() == set()


@pytest.mark.parametrize("what", ["silent", "gone", "no rpcbind", "no lock manager"])
def test_a_client_that_never_answers_loses_the_lock_to_the_next_in_the_end(world, one, what):
    two, three = world.client(3), world.client(4)
    one.lock()
    two.wait()
    three.wait()
    two.silent = what == "silent"
    two.gone = what == "gone"
    two.rpcbind = what != "no rpcbind"
    if what == "no lock manager":
        two.port = 0
    one.unlock()
    world.run(100)
    assert three.grants == []
    world.run(150)
    assert [grant.answer for grant in three.grants] == [nlm.OK]
    assert two.lock() == nlm.DENIED
    world.check()


def test_a_client_whose_lock_manager_answers_an_rpc_error_loses_the_lock_at_once(world, one, two):
    three = world.client(4)
    one.lock()
    two.wait()
    three.wait()
    two.error = 3  # PROC_UNAVAIL
    one.unlock()
    world.run(1)
    assert [grant.answer for grant in three.grants] == [nlm.OK]


def test_a_client_in_its_own_grace_period_is_told_again_after_ten_seconds(world, one):
    two = world.client(3, says=nlm.GRACE)
    one.lock()
    two.wait()
    one.unlock()
    world.run(35)
    assert gaps([grant.moment for grant in two.grants]) == [10, 10, 10]
    two.says = None
    world.run(10)
    assert two.grants[-1].answer == nlm.OK
    world.run(HOURS)
    assert len(two.grants) == 5
    assert one.lock() == nlm.DENIED


def test_nonsense_in_the_answer_counts_as_a_refusal(world, one, two):
    three = world.client(4)
    two.says = 4711
    one.lock()
    two.wait()
    three.wait()
    one.unlock()
    world.run(1)
    assert [grant.answer for grant in three.grants] == [nlm.OK]


def test_an_answer_from_another_host_does_not_count(world, one):
    two, spy = world.client(3, silent=True), world.client(9)
    one.lock()
    two.wait()
    one.unlock()
    world.run(1)
    send = two.grants[0].send
    reply = send.data[:4] + rpc.u32(rpc.REPLY, 0, 0, 0, 0) + nlm.result(nlm.OK)
    assert world.receive(reply, spy.origin(port=5000)) is None
    assert len(world.server.grants) == 1


# ---------------------------------------------------------------------- GRANTED_MSG and GRANTED_RES


@pytest.mark.parametrize("version", nlm.VERSIONS)
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_who_blocked_by_lock_msg_is_told_by_granted_msg_and_answers_by_granted_res(
    world, one, version, transport
):
    two = world.client(3, version=version, transport=transport)
    one.lock()
    async_wait(two)
    world.run()
    assert [(procedure, found.status) for procedure, found, _ in two.results] == [(nlm.LOCK_RES, nlm.BLOCKED)]
    one.unlock()
    world.run(HOURS)
    assert [(grant.procedure, grant.answer) for grant in two.grants] == [(nlm.GRANTED_MSG, nlm.OK)]
    assert len(world.server.grants) == 0
    assert one.lock() == nlm.DENIED


def test_granted_res_that_refuses_gives_the_lock_to_the_next(world, one):
    two, three = world.client(3, willing=False), world.client(4)
    one.lock()
    async_wait(two)
    three.wait()
    one.unlock()
    world.run(1)
    assert [grant.answer for grant in three.grants] == [nlm.OK]


@pytest.mark.parametrize("cookie", [b"", b"\0\0\0\1", bytes(8), b"x" * 1024])
def test_granted_res_with_an_unknown_cookie_changes_nothing(world, one, cookie):
    two = world.client(3, silent=True)
    one.lock()
    async_wait(two)
    one.unlock()
    world.run(1)
    two.call(nlm.GRANTED_RES, nlm.result(nlm.OK, cookie))
    assert len(world.server.grants) == 1


@pytest.mark.parametrize("status", [nlm.OK, nlm.DENIED])
def test_granted_res_from_another_host_changes_nothing(world, one, status):
    """Cookies can be seen or guessed; whoever sends one must be the client it was sent to."""
    two, spy = world.client(3, silent=True), world.client(9)
    one.lock()
    async_wait(two)
    one.unlock()
    world.run(1)
    spy.call(nlm.GRANTED_RES, nlm.result(status, two.grants[0].cookie))
    assert len(world.server.grants) == 1
    assert world.locks() == {(two.address, 1, b"file", 0, 10, True)}


def test_granted_res_for_any_telling_counts(world, one):
    two = world.client(3, silent=True)
    one.lock()
    async_wait(two)
    one.unlock()
    world.run(35)
    assert len({grant.cookie for grant in two.grants}) == 3
    two.call(nlm.GRANTED_RES, nlm.result(nlm.OK, two.grants[0].cookie))
    assert len(world.server.grants) == 0
    world.run(HOURS)
    assert len(two.grants) == 3


# ---------------------------------------------------------------------- meanwhile


def test_a_lock_repeated_while_it_is_being_told_is_granted_and_the_telling_stops(world, one):
    two = world.client(3, silent=True)
    one.lock()
    two.wait()
    one.unlock()
    world.run(1)
    assert two.wait() == nlm.OK
    world.run(HOURS)
    assert len(two.grants) == 1
    assert one.lock() == nlm.DENIED


def test_an_unlock_while_it_is_being_told_stops_the_telling(world, one):
    two = world.client(3, silent=True)
    one.lock()
    two.wait()
    one.unlock()
    world.run(1)
    assert two.unlock() == nlm.OK
    world.run(HOURS)
    assert len(two.grants) == 1
    assert one.lock() == nlm.OK


@pytest.mark.parametrize("how", ["free_all", "restarted", "release", "release_file", "drop_all"])
def test_whatever_frees_the_lock_stops_the_telling(world, one, how):
    two = world.client(3, silent=True)
    one.lock()
    two.wait()
    one.unlock()
    world.run(1)
    match how:
        case "free_all":
            two.free_all()
        case "restarted":
            world.engine.client_restarted(two.address, 5, world.now)
        case "release":
            world.server.release(lambda owner: owner.host.address == two.address, world.now)
        case "release_file":
            world.server.release_file(b"file", world.now)
        case "drop_all":
            world.engine.drop_all(world.now)
    world.run(HOURS)
    assert len(two.grants) == 1
    assert len(world.server.grants) == 0
    assert one.lock() == nlm.OK


def test_other_locks_of_a_client_are_not_settled_by_an_unlock_elsewhere(world, one):
    two = world.client(3, silent=True)
    for offset in (0, 100):
        one.lock(offset=offset)
        two.wait(offset=offset)
    one.unlock(offset=0, length=0)
    world.run(1)
    assert len(world.server.grants) == 2
    two.unlock(offset=100)
    assert [blocked.start for blocked in world.server.grants] == [0]
    assert [blocked.start for blocked in world.server.grants.on_file(b"file")] == [0]


def test_a_hundred_clients_that_never_answer_pass_the_lock_on_one_by_one():
    world = World(nlm_timeout=3)
    one = world.client(1)
    one.lock()
    clients = [world.client(number, silent=number < 110) for number in range(10, 111)]
    for client in clients:
        assert client.wait() == nlm.BLOCKED
    one.unlock()
    world.run(100 * 63 + 1)
    assert clients[-1].grants[-1].answer == nlm.OK
    assert {len(client.grants) for client in clients[:-1]} == {6}
    world.check()


def test_readers_that_wait_together_are_told_together(world, one):
    one.lock()
    readers = [world.client(number) for number in range(10, 60)]
    for reader in readers:
        reader.wait(exclusive=False)
    one.unlock()
    world.run(0.01)
    assert [len(reader.grants) for reader in readers] == [1] * 50
    assert len(world.server.table) == 50


def test_a_client_that_is_gone_holds_nothing_back_however_much_it_was_granted(world, one, two):
    """Only 64 calls to one host are under way at a time: told one after the other its locks would come free
    in hours."""
    three = world.client(4)
    for number in range(200):
        one.lock(offset=number * 10)
        assert two.wait(offset=number * 10, svid=number) == nlm.BLOCKED
        assert three.wait(offset=number * 10, svid=number) == nlm.BLOCKED
    two.silent = True
    for number in range(200):
        one.unlock(offset=number * 10)
    world.run(HOURS / 10)
    assert {grant.lock.offset for grant in three.grants} == {number * 10 for number in range(200)}
    assert {address for address, *_ in world.locks()} == {three.address}
