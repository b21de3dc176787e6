# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at a lock manager: which files, in which order, and never more than so many."""

from __future__ import annotations

import pytest

from fakes.locking import World
from pydaemons.nlm import survey as module
from pydaemons.nlm.survey import survey


@pytest.fixture
def world() -> World:
    """a: one lock and two who wait; b: three locks; c: one lock and one who waits; d: a share."""
    world = World()
    one, two = world.client(2, name=b"one"), world.client(3, name=b"two")
    one.lock(fh=b"a")
    two.wait(fh=b"a")
    two.wait(fh=b"a", svid=2, exclusive=False)
    for offset in (0, 10, 20):
        one.lock(fh=b"b", offset=offset, length=1)
    one.lock(fh=b"c")
    two.wait(fh=b"c")
    one.share(fh=b"d")
    return world


def looked(world: World, files: int = 10, order: str = "waiting") -> dict:
    return survey(world.server, world.now, files=files, order=order)


@pytest.mark.parametrize(("order", "files"), [("waiting", "acbd"), ("locks", "bacd"), ("file", "abcd")])
def test_files_come_in_the_order_wanted(world, order, files):
    assert [bytes.fromhex(row["file"]).decode() for row in looked(world, order=order)["files"]] == [*files]
    assert len(looked(world, 2, order)["files"]) == 2


def test_a_file_has_its_holders_and_its_waiters_with_those_in_their_way(world):
    file = looked(world)["files"][0]
    assert (file["locks"], file["blocked"], file["shares"]) == (1, 2, 0)
    assert [(row["client"], row["mode"]) for row in file["holders"]] == [("10.0.0.2", "write")]
    assert [(row["svid"], row["holders"][0]["client"]) for row in file["waiters"]] == [
        (1, "10.0.0.2"),
        (2, "10.0.0.2"),
    ]
    share = looked(world)["files"][3]
    assert (share["shares"], share["holders"][0]["kind"]) == (1, "share")


def test_clients_have_what_they_hold_and_wait_for(world):
    found = {row["name"]: (row["locks"], row["shares"], row["blocked"]) for row in looked(world)["clients"]}
    assert found == {"one": (5, 1, 0), "two": (0, 0, 3)}


def test_calls_of_each_client_are_counted_however_they_are_answered(world):
    one = world.clients["10.0.0.2"]
    before = {row["name"]: row["calls"] for row in looked(world)["clients"]}
    assert before == {"one": 6, "two": 3}
    for _ in range(5):
        one.lock(fh=b"e")
        one.unlock(fh=b"e")
    assert world.prompted > 0
    assert {row["name"]: row["calls"] for row in looked(world)["clients"]} == {"one": 16, "two": 3}


def test_one_look_goes_through_no_more_than_so_much_but_finds_all_who_wait(world, monkeypatch):
    assert looked(world)["complete"]
    monkeypatch.setattr(module, "LOOK", 2)
    monkeypatch.setattr(module, "EACH", 1)
    found = looked(world)
    assert not found["complete"]
    assert [bytes.fromhex(row["file"]) for row in found["files"]][:2] == [b"a", b"c"]
    assert (found["files"][0]["blocked"], len(found["files"][0]["waiters"])) == (2, 1)


def test_an_idle_server_has_nothing_to_show():
    assert looked(World()) == {"files": [], "clients": [], "complete": True}
