# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded status monitor: our lock manager beside it, other hosts and programs over the wire."""

from __future__ import annotations

import random

import pytest

from fakes.network import Clock, Origins
from pydaemons.engine.effects import Persist, Send
from pydaemons.engine.protocol import Address, Origin, Transport
from pydaemons.nsm import monitor as monitor_module
from pydaemons.nsm import types
from pydaemons.nsm.monitor import Monitor
from pydaemons.nsm.procs import program
from pydaemons.nsm.store import Host, begin
from pydaemons.nsm.types import NSM_PROGRAM, Caller, Change, MonitorArgs, MonitorResult, Outcome, Pair, Proc
from pydaemons.sunrpc.client import RpcClient, Target
from pydaemons.sunrpc.dupcache import ReplyCache
from pydaemons.sunrpc.message import SUCCESS, AcceptStat, pack_call, unpack_call, unpack_reply
from pydaemons.sunrpc.program import Service

CLIENT, OTHER = "10.0.0.2", "10.0.0.3"
KERNEL = Caller(b"localhost", 100021, 4, 16)
PRIVATE = bytes(range(16))


class House:
    """A monitor with its state folder, and calls that reach it as from the network."""

    def __init__(self, files: dict[str, bytes] | None = None, *, locks_kept: bool = False) -> None:
        self.clock = Clock()
        self.origins = Origins("10.0.0.1", 600)
        self.files = dict(files or {})
        self.writes: list[Persist] = []
        self.restarted: list[tuple[str, int]] = []
        self.crashes = 0
        self.rpc = RpcClient(random.Random(1))
        self.monitor = Monitor(
            begin(self.files, locks_kept=locks_kept),
            rpc=self.rpc,
            names=(b"h1", b"h1.example.org"),
            restarted=lambda address, state, now: self.restarted.append((address, state)),
            crashed=self._crashed,
        )
        self.service = Service(
            [program(self.monitor)],
            admit=lambda call, now: None,
            cache=ReplyCache(),
            replies=self.rpc.receive_reply,
        )
        self.settle()

    def _crashed(self, now):
        self.crashes += 1

    def settle(self) -> None:
        """Do what the monitor wants done on disk."""
        for effect in self.monitor.drain():
            if isinstance(effect, Persist):
                self.writes.append(effect)
                if effect.data is None:
                    self.files.pop(effect.name, None)
                else:
                    self.files[effect.name] = effect.data

    def sent(self) -> list[Send]:
        return [effect for effect in self.rpc.drain() if isinstance(effect, Send)]

    def call(self, procedure: int, args: bytes = b"", host: str = CLIENT, xid: int = 7) -> bytes:
        origin = Origin(Transport.UDP, Address(host, 700), Address("10.0.0.1", 600))
        call = pack_call(xid=xid, program=NSM_PROGRAM, version=1, procedure=procedure, args=args)
        reply = unpack_reply(self.service.receive(call, origin, self.clock.now))
        assert reply.accept_stat is AcceptStat.SUCCESS
        self.settle()
        return reply.data

    def notify(self, state: int, host: str = CLIENT, name: bytes = b"client") -> None:
        assert self.call(Proc.NOTIFY, types.CHANGE.pack(Change(name, state)), host) == b""

    def mon(self, name: bytes, host: str = "127.0.0.1", caller: Caller = KERNEL) -> MonitorResult:
        args = types.MONITOR_ARGS.pack(MonitorArgs(name, caller, PRIVATE))
        return types.MONITOR_RESULT.unpack(self.call(Proc.MON, args, host), 0)

    def watch(
        self, address: str = CLIENT, name: bytes = b"client", *, local: str = "10.0.0.1", **rest
    ) -> None:
        self.monitor.watch(address, name, self.clock.now, local=local, **rest)
        self.settle()

    def unwatch(self, address: str = CLIENT, *, local: str = "10.0.0.1") -> None:
        self.monitor.unwatch(address, self.clock.now, local=local)
        self.settle()


@pytest.fixture
def house() -> House:
    return House({"state": b"5\n"})


