# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock manager's rules, spoken to in bytes by clients in virtual time."""

from __future__ import annotations

from itertools import product

import pytest

from fakes.locking import SERVER, LockClient, World
from hosts import nlmcalls as nlm
from hosts import rpc
from hosts.nlmcalls import LAST
from pydaemons.engine.protocol import Transport
from pydaemons.nlm.types import Status


def pair(version: int, **settings: int) -> tuple[World, LockClient, LockClient]:
    world = World(**settings)
    return world, world.client(2, version=version), world.client(3, version=version)


# ---------------------------------------------------------------------- LOCK, UNLOCK, TEST


@pytest.mark.parametrize("version", nlm.VERSIONS)
@pytest.mark.parametrize(("first", "second"), product([True, False], repeat=2))
def test_only_shared_locks_of_two_owners_overlap(version, first, second):
    _, one, two = pair(version)
    assert one.lock(exclusive=first) == nlm.OK
    wanted = nlm.DENIED if first or second else nlm.OK
    assert two.test(exclusive=second).status == wanted
    assert two.lock(exclusive=second) == wanted


@pytest.mark.parametrize("version", nlm.VERSIONS)
def test_locks_on_other_bytes_or_files_do_not_meet(version):
    _, one, two = pair(version)
    one.lock(offset=10, length=10)
    assert two.lock(offset=0, length=10) == nlm.OK
    assert two.lock(offset=20, length=0) == nlm.OK
    assert two.lock(fh=b"other", offset=10, length=10) == nlm.OK
    assert two.lock(offset=19, length=1) == nlm.DENIED


def test_two_processes_of_one_client_exclude_each_other(one):
    assert one.lock(svid=1) == nlm.OK
    assert one.lock(svid=2) == nlm.DENIED
    assert one.test(svid=2).holder == nlm.Holder(True, 1, b"1@client", 0, 10)


def test_one_process_is_known_by_its_svid_whatever_owner_handle_it_shows(one, two):
    """XNFS lets UNLOCK succeed when the owner handle differs; Linux does not look at it."""
    one.lock(oh=b"first")
    assert one.lock(oh=b"second") == nlm.OK
    assert two.test().holder.oh == b"second"
    assert one.unlock(oh=b"third") == nlm.OK
    assert two.lock() == nlm.OK


@pytest.mark.parametrize("svid", [0, 1, 2**31 - 1, -1, -(2**31)])
def test_any_svid_is_a_process(one, two, svid):
    assert one.lock(svid=svid) == nlm.OK
    assert two.test().holder.svid == svid & 0xFFFFFFFF
    assert one.unlock(svid=svid) == nlm.OK


def test_the_same_svid_on_two_hosts_is_two_processes(one, two):
    one.lock(svid=7)
    assert two.lock(svid=7) == nlm.DENIED


def test_an_owner_upgrades_downgrades_and_extends_its_own_lock(one, two):
    one.lock(exclusive=False)
    assert one.lock(exclusive=True) == nlm.OK
    assert two.lock(exclusive=False) == nlm.DENIED
    assert one.lock(exclusive=False) == nlm.OK
    assert two.lock(exclusive=False) == nlm.OK
    assert one.lock(exclusive=True) == nlm.DENIED, "another reads too"


def test_a_downgrade_lets_waiting_readers_in(world, one, two):
    one.lock()
    two.wait(exclusive=False)
    one.lock(exclusive=False)
    world.run()
    assert [grant.answer for grant in two.grants] == [nlm.OK]


def test_a_test_changes_nothing(world, one, two):
    one.lock()
    for client, exclusive in product((one, two), (True, False)):
        client.test(exclusive=exclusive)
        client.test(exclusive=exclusive, fh=b"other")
    assert len(world.server.table) == 1 and len(world.server.waiters) == 0


def test_a_test_of_ones_own_lock_is_granted(one):
    one.lock()
    assert one.test().status == nlm.OK


def test_unlocking_what_is_not_held_succeeds(one, two):
    assert one.unlock() == nlm.OK
    two.lock()
    assert one.unlock() == nlm.OK
    assert one.lock() == nlm.DENIED


def test_an_empty_file_handle_is_stale(one):
    assert one.lock(fh=b"") == nlm.STALE
    assert one.test(fh=b"").status == nlm.STALE
    assert one.share(fh=b"") == nlm.STALE


