# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection to systemd against a bus that answers like PID 1 (recorded errors of systemd 252). What the
real one does is in tests/e2e."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from dataclasses import replace
from time import monotonic

import pytest
from pystemd.dbusexc import DBusBaseError, DBusDisconnectedError, DBusNoSuchUnitError
from pystemd.dbuslib import path_encode

from pydaemons.bnode.effects import StartUnit
from pydaemons.bnode.events import Connected, Disconnected, Found, Gone, Refused, Started
from pydaemons.bnode.model import Restart, Signal
from pydaemons.bosd import systemd1
from pydaemons.bosd.bus import REFUSED, SERVICE, UNIT, UNITS
from pydaemons.bosd.systemd1 import Systemd

START = StartUnit("bos-x.service", "x", ("/bin/x",), Restart.ALWAYS, Signal.TERM, 60, 12, 30)
EXISTS = DBusBaseError(-17, b"org.freedesktop.systemd1.UnitExists", b"Unit bos-x.service was already loaded")


class Message:
    """A signal."""

    def __init__(self, path, *body, cookie=0):
        self.path, self.body, self.cookie = path, list(body), cookie
        self.unpacked = False

    def get_cookie(self):
        return self.cookie

    def get_path(self):
        return self.path

    def process_reply(self, with_headers):
        self.unpacked = True


class FakeBus:
    """A bus.Bus and the manager behind it; `raising` are errors for the next attempts at a method, in order:
    an order that is refused is told why when it is made again as a call, and both are one attempt. A manager
    that `hangs` answers no order, until `answer`."""

    def __init__(self, units=(), properties=(), *, refuses=None):
        self.units, self.properties, self.refuses = list(units), dict(properties), refuses
        self.calls, self.raising = [], []
        self.hung_up = self.closed = self.hangs = False
        self.jobs = 0
        self.under_way = deque()
        self.ready = lambda: None

    def open(self, changed, job_removed):
        if self.refuses is not None:
            raise self.refuses
        self.changed, self.job_removed = changed, job_removed

    def listen(self, loop, ready):
        self.loop, self.ready = loop, ready

    def close(self):
        self.closed = True

    def process(self):
        while self.under_way and not self.hangs:
            self.answer()
        return False

    @property
    def unanswered(self):
        return len(self.under_way)

    def order(self, method, arguments, answered):
        self.calls.append(method.decode())
        self.arguments = arguments
        if answered is not None:
            self._send(method, answered, lambda: self._carry_out(method))

    def ask(self, path, interface, name, answered):
        self.calls.append(name.decode())
        self._send(b"Get", answered, lambda: self.properties.get((path, name), REFUSED))

    def _send(self, method, answered, result):
        self.under_way.append((method, answered, result))
        self.loop.call_soon(self.ready)

    def answer(self):
        """The oldest order."""
        method, answered, result = self.under_way.popleft()
        if not self.raising or self.raising[0][0] != method:
            answered(result())
        elif isinstance(self.raising[0][1], DBusDisconnectedError):
            self.hung_up = True
            raise self.raising.pop(0)[1]
        else:
            answered(REFUSED)

    def get(self, path, interface, name, signature):
        self.calls.append(name.decode())
        return self.properties[path, name]

    def call(self, method, signature=b"", *values):
        return self.send(method, values)

    def send(self, method, arguments):
        self.calls.append(method.decode())
        if self.raising and self.raising[0][0] == method:
            error = self.raising.pop(0)[1]
            self.hung_up = isinstance(error, DBusDisconnectedError)
            raise error
        return self._carry_out(method)

    def _carry_out(self, method):
        if method == b"ListUnitsByPatterns":
            return self.units
        self.jobs += 1
        return b"/job/%d" % self.jobs

    def done(self, job, result=b"done"):
        """The manager has finished a job."""
        self.job_removed(Message(b"/", job, b"/job/%d" % job, b"unit", result))

    @property
    def orders(self):
        """What was called to change something."""
        return [call for call in self.calls if call in ORDERS]


ORDERS = ("StartTransientUnit", "StopUnit", "ResetFailedUnit")


