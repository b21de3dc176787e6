# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection against pystemd's own surface, and with pystemd against a peer that answers, refuses, hangs.
What a real service manager does is in tests/e2e."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys

import pytest
from pystemd.dbusexc import DBusBaseError
from pystemd.dbuslib import apply_signature

from fakes.dbuspeer import DBusPeer
from hosts.waiting import wait_for
from pydaemons.bosd import bus as module
from pydaemons.bosd.bus import MANAGER, MOST_SIGNALS, REFUSED, ROOT, SYSTEMD, UNIT, Bus


class Reply:
    def __init__(self, body=None, *, empty=True):
        self.body, self.empty = body, empty

    def is_empty(self):
        return self.empty

    def get_type(self):
        return 4


class Binding:
    """pystemd's DBus and DBusAddress: the few calls made of them."""

    def __init__(self, *how):
        self.how = how
        self.matches, self.calls, self.closed = [], [], False
        self.pending = 0
        self.ours, self.theirs = socket.socketpair()

    def open(self):
        pass

    def close(self):
        self.closed = True
        self.ours.close()

    def get_fd(self):
        return self.ours.fileno()

    def match_signal(self, sender, path, interface, member, callback, userdata):
        callback.metadata = {}  # what pystemd does to it
        self.matches.append((sender, member, callback))

    def process(self):
        self.pending -= 1
        return Reply(empty=self.pending < 0)

    def call_method(self, destination, path, interface, method, arguments):
        self.calls.append((method, arguments))
        return Reply(b"/job/1")


@pytest.fixture
def made(monkeypatch):
    """Every binding that is made, and whether the private socket may be written."""
    made = []

    def make(*how):
        made.append(Binding(*how))
        return made[-1]

    monkeypatch.setattr(module, "DBus", make)
    monkeypatch.setattr(module, "DBusAddress", make)
    return made


def opened(monkeypatch, made, *, private=True, user=False):
    monkeypatch.setattr(os, "access", lambda path, mode: private)
    bus, seen = Bus(user=user), []
    bus.open(lambda message: seen.append("changed"), lambda message: seen.append("removed"))
    return bus, made[-1], seen


def test_systemds_own_socket_is_preferred(monkeypatch, made):
    _, binding, _ = opened(monkeypatch, made)
    assert binding.how == (b"unix:path=/run/systemd/private", True)
    assert [sender for sender, _, _ in binding.matches] == [None, None]
    assert binding.calls == []


def test_a_users_manager_has_its_socket_in_the_users_folder(monkeypatch, made):
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    _, binding, _ = opened(monkeypatch, made, user=True)
    assert binding.how == (b"unix:path=/run/user/7/systemd/private", True)


def test_over_the_bus_signals_are_asked_for_and_taken_from_systemd_alone(monkeypatch, made):
    _, binding, _ = opened(monkeypatch, made, private=False)
    assert binding.how == (False,)
    assert {sender for sender, _, _ in binding.matches} == {SYSTEMD}
    assert binding.calls == [(b"Subscribe", [])]


def test_signals_are_handed_to_whom_they_are_for(monkeypatch, made):
    _, binding, seen = opened(monkeypatch, made)
    for _, _, callback in binding.matches:
        callback("message", error=None, userdata=None)
    assert seen == ["changed", "removed"]


def test_a_call_packs_its_values_by_signature(monkeypatch, made):
    bus, binding, _ = opened(monkeypatch, made)
    assert bus.call(b"StopUnit", b"ss", b"u", b"replace") == b"/job/1"
    assert binding.calls == [(b"StopUnit", [(ord("s"), b"u"), (ord("s"), b"replace")])]


def test_processing_goes_on_in_the_next_turn_when_there_is_very_much(monkeypatch, made):
    bus, binding, _ = opened(monkeypatch, made)
    binding.pending = MOST_SIGNALS + 1
    assert bus.process() is True
    assert bus.process() is False


def test_it_listens_on_a_descriptor_of_its_own_and_notices_the_end(monkeypatch, made):
    bus, binding, _ = opened(monkeypatch, made)
    heard = []

    async def life():
        bus.listen(asyncio.get_running_loop(), lambda: heard.append(bus.hung_up))
        assert not bus.hung_up
        binding.ours.close()  # as sd-bus does when the connection breaks
        binding.theirs.close()
        while not heard:
            await asyncio.sleep(0.001)
        bus.close()
        bus.close()

    asyncio.run(asyncio.wait_for(life(), 30))
    assert heard[0] is True and binding.closed


