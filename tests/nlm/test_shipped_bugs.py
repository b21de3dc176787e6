# SPDX-License-Identifier: GPL-3.0-or-later
"""Bugs that other NLM servers shipped, each as a test that this one has it not."""

from __future__ import annotations

import pytest

from fakes.locking import HOURS
from hosts import nlmcalls as nlm
from hosts import rpc


def test_a_blocking_lock_is_answered_blocked_at_once_and_granted_by_callback(world, one, two):
    assert one.lock() == nlm.OK
    assert two.wait() == nlm.BLOCKED
    assert two.grants == []
    assert one.unlock() == nlm.OK
    world.run()
    assert [grant.answer for grant in two.grants] == [nlm.OK]
    assert one.test().status == nlm.DENIED


@pytest.mark.parametrize("port", [1, 111 + 1, 4045, 32803, 65535])
def test_granted_goes_to_the_port_the_clients_rpcbind_names(world, one, port):
    two = world.client(3, port=port)
    one.lock()
    two.wait()
    one.unlock()
    world.run()
    assert two.asked > 0
    assert two.grants[0].send.to == (two.address, port)


@pytest.mark.parametrize("same_xid", [True, False])
def test_a_retransmitted_blocking_lock_waits_once(world, one, two, same_xid):
    one.lock()
    for _ in range(5):
        assert two.wait(xid=77 if same_xid else None) == nlm.BLOCKED
    assert len(world.server.waiters) == 1
    one.unlock()
    world.run(HOURS)
    assert len(two.grants) == 1
    assert two.unlock() == nlm.OK
    assert one.lock() == nlm.OK, "a second entry in the queue took the lock again"


def test_unlocking_part_of_a_lock_frees_that_part(one, two):
    one.lock(offset=0, length=100)
    assert one.unlock(offset=40, length=20) == nlm.OK
    assert two.lock(offset=40, length=20) == nlm.OK
    assert two.lock(offset=39, length=1) == nlm.DENIED
    assert two.lock(offset=60, length=1) == nlm.DENIED


def test_unlocking_more_than_was_locked_frees_all_of_it(one, two):
    one.lock(offset=10, length=10)
    one.lock(offset=30, length=10)
    assert one.unlock(offset=0, length=0) == nlm.OK
    assert two.lock(offset=0, length=0) == nlm.OK


def test_unlocking_locks_that_were_joined_frees_both(one, two):
    one.lock(offset=0, length=10)
    one.lock(offset=10, length=10)
    assert one.unlock(offset=5, length=10) == nlm.OK
    assert two.lock(offset=5, length=10) == nlm.OK
    assert two.lock(offset=0, length=5) == nlm.DENIED


def test_cancel_minds_the_mode(world, one, two):
    one.lock()
    two.wait(exclusive=True)
    assert two.cancel(exclusive=False) == nlm.OK
    assert len(world.server.waiters) == 1, "a CANCEL of a shared wait took the exclusive one"
    assert two.cancel(exclusive=True) == nlm.OK
    assert len(world.server.waiters) == 0


def test_cancel_never_unlocks(one, two):
    one.lock()
    assert one.cancel() == nlm.OK
    assert two.lock() == nlm.DENIED


def test_cancel_of_a_lock_just_granted_is_denied_and_leaves_it_to_be_unlocked(world, one):
    two = world.client(3, silent=True)
    one.lock()
    two.wait()
    one.unlock()
    assert two.cancel() == nlm.DENIED
    assert one.lock() == nlm.DENIED
    assert two.unlock() == nlm.OK
    assert one.lock() == nlm.OK


@pytest.mark.parametrize("version", nlm.VERSIONS)
def test_a_denied_test_names_the_holder(world, version):
    one, two = world.client(2, version=version), world.client(3, version=version)
    one.lock(svid=4711, offset=100, length=50, exclusive=False, oh=b"4711@one")
    holder = two.test(svid=1, offset=120, length=1).holder
    assert holder == nlm.Holder(False, 4711, b"4711@one", 100, 50)