class Clock:
    """The loop's, which can be put forward."""

    later = 0.0

    def pass_(self, seconds):
        """A step of `run`."""

        def step(systemd, events):
            self.later += seconds

        return step


def run(tmp_path, buses, *steps, wait=0.01, clock=None):
    """Do the steps, each with (systemd, events), with time in between for orders; the events reported."""
    events, rest = [], list(buses)

    async def life():
        loop = asyncio.get_running_loop()
        folders = {"log_dir": "/l", "stop_dir": str(tmp_path)}
        if clock is not None:
            loop.time = lambda: monotonic() + clock.later
        systemd = Systemd(loop, events.append, lambda: rest.pop(0), **folders)
        systemd.connect()
        for step in steps:
            step(systemd, events)
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
    bus = FakeBus(units, known)
    (connected,) = run(tmp_path, [bus])
    assert connected == Connected(
        [
            Found("bos-a.service", 42, 1.0, 2, ""),
            Found("bos-b.service", 0, 1.0, 2, "exit-code"),
        ]
    )
    assert bus.calls.count("ListUnitsByPatterns") == 1 and bus.orders == []


def test_a_connection_that_fails_is_told_and_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(systemd1, "RECONNECT", 0.01)
    buses = [FakeBus(refuses=DBusDisconnectedError("x")), FakeBus()]
    events = run(tmp_path, buses, lambda systemd, events: None, wait=0.1)
    assert [type(event) for event in events] == [Disconnected, Connected]


def test_a_connection_that_breaks_under_an_order_is_told_and_the_others_are_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(systemd1, "UNDER_WAY", 1)
    bus = FakeBus()
    bus.raising = [(b"StartTransientUnit", DBusDisconnectedError("gone"))]

    def story(systemd, events):
        systemd.start(START)
        systemd.stop("bos-y.service")

    events = run(tmp_path, [bus], story)
    assert [type(event) for event in events] == [Connected, Disconnected]
    assert bus.orders == ["StartTransientUnit"] and bus.closed


def test_a_connection_that_breaks_by_itself_is_told_although_the_library_is_silent(tmp_path, monkeypatch):
    monkeypatch.setattr(systemd1, "RECONNECT", 0.01)
    bus = FakeBus()

    def story(systemd, events):
        bus.hung_up = True
        bus.ready()

    events = run(tmp_path, [bus, FakeBus()], story, wait=0.1)
    assert [type(event) for event in events] == [Connected, Disconnected, Connected]


def test_a_start_is_one_call_and_what_follows_its_job_is_reported(tmp_path):
    bus = FakeBus()

    def follow(systemd, events):
        bus.changed(Message(path("bos-x.service"), SERVICE, running(42)))
        bus.changed(Message(path("bos-x.service"), UNIT, {b"ActiveState": b"inactive"}))
        assert len(events) == 1, "before its job is done a unit is as it was before"
        bus.done(1)
        bus.changed(Message(path("bos-x.service"), SERVICE, running(42)))
        bus.changed(Message(path("bos-x.service"), UNIT, {b"ActiveState": b"active"}))

    events = run(tmp_path, [bus], lambda systemd, events: systemd.start(START), follow)
    assert bus.calls == ["ListUnitsByPatterns", "StartTransientUnit"]
    assert events[1:] == [Started("bos-x.service", 42, 5.0, 0)]


def test_what_comes_while_its_job_is_pending_is_not_even_unpacked(tmp_path):
    bus = FakeBus()

    def follow(systemd, events):
        message = Message(path("bos-x.service"), SERVICE, running(42))
        bus.changed(message)
        assert not message.unpacked

    run(tmp_path, [bus], lambda systemd, events: systemd.start(START), follow)


def test_a_job_that_ends_without_a_process_is_looked_after(tmp_path, monkeypatch):
    monkeypatch.setattr(systemd1, "LOOK_AGAIN", 0.001)
    known = {(path("bos-x.service"), b"ActiveState"): b"failed"}
    bus = FakeBus(properties=known)
    end = lambda systemd, events: bus.done(1, b"failed")  # noqa: E731
    events = run(tmp_path, [bus], lambda systemd, events: systemd.start(START), end, wait=0.05)
    assert events[1:] == [Gone("bos-x.service", "failed")]


