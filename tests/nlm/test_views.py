# SPDX-License-Identifier: GPL-3.0-or-later
"""What people are shown of a lock manager."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.locking import World
from pydaemons.nlm import views

PRINTABLE = set(string.printable) - set("\t\n\r\x0b\x0c")


@pytest.fixture
def world() -> World:
    return World()


def test_a_held_lock_with_its_owner(world):
    one = world.client(2, name=b"fred")
    one.lock(fh=b"\x01\xff", svid=-3, offset=5, length=10, oh=b"-3@fred")
    assert list(views.locks(world.server)) == [
        {
            "kind": "lock",
            "file": "01ff",
            "mode": "write",
            "offset": 5,
            "length": 10,
            "client": "10.0.0.2",
            "server": "10.0.0.1",
            "name": "fred",
            "svid": -3,
            "oh": "-3@fred",
            "acknowledged": True,
        }
    ]


def test_a_shared_lock_to_the_end_of_the_file(world):
    world.client(2).lock(offset=5, length=0, exclusive=False)
    (row,) = views.locks(world.server)
    assert (row["mode"], row["offset"], row["length"]) == ("read", 5, 0)


def test_a_lock_whose_client_does_not_know_yet_is_not_acknowledged(world):
    one, two = world.client(2), world.client(3, silent=True)
    one.lock()
    two.wait()
    one.unlock()
    (row,) = views.locks(world.server)
    assert row["acknowledged"] is False
    two.unlock()
    assert list(views.locks(world.server)) == []


def test_a_share(world):
    world.client(2, name=b"pc").share(access=1, mode=2, oh=b"\0word")
    assert list(views.locks(world.server)) == [
        {
            "kind": "share",
            "file": b"file".hex(),
            "mode": "read",
            "deny": "write",
            "client": "10.0.0.2",
            "server": "10.0.0.1",
            "name": "pc",
            "oh": "\\x00word",
        }
    ]


def test_a_waiting_request_with_how_long_and_for_whom(world):
    one, two, three = (world.client(number) for number in (2, 3, 4))
    one.lock(offset=0, exclusive=False)
    two.lock(offset=5, length=1, exclusive=False)
    three.wait(length=0)
    world.run(60)
    (row,) = views.blocked(world.server, world.now)
    assert (row["client"], row["mode"], row["offset"], row["length"]) == ("10.0.0.4", "write", 0, 0)
    assert row["waiting"] == pytest.approx(60)
    assert sorted(holder["client"] for holder in row["holders"]) == ["10.0.0.2", "10.0.0.3"]


def test_a_repeated_request_has_waited_since_the_first(world):
    one, two = world.client(2), world.client(3)
    one.lock()
    two.wait()
    world.run(30)
    two.wait()
    world.run(30)
    assert next(views.blocked(world.server, world.now))["waiting"] == pytest.approx(60)


def test_a_wall_clock_set_back_makes_no_negative_wait(world):
    one, two = world.client(2), world.client(3)
    one.lock()
    two.wait()
    earlier = world.now._replace(wall=world.now.wall - 1000)
    assert next(views.blocked(world.server, earlier))["waiting"] == 0.0


def test_clients_with_what_they_hold_and_wait_for(world):
    one, two = world.client(2, name=b"fred"), world.client(3)
    one.lock(fh=b"a", state=5)
    one.lock(fh=b"b")
    one.share()
    two.wait(fh=b"a")
    rows = {row["client"]: row for row in views.clients(world.server)}
    fred = rows["10.0.0.2"]
    assert (fred["name"], fred["locks"], fred["shares"], fred["blocked"]) == ("fred", 2, 1, 0)
    assert (fred["monitored"], fred["state"]) == (True, 1)
    assert (rows["10.0.0.3"]["locks"], rows["10.0.0.3"]["blocked"]) == (0, 1)


def test_decisions_by_procedure_and_status(world):
    one, two = world.client(2), world.client(3)
    one.lock()
    two.lock()
    two.lock(length=2**64 - 1)
    assert views.decisions(world.server)["LOCK"] == {"GRANTED": 1, "DENIED": 1, "FBIG": 1}
    assert views.decisions(world.server)["TEST"] == {}


def test_the_figures_of_the_status_line(world):
    one, two = world.client(2), world.client(3, silent=True)
    one.lock(fh=b"a")
    one.lock(fh=b"b")
    one.share()
    two.wait(fh=b"a")
    two.wait(fh=b"b")
    one.unlock(fh=b"b")
    world.engine.start_grace(world.now, "a test")
    world.run(10)
    assert views.figures(world.server, world.now) == {
        "locks": 2,
        "files": 2,
        "shares": 1,
        "blocked": 1,
        "granting": 1,
        "clients": 2,
        "grace": True,
        "grace_left": 40.0,
        "refuse": False,
    }


def test_everything_shown_is_ready_for_json(world):
    one, two = world.client(2, name=b"\xff\xfe"), world.client(3)
    one.lock(oh=b"\x80")
    one.share(oh=b"\n")
    two.wait()
    for rows in (
        list(views.locks(world.server)),
        list(views.blocked(world.server, world.now)),
        views.clients(world.server),
        views.decisions(world.server),
        views.figures(world.server, world.now),
    ):
        assert json.loads(json.dumps(rows)) == rows


@given(st.binary(max_size=100))
def test_names_from_the_network_are_one_printable_line_and_tell_two_names_apart(name):
    shown = views.text(name)
    assert set(shown) <= PRINTABLE
    assert shown.encode().decode("unicode_escape").encode("latin-1") == name
