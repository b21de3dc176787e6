# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of pylockctl top, from a lock manager's own survey."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.locking import World
from pydaemons.cli.lockctl_screen import HELP, Sample, View, client_rates, picture, rates
from pydaemons.nlm import views
from pydaemons.nlm.survey import survey

FH = bytes(range(28))


@pytest.fixture
def world() -> World:
    world = World()
    one, two, three = (world.client(n, name=name) for n, name in ((2, b"one"), (3, b"two"), (4, b"three")))
    one.lock(fh=FH, length=10)
    two.wait(fh=FH, offset=5, length=2)
    three.wait(fh=FH, exclusive=False, length=0)
    one.lock(fh=b"other", exclusive=False)
    one.share(fh=b"other")
    return world


def sample(world: World, **changes: Any) -> Sample:
    figures = {**views.figures(world.server, world.now), **changes}
    answer = {"pid": 1, "at": 100.0, "figures": figures, "calls": {"LOCK": 50}, "decisions": {}}
    return Sample({**answer, **survey(world.server, world.now, files=20, order="waiting")}, world.now.wall)


def lines(
    world: World, view: View | None = None, width: int | None = None, height: int | None = None
) -> list:
    return picture(sample(world), view or View(), width=width, height=height)


def test_it_has_a_summary_traffic_clients_and_files_with_who_waits_for_whom(world):
    each = {("10.0.0.2", "10.0.0.1"): 7.5}
    shown = lines(world, View(rates={"LOCK": 12.5, "granted": 10.0}, of_clients=each))
    assert "3 clients, 2 locks on 2 files, 1 shares, 2 waiting" in shown[0]
    assert "LOCK 12.5" in shown[1]
    assert "granted 10" in shown[1]
    table = [line.split() for line in shown]
    assert ["10.0.0.2", "one", "7.5", "2", "1", "0", "yes", "0.0s"] in table
    assert [FH.hex(), "1", "2", "10.0.0.2:1", "one", "holds", "WRITE", "0", "9", "-", "-"] in table
    assert ["10.0.0.3:1", "two", "waits", "WRITE", "5", "6", "0.0s", "10.0.0.2:1"] in table
    assert ["10.0.0.4:1", "three", "waits", "READ", "0", "EOF", "0.0s", "10.0.0.2:1"] in table
    assert table[-1] == ["10.0.0.2", "one", "shares", "read/none", "-", "-", "-", "-"]


def test_what_is_not_as_always_is_said_loudly(world):
    first = picture(
        sample(world, grace=True, grace_left=31.2, refuse=True, granting=1), View(), width=None, height=None
    )[0]
    assert "GRACE PERIOD, 31 s left" in first
    assert "REFUSING ALL LOCKS" in first
    assert "1 not acknowledged*" in first
    assert lines(world, View(trouble="it is away"))[2] == "! it is away"


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 12), (40, 8), (20, 4)])
def test_it_fits_the_terminal_to_the_letter(world, width, height):
    shown = lines(world, width=width, height=height)
    assert len(shown) == height
    assert max(map(len, shown)) <= width
    assert shown[-1] == HELP[:width]


def test_headings_in_bold_are_no_wider_than_the_terminal(world):
    shown = picture(sample(world), View(), width=60, height=20, color=True)
    bare = [line.replace("\x1b[1m", "").replace("\x1b[0m", "") for line in shown]
    assert bare != shown
    assert max(map(len, bare)) <= 60


def test_scrolling_stops_at_the_last_line(world):
    view = View(scroll=1000)
    assert lines(world, view)[-1].split()[2] == "shares"
    assert view.scroll < 10


def test_more_than_is_shown_is_counted(world):
    survey_ = sample(world)
    survey_.answer["files"][0].update(locks=31, blocked=902)
    table = [line.split() for line in picture(survey_, View(), width=None, height=None)]
    assert ["30", "more", "-", "hold"] in [line[:4] for line in table]
    assert ["900", "more", "-", "wait"] in [line[:4] for line in table]
    many = {**survey_.answer["clients"][0]}
    survey_.answer["clients"].extend([many] * 50)
    assert "and 50 more clients" in picture(survey_, View(), width=100, height=15)


def test_each_client_has_its_own_rate_since_the_last_look_or_since_it_came():
    def answer(pid: int, at: float, **calls: int) -> dict[str, Any]:
        rows = [
            {"client": name, "server": "s", "calls": count, "first_seen": 1000.0}
            for name, count in calls.items()
        ]
        return {"pid": pid, "at": at, "clients": rows}

    first = answer(1, 10.0, a=20, b=40)
    assert client_rates(first, None, 1010.0) == {("a", "s"): 2.0, ("b", "s"): 4.0}
    later = answer(1, 12.0, a=120, b=40, c=24)
    assert client_rates(later, first, 1012.0) == {("a", "s"): 50.0, ("b", "s"): 0.0, ("c", "s"): 2.0}
    back = answer(1, 14.0, a=28)
    assert client_rates(back, later, 1014.0) == {("a", "s"): 2.0}, "forgotten, and come back"
    assert client_rates(answer(2, 15.0, a=30), later, 1015.0) == {("a", "s"): 2.0}


def test_rates_are_per_second_since_the_last_look_or_the_start():
    def answer(pid: int, at: float, locks: int) -> dict[str, Any]:
        return {"pid": pid, "at": at, "calls": {"LOCK": locks}, "decisions": {"LOCK": {"GRANTED": locks - 1}}}

    first = answer(1, 100.0, 51)
    assert rates(first, None, 25.0) == {
        "LOCK": 2.0,
        "granted": 2.0,
        "denied": 0.0,
        "blocked": 0.0,
        "deadlock": 0.0,
    }
    assert rates(answer(1, 102.0, 61), first, 27.0)["LOCK"] == 5.0
    assert rates(answer(2, 103.0, 8), first, 2.0)["LOCK"] == 4.0, "another process counts from its start"
