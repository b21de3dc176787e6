# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import threading
import time

import pytest

from fakes.systemd import Systemd
from pydaemons.kit.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def systemd(request, tmp_path, monkeypatch):
    path = str(tmp_path / "n") if request.param == "path" else f"\0pydaemons-{os.getpid()}"
    systemd = Systemd(path)
    monkeypatch.setenv("NOTIFY_SOCKET", path.replace("\0", "@"))
    yield systemd
    systemd.sock.close()


def test_readiness_and_its_status_go_together(systemd):
    Notifier().ready("serving 3 clients")
    assert systemd.hear() == ["READY=1", "STATUS=serving 3 clients"]


def test_letters_beyond_latin_1_and_newlines_survive(systemd):
    Notifier().ready("Sperren für 日本 …\nand more")
    assert systemd.hear() == ["READY=1", "STATUS=Sperren für 日本 … and more"]


def test_a_reload_carries_the_monotonic_time_in_the_same_message(systemd):
    before = time.monotonic_ns() // 1000
    notifier = Notifier()
    notifier.reloading()
    first, second = systemd.hear()
    assert first == "RELOADING=1"
    name, usec = second.split("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(usec) <= time.monotonic_ns() // 1000


def test_a_status_is_sent_when_it_changed_and_at_most_each_second(systemd):
    notifier = Notifier()
    assert notifier.status("one", now=100.0)
    assert notifier.status("one", now=100.1)
    assert not notifier.status("two", now=100.9), "to be offered again"
    assert notifier.status("two", now=101.0)
    assert [systemd.hear(), systemd.hear()] == [["STATUS=one"], ["STATUS=two"]]
    assert systemd.silent()


def test_the_other_messages_are_systemds(systemd):
    notifier = Notifier()
    notifier.stopping()
    notifier.extend(1.5)
    notifier.failed("no port", 98)
    notifier.failed("no idea")
    notifier.watchdog()
    notifier.forget("tcp-1")
    assert [systemd.hear() for _ in range(6)] == [
        ["STOPPING=1"],
        ["EXTEND_TIMEOUT_USEC=1500000"],
        ["STATUS=no port", "ERRNO=98"],
        ["STATUS=no idea"],
        ["WATCHDOG=1"],
        ["FDSTOREREMOVE=1", "FDNAME=tcp-1"],
    ]


@pytest.mark.parametrize(("poll", "lines"), [(True, []), (False, ["FDPOLL=0"])])
def test_a_descriptor_is_stored_under_its_name(systemd, poll, lines):
    read, write = os.pipe()
    assert Notifier().store("state", write, poll=poll)
    said, (copy,) = systemd.hear_with_descriptors()
    assert said == ["FDSTORE=1", "FDNAME=state", *lines]
    os.write(copy, b"the same pipe")
    assert os.read(read, 100) == b"the same pipe"
    for descriptor in (read, write, copy):
        os.close(descriptor)


def test_a_barrier_waits_until_systemd_has_read_what_came_before(systemd):
    notifier = Notifier()
    order = []

    def read():
        assert systemd.hear() == ["STOPPING=1"]
        said, (pipe,) = systemd.hear_with_descriptors()
        assert said == ["BARRIER=1"]
        order.append("read")
        os.close(pipe)

    thread = threading.Thread(target=read)
    notifier.stopping()
    thread.start()
    assert notifier.barrier(10)
    order.append("passed")
    thread.join()
    assert order == ["read", "passed"]


def test_a_barrier_gives_up_after_its_timeout(systemd):
    assert not Notifier().barrier(0.01)


def test_children_do_not_inherit_our_voice(systemd, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert Notifier().watchdog_interval == 1.5
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & os.environ.keys()


@pytest.mark.parametrize(
    ("usec", "pid"),
    [("3000000", "1"), ("", ""), ("soon", ""), ("0", "")],
    ids=["other pid", "none", "text", "0"],
)
def test_a_watchdog_not_for_us_is_not_fed(systemd, monkeypatch, usec, pid):
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", pid)
    assert Notifier().watchdog_interval is None


def test_without_systemd_everything_does_nothing(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    notifier = Notifier()
    assert not notifier.active
    assert notifier.watchdog_interval is None
    notifier.ready("x")
    notifier.reloading()
    assert notifier.status("x", now=1.0)
    assert not notifier.store("x", 0)
    assert notifier.barrier()


def test_a_systemd_that_went_away_does_not_stop_us(systemd):
    notifier = Notifier()
    systemd.sock.close()
    notifier.ready("x")
    assert not notifier.store("x", 0)