def test_the_first_lock_of_a_host_is_one_write(house):
    house.watch(local="10.0.0.1")
    assert [write.name for write in house.writes] == ["sm/10.0.0.2"]
    assert Host.parse(house.files["sm/10.0.0.2"]) == Host(CLIENT, b"client", ["10.0.0.1"], 0, 5)


def test_a_host_already_monitored_costs_nothing(house):
    house.watch()
    house.writes.clear()
    house.watch()
    house.watch(name=b"")
    assert house.writes == []


def test_forty_nine_first_locks_are_forty_nine_writes_and_no_call(house):
    for n in range(49):
        house.watch(f"10.1.0.{n}")
    assert len(house.writes) == 49
    assert house.sent() == []


def test_a_mapped_address_is_the_ipv4_host(house):
    house.watch("::ffff:10.0.0.2")
    assert "sm/10.0.0.2" in house.files
    house.notify(9)
    assert house.restarted == [(CLIENT, 9)]


def test_unwatch_removes_the_file(house):
    house.watch()
    house.unwatch()
    house.unwatch()
    assert house.files == {"state": b"5\n"}
    house.notify(9)
    assert not house.restarted


def test_monitored_hosts_are_known_again_after_a_restart_that_kept_the_locks(house):
    house.watch()
    again = House(house.files, locks_kept=True)
    assert again.monitor.state == 5
    again.notify(9)
    assert again.restarted == [(CLIENT, 9)]


def test_a_client_that_restarted_is_reported_once(house):
    house.watch()
    house.notify(9)
    house.notify(9)
    house.notify(9, name=b"client.example.org")
    assert house.restarted == [(CLIENT, 9)]
    house.notify(11)
    assert house.restarted == [(CLIENT, 9), (CLIENT, 11)]


def test_the_ports_of_a_client_that_restarted_are_asked_for_anew(house):
    house.watch()
    target = Target(CLIENT, 100021, 4, Transport.UDP)
    for asked in (1, 0, 1):
        if asked:
            house.notify(9 if not house.restarted else 11)
        house.rpc.send(target, 12, b"", now=house.clock.now)
        questions = [send for send in house.sent() if send.to.port == 111]
        assert len(questions) == asked
        for send in questions:
            origin = Origin(Transport.UDP, send.to, Address("10.0.0.1", 600))
            answer = send.data[:4] + SUCCESS + (4045).to_bytes(4, "big")
            house.rpc.receive_reply(answer, origin, house.clock.now)
            house.sent()


def test_a_restart_reported_before_ours_is_not_reported_again_after_it(house):
    house.watch()
    house.notify(9)
    again = House(house.files, locks_kept=True)
    again.notify(9)
    assert not again.restarted


def test_the_number_a_client_locked_with_is_no_news(house):
    house.watch(state=9)
    house.notify(9)
    assert not house.restarted


def test_nobody_speaks_for_another_host(house):
    house.watch()
    house.watch(OTHER, b"other")
    house.notify(9, host=OTHER, name=b"client")
    assert house.restarted == [(OTHER, 9)]
    house.notify(9, host="10.0.0.66", name=b"client")
    house.notify(9, host="127.0.0.1", name=b"10.0.0.2")
    assert house.restarted == [(OTHER, 9)]
    assert house.monitor.counts["from hosts not monitored"] == 2


def test_stat_tells_the_state_number_and_what_could_be_monitored(house):
    def stat(name):
        return types.MONITOR_RESULT.unpack(
            house.call(Proc.STAT, types.HOST_NAME.pack(types.HostName(name))), 0
        )

    assert stat(b"10.0.0.9") == (Outcome.SUCCEEDED, 5)
    assert stat(b"no-address") == (Outcome.FAILED, 5)


def test_null_answers(house):
    assert house.call(Proc.NULL) == b""


