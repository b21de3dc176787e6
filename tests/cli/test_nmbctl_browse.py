# SPDX-License-Identifier: GPL-3.0-or-later
import argparse
import json

import pytest

from fakes.browsing import Net, station
from pydaemons.cli import nmbctl_browse
from pydaemons.cli.nmbctl_browse import screen, show_browse, show_elections, show_forced, span
from pydaemons.cli.tables import Style
from pydaemons.netbios.node import views


class Daemon:
    """A control client over a node of a Net."""

    def __init__(self) -> None:
        self.net = Net()
        self.node = station(self.net, "ALPHA", "10.0.0.1", comment="our files").node
        station(self.net, "BETA", "10.0.0.2", local_master=False)
        self.net.run(60)

    def hear(self, packets: int) -> None:
        self.node.counts.packets += packets

    def call(self, method: str, **arguments):
        verb = {
            "Browse": "browse",
            "Elections": "elections",
            "ForceElection": "force-election",
            "Stats": "stats",
        }
        answer = views.answer(self.node, verb[method], arguments, self.net.now)
        return {"stats": answer} if method == "Stats" else answer


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


def words(**given) -> argparse.Namespace:
    return argparse.Namespace(**({"json": False, "count": 0, "interval": 0.01, "group": None} | given))


def test_browse_shows_groups_and_servers(daemon):
    lines = list(show_browse(nmbctl_browse.browse(daemon, words())))
    assert lines[0].split() == ["GROUP", "MASTER", "ADDRESS", "NETWORK", "AGE"]
    assert lines[1].split() == ["GRP", "ALPHA", "10.0.0.1", "net0", "-"]
    assert lines[4].split() == ["ALPHA", "GRP", "0s", "-", "self", "master,print,unix,dfs", "our", "files"]
    assert lines[5].split()[0:2] == ["BETA", "GRP"]
    assert len(list(show_browse(nmbctl_browse.browse(daemon, words(group="NONE"))))) == 3


def test_elections_show_role_and_criterion(daemon):
    lines = list(show_elections(nmbctl_browse.elections(daemon, words())))
    assert lines[1].split() == ["net0", "master", "ALPHA", "10.0.0.1", "quiet", "1", "14010f02", "1m00s"]


def test_the_domain_is_told_of_when_there_is_one():
    domain = {
        "held": True,
        "known": "",
        "wanted": True,
        "masters": [{"name": "LMB", "address": "10.0.1.1", "age": 90}],
        "others": [{"name": "ODM", "address": "10.0.3.1"}],
    }
    answer = {"group": "GRP", "networks": [], "domain_master": domain}
    assert list(show_elections(answer))[1:] == [
        "domain master browser of GRP",
        "local master LMB (10.0.1.1) reported 1m30s ago",
        "domain master of another group: ODM (10.0.3.1)",
    ]
    answer["domain_master"] = domain | {"held": False, "masters": [], "others": []}
    assert "another host has the name" in list(show_elections(answer))[1]
    answer["domain_master"]["known"] = "DMB (10.0.9.1)"
    assert list(show_elections(answer))[1] == "domain master browser of GRP is DMB (10.0.9.1)"


def test_a_forced_election_says_where(daemon):
    assert list(show_forced(nmbctl_browse.force_election(daemon, words()))) == ["election on 1 networks"]


def test_top_is_one_picture_where_nobody_watches(daemon, capsys):
    assert nmbctl_browse.top(daemon, words()) is None
    out = capsys.readouterr().out
    assert "GRP: 2 servers, 1 groups" in out
    assert out.count("CRITERION") == 1
    assert "\033" not in out


def test_top_repeats_with_rates(daemon, capsys):
    assert nmbctl_browse.top(daemon, words(count=3)) is None
    out = capsys.readouterr().out
    assert out.count("CRITERION") == 3
    assert out.count("browser frames 0/s") == 2


def test_top_as_json_is_one_object_a_line(daemon, capsys):
    nmbctl_browse.top(daemon, words(count=2, json=True))
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert set(first) == {"stats", "elections", "browse"}
    assert second["rates"]["packets"] == 0


def test_a_picture_fits_its_terminal(daemon):
    seen = {key: daemon.call(key.title()) for key in ("elections", "browse")}
    lines = screen(seen, "12:00:00", Style(width=80))
    assert max(map(len, lines)) <= 80
    assert lines[0] == "12:00:00  GRP: 2 servers, 1 groups"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, None), (0, "0s"), (59.9, "59s"), (60, "1m00s"), (3661, "1h01m"), (90000, "1d01h")],
)
def test_spans_have_their_two_largest_units(seconds, shown):
    assert span(seconds) == shown


def test_rates_are_by_the_time_that_passed_and_not_by_the_pause_asked_for(daemon, capsys, monkeypatch):
    clock = iter((0.0, 4.0))
    monkeypatch.setattr(nmbctl_browse.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(nmbctl_browse.time, "sleep", lambda pause: daemon.hear(8))
    nmbctl_browse.top(daemon, words(count=2, json=True, interval=1.0))
    _, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert second["rates"]["packets"] == 2.0