def test_a_share_is_kept_and_forbids_others(one, two):
    assert one.share(mode=3, access=1) == nlm.OK
    assert two.share(mode=0, access=1) == nlm.DENIED
    assert one.unshare(mode=3, access=1) == nlm.OK
    assert two.share(mode=0, access=1) == nlm.OK


def test_free_all_frees_locks_shares_and_waits(world, one, two):
    one.lock()
    one.share(mode=3, access=3)
    two.lock(fh=b"other")
    one.wait(fh=b"other")
    one.free_all()
    assert two.lock() == nlm.OK
    assert two.share(mode=3, access=3) == nlm.OK
    assert len(world.server.waiters) == 0


def test_free_all_after_share_does_no_harm(one, two):
    """nfs-ganesha 4.3 dies of it."""
    one.share(mode=3, access=3)
    one.free_all()
    one.free_all()
    assert one.share(mode=3, access=3) == nlm.OK
    assert two.share(mode=0, access=1) == nlm.DENIED


def test_grace_is_entered_and_only_reclaims_pass(world, one, two):
    world.engine.start_grace(world.now, "a test")
    assert one.lock() == nlm.GRACE
    assert one.lock(reclaim=True, state=0) == nlm.OK
    assert two.lock(reclaim=True) == nlm.DENIED, "a reclaim is checked against what others reclaimed"
    world.run(51)
    assert two.lock(fh=b"other", reclaim=True) == nlm.GRACE
    assert two.lock(fh=b"other") == nlm.OK


@pytest.mark.parametrize(
    ("address", "port"),
    [("10.0.0.3", 700), ("10.0.0.2", 700), ("192.0.2.1", 1), ("127.0.0.1", 1024), ("127.0.0.1", 40000)],
)
def test_sm_notify_from_anybody_but_a_privileged_process_here_is_ignored(world, one, address, port):
    """Who may send it can free any client's locks."""
    one.lock()
    stranger = world.client(address=address)
    stranger.call(nlm.SM_NOTIFY, nlm.sm_notify(one.name, 3), port=port)
    assert world.monitor.reports == []
    assert len(world.server.table) == 1


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_sm_notify_from_this_hosts_status_monitor_is_passed_on(world, address):
    statd = world.client(address=address)
    reply = statd.call(nlm.SM_NOTIFY, nlm.sm_notify(b"10.0.0.2", 5, b"p" * 16), port=888)
    assert reply is not None and reply.accepted == 0 and reply.body == b""
    assert world.monitor.reports == [(b"10.0.0.2", 5, b"p" * 16)]


def test_a_crashed_clients_locks_shares_and_waits_go(world, one, two):
    one.lock()
    one.share(mode=3, access=3)
    two.wait()
    one.lock(fh=b"other")
    world.engine.client_restarted(one.address, 3, world.now)
    world.run()
    assert [grant.answer for grant in two.grants] == [nlm.OK]
    assert two.lock(fh=b"other") == nlm.OK
    assert two.share(mode=3, access=3) == nlm.OK


def test_a_crashed_clients_old_answers_are_forgotten(world, one, two):
    """Its xids begin anew: an answer of its former life must not be given to a new call."""
    assert one.lock(xid=5) == nlm.OK
    world.engine.client_restarted(one.address, 3, world.now)
    assert two.lock() == nlm.OK
    assert one.lock(xid=5) == nlm.DENIED


def test_nobody_unlocks_or_cancels_by_borrowing_a_name(world, one):
    thief = world.client(9, name=one.name)
    one.lock(svid=5)
    assert thief.unlock(svid=5) == nlm.OK, "there was nothing of the thief's own to unlock"
    assert world.locks() == {(one.address, 5, b"file", 0, 10, True)}
    two = world.client(3)
    two.wait(svid=6)
    thief.cancel(svid=6)
    thief.free_all(two.name)
    assert len(world.server.waiters) == 1
    assert world.locks() == {(one.address, 5, b"file", 0, 10, True)}