def test_another_program_of_this_host_is_called_back_with_its_private_data(house):
    assert house.mon(b"10.0.0.2") == (Outcome.SUCCEEDED, 5)
    house.notify(9)
    assert not house.restarted, "our lock manager knows nothing of that client"
    (send,) = house.sent()  # where does 100021 listen?
    assert send.to == Address("127.0.0.1", 111)
    origin = Origin(Transport.UDP, send.to, Address("127.0.0.1", 600))
    house.rpc.receive_reply(send.data[:4] + SUCCESS + bytes.fromhex("00000fcd"), origin, house.clock.now)
    (send,) = house.sent()
    header = unpack_call(send.data)
    assert (header.program, header.version, header.procedure, send.to.port, send.privileged) == (
        100021,
        4,
        16,
        4045,
        True,
    )
    assert types.STATUS.unpack(send.data, header.args_at) == (b"10.0.0.2", 9, PRIVATE)


def test_what_others_monitor_survives_and_ends_with_unmon(house):
    house.mon(b"10.0.0.2")
    again = House(house.files, locks_kept=True)
    assert again.monitor.hosts[CLIENT].callers == {KERNEL: PRIVATE}
    pair = types.PAIR.pack(Pair(b"10.0.0.2", KERNEL))
    assert types.STATE.unpack(again.call(Proc.UNMON, pair, OTHER), 0) == (5,)
    assert "sm/10.0.0.2" in again.files, "only this host may ask for that"
    again.call(Proc.UNMON, pair, "127.0.0.1")
    assert "sm/10.0.0.2" not in again.files


def test_unmon_all_ends_what_one_program_wanted_and_no_more(house):
    other = Caller(b"localhost", 400000, 1, 1)
    house.mon(b"10.0.0.2")
    house.mon(b"10.0.0.3")
    house.mon(b"10.0.0.3", caller=other)
    house.watch()
    house.call(Proc.UNMON_ALL, types.CALLER.pack(KERNEL), OTHER)
    assert house.monitor.hosts[CLIENT].callers
    house.call(Proc.UNMON_ALL, types.CALLER.pack(KERNEL), "127.0.0.1")
    assert house.monitor.hosts[CLIENT].callers == {}
    assert house.monitor.hosts[OTHER].callers == {other: PRIVATE}


def test_our_unwatch_leaves_what_others_monitor(house):
    house.watch()
    house.mon(b"10.0.0.2")
    house.unwatch()
    assert Host.parse(house.files["sm/10.0.0.2"]).callers


def test_strangers_cannot_have_hosts_monitored(house):
    assert house.mon(b"10.0.0.2", host=OTHER).outcome == Outcome.FAILED
    assert house.writes == []


def test_names_that_would_have_to_be_looked_up_are_refused(house):
    assert house.mon(b"client.example.org").outcome == Outcome.FAILED
    assert house.mon(b"\xff\x00").outcome == Outcome.FAILED


def test_what_others_can_have_monitored_is_bounded(house, monkeypatch):
    monkeypatch.setattr(monitor_module, "MOST_FOR_OTHERS", 2)
    outcomes = [house.mon(f"10.0.1.{n}".encode()).outcome for n in (1, 2, 3)]
    assert outcomes == [Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.FAILED]
    assert house.mon(b"10.0.1.1").outcome == Outcome.SUCCEEDED, "it is one of the two"
    house.call(Proc.UNMON, types.PAIR.pack(Pair(b"10.0.1.1", KERNEL)), "127.0.0.1")
    assert house.mon(b"10.0.1.3").outcome == Outcome.SUCCEEDED


def test_a_simulated_crash_raises_the_number_and_tells_everybody(house):
    house.watch(local="10.0.0.1")
    house.watch(OTHER)
    house.call(Proc.SIMU_CRASH, host="127.0.0.1")
    assert house.monitor.state == 7 and house.crashes == 1
    assert set(house.files) == {"state", "sm.bak/10.0.0.2", "sm.bak/10.0.0.3"}
    assert house.files["state"] == b"7\n"
    assert {send.to.host for send in house.sent()} == {CLIENT, OTHER}


