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


def test_numbers_are_numbers(bos):
    assert bos("top", "-delay", "x") == 1


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5s"), (65, "1m05s"), (3700, "1h01m"), (90_000, "1d01h"), (0, "0s")]
)
def test_times_are_short(seconds, text):
    assert bos_top._span(seconds) == text