def test_pystemds_object_layer_stays_outside():
    """It would bring lxml: a quarter of the daemon's memory."""
    script = (
        "import sys, pydaemons.bosd.bus; sys.exit('lxml' in sys.modules or 'pystemd.base' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, timeout=60, check=False)
    assert done.returncode == 0


# -- with pystemd, and something at the other end


def answer(call):
    """As a manager would: an error's name and text, or a string."""
    if b"bad" in call.body:
        return b"org.freedesktop.systemd1.NoSuchUnit", b"Unit bad not loaded."
    return b"/job/" + call.member.encode()


def with_peer(tmp_path, monkeypatch, story):
    """Have `story(bus, peer, seen)` run on a loop that processes what comes; `seen`: signals and answers."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    os.makedirs(tmp_path / "systemd")
    peer = DBusPeer(str(tmp_path / "systemd/private"), answer)
    bus, seen = Bus(user=True), []

    async def life():
        bus.open(lambda message: seen.append(message.get_member()), seen.append)
        bus.listen(asyncio.get_running_loop(), bus.process)
        assert bus.call(b"Hello") == b"/job/Hello"
        await story(bus, peer, seen)

    try:
        asyncio.run(asyncio.wait_for(life(), 60))
    finally:
        bus.close()
        peer.end()


async def until(true):
    while not true():
        await asyncio.sleep(0.001)


def stop(bus, unit, answered):
    bus.order(b"StopUnit", apply_signature(b"ss", [unit, b"replace"]), answered)


def test_an_order_is_not_waited_for_and_its_answer_comes_all_the_same(tmp_path, monkeypatch):
    async def story(bus, peer, seen):
        peer.hold()
        stop(bus, b"a", seen.append)
        bus.ask(b"/unit/a", UNIT, b"ActiveState", seen.append)
        assert bus.unanswered == 2 and seen == []
        peer.go_on()
        await until(lambda: len(seen) == 2)
        assert seen == [b"/job/StopUnit", b"/job/Get"] and bus.unanswered == 0
        _, order, question = peer.calls
        assert (order.fields[1], order.fields[2]) == (ROOT, MANAGER)
        assert (question.fields[1], question.fields[2]) == (b"/unit/a", module.PROPERTIES)
        assert len({call.serial for call in peer.calls}) == 3

    with_peer(tmp_path, monkeypatch, story)


def test_an_order_that_is_refused_is_told_so_and_the_reason_is_told_of_a_call(tmp_path, monkeypatch):
    async def story(bus, peer, seen):
        stop(bus, b"bad", seen.append)
        stop(bus, b"good", seen.append)
        await until(lambda: len(seen) == 2)
        assert seen == [REFUSED, b"/job/StopUnit"]
        with pytest.raises(DBusBaseError, match="not loaded"):
            bus.call(b"StopUnit", b"ss", b"bad", b"replace")

    with_peer(tmp_path, monkeypatch, story)


def test_a_call_in_between_takes_no_answer_of_an_order(tmp_path, monkeypatch):
    async def story(bus, peer, seen):
        stop(bus, b"a", seen.append)
        assert bus.call(b"ListUnits") == b"/job/ListUnits"
        assert seen == [], "it waits in sd-bus"
        bus.process()
        assert seen == [b"/job/StopUnit"]

    with_peer(tmp_path, monkeypatch, story)


def test_what_wants_no_answer_gets_none(tmp_path, monkeypatch):
    async def story(bus, peer, seen):
        bus.order(b"ResetFailedUnit", apply_signature(b"s", [b"bad"]), None)
        stop(bus, b"a", seen.append)
        await until(lambda: seen)
        assert seen == [b"/job/StopUnit"]
        assert [call.member for call in peer.calls[1:]] == ["ResetFailedUnit", "StopUnit"]

    with_peer(tmp_path, monkeypatch, story)


@pytest.mark.parametrize("call_in_between", [False, True])
def test_what_a_hanging_peer_has_no_room_for_is_sent_when_it_has(tmp_path, monkeypatch, call_in_between):
    async def story(bus, peer, seen):
        peer.hold()
        with socket.socket(fileno=os.dup(bus._descriptor)) as end:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # root's may be large
        units = [b"%d." % number + b"x" * 9000 for number in range(12)]
        for unit in units:
            stop(bus, unit, seen.append)
        assert bus._unsent, "more than the socket takes"
        peer.go_on()
        if call_in_between:
            assert bus.call(b"ListUnits") == b"/job/ListUnits"
            bus.process()
        await until(lambda: len(seen) == len(units))
        stops = [call for call in peer.calls if call.member == "StopUnit"]
        assert [call.body[4:].partition(b"\0")[0] for call in stops] == units
        assert not bus._unsent and set(seen) == {b"/job/StopUnit"}

    with_peer(tmp_path, monkeypatch, story)


def test_an_order_to_who_has_left_is_no_accident(tmp_path, monkeypatch):
    async def story(bus, peer, seen):
        peer.end()
        for _ in range(3):
            stop(bus, b"a", seen.append)
        wait_for(lambda: bus.hung_up, what="the end")
        assert seen == [] and not bus._unsent

    monkeypatch.setattr(DBusPeer, "end", end_once(DBusPeer.end))
    with_peer(tmp_path, monkeypatch, story)


def end_once(end):
    ended = []
    return lambda peer: None if ended else ended.append(end(peer))


def test_a_signal_without_a_body_does_not_hide_those_behind_it(tmp_path, monkeypatch):
    async def story(bus, peer, seen):
        bus._loop.remove_reader(bus._descriptor)
        for member, text in ((b"UnitFilesChanged", None), (b"PropertiesChanged", b"x")) * 3:
            interface = module.PROPERTIES if text else MANAGER
            peer.signal(ROOT, interface, member, text)
        peer.calls.clear()
        stop(bus, b"a", seen.append)
        await until(lambda: len(peer.calls) == 1)  # all is in the socket
        await asyncio.sleep(0.01)
        assert bus.process() is False
        assert seen.count(b"PropertiesChanged") == 3

    with_peer(tmp_path, monkeypatch, story)