def test_callbacks_go_to_the_address_a_lock_came_from_not_to_a_name_it_gave(world, one):
    victim = world.client(8, name=b"10.0.0.8")
    two = world.client(3)
    one.lock()
    assert two.wait(caller=b"10.0.0.8") == nlm.BLOCKED
    one.unlock()
    world.run(HOURS)
    assert {send.to.host for _, send in world.sent} == {two.address}
    assert victim.asked == 0


def test_who_takes_a_lock_is_monitored_and_once(world, one):
    for number in range(50):
        assert one.lock(fh=b"file %d" % number) == nlm.OK
    assert world.monitor.calls == [("watch", one.address)]


@pytest.mark.parametrize("how", ["wait", "share"])
def test_who_waits_or_shares_is_monitored_too(world, one, two, how):
    one.lock()
    one.share(mode=0, access=1)
    (two.wait if how == "wait" else two.share)()
    assert set(world.monitor.watched) == {one.address, two.address}


def test_reclaiming_a_lock_held_already_is_granted(world, one):
    one.lock()
    world.engine.start_grace(world.now, "a test")
    assert one.lock(reclaim=True) == nlm.OK
    assert one.lock(reclaim=True) == nlm.OK


def test_lock_reclaim_unlock_leaves_nothing_behind(world, one, two):
    one.lock()
    world.engine.start_grace(world.now, "a test")
    one.lock(reclaim=True)
    world.engine.end_grace()
    assert one.unlock() == nlm.OK
    assert two.lock() == nlm.OK


def test_49_first_locks_at_once_are_all_granted_and_ask_nobody_anything(world):
    clients = [world.client(number) for number in range(10, 59)]
    assert [client.lock(fh=b"file of " + client.address.encode()) for client in clients] == [nlm.OK] * 49
    assert len(world.monitor.calls) == 49
    assert world.asked == [] and world.sent == [], "a resolver or a remote host stood in the way of a lock"


def test_granted_is_sent_again_until_the_client_answers(world, one):
    two = world.client(3, silent=True)
    one.lock()
    two.wait()
    one.unlock()
    world.run(35)
    assert len(two.grants) == 3
    two.silent = False
    world.run(HOURS)
    assert [grant.answer for grant in two.grants] == [None, None, None, nlm.OK]
    assert one.lock() == nlm.DENIED


def test_locking_and_unlocking_again_and_again_does_not_monitor_each_time(world, one):
    for _ in range(1000):
        one.lock()
        one.unlock()
        world.run(0.25)
    assert world.monitor.calls == [("watch", one.address)]


def test_a_client_idle_for_long_is_no_longer_monitored(world, one, two):
    one.lock()
    two.lock(fh=b"other")
    one.unlock()
    world.run(HOURS)
    assert set(world.monitor.watched) == {two.address}
    assert len(world.server.hosts) == 1
    assert one.lock() == nlm.OK
    assert set(world.monitor.watched) == {one.address, two.address}


def test_an_acknowledged_grant_repeated_by_a_lost_answer_is_not_taken_away(world, one, two):
    """Linux answers a second GRANTED with DENIED when the first has woken the process already: freeing the
    lock then would give it to two."""
    one.lock()
    two.wait()
    lost = iter([True])
    world.lose = lambda packet: (
        isinstance(packet, bytes) and packet.endswith(rpc.u32(0)) and next(lost, False)
    )
    one.unlock()
    world.run(HOURS)
    assert [grant.answer for grant in two.grants] == [nlm.OK, nlm.DENIED]
    assert one.lock() == nlm.DENIED
    assert two.unlock() == nlm.OK
    assert one.lock() == nlm.OK
