# SPDX-License-Identifier: GPL-3.0-or-later
"""pylockctl top against a lock server: on a terminal, without one, over the server's restart."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.lockserver import LockServer
from fakes.screen import Screen
from hosts import rpc
from hosts.nlmcalls import Alock, lock

PYLOCKCTL = Path(__file__).resolve().parents[2] / "bin" / "pylockctl"


def call(server: LockServer, fh: bytes, svid: int, name: bytes) -> None:
    """A blocking LOCK."""
    with rpc.Udp("127.0.0.1", server.port) as client:
        client.call(rpc.NLM, 4, 2, lock(4, Alock(fh=fh, svid=svid, caller=name), block=True)).result()


@pytest.fixture
def waited(server):
    call(server, b"\x0a", 1, b"one")
    call(server, b"\x0a", 2, b"one")
    call(server, b"\x0b", 3, b"one")
    return server


def command(server: LockServer, *words: str) -> list[str]:
    return [sys.executable, str(PYLOCKCTL), "top", "--socket", server.control, *words]


def test_without_a_terminal_it_is_one_picture_in_plain_text(ctl, waited):
    told = ctl("top")
    assert told.status == 0
    assert "1 clients, 2 locks on 2 files, 0 shares, 1 waiting" in told.out
    assert "127.0.0.1:2" in told.out
    assert "\x1b" not in told.out
    assert len(ctl("top", "-1").out.splitlines()) == len(told.out.splitlines()), "once is what it does anyway"


def test_so_many_looks_can_be_had_as_lines_of_json(ctl, waited):
    looks = [json.loads(line) for line in ctl("top", "--json", "-n", "2", "-d", "0.05").out.splitlines()]
    assert len(looks) == 2
    assert looks[0]["pid"] == os.getpid()
    assert looks[0]["files"][0]["waiters"][0]["svid"] == 2
    assert looks[1]["rates"]["LOCK"] == 0.0


def test_files_come_in_the_order_asked_for(ctl, waited):
    def files(*words: str) -> list[str]:
        return [row["file"] for row in ctl("top", "--json", *words).json["files"]]

    assert files() == ["0a", "0b"]
    assert files("--sort", "file") == ["0a", "0b"]
    for svid in (4, 5):
        with rpc.Udp("127.0.0.1", waited.port) as client:
            where = Alock(fh=b"\x0b", svid=svid, caller=b"one", offset=100 * svid, length=1)
            client.call(rpc.NLM, 4, 2, lock(4, where)).result()
    assert files("--sort", "locks") == ["0b", "0a"]


def test_on_a_terminal_it_follows_what_happens_until_q(waited):
    with Screen(command(waited, "-d", "0.1")) as screen:
        screen.shows("1 waiting")
        assert screen.alternate
        call(waited, b"\x0b", 9, b"one")
        screen.shows("2 waiting")
        assert any("127.0.0.1:9" in line and "127.0.0.1:3" in line for line in screen.lines)
        screen.type("q")
        assert screen.process.wait(30) == 0
        screen.wait(lambda lines: not screen.alternate)


def test_a_terminal_that_knows_no_commands_gets_one_picture_below_the_other(waited):
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "dumb"}
    with subprocess.Popen(
        command(waited, "-d", "0.05"), stdin=slave, stdout=slave, stderr=subprocess.PIPE, env=environment
    ) as running:
        shown = b""
        while shown.count(b"1 waiting") < 3:
            shown += os.read(master, 4096)
        assert b"\x1b" not in shown
        running.send_signal(signal.SIGINT)
        assert (running.wait(30), running.communicate()[1]) == (130, b"")
    os.close(master)
    os.close(slave)


def test_keys_sort_hide_clients_and_scroll(waited):
    with Screen(command(waited, "-d", "60")) as screen:
        screen.shows("MONITORED")
        screen.type("c")
        screen.wait(lambda lines: not any("MONITORED" in line for line in lines))
        screen.type("f")
        screen.wait(lambda lines: any(line.startswith("0a") for line in lines))
        screen.type("\x1b[B")
        screen.wait(lambda lines: not any(line.startswith("0a") for line in lines))
        screen.type("\x1b[A")
        screen.wait(lambda lines: any(line.startswith("0a") for line in lines))


def test_it_fills_the_terminal_whatever_its_size_becomes(waited):
    with Screen(command(waited, "-d", "60")) as screen:
        screen.wait(lambda lines: len(lines) == 30 and lines[-1].startswith("q quit"))
        for columns, lines in ((60, 12), (140, 40), (30, 6)):
            screen.resize(columns, lines)
            os.kill(screen.process.pid, signal.SIGWINCH)
            screen.wait(lambda shown, lines=lines: len(shown) == lines and shown[-1].startswith("q quit"))


def test_it_outlives_the_daemon_and_shows_what_was_until_it_is_back(tmp_path):
    with LockServer(tmp_path) as server:
        call(server, b"\x0a", 1, b"one")
        screen = Screen(command(server, "-d", "0.1"), columns=150)
        screen.__enter__()
        screen.shows("1 locks on 1 files")
    try:
        screen.shows("not running")
        assert "1 locks on 1 files" in screen.lines[0]
        with LockServer(tmp_path):
            screen.shows("0 locks on 0 files")
            screen.wait(lambda lines: not lines[2])
            screen.type("q")
            assert screen.process.wait(30) == 0
    finally:
        screen.__exit__()


def test_a_daemon_that_was_never_there_is_an_error(tmp_path, capsys):
    from pydaemons.cli.lockctl import main  # noqa: PLC0415

    assert main(["top", "-1", "--socket", str(tmp_path / "control")]) == 1
    assert "pylockd is not running" in capsys.readouterr().err
