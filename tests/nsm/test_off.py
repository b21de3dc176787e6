# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import random

from fakes.locking import World
from hosts import nlmcalls as nlm
from hosts import rpc
from hosts.nlmcalls import Alock
from pydaemons.lockd.engine import LockEngine
from pydaemons.nsm.off import Unmonitored


def test_with_monitoring_off_everything_else_works():
    world = World()
    engine = LockEngine(
        world.settings,
        access=world.engine.access,
        entropy=random.Random(1),
        hostname=b"server",
        monitor=lambda rpc, engine: Unmonitored(),
        programs=[],
    )
    message = rpc.call_bytes(rpc.NLM, 4, nlm.LOCK, nlm.lock(4, Alock()))
    assert engine.receive(message, world.client().origin(), world.now) is not None
    assert len(engine.server.table) == 1
    statd = world.client(address="127.0.0.1")
    notify = rpc.call_bytes(rpc.NLM, 4, nlm.SM_NOTIFY, nlm.sm_notify(b"10.0.0.2", 3))
    assert engine.receive(notify, statd.origin(), world.now) is not None
    engine.tick(world.now)
    engine.handle(object(), world.now)
    assert len(engine.server.table) == 1