def test_strangers_cannot_simulate_a_crash(house):
    house.watch()
    house.call(Proc.SIMU_CRASH, host=OTHER)
    assert house.monitor.state == 5 and house.crashes == 0
    assert house.sent() == []


def test_nobody_plays_the_hosts_monitor_to_us(house):
    house.watch()
    house.monitor.notified(b"10.0.0.2", 9, bytes(16), house.clock.now)
    assert not house.restarted


def test_after_a_loss_the_clients_are_told_when_begun_and_can_be_monitored_again(house):
    house.watch()
    again = House(house.files)
    assert again.monitor.state == 7
    assert again.sent() == [], "not before our ports are known"
    again.monitor.begin(again.clock.now)
    assert {send.to.host for send in again.sent()} == {CLIENT}
    again.watch()
    assert {"sm/10.0.0.2", "sm.bak/10.0.0.2"} <= set(again.files)


def test_an_announcement_is_a_new_number_to_those_it_is_for_and_they_stay_monitored(house):
    house.watch(local="10.0.0.1")
    house.watch(OTHER)
    assert house.monitor.announce(CLIENT, house.clock.now) == [CLIENT]
    house.settle()
    assert house.files["state"] == b"7\n"
    assert {send.to.host for send in house.sent()} == {CLIENT}
    assert set(house.monitor.hosts) == {CLIENT, OTHER}
    assert sorted(house.monitor.announce(None, house.clock.now)) == [CLIENT, OTHER]
    assert house.monitor.announce("198.51.100.1", house.clock.now) == []
    assert house.monitor.state == 9


def test_a_client_at_two_addresses_of_ours_is_monitored_until_it_has_left_both(house):
    other = "10.0.0.99"
    house.watch()
    house.watch(local=other)
    assert Host.parse(house.files["sm/10.0.0.2"]).locals == ["10.0.0.1", other]
    house.unwatch()
    assert Host.parse(house.files["sm/10.0.0.2"]).locals == [other]
    house.unwatch(local=other)
    assert set(house.files) == {"state"} or "sm/10.0.0.2" not in house.files


def test_a_service_address_is_announced_to_those_who_call_it_and_from_there(house):
    service, now = "10.0.0.99", house.clock.now
    house.watch()
    house.watch(local=service)
    house.watch(OTHER)
    assert house.monitor.announce(None, now, local=service) == [CLIENT]
    house.settle()
    assert {(send.to.host, send.source) for send in house.sent()} == {(CLIENT, service)}
    assert set(house.monitor.hosts) == {CLIENT, OTHER}
    assert house.monitor.hosts[CLIENT].locals == ["10.0.0.1", service]
    assert house.monitor.announce(OTHER, now, local="10.0.0.1") == [OTHER]


def test_who_called_a_service_address_elsewhere_is_told_though_it_was_never_monitored_here(house):
    stranger, service = "10.9.9.9", "10.0.0.99"
    assert house.monitor.announce(stranger, house.clock.now) == []
    assert house.monitor.announce(stranger, house.clock.now, local=service) == [stranger]
    house.settle()
    assert {(send.to.host, send.source) for send in house.sent()} == {(stranger, service)}
    assert stranger not in house.monitor.hosts
    assert set(house.files) == {"state", f"sm.bak/{stranger}"}, "until it has been told"


def test_a_client_that_cannot_be_told_of_our_restart_is_not_taken_to_have_crashed(house):
    """Nor is it forgotten that it has yet to be told, as long as anybody tries."""
    house.watch()
    again = House(house.files)
    again.monitor.begin(again.clock.now)
    again.watch()
    for _ in range(200):
        deadlines = [time for time in (again.rpc.deadline(), again.monitor.deadline()) if time is not None]
        if not deadlines or min(deadlines) > again.clock.mono + 600:
            break
        again.clock.mono = max(again.clock.mono, min(deadlines))
        again.rpc.tick(again.clock.now)
        again.monitor.tick(again.clock.now)
        again.sent()
        again.settle()
    assert again.restarted == []
    assert again.crashes == 0
    assert "sm/10.0.0.2" in again.files, "its new locks are looked after"
