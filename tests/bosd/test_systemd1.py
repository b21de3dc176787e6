# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection to systemd against a bus that answers like PID 1 (recorded errors of systemd 252). What the
real one does is in tests/e2e."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest
from pystemd.dbusexc import DBusBaseError, DBusDisconnectedError, DBusNoSuchUnitError
from pystemd.dbuslib import path_encode

from pydaemons.bnode.effects import StartUnit
from pydaemons.bnode.events import Connected, Disconnected, Found, Gone, Refused, Started
from pydaemons.bnode.model import Restart, Signal
from pydaemons.bosd import systemd1
from pydaemons.bosd.systemd1 import SERVICE, UNIT, UNITS, Systemd

START = StartUnit("bos-x.service", "x", ("/bin/x",), Restart.ALWAYS, Signal.TERM, 60, 12, 30)
EXISTS = DBusBaseError(-17, b"org.freedesktop.systemd1.UnitExists", b"Unit bos-x.service was already loaded")


class Reply:
    def __init__(self, body):
        self.body = body


class Empty:
    def is_empty(self):
        return True


class Message:
    """A signal."""

    def __init__(self, path, *body):
        self.path, self.body = path, list(body)

    def get_path(self):
        return self.path

    def process_reply(self, with_headers):
        pass


class Bus:
    """The few calls that are made; errors on demand."""

    def __init__(self, units=(), properties=()):
        self.units, self.properties = list(units), dict(properties)
        self.calls, self.raising = [], []
        self.ours, self.theirs = socket.socketpair()
        self.jobs = 0

    def get_fd(self):
        return self.ours.fileno()

    def close(self):
        self.ours.close()
        self.theirs.close()

    def process(self):
        return Empty()

    def get_property(self, destination, path, interface, name, signature):
        return self.properties[path, name]

    def call_method(self, destination, path, interface, method, arguments):
        self.calls.append(method.decode())
        if self.raising and self.raising[0][0] == method:
            raise self.raising.pop(0)[1]
        if method == b"ListUnitsByPatterns":
            return Reply(self.units)
        self.jobs += 1
        return Reply(b"/job/%d" % self.jobs)


class Wired(Systemd):
    """A Systemd whose connections are the given buses."""

    def __init__(self, loop, report, buses, **folders):
        super().__init__(loop, report, user=False, **folders)
        self.buses = buses

    def _open(self):
        bus = self.buses.pop(0)
        if isinstance(bus, Exception):
            raise bus
        self._bus = bus
        self._listen()


def run(tmp_path, buses, story, *, wait=0.01):
    """Run `story(systemd, events)` on a loop; the events reported."""
    events = []

    async def life():
        loop = asyncio.get_running_loop()
        systemd = Wired(loop, events.append, buses, log_dir="/l", stop_dir=str(tmp_path))
        systemd.connect()
        story(systemd, events)
        await asyncio.sleep(wait)
        systemd.close()

    asyncio.run(life())
    return events


def path(unit):
    return path_encode(UNITS, unit.encode())


def row(unit, active, job=0):
    return [unit.encode(), b"d", b"loaded", active, b"sub", b"", path(unit), job, b"", b"/"]


def properties(unit, pid, **more):
    values = {
        b"MainPID": pid, b"ExecMainPID": pid or 7, b"ExecMainStartTimestamp": 1_000_000, b"NRestarts": 2,
        b"Restart": b"always", b"Result": b"exit-code", **{k.encode(): v for k, v in more.items()},
    }  # fmt: skip
    return {(path(unit), name): value for name, value in values.items()}


def running(pid):
    return {
        b"MainPID": pid, b"Result": b"success", b"NRestarts": 0, b"ExecMainPID": pid, b"ExecMainCode": 0,
        b"ExecMainStatus": 0, b"ExecMainStartTimestamp": 5_000_000, b"ExecMainExitTimestamp": 0,
        b"ExecMainExitTimestampMonotonic": 0,
    }  # fmt: skip


def test_what_is_there_is_listed_in_one_call_and_dead_units_are_left_out(tmp_path):
    units = [
        row("bos-a.service", b"active"),
        row("bos-b.service", b"failed"),
        row("bos-c.service", b"inactive"),
    ]
    known = {**properties("bos-a.service", 42), **properties("bos-b.service", 0)}
    bus = Bus(units, known)
    (connected,) = run(tmp_path, [bus], lambda systemd, events: None)
    assert connected == Connected(
        [
            Found("bos-a.service", 42, 1.0, 2, ""),
            Found("bos-b.service", 0, 1.0, 2, "exit-code"),
        ]
    )
    assert bus.calls == ["ListUnitsByPatterns"]


def test_a_connection_that_fails_is_told_and_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(systemd1, "RECONNECT", 0.01)
    events = run(tmp_path, [DBusDisconnectedError("x"), Bus()], lambda s, e: None, wait=0.1)
    assert [type(event) for event in events] == [Disconnected, Connected]


