# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that fills a terminal, on a pseudo terminal."""

from __future__ import annotations

import os
import signal
import sys
import termios
from pathlib import Path

import pytest

from fakes.screen import Screen

LIB = Path(__file__).resolve().parents[2] / "lib"
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from pydaemons.cli.terminal import ENDED, Terminal
said = ["first", "second"]
with Terminal() as terminal:
    while True:
        size = terminal.size()
        terminal.draw([f"{size.columns}x{size.lines}", *said])
        key = terminal.key(60.0)
        if key in ("q", ENDED):
            break
        said = [repr(key)] if key else said
print("over")
"""


@pytest.fixture
def screen():
    with Screen([sys.executable, "-c", PROGRAM, str(LIB)]) as screen:
        screen.shows("100x30")
        yield screen


def test_keys_come_without_enter_and_by_name(screen):
    assert screen.lines == ["100x30", "first", "second"]
    for typed, named in (("x", "x"), ("\x1b[A", "up"), ("\x1b[6~", "page down"), ("\x0c", "redraw")):
        screen.type(typed)
        assert screen.shows(repr(named)) == ["100x30", repr(named)]


def test_a_key_nobody_knows_is_ignored(screen):
    screen.type("\x1b[23~")
    screen.type("y")
    screen.shows("'y'")


def test_only_what_changed_is_written(screen):
    screen.type("x")
    screen.shows("'x'")
    before = screen.written
    screen.type("y")
    screen.shows("'y'")
    assert screen.written - before < 20


def test_another_size_is_told(screen):
    screen.resize(40, 10)
    os.kill(screen.process.pid, signal.SIGWINCH)
    assert screen.shows("40x10") == ["40x10", "'resized'"]


@pytest.mark.parametrize("how", ["q", signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_however_it_ends_the_terminal_is_as_before(screen, how):
    assert screen.alternate
    assert termios.tcgetattr(screen.slave) != screen.before
    if isinstance(how, str):
        screen.type(how)
    else:
        screen.process.send_signal(how)
    screen.wait(lambda lines: not screen.alternate)
    screen.process.wait(30)
    assert termios.tcgetattr(screen.slave) == screen.before


def test_stopped_it_gives_the_terminal_back_and_takes_it_again_when_it_goes_on(screen):
    screen.process.send_signal(signal.SIGTSTP)
    screen.wait(lambda lines: not screen.alternate)
    assert os.waitpid(screen.process.pid, os.WUNTRACED)[1] & 0xFF == 0x7F
    assert termios.tcgetattr(screen.slave) == screen.before
    screen.process.send_signal(signal.SIGCONT)
    screen.wait(lambda lines: screen.alternate and "100x30" in lines)
    screen.type("z")
    screen.shows("'z'")