def test_what_systemd_says_in_the_same_breath_as_a_beginning_is_not_even_unpacked(tmp_path):
    bus = FakeBus()
    dull = Message(path("bos-x.service"), UNIT, {b"ActiveState": b"active"}, cookie=8)
    later = Message(path("bos-x.service"), UNIT, {b"ActiveState": b"deactivating"}, cookie=10)
    other = Message(path("bos-y.service"), UNIT, {b"ActiveState": b"active"}, cookie=8)

    def follow(systemd, events):
        bus.done(1)
        bus.changed(Message(path("bos-x.service"), SERVICE, running(42), cookie=7))
        for message in (other, dull, later):
            bus.changed(message)

    def begin(systemd, events):
        systemd.start(START)
        systemd.start(replace(START, unit="bos-y.service"))

    run(tmp_path, [bus], begin, lambda systemd, events: bus.done(2), follow)
    assert (dull.unpacked, later.unpacked, other.unpacked) == (False, True, True)


SIX = ["StartTransientUnit"] * 5 + ["StopUnit"]


def give_six(systemd, events=None):
    for number in range(5):
        systemd.start(replace(START, unit=f"bos-{number}.service"))
    systemd.stop("bos-0.service")


def hanging():
    bus = FakeBus()
    bus.hangs = True
    return bus


def test_orders_go_out_in_their_sequence_and_none_is_waited_for(tmp_path):
    bus = hanging()
    events = run(tmp_path, [bus], give_six)
    assert bus.orders == SIX and len(events) == 1


def test_only_so_many_orders_are_under_way_and_each_answer_makes_room_for_one(tmp_path, monkeypatch):
    monkeypatch.setattr(systemd1, "UNDER_WAY", 2)
    bus, seen = hanging(), []

    def one_more(systemd, events):
        seen.append(list(bus.orders))
        bus.answer()
        bus.ready()

    run(tmp_path, [bus], give_six, *[one_more] * 6)
    assert seen == [SIX[:2], SIX[:3], SIX[:4], SIX[:5], SIX, SIX]


def test_a_systemd_that_hangs_is_told_and_looked_at_anew_as_soon_as_it_speaks(tmp_path, monkeypatch):
    monkeypatch.setattr(systemd1, "UNDER_WAY", 1)
    first, second = hanging(), FakeBus([row("bos-0.service", b"active")], properties("bos-0.service", 42))
    clock, ended = Clock(), []

    def give(systemd, events):
        give_six(systemd)
        systemd.run(["/bin/n"], purpose="notify", data=None, done=ended.append)

    def give_in_vain(systemd, events):
        assert isinstance(events[-1], Disconnected) and "no answer" in events[-1].reason
        assert ended == [None]
        give(systemd, events)
        assert first.orders == ["StartTransientUnit"] and not first.closed

    def speak(systemd, events):
        assert ended == [None, None] and len(events) == 2, "nobody waits for it"
        first.hangs = False
        first.ready()
        assert first.closed

    events = run(tmp_path, [first, second], give, clock.pass_(31), give_in_vain, speak, clock=clock)
    assert [type(event) for event in events] == [Connected, Disconnected, Connected]
    assert second.orders == []


def test_a_systemd_that_hung_and_left_is_connected_to_again_and_again(tmp_path):
    first, clock = hanging(), Clock()
    buses = [first, FakeBus(refuses=DBusDisconnectedError("x")), FakeBus()]
    leave = lambda systemd, events: first.ready()  # noqa: E731
    events = run(tmp_path, buses, give_six, clock.pass_(31), leave, clock.pass_(2), clock=clock)
    assert [type(event) for event in events] == [Connected, Disconnected, Disconnected, Connected]


