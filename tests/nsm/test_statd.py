# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of the host's rpc.statd (tests/e2e talks to the real one)."""

from __future__ import annotations

import random

import pytest

from fakes.network import Clock
from pydaemons.engine.effects import Log, Persist
from pydaemons.engine.protocol import Address, Origin, Transport
from pydaemons.nsm import types
from pydaemons.nsm.statd import RETRY, UNUSED, StatdMonitor
from pydaemons.nsm.store import Host, begin
from pydaemons.nsm.types import NSM_PROGRAM, Caller, Outcome, Proc
from pydaemons.sunrpc.client import RpcClient
from pydaemons.sunrpc.message import SUCCESS, unpack_call

CLIENT = "10.0.0.2"
ME = Caller(b"server", 100021, 4, 16)


class Settings:
    nsm_use_hostnames = False


class House:
    """The monitor's client with its state folder, and a statd that answers when it is up."""

    def __init__(
        self, files: dict[str, bytes] | None = None, *, locks_kept: bool = True, statd_state: int = 3
    ) -> None:
        self.clock = Clock()
        self.files = dict(files or {"state": b"1\n"})
        self.settings = Settings()
        self.up, self.agrees, self.statd_state = True, True, statd_state
        self.calls: list[tuple[int, object]] = []
        self.sends: list[object] = []
        self.restarted: list[tuple[str, int]] = []
        self.logs: list[str] = []
        self.rpc = RpcClient(random.Random(1))
        self.statd = StatdMonitor(
            begin(self.files, locks_kept=locks_kept, we_notify=False),
            rpc=self.rpc,
            entropy=random.Random(2),
            hostname=b"server",
            restarted=lambda address, state, now: self.restarted.append((address, state)),
            settings=self.settings,
        )
        self.settle()

    def settle(self) -> None:
        for effect in self.statd.drain():
            if isinstance(effect, Log):
                self.logs.append(effect.message)
            elif isinstance(effect, Persist) and effect.data is None:
                self.files.pop(effect.name, None)
            elif isinstance(effect, Persist):
                self.files[effect.name] = effect.data
        for send in self.rpc.drain():
            self.sends.append(send)
            reply = self.answer(send) if self.up else None
            if reply is not None:
                origin = Origin(send.transport, send.to, Address("127.0.0.1", 999))
                self.rpc.receive_reply(send.data[:4] + SUCCESS + reply, origin, self.clock.now)
                self.settle()

    def answer(self, send) -> bytes | None:
        header = unpack_call(send.data)
        if send.to.port == 111:
            return (4002).to_bytes(4, "big")
        assert (header.program, header.version, send.to) == (NSM_PROGRAM, 1, Address("127.0.0.1", 4002))
        codec = {Proc.MON: types.MONITOR_ARGS, Proc.UNMON: types.PAIR, Proc.UNMON_ALL: types.CALLER}[
            header.procedure
        ]
        self.calls.append((header.procedure, codec.unpack(send.data, header.args_at)))
        if header.procedure == Proc.MON:
            outcome = Outcome.SUCCEEDED if self.agrees else Outcome.FAILED
            return types.MONITOR_RESULT.pack(
                types.MonitorResult(outcome, self.statd_state if self.agrees else -1)
            )
        return types.STATE.pack(types.State(self.statd_state))

    def watch(self, address: str = CLIENT, name: bytes = b"client") -> None:
        self.statd.watch(address, name, self.clock.now, local="10.0.0.1")
        self.settle()

    def unwatch(self, address: str = CLIENT) -> None:
        self.statd.unwatch(address, self.clock.now, local="10.0.0.1")
        self.settle()

    def begin(self) -> None:
        self.statd.begin(self.clock.now)
        self.settle()

    def pass_(self, seconds: float) -> None:
        end = self.clock.mono + seconds
        while (
            at := min((t for t in (self.rpc.deadline(), self.statd.deadline()) if t is not None), default=end)
        ) <= end:
            self.clock.mono = max(at, self.clock.mono)
            self.rpc.tick(self.clock.now)
            self.statd.tick(self.clock.now)
            self.settle()
            if at >= end:
                break
        self.clock.mono = end

    def private(self, address: str = CLIENT) -> bytes:
        return Host.parse(self.files[f"sm/{address}"]).private

    def notified(self, private: bytes, state: int = 9) -> None:
        self.statd.notified(b"10.0.0.2", state, private, self.clock.now)
        self.settle()


@pytest.fixture
def house() -> House:
    return House()


def test_a_host_is_registered_with_a_secret_of_its_own(house):
    house.watch()
    house.watch("10.0.0.3", b"other")
    (first, one), (second, two) = house.calls
    assert first == second == Proc.MON
    assert (one.name, one.caller, two.name) == (b"10.0.0.2", ME, b"10.0.0.3")
    assert one.private != two.private
    assert house.private() == one.private
    assert house.statd.state == 3


