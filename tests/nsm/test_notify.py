# SPDX-License-Identifier: GPL-3.0-or-later
"""Telling clients of our restart, over hours of virtual time."""

from __future__ import annotations

import random

import pytest

from pydaemons.engine.effects import Log, Persist, Send, SendFailed
from pydaemons.engine.protocol import Address, Now, Origin, Transport
from pydaemons.nsm import notify as notify_module
from pydaemons.nsm.notify import PATIENCE, Notifier
from pydaemons.nsm.store import Host
from pydaemons.nsm.types import CHANGE, NSM_PROGRAM, Change, Proc
from pydaemons.sunrpc.client import RpcClient
from pydaemons.sunrpc.message import SUCCESS, CallHeader, unpack_call

NAMES = (b"h1", b"h1.example.org")


class World:
    """Clients whose rpcbind and monitor answer at once, when they are up."""

    def __init__(self, *hosts: Host, names: tuple[bytes, ...] = NAMES) -> None:
        self.mono = 0.0
        self.rpc = RpcClient(random.Random(1), machine_name=b"h1")
        self.notifier = Notifier({host.address: host for host in hosts}, rpc=self.rpc, names=names)
        self.down: set[str] = set()
        self.no_such_source: set[str] = set()
        self.notices: list[tuple[float, Send, CallHeader, Change]] = []
        self.tried: list[tuple[float, str]] = []
        self.effects: list[object] = []

    @property
    def now(self) -> Now:
        return Now(self.mono, 0.0)

    def begin(self, state: int = 7) -> None:
        self.notifier.begin(state, self.now)

    def run(self, until: float) -> None:
        for _ in range(100_000):
            self.effects += self.notifier.drain()
            for send in self.rpc.drain():  # answers may lead to more
                self.deliver(send)
            times = [
                at for at in (self.rpc.deadline(), self.notifier.deadline()) if at is not None and at <= until
            ]
            self.effects += self.notifier.drain()
            if not times:
                self.mono = until
                return
            self.mono = max(self.mono, min(times))
            self.rpc.tick(self.now)
            self.notifier.tick(self.now)
        raise AssertionError("it never ends")

    def deliver(self, send: Send) -> None:
        host = send.to.host
        self.tried.append((self.mono, host))
        if send.source in self.no_such_source:
            self.rpc.send_failed(
                SendFailed(send.to, send.transport, "cannot assign requested address"), self.now
            )
            return
        if host in self.down:
            return
        header = unpack_call(send.data)
        origin = Origin(send.transport, send.to, Address("10.0.0.1", 999))
        if send.to.port == 111:
            self.rpc.receive_reply(send.data[:4] + SUCCESS + (600).to_bytes(4, "big"), origin, self.now)
            return
        self.notices.append((self.mono, send, header, CHANGE.unpack(send.data, header.args_at)))
        self.rpc.receive_reply(send.data[:4] + SUCCESS, origin, self.now)


A, B = Host("10.0.0.2", b"a", ["10.0.0.1"]), Host("10.0.0.3", b"b")


def test_every_host_is_told_under_every_name_and_then_forgotten():
    world = World(A, B)
    world.begin()
    world.run(10.0)
    assert {(send.to.host, change) for _, send, _, change in world.notices} == {
        (host, Change(name, 7)) for host in ("10.0.0.2", "10.0.0.3") for name in NAMES
    }
    assert world.notifier.untold == {}
    assert {(e.name, e.data) for e in world.effects} == {("sm.bak/10.0.0.2", None), ("sm.bak/10.0.0.3", None)}
    assert world.notifier.deadline() is None


def test_a_notice_is_what_monitors_require():
    world = World(A)
    world.begin()
    world.run(1.0)
    for _, send, header, _ in world.notices:
        assert (header.program, header.version, header.procedure) == (NSM_PROGRAM, 1, Proc.NOTIFY)
        assert header.cred_flavor == 0, "AUTH_NONE"
        assert send.transport is Transport.UDP and send.privileged
        assert send.source == "10.0.0.1", "the address the client knows us by"


