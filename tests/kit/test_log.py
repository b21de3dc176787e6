# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import socket
import struct

import pytest

from pydaemons.engine.effects import Level
from pydaemons.kit import log as log_module
from pydaemons.kit.log import BURST, INTERVAL, Journal, Log, format_entry, stderr_is_journal


def parse_entry(data):
    """The journal's side of the native protocol."""
    fields = {}
    while data:
        line, _, rest = data.partition(b"\n")
        if b"=" in line:
            key, _, value = line.partition(b"=")
            fields[key.decode()], data = value.decode(), rest
        else:
            (size,) = struct.unpack("<Q", rest[:8])
            assert rest[8 + size : 9 + size] == b"\n"
            fields[line.decode()], data = rest[8 : 8 + size].decode(), rest[9 + size :]
    return fields


@pytest.fixture
def journald(tmp_path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(tmp_path / "socket"))
    sock.settimeout(10)
    return sock


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(log_module, "time", clock)
    return clock


def test_a_terminal_gets_plain_lines(capfd):
    log = Log("pylockd")
    log.info("grace period ends")
    log.warning("odd:\nvery odd", CLIENT="192.0.2.1")
    log.error("für alle: \udcff")
    assert capfd.readouterr().err == (
        "pylockd: grace period ends\npylockd: warning: odd: very odd\npylockd: error: für alle: \\udcff\n"
    )


def test_the_journal_gets_structured_entries(journald):
    log = Log("pylockd", journal=Journal(journald.getsockname()))
    log.log(Level.NOTICE, "lock dropped", {"NLM_CLIENT": "192.0.2.1", "WHY": "two\nlines"}, "ab" * 16)
    assert parse_entry(journald.recv(65536)) == {
        "MESSAGE": "lock dropped",
        "PRIORITY": "5",
        "SYSLOG_IDENTIFIER": "pylockd",
        "MESSAGE_ID": "ab" * 16,
        "NLM_CLIENT": "192.0.2.1",
        "WHY": "two\nlines",
    }


def test_an_entry_too_long_for_a_datagram_goes_by_memory_file(journald):
    text = "x" * 1_000_000
    Log("pylockd", journal=Journal(journald.getsockname())).info(text)
    data, (descriptor,), _, _ = socket.recv_fds(journald, 100, 1)
    assert data == b""
    size = os.fstat(descriptor).st_size
    assert parse_entry(os.pread(descriptor, size, 0))["MESSAGE"] == text
    os.close(descriptor)


def test_without_a_journal_behind_the_socket_the_level_goes_before_the_line(tmp_path, capfd):
    Log("pylockd", journal=Journal(str(tmp_path / "none"))).warning("odd")
    assert capfd.readouterr().err == "<4>odd\n"


def test_the_level_is_obeyed_as_it_changes(capfd):
    log = Log("d")
    log.debug("1")
    log.level = Level.DEBUG
    log.debug("2")
    log.level = Level.ERROR
    log.warning("3")
    assert capfd.readouterr().err == "d: debug: 2\n"


def test_a_message_that_repeats_is_counted_instead(clock, capfd):
    log = Log("d")
    for _ in range(BURST + 1234):
        log.info("same")
    log.info("other")
    clock.now += INTERVAL
    log.info("same")
    lines = capfd.readouterr().err.splitlines()
    assert lines[:BURST] == ["d: same"] * BURST
    assert lines[BURST:] == ["d: other", "d: same … and 1 234 more like it", "d: same"]


def test_messages_of_one_kind_count_together(clock, capfd):
    log = Log("d")
    for i in range(BURST + 5):
        log.log(Level.INFO, f"bad packet {i}", kind="bad packet")
    log.flush()
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == BURST + 1
    assert lines[-1] == "d: bad packet 0 … and 5 more like it"
    log.flush()
    assert capfd.readouterr().err == "", "said once"


def test_the_count_comes_out_even_if_the_message_never_comes_again(clock, capfd):
    log, planned = Log("d"), []
    log.later = lambda seconds, callback: planned.append((seconds, callback))
    for _ in range(BURST + 3):
        log.info("same")
    ((seconds, callback),) = planned
    clock.now += seconds
    callback()
    assert capfd.readouterr().err.splitlines()[-1] == "d: same … and 3 more like it"


def test_many_different_messages_do_not_fill_the_memory(clock, capfd):
    log = Log("d")
    for i in range(log_module.TEMPLATES + 100):
        log.info(f"message {i}")
    assert len(log._seen) <= log_module.TEMPLATES
    assert len(capfd.readouterr().err.splitlines()) == log_module.TEMPLATES + 100


def test_a_log_that_cannot_be_written_stops_nobody(monkeypatch):
    def write(descriptor, data):
        raise OSError("stderr is closed")

    monkeypatch.setattr(log_module.os, "write", write)
    log = Log("d")
    log.info("x")
    log.log(Level.INFO, "y", {"BAD": None})  # a bug of the caller's is no reason either


def test_the_journal_is_recognised_by_device_and_inode():
    status = os.fstat(2)
    assert stderr_is_journal({"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
    for other in ("", "1", "a:b", f"{status.st_dev}:{status.st_ino + 1}", "1:2:3"):
        assert not stderr_is_journal({"JOURNAL_STREAM": other})
    assert not stderr_is_journal({})


def test_an_entry_is_what_the_protocol_says():
    assert format_entry({"A": "1", "B": "x\ny"}) == b"A=1\nB\n\x03\0\0\0\0\0\0\0x\ny\n"
