# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection against pystemd's own surface, as far as it goes without a service manager. What a real one
does is in tests/e2e."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys

import pytest

from pydaemons.bosd import bus as module
from pydaemons.bosd.bus import MOST_SIGNALS, SYSTEMD, Bus


class Reply:
    def __init__(self, body=None, *, empty=True):
        self.body, self.empty = body, empty

    def is_empty(self):
        return self.empty


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