def test_a_connection_that_breaks_under_a_call_is_told(tmp_path):
    bus = Bus()
    bus.raising = [(b"StartTransientUnit", DBusDisconnectedError("gone"))]

    def story(systemd, events):
        bus.theirs.close()
        systemd.start(START)

    assert [type(event) for event in run(tmp_path, [bus], story)] == [Connected, Disconnected]


def test_a_connection_that_breaks_by_itself_is_told_although_the_library_is_silent(tmp_path, monkeypatch):
    monkeypatch.setattr(systemd1, "RECONNECT", 0.01)
    bus = Bus()
    events = run(tmp_path, [bus, Bus()], lambda systemd, events: bus.theirs.close(), wait=0.1)
    assert [type(event) for event in events] == [Connected, Disconnected, Connected]


def test_a_start_is_one_call_and_its_signals_are_reported(tmp_path):
    bus = Bus()

    def story(systemd, events):
        systemd.start(START)
        systemd._changed(Message(path("bos-x.service"), SERVICE, running(42)))
        systemd._changed(Message(path("bos-x.service"), UNIT, {b"ActiveState": b"active"}))

    events = run(tmp_path, [bus], story)
    assert bus.calls == ["ListUnitsByPatterns", "StartTransientUnit"]
    assert events[1:] == [Started("bos-x.service", 42, 5.0, 0)]


def test_a_name_systemd_has_not_let_go_of_is_tried_again(tmp_path):
    bus = Bus()
    bus.raising = [(b"StartTransientUnit", EXISTS), (b"StartTransientUnit", EXISTS)]
    events = run(tmp_path, [bus], lambda systemd, events: systemd.start(START), wait=0.2)
    assert bus.calls.count("StartTransientUnit") == 3 and len(events) == 1


def test_a_unit_systemd_refuses_is_told_with_the_reason(tmp_path):
    bus = Bus()
    bus.raising = [
        (b"StartTransientUnit", DBusBaseError(-22, b"org.freedesktop.DBus.Error.InvalidArgs", b"bad"))
    ]
    events = run(tmp_path, [bus], lambda systemd, events: systemd.start(START))
    assert isinstance(events[1], Refused) and "bad" in events[1].reason


def test_a_failed_unit_is_reset_before_the_next_of_its_name(tmp_path):
    bus = Bus([row("bos-x.service", b"failed")], properties("bos-x.service", 0))
    run(tmp_path, [bus], lambda systemd, events: systemd.start(START))
    assert bus.calls == ["ListUnitsByPatterns", "ResetFailedUnit", "StartTransientUnit"]


def test_stopping_what_systemd_does_not_know_is_gone(tmp_path):
    bus = Bus()
    bus.raising = [(b"StopUnit", DBusNoSuchUnitError(-2, b"Unit bos-x.service not loaded."))]

    def story(systemd, events):
        systemd.start(START)
        systemd.stop("bos-x.service")

    assert run(tmp_path, [bus], story)[1:] == [Gone("bos-x.service", "")]


def test_units_of_nobody_are_reported_and_foreign_ones_not_even_unpacked(tmp_path):
    def story(systemd, events):
        systemd._changed(Message(path("bos-stranger.service"), SERVICE, running(1)))
        systemd._changed(Message(path("ssh.service"), SERVICE))

    assert run(tmp_path, [Bus()], story)[1:] == [Gone("bos-stranger.service", "")]


def test_late_news_of_a_deleted_bnode_are_no_strangers(tmp_path):
    def story(systemd, events):
        systemd.start(START)
        systemd.forget(frozenset())
        systemd._changed(Message(path("bos-x.service"), SERVICE, running(1)))

    assert run(tmp_path, [Bus()], story)[1:] == []


def test_the_bar_is_a_file_with_the_escaped_name(tmp_path):
    def story(systemd, events):
        systemd.bar("a-b")
        assert os.listdir(tmp_path) == ["a\\x2db"]
        systemd.unbar("a-b")
        systemd.unbar("a-b")

    run(tmp_path, [Bus()], story)
    assert os.listdir(tmp_path) == []


def test_an_errand_ends_with_its_exit_and_is_none_of_the_engines(tmp_path):
    ended = []

    def story(systemd, events):
        systemd.run(["/bin/n"], purpose="notify", data=b"x", done=ended.append)
        (name,) = systemd._errands
        exit_ = {**running(9), b"MainPID": 0, b"ExecMainCode": 1, b"ExecMainStatus": 3}
        systemd._changed(Message(path(name), SERVICE, running(9)))
        systemd._changed(Message(path(name), SERVICE, exit_))

    events = run(tmp_path, [Bus()], story)
    assert len(events) == 1 and [exited.code for exited in ended] == [3]


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_errand_whose_connection_breaks_ends_all_the_same(tmp_path, when):
    ended = []
    bus = Bus()
    bus.raising = [(b"StopUnit", DBusDisconnectedError("x"))]

    def story(systemd, events):
        if when == "after":
            systemd.run(["/bin/n"], purpose="notify", data=None, done=ended.append)
        systemd.stop("bos-x.service")
        if when == "before":
            systemd.run(["/bin/n"], purpose="notify", data=None, done=ended.append)

    run(tmp_path, [bus], story)
    assert ended == [None]
