# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that never come back lose their locks, where an administrator wants that; all others keep them."""

from __future__ import annotations

import errno
import os

import pytest

from fakes.locking import HOURS, World
from hosts import nlmcalls as nlm
from pydaemons.engine.effects import Send, SendFailed
from pydaemons.nlm import lease
from pydaemons.nlm.lease import SILENCES, is_silence
from pydaemons.sunrpc.client import Refused, Success, TimedOut, Unreachable

LEASE = 60


@pytest.fixture
def leased():
    return World(nlm_client_lease=LEASE)


def begun(world):
    """As after the start: the daemon's sockets stand."""
    world.engine.begin(world.now)
    return world


def held_by(world):
    return {row[0] for row in world.locks()}


def test_without_a_lease_a_client_that_is_gone_keeps_its_locks_and_nobody_is_called():
    world = begun(World())
    one = world.client(2)
    one.lock()
    one.gone = True
    world.run(48 * HOURS)
    assert held_by(world) == {one.address}
    assert world.sent == []


def test_a_client_that_is_gone_loses_locks_shares_and_waits_and_the_next_one_has_its_turn(leased):
    world = begun(leased)
    one, two = world.client(2), world.client(3)
    one.lock()
    one.share(fh=b"shared", mode=3)
    two.wait()
    one.wait(fh=b"other"), two.lock(fh=b"third"), one.wait(fh=b"third")
    one.gone = True
    world.run(LEASE - 1)
    assert held_by(world) >= {one.address}
    world.run(LEASE)
    assert held_by(world) == {two.address}
    assert [grant.answer for grant in two.grants] == [nlm.OK]
    assert two.share(fh=b"shared", mode=3) == nlm.OK
    assert len(world.server.waiters) == 0
    (told,) = [line for line in world.logs if "sign of life" in line]
    assert told.startswith(f"client {one.address} gave no sign of life for ")
    assert told.endswith(" s: 3 locks and shares freed")


def test_a_client_that_answers_keeps_its_locks_without_ever_calling(leased):
    world = begun(leased)
    one = world.client(2)
    one.lock()
    world.run(24 * HOURS)
    assert held_by(world) == {one.address}


def test_a_client_that_calls_keeps_its_locks_though_it_cannot_be_called(leased):
    world = begun(leased)
    one = world.client(2, rpcbind=False)
    one.lock()
    for _ in range(50):
        world.run(LEASE / 5)
        one.lock(offset=500)
    assert held_by(world) == {one.address}


def test_a_client_that_calls_one_address_of_ours_keeps_its_locks_at_all(leased):
    world = begun(leased)
    one = world.client(2, rpcbind=False)
    one.lock(local="10.0.0.99")
    for _ in range(50):
        world.run(LEASE / 5)
        one.lock(offset=500)
    assert len(world.locks()) == 2
    one.gone = True
    world.run(2 * LEASE)
    assert world.locks() == set()


def test_a_machine_that_is_up_and_has_no_lock_manager_any_more_says_itself_that_it_restarted(leased):
    world = begun(leased)
    one = world.client(2)
    one.lock()
    world.run(LEASE)  # where it listens is known
    one.port, one.rpcbind = 5001, False
    world.run(HOURS)
    assert held_by(world) == {one.address}


def test_that_our_own_network_is_down_says_nothing_of_clients(leased):
    world = begun(leased)
    one = world.client(2)
    one.lock()

    def down(packet):
        if isinstance(packet, Send):
            failed = SendFailed(packet.to, packet.transport, os.strerror(errno.ENETUNREACH))
            world.later(lambda: world.engine.handle(failed, world.now))
        return True

    world.lose = down
    world.run(HOURS)
    assert held_by(world) == {one.address}


def test_a_client_that_missed_some_calls_is_called_again_before_it_counts_as_gone(leased):
    world = begun(leased)
    one = world.client(2)
    one.lock()
    one.gone = True
    world.run(LEASE * 0.9)
    one.gone = False
    world.run(LEASE)
    one.gone = True
    world.run(LEASE * 0.9)
    assert held_by(world) == {one.address}
    world.run(LEASE)
    assert held_by(world) == set()


def test_a_process_that_was_stopped_for_hours_takes_nothing_before_it_has_called_anew(leased):
    world = begun(leased)
    one = world.client(2)
    one.lock()
    world.run(LEASE)
    world.clock.mono += 5 * HOURS
    world.run(LEASE)
    assert held_by(world) == {one.address}


def test_who_came_back_after_its_lease_locks_as_anybody(leased):
    world = begun(leased)
    one = world.client(2)
    one.lock()
    one.gone = True
    world.run(3 * LEASE)
    one.gone = False
    assert one.lock() == nlm.OK
    world.run(3 * LEASE)
    assert held_by(world) == {one.address}


def test_a_lease_set_while_it_runs_counts_from_then_on_and_one_taken_away_ends_the_calls():
    world = begun(World())
    one = world.client(2)
    one.lock()
    one.gone = True
    world.run(HOURS)
    world.tune("nlm_client_lease", LEASE)
    world.run(LEASE * 0.9)
    assert held_by(world) == {one.address}
    world.tune("nlm_client_lease", 0)
    before = len(world.sent)
    world.run(HOURS)
    assert (held_by(world), len(world.sent)) == ({one.address}, before)
    world.tune("nlm_client_lease", 1)
    world.run(lease.LEAST * 0.9)
    assert held_by(world) == {one.address}, "it counts as more"
    world.run(lease.LEAST * 2)
    assert held_by(world) == set()


def test_clients_known_no_more_are_called_no_more(leased):
    world = begun(leased)
    one = world.client(2)
    one.lock()
    one.unlock()
    world.run(HOURS)
    assert len(world.server.hosts) == 0
    before = len(world.sent)
    world.run(HOURS)
    assert len(world.sent) == before


def test_a_call_is_over_before_the_next_look():
    assert sum(lease.PROBE) < lease.LEAST / lease.LOOKS
    assert SILENCES < lease.LOOKS


@pytest.mark.parametrize("number", [errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.EHOSTDOWN])
def test_silence_is_what_the_system_calls_it(number):
    assert is_silence(Unreachable(os.strerror(number)))
    assert is_silence(Unreachable(f"its rpcbind: {os.strerror(number)}"))


@pytest.mark.parametrize(
    "outcome",
    [Success(b""), Refused("PROG_UNAVAIL"), Unreachable("the program is not registered there")]
    + [Unreachable(os.strerror(n)) for n in (errno.ECONNREFUSED, errno.ECONNRESET, errno.ENETUNREACH)],
)
def test_all_else_is_a_sign_of_life_or_says_nothing(outcome):
    assert not is_silence(outcome)
    assert is_silence(TimedOut())
