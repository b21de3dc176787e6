# SPDX-License-Identifier: GPL-3.0-or-later
"""pybos top."""

from __future__ import annotations

import pytest

from fakes.bos_typist import Typist
from fakes.systemd_units import World, dies
from pydaemons.cli import bos_top


@pytest.fixture
def bos(monkeypatch):
    world = World()
    world.programs["bos-bad.service"] = dies()
    typist = Typist(world)
    typist("create", "good", "simple", "/bin/x")
    typist("create", "bad", "simple", "/bin/false")
    world.run(1)
    monkeypatch.setattr(bos_top.time, "sleep", world.run)
    return typist


def test_troubled_ones_come_first_with_what_is_wrong(bos):
    assert bos("top", "-count", "1") == 0
    first, _, head, bad, good = bos.out.splitlines()
    assert first == "2 bnodes, 1 processes, 1 stopped for too many errors"
    assert head.split() == ["NAME", "TYPE", "STATE", "STARTS", "EXITS", "UP", "PIDS"]
    assert bad.split() == ["bad", "simple", "down", "12", "12", "-", "-", "ERROR", "STOP"]
    assert good.split()[:5] == ["good", "simple", "running", "1", "0"]


def test_it_looks_again_as_often_as_asked(bos):
    assert bos("top", "-count", "3", "-delay", "5") == 0
    assert bos.out.count("2 bnodes") == 3 and bos_top.CLEAR not in bos.out


def test_a_manager_that_does_not_answer_is_the_headline():
    assert bos_top.screen([], "gone", 0.0).startswith("systemd does not answer: gone\n")


@pytest.mark.parametrize(
    "words", [("-delay", "x"), ("-delay", "nan"), ("-delay", "0"), ("-delay", "inf"), ("-count", "two")]
)
def test_numbers_are_numbers(bos, words):
    assert bos("top", *words) == 1
    assert bos.err == "bos: -delay is a number of seconds, -count one of pictures\n"


def test_on_a_terminal_a_picture_is_no_larger_than_that():
    picture = "2 bnodes, and so on\n\nNAME  TYPE\nbad   simple\ngood  simple\n"
    assert bos_top.fit(picture, 8, 4) == "2 bnodes\n\nNAME  TY\nbad   si"
    assert bos_top.fit(picture, 80, 24) == picture
    assert bos_top.fit(picture, 0, 0) == picture, "it does not know its size"
    assert bos_top.fit(picture, 1, 1) == "2"


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5s"), (65, "1m05s"), (3700, "1h01m"), (90_000, "1d01h"), (0, "0s")]
)
def test_times_are_short(seconds, text):
    assert bos_top._span(seconds) == text