@pytest.mark.parametrize("spared, hangs", [(28, False), (31, True)])
def test_an_order_after_a_long_rest_is_given_its_time(tmp_path, spared, hangs):
    bus, clock = FakeBus(), Clock()

    def hang(systemd, events):
        bus.hangs = True
        systemd.stop("bos-x.service")

    begin = lambda systemd, events: systemd.start(START)  # noqa: E731
    steps = begin, clock.pass_(29), hang, clock.pass_(2), clock.pass_(spared - 2)
    events = run(tmp_path, [bus], *steps, clock=clock)
    assert [type(event) for event in events] == [Connected, Disconnected][: 1 + hangs]


def test_who_goes_on_talking_does_not_hang(tmp_path):
    bus, clock = hanging(), Clock()
    talk = lambda systemd, events: bus.ready()  # noqa: E731
    events = run(tmp_path, [bus], give_six, *[clock.pass_(20), talk] * 5, clock=clock)
    assert [type(event) for event in events] == [Connected]


def test_a_name_systemd_has_not_let_go_of_is_tried_again(tmp_path):
    bus = FakeBus()
    bus.raising = [(b"StartTransientUnit", EXISTS), (b"StartTransientUnit", EXISTS)]
    events = run(tmp_path, [bus], lambda systemd, events: systemd.start(START), wait=0.2)
    assert bus.calls.count("StartTransientUnit") == 5, "refused, and why, twice; made"
    assert bus.calls.count("ResetFailedUnit") == 2 and len(events) == 1


def test_a_name_systemd_lets_go_of_between_refusal_and_reason_is_taken(tmp_path):
    bus = FakeBus()
    bus.raising = [(b"StartTransientUnit", EXISTS)]

    def let_go(method, arguments):
        bus.raising.clear()
        return FakeBus.send(bus, method, arguments)

    def begin(systemd, events):
        bus.send = let_go
        systemd.start(START)

    events = run(tmp_path, [bus], begin, lambda *_: begun(bus, "bos-x.service"))
    assert bus.orders == ["StartTransientUnit"] * 2 and events[1:] == [Started("bos-x.service", 42, 5.0, 0)]


def begun(bus, unit):
    """What systemd says when a start job is done."""
    bus.done(bus.jobs)
    bus.changed(Message(path(unit), SERVICE, running(42)))


def test_a_start_that_was_refused_and_is_not_wanted_any_more_is_not_tried_again(tmp_path):
    bus = hanging()
    bus.raising = [(b"StartTransientUnit", EXISTS)]

    def change_of_mind(systemd, events):
        systemd.start(START)
        systemd.stop("bos-x.service")
        bus.hangs = False

    events = run(tmp_path, [bus], change_of_mind, wait=0.2)
    assert bus.orders == ["StartTransientUnit", "StopUnit"]
    assert events[1:] == [Gone("bos-x.service", "")]


def test_what_is_heard_of_a_unit_that_is_ordered_and_not_answered_is_about_the_last_of_its_name(tmp_path):
    bus = hanging()
    old = Message(path("bos-x.service"), SERVICE, running(41))

    def follow(systemd, events):
        bus.changed(old)
        bus.hangs = False
        bus.ready()

    begin = lambda systemd, events: systemd.start(START)  # noqa: E731
    events = run(tmp_path, [bus], begin, follow, lambda *_: begun(bus, "bos-x.service"))
    assert not old.unpacked and events[1:] == [Started("bos-x.service", 42, 5.0, 0)]


def test_a_unit_systemd_refuses_is_told_with_the_reason(tmp_path):
    bus = FakeBus()
    bus.raising = [
        (b"StartTransientUnit", DBusBaseError(-22, b"org.freedesktop.DBus.Error.InvalidArgs", b"bad"))
    ]
    events = run(tmp_path, [bus], lambda systemd, events: systemd.start(START))
    assert isinstance(events[1], Refused) and "bad" in events[1].reason


def test_a_failed_unit_is_reset_before_the_next_of_its_name(tmp_path):
    bus = FakeBus([row("bos-x.service", b"failed")], properties("bos-x.service", 0))
    run(tmp_path, [bus], lambda systemd, events: systemd.start(START))
    assert bus.orders == ["ResetFailedUnit", "StartTransientUnit"]


