# SPDX-License-Identifier: GPL-3.0-or-later
"""Who waits for whom, from a lock manager's own rows, as a tree, for graphviz, as JSON."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.locking import World
from hosts import nlmcalls as nlm
from hosts import rpc
from pydaemons.cli.lockctl_graph import Waits, distinct, dot, edges, tree
from pydaemons.nlm import views


@pytest.fixture
def world() -> World:
    """2 holds; 3 and 4 wait for it; 5 waits for 3, which holds another file, and for 4's share of a third."""
    world = World()
    two, three, four, five = (world.client(n, name=b"host%d" % n) for n in (2, 3, 4, 5))
    two.lock(fh=b"a")
    three.lock(fh=b"b")
    three.lock(fh=b"c", exclusive=False)
    four.lock(fh=b"c", exclusive=False)
    three.wait(fh=b"a")
    world.run(10)
    four.wait(fh=b"a", exclusive=False)
    five.wait(fh=b"c")
    return world


def rows(world: World) -> list[dict[str, Any]]:
    return list(views.blocked(world.server, world.now))


def test_below_each_holder_stand_those_who_wait_for_it(world):
    assert tree(Waits.of(rows(world))) == [
        "10.0.0.2:1 (host2)",
        "├─ 10.0.0.3:1 (host3) waits 10.0s for WRITE 0-9 of 61",
        "│  └─ 10.0.0.5:1 (host5) waits 0.0s for WRITE 0-9 of 63",
        "└─ 10.0.0.4:1 (host4) waits 0.0s for READ 0-9 of 61",
        "   └─ 10.0.0.5:1 (host5) waits 0.0s for WRITE 0-9 of 63",
    ]


def test_owners_of_one_number_at_two_addresses_of_ours_are_not_taken_for_one(world):
    two = world.clients["10.0.0.2"]
    two.wait(fh=b"b", local="10.0.0.99")
    shown = tree(Waits.of(distinct(rows(world))))
    assert shown[0] == "10.0.0.2>10.0.0.1:1 (host2)"
    assert "10.0.0.2>10.0.0.99:1 (host2) waits" in "\n".join(shown)
    assert not any("circle" in line or "above" in line for line in shown[:4])


def test_what_is_below_one_who_waits_for_two_is_shown_once(world):
    world.clients["10.0.0.5"].lock(fh=b"d")
    world.client(6).wait(fh=b"d")
    shown = tree(Waits.of(rows(world)))
    assert sum("10.0.0.6" in line for line in shown) == 1
    assert sum("see above" in line for line in shown) == 1


def test_nobody_waits_is_no_tree():
    assert tree(Waits.of([])) == []


def test_owners_in_a_circle_are_shown_and_called_one():
    """The server allows none of its own making; local programs can close one."""

    def row(client: str, holder: str) -> dict[str, Any]:
        who = {"name": "", "svid": 1}
        return {
            "client": client,
            **who,
            "holders": [{"client": holder, **who}],
            "more_holders": False,
            "file": "aa",
            "mode": "write",
            "offset": 0,
            "length": 0,
            "waiting": 1.0,
        }

    shown = tree(Waits.of([row("a", "b"), row("b", "c"), row("c", "a")]))
    assert shown[0] == "a:1 waits too: a circle"
    assert len(shown) == 4
    assert shown[-1].endswith("see above")


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12))
def test_everybody_who_waits_is_in_the_tree(pairs):
    found = [
        {
            "client": str(waiter),
            "name": "",
            "svid": 0,
            "holders": [{"client": str(holder), "name": "", "svid": 0}],
            "more_holders": False,
            "file": "aa",
            "mode": "read",
            "offset": 0,
            "length": 1,
            "waiting": float(number),
        }
        for number, (waiter, holder) in enumerate(pairs)
    ]
    text = "\n".join(tree(Waits.of(found)))
    for waiter, _ in pairs:
        assert f"{waiter}:0 waits" in text


def test_a_chain_of_thousands_is_shown():
    found = [
        {
            "client": str(n),
            "name": "",
            "svid": 0,
            "holders": [{"client": str(n + 1), "name": "", "svid": 0}],
            "more_holders": False,
            "file": "aa",
            "mode": "read",
            "offset": 0,
            "length": 1,
            "waiting": 1.0,
        }
        for n in range(3000)
    ]
    assert len(tree(Waits.of(found))) == 3001


def test_json_has_an_edge_for_each_holder_in_the_way(world):
    found = {(edge["waiter"], edge["holder"], edge["file"]) for edge in edges(rows(world))}
    assert found == {
        ("10.0.0.3:1", "10.0.0.2:1", "61"),
        ("10.0.0.4:1", "10.0.0.2:1", "61"),
        ("10.0.0.5:1", "10.0.0.3:1", "63"),
        ("10.0.0.5:1", "10.0.0.4:1", "63"),
    }


def test_graphviz_gets_every_owner_and_every_edge_quoted(world):
    world.client(7, name=b'qu"ote\\').wait(fh=b"a")
    text = dot(rows(world))
    assert '"10.0.0.3:1" -> "10.0.0.2:1" [label="WRITE 0-9 of 61"];' in text
    assert '"10.0.0.2:1" [label="10.0.0.2:1\\nhost2", style=bold];' in text
    assert 'qu\\"ote' in text
    if shutil.which("dot"):
        subprocess.run(["dot", "-Tsvg", "-o", "/dev/null"], input=text.encode(), check=True, timeout=60)


def test_a_terminal_without_unicode_is_no_error(ctl, server, monkeypatch):
    for svid in (1, 2):
        with rpc.Udp("127.0.0.1", server.port) as client:
            call = nlm.lock(4, nlm.Alock(svid=svid), block=True)
            client.call(rpc.NLM, 4, nlm.LOCK, call).result()
    server.wait_blocked()
    plain = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", plain)
    assert ctl("graph").status == 0
    plain.seek(0)
    assert "?? 127.0.0.1:2" in plain.read()


def test_the_command_says_when_nobody_waits(ctl):
    assert ctl("graph").out == "nobody waits\n"
    assert ctl("graph", "--json").json == []
    assert ctl("graph", "--dot").out.startswith("digraph waits {")