@pytest.mark.parametrize("size", [1, 3, 4, 16, 32, 63, 64])
def test_a_file_handle_of_any_size_is_a_file_of_its_own(one, two, size):
    fh = b"h" * size
    assert one.lock(fh=fh) == nlm.OK
    assert two.lock(fh=fh) == nlm.DENIED
    assert two.lock(fh=fh[:-1] + b"x") == nlm.OK


# ---------------------------------------------------------------------- ranges


@pytest.mark.parametrize(
    ("offset", "length", "status"),
    [
        (0, 0, nlm.OK),
        (LAST, 0, nlm.OK),
        (LAST, 1, nlm.OK),
        (0, LAST, nlm.OK),
        (0, LAST + 1, nlm.OK),
        (0, LAST + 2, nlm.FBIG),
        (LAST, 2, nlm.FBIG),
        (LAST + 1, 0, nlm.FBIG),
        (LAST + 1, 1, nlm.FBIG),
        (2**64 - 1, 0, nlm.FBIG),
        (2**64 - 1, 2**64 - 1, nlm.FBIG),
        (1, 2**64 - 1, nlm.FBIG),
    ],
)
def test_ranges_end_with_the_last_byte_a_file_can_have(world, one, two, offset, length, status):
    assert one.lock(offset=offset, length=length) == status
    assert one.test(offset=offset, length=length).status == status
    assert one.unlock(offset=offset, length=length) == status
    assert len(world.server.table) == 0
    one.lock(offset=0, length=0)
    assert two.lock(offset=offset, length=length) == (nlm.DENIED if status == nlm.OK else status)
    assert two.cancel(offset=offset, length=length) == status


@pytest.mark.parametrize("version", nlm.VERSIONS)
def test_length_zero_is_to_the_end_of_the_file(version):
    _, one, two = pair(version)
    one.lock(offset=100, length=0)
    assert two.lock(offset=0, length=100) == nlm.OK
    holder = two.test(offset=2**31 - 2, length=1).holder
    assert (holder.offset, holder.length) == (100, 0)


@pytest.mark.parametrize("version", [1, 3])
@pytest.mark.parametrize(
    ("offset", "length", "seen"),
    [
        (5, 10, (5, 10)),
        (5, 0, (5, 0)),
        (2**31 - 1, 1, (2**31 - 1, 1)),
        (2**31, 100, (2**31 - 1, 100)),
        (2**40, 2**41, (2**31 - 1, 2**31 - 1)),
        (0, 2**31, (0, 2**31 - 1)),
    ],
)
def test_versions_1_and_3_are_told_of_a_64_bit_holder_as_far_as_32_bits_go(
    world, one, version, offset, length, seen
):
    old = world.client(3, version=version)
    one.lock(offset=offset, length=length)
    holder = old.test(offset=0, length=0).holder
    assert (holder.offset, holder.length) == seen


@pytest.mark.parametrize("version", [1, 3])
@pytest.mark.parametrize(("offset", "length"), [(2**32 - 1, 1), (2**32 - 1, 2**32 - 1), (0, 2**32 - 1)])
def test_versions_1_and_3_lock_up_to_the_last_of_their_numbers(version, offset, length):
    _, one, two = pair(version)
    assert one.lock(offset=offset, length=length) == nlm.OK
    assert two.lock(offset=offset, length=length) == nlm.DENIED


@pytest.mark.parametrize("version", [1, 3])
def test_old_and_new_versions_lock_the_same_bytes(world, version):
    old, new = world.client(2, version=version), world.client(3, version=4)
    old.lock(offset=10, length=10)
    assert new.lock(offset=19, length=1) == nlm.DENIED
    new.lock(offset=100, length=0)
    assert old.lock(offset=200, length=1) == nlm.DENIED
    # one owner, whatever version it speaks
    old.version = 4
    assert old.unlock(offset=0, length=100) == nlm.OK
    assert new.lock(offset=10, length=10) == nlm.OK


@pytest.mark.parametrize("version", [1, 3])
def test_versions_1_and_3_are_answered_with_statuses_they_know(version):
    world, one, two = pair(version)
    assert one.lock(fh=b"") == nlm.NOLOCKS
    assert one.test(fh=b"").status == nlm.NOLOCKS
    # a deadlock
    one.lock(fh=b"a")
    two.lock(fh=b"b")
    assert one.wait(fh=b"b") == nlm.BLOCKED
    assert two.wait(fh=b"a") == nlm.DENIED
    assert len(world.server.waiters) == 1