def test_stopping_what_systemd_does_not_know_is_gone(tmp_path):
    bus = FakeBus()
    bus.raising = [(b"StopUnit", DBusNoSuchUnitError(-2, b"Unit bos-x.service not loaded."))]

    def story(systemd, events):
        systemd.start(START)
        systemd.stop("bos-x.service")

    assert run(tmp_path, [bus], story)[1:] == [Gone("bos-x.service", "")]


def test_a_stop_that_is_refused_after_its_unit_was_started_anew_is_not_tried_again(tmp_path):
    bus = hanging()
    bus.raising = [(b"StopUnit", DBusNoSuchUnitError(-2, b"Unit bos-x.service not loaded."))]

    def story(systemd, events):
        systemd.start(START)
        systemd.stop("bos-x.service")
        systemd.start(START)
        bus.hangs = False

    events = run(tmp_path, [bus], story)
    assert bus.orders == ["StartTransientUnit", "StopUnit", "StartTransientUnit"] and len(events) == 1


def test_a_stop_that_is_refused_for_another_reason_leads_to_a_fresh_look(tmp_path, monkeypatch):
    monkeypatch.setattr(systemd1, "RECONNECT", 0.01)
    bus = FakeBus()
    destructive = b"org.freedesktop.systemd1.TransactionIsDestructive"
    bus.raising = [(b"StopUnit", DBusBaseError(-35, destructive, b"no"))]

    def story(systemd, events):
        systemd.start(START)
        systemd.stop("bos-x.service")

    events = run(tmp_path, [bus, FakeBus()], story, wait=0.1)
    assert [type(event) for event in events] == [Connected, Disconnected, Connected]


def test_units_of_nobody_are_reported_and_foreign_ones_not_even_unpacked(tmp_path):
    bus = FakeBus()
    foreign = Message(path("ssh.service"), SERVICE)

    def story(systemd, events):
        bus.changed(Message(path("bos-stranger.service"), SERVICE, running(1)))
        bus.changed(foreign)

    assert run(tmp_path, [bus], story)[1:] == [Gone("bos-stranger.service", "")]
    assert not foreign.unpacked


def test_late_news_of_a_deleted_bnode_are_no_strangers(tmp_path):
    bus = FakeBus()

    def late(systemd, events):
        systemd.forget(frozenset())
        bus.changed(Message(path("bos-x.service"), SERVICE, running(1)))

    assert run(tmp_path, [bus], lambda systemd, events: systemd.start(START), late)[1:] == []


def test_the_bar_is_a_file_with_the_escaped_name(tmp_path):
    def story(systemd, events):
        systemd.bar("a-b")
        assert os.listdir(tmp_path) == ["a\\x2db"]
        systemd.unbar("a-b")
        systemd.unbar("a-b")

    run(tmp_path, [FakeBus()], story)
    assert os.listdir(tmp_path) == []


def test_an_errand_ends_with_its_exit_and_is_none_of_the_engines(tmp_path):
    ended, bus = [], FakeBus()

    def end(systemd, events):
        (place,) = systemd._paths
        exit_ = {**running(9), b"MainPID": 0, b"ExecMainCode": 1, b"ExecMainStatus": 3}
        bus.done(1)
        bus.changed(Message(place, SERVICE, exit_))

    run_it = lambda systemd, events: systemd.run(["/bin/n"], purpose="notify", data=b"x", done=ended.append)  # noqa: E731
    events = run(tmp_path, [bus], run_it, end)
    assert len(events) == 1 and [exited.code for exited in ended] == [3]


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_errand_whose_connection_breaks_ends_all_the_same(tmp_path, when):
    ended = []
    bus = FakeBus()
    bus.raising = [(b"StopUnit", DBusDisconnectedError("x"))]

    def run_it(systemd, events):
        systemd.run(["/bin/n"], purpose="notify", data=None, done=ended.append)

    def break_it(systemd, events):
        systemd.stop("bos-x.service")

    steps = (break_it, run_it) if when == "before" else (run_it, break_it)
    run(tmp_path, [bus], *steps)
    assert ended == [None]
