# SPDX-License-Identifier: GPL-3.0-or-later
"""What calls mean is learned from those that were answered, and forgotten when it is so no more."""

from __future__ import annotations

import pytest

from fakes.locking import SERVER
from fakes.twins import HOSTS, Twins
from hosts import nlmcalls as nlm
from hosts.nlmcalls import Alock
from pydaemons.nlm import plans as plans_module


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda world: world.server.host_restarted(HOSTS[0], 7, world.now), id="restarted"),
        pytest.param(lambda world: world.engine.drop_all(world.now), id="all dropped"),
        pytest.param(lambda world: world.engine.start_grace(world.now, "test"), id="grace"),
        pytest.param(lambda world: world.tune("nlm_max_locks", 1), id="full"),
        pytest.param(lambda world: world.tune("nlm_max_locks_per_client", 1), id="client full"),
        pytest.param(lambda world: setattr(world.server, "refuse", True), id="refusing"),
        pytest.param(lambda world: world.clock.pass_(1000) and world.engine.tick(world.now), id="idle"),
        pytest.param(lambda world: list(world.engine.snapshot()), id="journal written anew"),
        pytest.param(lambda world: world.engine.service.forget_callers(), id="callers judged anew"),
    ],
)
def test_nothing_is_believed_beyond_a_change(change):
    twins = Twins()
    twins.warm()
    twins.lock(Alock(svid=3))
    twins.both(change)
    for _ in range(4):
        for one in (Alock(), Alock(offset=100)):
            twins.lock(one)
        for one in (Alock(), Alock(offset=100)):
            twins.unlock(one)
        twins.compare()


@pytest.mark.parametrize("procedure", [nlm.LOCK_MSG, nlm.NM_LOCK, nlm.CANCEL])
def test_another_procedure_with_the_same_arguments_is_another(procedure):
    twins = Twins()
    twins.warm()
    assert twins.lock() == nlm.OK
    twins.glances()
    twins.call(procedure, nlm.lock(4, Alock(offset=50)))
    assert not twins.glances()
    twins.compare()


@pytest.mark.parametrize("new", [{"state": 3}, {"state": 0}, {"reclaim": True}, {"block": True}])
def test_what_a_lock_says_besides_is_not_overheard(new):
    twins = Twins()
    twins.warm()
    for _ in range(3):
        twins.lock(**new)
        twins.compare()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"lock": Alock(oh=b"aaaa")}, {"lock": Alock(oh=b"bbbb")}),
        ({"lock": Alock(caller=b"aaaa", oh=b"o")}, {"lock": Alock(caller=b"bbbb", oh=b"o")}),
        ({"state": 1}, {"state": 3}),
    ],
)
def test_nothing_is_learned_from_a_call_repeated_late(old, new):
    twins = Twins()
    assert twins.lock(**old, xid=1) == nlm.OK
    assert twins.lock(**new, xid=2) == nlm.OK
    for _ in range(3):
        assert twins.lock(**old, xid=1) == nlm.OK
    assert twins.lock(**old, xid=3) == nlm.OK
    twins.compare()


def test_a_cookie_that_is_padded_with_anything_is_given_back_padded_with_zeros():
    twins = Twins()
    packed = nlm.lock(4, Alock(), cookie=b"odd")
    for _ in range(4):
        twins.call(nlm.LOCK, packed[:7] + b"!" + packed[8:])
    assert not twins.quick.prompted


def test_an_owner_that_shows_another_handle_is_reported_by_that():
    twins = Twins()
    for oh in (b"one", b"two") * 5:
        twins.lock(Alock(oh=oh))
        (owner,) = twins.quick.server.hosts.find((HOSTS[0], SERVER)).owners.values()
        assert owner.oh == oh
        twins.unlock(Alock(oh=oh))


def test_hostile_calls_cost_no_memory(monkeypatch):
    monkeypatch.setattr(plans_module, "MOST", 50)
    twins = Twins()
    for svid in range(300):
        twins.lock(Alock(svid=svid, offset=svid * 100))
        lanes = twins.quick.engine.prompt._lanes
        plans = [plan for lane in lanes.values() for plan in lane.all_plans()]
        assert sum(len(plan.met) + len(plan.known) for plan in plans) <= 100