# ---------------------------------------------------------------------- at most once


def test_a_repeated_call_gets_the_answer_it_got_before(world, one, two):
    assert one.lock(xid=9) == nlm.OK
    assert one.unlock(xid=10) == nlm.OK
    assert two.lock() == nlm.OK
    assert one.lock(xid=9) == nlm.OK, "the same call, delayed on its way"
    assert world.locks() == {(two.address, 1, b"file", 0, 10, True)}


def test_a_late_copy_of_an_unlock_frees_nothing(one, two):
    one.lock()
    one.unlock(xid=10)
    one.lock()
    assert one.unlock(xid=10) == nlm.OK
    assert two.lock() == nlm.DENIED


def test_a_late_copy_of_free_all_frees_nothing(one, two):
    one.lock()
    one.free_all(xid=10)
    one.lock()
    one.free_all(xid=10)
    assert two.lock() == nlm.DENIED


def test_the_same_xid_of_another_client_is_another_call(one, two):
    assert one.lock(xid=9) == nlm.OK
    assert two.lock(xid=9) == nlm.DENIED


def test_a_call_repeated_over_the_other_transport_is_the_same_call(one, two):
    one.lock(xid=9)
    one.unlock()
    two.lock()
    one.transport = Transport.TCP
    assert one.lock(xid=9) == nlm.OK


def test_a_test_is_always_answered_afresh(one, two):
    arguments = nlm.test(4, two.alock())
    assert two.result(nlm.TEST, arguments, xid=5).status == nlm.OK
    one.lock()
    assert two.result(nlm.TEST, arguments, xid=5).status == nlm.DENIED


# ---------------------------------------------------------------------- NM_LOCK, FREE_ALL


@pytest.mark.parametrize("version", [3, 4])
def test_nm_lock_takes_a_lock_and_monitors_nobody(version):
    world, one, two = pair(version)
    assert one.lock(procedure=nlm.NM_LOCK) == nlm.OK
    assert world.monitor.calls == []
    assert two.lock() == nlm.DENIED
    assert one.unlock() == nlm.OK


def test_nm_lock_never_blocks(world, one, two):
    """XNFS: it is the client's responsibility to retry."""
    one.lock()
    assert two.lock(procedure=nlm.NM_LOCK, block=True) == nlm.DENIED
    assert len(world.server.waiters) == 0


def test_free_all_frees_only_the_callers_own(world, one, two):
    one.lock()
    two.lock(fh=b"other")
    two.free_all(one.name)
    assert world.locks() == {(one.address, 1, b"file", 0, 10, True)}


def test_free_all_serves_who_waits(world, one, two):
    one.lock()
    two.wait()
    one.free_all()
    world.run()
    assert [grant.answer for grant in two.grants] == [nlm.OK]


# ---------------------------------------------------------------------- limits


def test_one_lock_too_many_is_refused_for_want_of_locks():
    _, one, two = pair(4, nlm_max_locks=3)
    assert [one.lock(fh=b"%d" % n) for n in range(4)] == [nlm.OK, nlm.OK, nlm.OK, nlm.NOLOCKS]
    assert two.share() == nlm.NOLOCKS
    one.unlock(fh=b"0")
    assert two.share() == nlm.OK
    assert two.lock(fh=b"another") == nlm.NOLOCKS, "shares count too"


def test_a_client_at_its_limit_of_locks_leaves_room_for_others_and_for_itself_after_an_unlock():
    world, one, two = pair(4, nlm_max_locks_per_client=2)
    assert [one.lock(offset=20 * n, svid=n) for n in range(3)] == [nlm.OK, nlm.OK, nlm.NOLOCKS]
    assert two.lock(offset=100) == nlm.OK
    one.unlock(offset=0, svid=0)
    assert one.lock(offset=200) == nlm.OK
    assert one.lock(offset=300) == nlm.NOLOCKS
    world.tune("nlm_max_locks_per_client", 0)
    assert one.lock(offset=300) == nlm.OK


def test_a_limit_set_later_counts_what_is_held_and_what_was_waited_for():
    world, one, two = pair(4)
    one.lock(offset=0)
    two.lock(offset=50)
    assert one.wait(offset=50) == nlm.BLOCKED
    two.unlock(offset=50)
    world.run(1)
    world.tune("nlm_max_locks_per_client", 2)
    assert one.lock(offset=100) == nlm.NOLOCKS
    one.free_all()
    assert one.lock(offset=100) == nlm.OK