def test_one_name_is_told_once():
    world = World(A, names=(b"h1", b"h1"))
    world.begin()
    world.run(1.0)
    assert len(world.notices) == 1


def test_a_host_that_is_down_is_told_when_it_is_back():
    world = World(A)
    world.down.add("10.0.0.2")
    world.begin()
    world.run(300.0)
    assert not world.notices and "10.0.0.2" in world.notifier.untold
    world.down.clear()
    world.run(400.0)
    assert {change.name for *_, change in world.notices} == set(NAMES)
    assert world.notifier.untold == {}


def test_a_host_that_never_answers_is_given_up_with_a_word_and_the_others_do_not_wait_for_it():
    world = World(A, B)
    world.down.add("10.0.0.2")
    world.begin()
    world.run(10.0)
    assert set(world.notifier.untold) == {"10.0.0.2"}
    world.run(2 * PATIENCE)
    assert world.notifier.untold == {}
    (log,) = [effect for effect in world.effects if isinstance(effect, Log)]
    assert "10.0.0.2" in log.message and "15 minutes" in log.message
    assert Persist("sm.bak/10.0.0.2", None) in world.effects
    assert world.notifier.deadline() is None and world.rpc.deadline() is None


def test_the_gaps_between_tries_grow():
    world = World(A, names=(b"h1",))
    world.down.add("10.0.0.2")
    world.begin()
    world.run(PATIENCE)
    assert 20 < len(world.tried) < 200


def test_an_address_of_ours_that_is_gone_is_replaced_by_any():
    world = World(A)
    world.no_such_source.add("10.0.0.1")
    world.begin()
    world.run(60.0)
    assert {send.source for _, send, *_ in world.notices} == {None}
    assert world.notifier.untold == {}


def test_who_knows_us_by_two_addresses_is_told_from_both_under_every_name():
    """Its monitor has us on its list twice."""
    world = World(Host("10.0.0.2", b"a", ["10.0.0.1", "10.0.0.99"]))
    world.no_such_source.add("10.0.0.99")
    world.begin()
    world.run(60.0)
    told = [(change.name, send.source) for _, send, _, change in world.notices]
    assert sorted(told, key=str) == sorted(((n, s) for n in NAMES for s in ("10.0.0.1", None)), key=str)
    assert world.notifier.untold == {}


def test_a_thousand_hosts_are_not_told_in_one_burst():
    hosts = [Host(f"10.{n >> 8}.{n & 255}.1") for n in range(1000)]
    world = World(*hosts, names=(b"h1",))
    world.begin()
    assert len(list(world.rpc.drain())) == notify_module.BURST
    world = World(*hosts, names=(b"h1",))
    world.begin()
    world.run(10.0)
    assert len(world.notices) == 1000
    assert max(at for at, *_ in world.notices) == pytest.approx(
        1000 / notify_module.BURST * notify_module.PAUSE, abs=0.1
    )


def test_a_second_loss_begins_anew_with_the_new_number():
    world = World(A)
    world.down.add("10.0.0.2")
    world.begin(7)
    world.run(30.0)
    world.down.clear()
    world.notifier.add(B, world.now)
    world.begin(9)
    world.run(100.0)
    assert {(send.to.host, change.state) for _, send, _, change in world.notices} == {
        ("10.0.0.2", 9),
        ("10.0.0.3", 9),
    }
    assert world.notifier.untold == {}


def test_a_host_taken_off_the_list_is_not_told():
    world = World(A, B)
    world.down.update({"10.0.0.2", "10.0.0.3"})
    world.begin()
    world.run(5.0)
    world.notifier.forget("10.0.0.2", world.now)
    world.notifier.forget("10.0.0.9", world.now)
    world.down.clear()
    world.run(200.0)
    assert {send.to.host for _, send, *_ in world.notices} == {"10.0.0.3"}


def test_nobody_to_tell_is_nothing_to_do():
    world = World()
    world.begin()
    assert world.notifier.deadline() is None