def test_calls_to_the_monitor_come_from_a_privileged_port_over_loopback(house):
    house.watch()
    assert all(send.to.host == "127.0.0.1" and send.transport is Transport.UDP for send in house.sends)
    assert house.sends[-1].privileged


def test_a_host_watched_twice_is_registered_once(house):
    house.watch()
    house.watch()
    assert len(house.calls) == 1


def test_hosts_are_registered_by_name_when_asked_to_be(house):
    house.settings.nsm_use_hostnames = True
    house.watch()
    house.settings.nsm_use_hostnames = False
    house.unwatch()
    assert [(procedure, args.name) for procedure, args in house.calls] == [
        (Proc.MON, b"client"),
        (Proc.UNMON, b"client"),
    ]


def test_a_host_without_a_name_is_registered_by_address(house):
    house.settings.nsm_use_hostnames = True
    house.watch(name=b"")
    assert house.calls[0][1].name == b"10.0.0.2"


def test_unwatch_is_told_and_forgotten(house):
    house.watch()
    private = house.private()
    house.unwatch()
    house.unwatch()
    assert house.calls[1:] == [(Proc.UNMON, types.Pair(b"10.0.0.2", ME))]
    assert "sm/10.0.0.2" not in house.files
    house.notified(private)
    assert not house.restarted


def test_a_restart_counts_with_the_right_secret_and_once(house):
    house.watch()
    house.notified(bytes(16))
    assert not house.restarted
    house.notified(house.private())
    house.notified(house.private())
    assert house.restarted == [(CLIENT, 9)]


def test_a_monitor_that_refuses_is_asked_again_and_complained_of_once(house):
    house.agrees = False
    house.watch()
    house.watch("10.0.0.3")
    assert len(house.logs) == 1 and "it refuses" in house.logs[0]
    house.agrees = True
    house.pass_(RETRY + 1)
    assert house.statd.state == 3
    assert len([1 for procedure, _ in house.calls if procedure == Proc.MON]) == 4
    house.pass_(2 * RETRY)
    assert len(house.calls) == 4


def test_a_monitor_that_is_down_is_asked_until_it_is_back(house):
    house.up = False
    house.watch()
    house.pass_(20)
    assert len(house.logs) == 1
    house.up = True
    house.pass_(RETRY + 10)
    assert house.statd.state == 3


def test_a_host_unwatched_meanwhile_is_not_registered_again(house):
    house.agrees = False
    house.watch()
    house.unwatch()
    house.agrees = True
    house.calls.clear()
    house.pass_(3 * RETRY)
    assert house.calls == []


def test_the_list_of_the_last_life_is_registered_anew_with_its_secrets(house):
    house.watch()
    private = house.private()
    again = House(house.files)
    again.begin()
    assert [(procedure, args.private) for procedure, args in again.calls] == [(Proc.MON, private)]
    again.notified(private)
    assert again.restarted == [(CLIENT, 9)]


def test_hosts_a_life_without_statd_monitored_are_registered_with_name_and_secret(house):
    noted = Host(CLIENT, b"client", told=3)
    again = House({"state": b"3\n", f"sm/{CLIENT}": noted.format()}, locks_kept=False)
    again.begin()
    assert again.calls == [(Proc.MON, types.MonitorArgs(CLIENT.encode(), ME, again.private()))]
    assert any(again.private())
    again.notified(again.private())
    assert again.restarted == [(CLIENT, 9)]
    assert len(again.logs) == 1 and "tells them nothing" in again.logs[0]


def test_hosts_of_the_last_life_that_do_not_come_back_are_given_up(house):
    house.watch()
    house.watch("10.0.0.3")
    again = House(house.files)
    again.begin()
    again.watch("10.0.0.3")
    again.pass_(UNUSED + 1)
    assert "sm/10.0.0.2" not in again.files and "sm/10.0.0.3" in again.files
    assert again.calls[-1] == (Proc.UNMON, types.Pair(b"10.0.0.2", ME))


def test_the_state_number_is_learned_even_with_nobody_to_monitor(house):
    house.begin()
    assert house.statd.state == 3
    assert house.calls == [(Proc.UNMON_ALL, ME)]


def test_locks_lost_without_a_restart_of_the_host_are_complained_of(house):
    house.watch()
    again = House(house.files, locks_kept=False)
    again.begin()
    assert len(again.logs) == 1 and "sm-notify" in again.logs[0]


def test_locks_lost_by_a_restart_of_the_host_are_the_monitors_business(house):
    house.watch()
    again = House(house.files, locks_kept=False, statd_state=5)
    again.begin()
    assert again.logs == []
    third = House(again.files, locks_kept=False, statd_state=5)
    third.begin()
    assert len(third.logs) == 1


def test_an_answer_that_makes_no_sense_is_a_failure(house):
    house.answer = lambda send: (4002).to_bytes(4, "big") if send.to.port == 111 else b"\0"
    house.watch()
    assert "makes no sense" in house.logs[0]
    house.begin()