def test_processes_that_were_denied_take_no_memory(world, one, two):
    one.lock()
    two.lock(fh=b"other", svid=5)
    for svid in range(1000):
        two.lock(svid=svid)
    assert set(world.server.hosts.find((two.address, SERVER)).owners) == {5}


def test_a_process_that_is_denied_one_lock_keeps_its_others(world, one, two):
    one.lock()
    two.lock(fh=b"other", svid=5)
    assert two.lock(svid=5) == nlm.DENIED
    assert two.unlock(fh=b"other", svid=5) == nlm.OK
    assert len(world.server.table) == 1


# ---------------------------------------------------------------------- refusing everything


@pytest.mark.parametrize("version", nlm.VERSIONS)
@pytest.mark.parametrize("grace", [False, True])
def test_in_refuse_mode_every_new_lock_fails_at_once_even_in_grace(version, grace):
    world = World(mode="refuse")
    one = world.client(2, version=version)
    if grace:
        world.engine.start_grace(world.now, "a test")
    assert one.lock() == nlm.NOLOCKS
    assert one.lock(block=True) == nlm.NOLOCKS
    assert one.lock(reclaim=True) == nlm.NOLOCKS
    assert one.test().status == nlm.NOLOCKS
    if version > 1:
        assert one.share() == nlm.NOLOCKS
        assert one.lock(procedure=nlm.NM_LOCK) == nlm.NOLOCKS
    assert world.monitor.calls == []


def test_what_was_held_before_refuse_mode_can_be_given_back(world, one, two):
    one.lock()
    two.wait()
    world.settings.pylockd.mode = "refuse"
    world.engine.reload()
    assert two.cancel() == nlm.OK
    assert one.unlock() == nlm.OK
    assert len(world.server.table) == 0


# ---------------------------------------------------------------------- clients come and go


def test_the_state_a_client_locks_or_waits_with_is_kept_and_a_reclaims_zero_is_not(world, one, two):
    one.lock(state=7)
    two.wait(state=9)
    one.lock(fh=b"other", state=0)
    assert [world.server.hosts.find((client.address, SERVER)).state for client in (one, two)] == [7, 9]


def test_a_client_is_known_by_its_address_whatever_it_calls_itself(world, one):
    one.lock(caller=b"fred")
    assert one.unlock(caller=b"fred.example.com") == nlm.OK
    assert len(world.server.table) == 0


def test_an_unknown_clients_restart_is_no_news(world):
    assert world.server.host_restarted("10.9.9.9", 3, world.now) == 0


def test_the_same_svid_at_two_addresses_of_ours_is_two_processes(world, one):
    """Linux numbers its owners anew for each server address it has mounted."""
    other = "10.0.0.99"
    assert one.lock(svid=0) == nlm.OK
    assert one.lock(svid=0, local=other) == nlm.DENIED
    unlock = nlm.unlock(4, one.alock(svid=0))
    assert one.result(nlm.UNLOCK, unlock, local=other).status == nlm.OK
    assert one.lock(svid=0, local=other) == nlm.DENIED, "that freed nothing of the other's"
    found = one.result(nlm.TEST, nlm.test(4, one.alock(svid=0)), local=other)
    assert (found.status, found.holder.svid) == (nlm.DENIED, 0)
    assert one.share(mode=3) == nlm.OK
    share = nlm.share(one.alock(), mode=3)
    assert one.result(nlm.SHARE, share, local=other).status == nlm.DENIED
    assert one.wait(svid=0, local=other) == nlm.BLOCKED
    one.unlock(svid=0)
    world.run()
    assert [(grant.send.source, grant.answer) for grant in one.grants] == [(other, nlm.OK)]
    assert one.lock(svid=0) == nlm.DENIED


def test_a_client_that_restarted_loses_what_it_had_at_all_our_addresses(world, one):
    one.lock(offset=0)
    one.lock(offset=100, local="10.0.0.99")
    assert world.server.host_restarted(one.address, 3, world.now) == 2
    assert world.locks() == set()


def test_an_administrator_releases_by_owner_and_by_file(world, one, two):
    one.lock(svid=1)
    one.lock(svid=2, fh=b"other")
    two.wait()
    mine = world.server.hosts.find((one.address, SERVER)).owners[1]
    assert world.server.release(lambda owner: owner is mine, world.now) == 1
    world.run()
    assert [grant.answer for grant in two.grants] == [nlm.OK]
    assert world.server.release_file(b"other", world.now) == 1
    assert world.server.release_file(b"other", world.now) == 0
    assert world.locks() == {(two.address, 1, b"file", 0, 10, True)}


def test_dropping_all_voids_everything_and_starts_grace(world, one, two):
    one.lock()
    one.share(mode=3, access=3)
    two.wait()
    assert world.engine.drop_all(world.now) == 2
    assert (len(world.server.table), len(world.server.shares), len(world.server.waiters)) == (0, 0, 0)
    assert two.lock() == nlm.GRACE
    assert two.lock(reclaim=True) == nlm.OK
    world.run(51)
    assert two.share(mode=3, access=3) == nlm.OK
    assert two.grants == []


def test_decisions_are_counted_by_procedure_and_status(one, two, world):
    one.lock()
    two.lock()
    two.wait()
    two.test()
    two.cancel()
    one.unlock()
    one.share()
    one.unshare()
    counts = world.server.counts
    assert counts["LOCK"][Status.GRANTED] == counts["LOCK"][Status.DENIED] == 1
    assert counts["LOCK"][Status.BLOCKED] == counts["TEST"][Status.DENIED] == 1
    assert [counts[name][Status.GRANTED] for name in ("CANCEL", "UNLOCK", "SHARE", "UNSHARE")] == [1] * 4


def test_granted_to_us_is_denied_for_we_are_nobodys_client(world, one):
    assert one.result(nlm.GRANTED, nlm.test(4, one.alock())).status == nlm.DENIED
    assert one.call(nlm.GRANTED_MSG, nlm.test(4, one.alock())) is None
    world.run()
    assert [(procedure, found.status) for procedure, found, _ in one.results] == [
        (nlm.GRANTED_RES, nlm.DENIED)
    ]


# ---------------------------------------------------------------------- the *_MSG twins


@pytest.mark.parametrize("version", nlm.VERSIONS)
@pytest.mark.parametrize("transport", list(Transport))
def test_msg_calls_are_not_answered_but_their_result_is_brought_back(world, one, version, transport):
    two = world.client(3, version=version, transport=transport)
    one.lock(svid=9)
    alock = two.alock()
    told = [
        (nlm.TEST_MSG, nlm.test(version, alock, cookie=b"t"), nlm.DENIED),
        (nlm.LOCK_MSG, nlm.lock(version, alock, cookie=b"l"), nlm.DENIED),
        (nlm.LOCK_MSG, nlm.lock(version, alock, block=True, cookie=b"b"), nlm.BLOCKED),
        (nlm.CANCEL_MSG, nlm.cancel(version, alock, cookie=b"c"), nlm.OK),
        (nlm.UNLOCK_MSG, nlm.unlock(version, alock, cookie=b"u"), nlm.OK),
    ]
    for procedure, arguments, _ in told:
        assert two.call(procedure, arguments, local="10.0.0.55") is None
        world.run()
    assert [(procedure, found.cookie, found.status) for procedure, found, _ in two.results] == [
        (procedure + 5, arguments[4:5], status) for procedure, arguments, status in told
    ]
    assert two.results[0][1].holder == nlm.Holder(True, 9, b"9@client", 0, 10)
    for _, _, send in two.results:
        assert send.source == "10.0.0.55", "macOS and BSD drop what comes from elsewhere"
        assert send.source_port == (4045 if transport is Transport.UDP else None)
        assert send.transport is transport
        assert send.data[16:20] == rpc.u32(version)


def test_a_res_call_is_taken_and_ignored(world, one):
    for procedure in (nlm.LOCK_RES, nlm.CANCEL_RES, nlm.UNLOCK_RES, nlm.GRANTED_RES):
        reply = one.call(procedure, nlm.result(nlm.OK))
        assert reply is not None and reply.accepted == 0 and reply.body == b""
    holder = rpc.u32(1, 5) + rpc.opaque(b"oh") + rpc.u64(0, 1)
    assert one.call(nlm.TEST_RES, nlm.result(nlm.DENIED) + holder).accepted == 0
    assert one.call(nlm.TEST_RES, nlm.result(nlm.OK)).accepted == 0
    assert one.call(nlm.TEST_RES, nlm.result(nlm.DENIED)).accepted == 4, "a holder is missing"
