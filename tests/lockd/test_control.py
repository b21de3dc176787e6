# SPDX-License-Identifier: GPL-3.0-or-later
"""What pylockctl can ask: every method over a lock engine, and who may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fakes.locking import World
from pydaemons.engine.protocol import Now
from pydaemons.kit.varlink import Caller, ControlError
from pydaemons.lockd import control
from pydaemons.lockd.control import NAME, interface

ROOT = Caller(1, 0, 0, own_uid=999)


class Daemon:
    """The part of the daemon that the methods need."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.engine = world.engine
        self.settled = 0

    def now(self) -> Now:
        return self.world.now

    def overview(self) -> dict[str, Any]:
        return {"pid": 7, "mode": "serve"}

    def counts(self) -> dict[str, int]:
        return {"datagrams in": 3}

    def settle(self) -> None:
        self.settled += 1

    def notify(self, client: str | None, server: str | None) -> list[str]:
        return [client or server or "everybody"]


@pytest.fixture
def daemon() -> Daemon:
    return Daemon(World())


def ask(daemon: Daemon, method: str, **parameters: object) -> Any:
    offered = interface(daemon)
    offered.check(method, parameters)
    found = offered.methods[method].call(parameters, ROOT)
    return asyncio.run(whole(found)) if isinstance(found, AsyncIterator) else found


async def whole(pieces: AsyncIterator[dict[str, list[Any]]]) -> dict[str, list[Any]]:
    """What came in pieces."""
    together: dict[str, list[Any]] = {"locks": [], "blocked": []}
    async for piece in pieces:
        for name, rows in piece.items():
            assert 0 < len(rows) <= control.SLICE
            together[name] += rows
    return together


def test_locks_are_listed_and_picked_by_client_file_and_svid(daemon: Daemon) -> None:
    one, two = daemon.world.client(2), daemon.world.client(3)
    one.lock(fh=b"a", svid=1)
    one.lock(fh=b"b", svid=2)
    two.lock(fh=b"c", svid=1)
    assert len(ask(daemon, "Locks")["locks"]) == 3
    assert {row["file"] for row in ask(daemon, "Locks", client=one.address)["locks"]} == {"61", "62"}
    assert [row["client"] for row in ask(daemon, "Locks", file="63")["locks"]] == [two.address]
    assert len(ask(daemon, "Locks", svid=1)["locks"]) == 2
    assert {row["client"] for row in ask(daemon, "Clients")["clients"]} == {one.address, two.address}


def test_a_long_list_comes_in_slices_of_one_moment_while_locks_come_and_go(daemon: Daemon) -> None:
    one, two = daemon.world.client(2), daemon.world.client(3)
    count = 2 * control.SLICE + 5
    for number in range(count):
        one.lock(fh=b"%d" % (number % 7), offset=10 * number, length=1)
        two.wait(fh=b"%d" % (number % 7), offset=10 * number, length=1)
    parameters: dict[str, Any] = {}
    offered = interface(daemon).methods

    async def look() -> None:
        locks, blocked = (offered[name].call(parameters, ROOT) for name in ("Locks", "Blocked"))
        first, waiting = await anext(locks), await anext(blocked)
        assert len(first["locks"]) == len(waiting["blocked"]) == control.SLICE
        two.free_all()
        for number in range(7):
            one.unlock(fh=b"%d" % number, offset=0, length=0)
        rest = await whole(locks)
        assert len(first["locks"]) + len(rest["locks"]) == count
        assert {row["client"] for row in rest["locks"]} == {one.address}
        assert (await whole(blocked))["blocked"] == [], "nobody waits any more"

    asyncio.run(look())


def test_a_file_that_is_no_handle_is_an_error(daemon: Daemon) -> None:
    for method in ("Locks", "Release"):
        with pytest.raises(ControlError, match="InvalidParameter"):
            ask(daemon, method, file="xyz")


def test_a_survey_has_the_busiest_files_and_counters(daemon: Daemon) -> None:
    one, two = daemon.world.client(2), daemon.world.client(3, version=3)
    one.lock(fh=b"a")
    one.lock(fh=b"b")
    two.wait(fh=b"b")
    found = ask(daemon, "Survey", files=1)
    assert [file["file"] for file in found["files"]] == ["62"]
    assert [file["file"] for file in ask(daemon, "Survey", order="file")["files"]] == ["61", "62"]
    assert found["calls"] == {"LOCK": 3}, "of all versions together"
    assert found["decisions"]["LOCK"] == {"GRANTED": 2, "BLOCKED": 1}
    assert found["figures"]["blocked"] == 1
    for wrong in ({"files": -1}, {"files": 100_000}, {"order": "beauty"}):
        with pytest.raises(ControlError, match="InvalidParameter"):
            ask(daemon, "Survey", **wrong)


def test_blocked_requests_name_those_in_their_way(daemon: Daemon) -> None:
    one, two = daemon.world.client(2), daemon.world.client(3)
    one.lock()
    two.wait()
    (row,) = ask(daemon, "Blocked")["blocked"]
    assert (row["client"], [holder["client"] for holder in row["holders"]]) == (two.address, [one.address])


@pytest.mark.parametrize(
    ("what", "left"),
    [
        ({"client": "10.0.0.2"}, 1),
        ({"client": "10.0.0.2", "svid": 2}, 2),
        ({"file": "61"}, 2),
        ({"server": "10.0.0.1"}, 0),
        ({"server": "10.0.0.99"}, 3),
        ({"client": "10.0.0.2", "server": "10.0.0.1"}, 1),
        ({"all": True}, 0),
    ],
)
def test_release_frees_what_is_named_and_nothing_else(
    daemon: Daemon, what: dict[str, object], left: int
) -> None:
    one, two = daemon.world.client(2), daemon.world.client(3)
    one.lock(fh=b"a", svid=1)
    one.lock(fh=b"b", svid=2)
    two.lock(fh=b"c", svid=1)
    assert ask(daemon, "Release", **what)["freed"] == 3 - left
    assert len(ask(daemon, "Locks")["locks"]) == left
    assert daemon.settled == 1, "those who waited are told at once"


def test_what_came_by_a_service_address_that_leaves_is_released_and_nothing_else(daemon: Daemon) -> None:
    one, two = daemon.world.client(2), daemon.world.client(3)
    one.lock(svid=1)
    one.lock(svid=1, offset=100, local="10.0.0.99")
    two.share(mode=3)
    two.wait(offset=100)
    assert ask(daemon, "Release", server="10.0.0.99") == {"freed": 1}
    rows = ask(daemon, "Locks")["locks"]
    assert {(row["client"], row["server"], row.get("offset")) for row in rows} == {
        ("10.0.0.2", "10.0.0.1", 0),
        ("10.0.0.3", "10.0.0.1", 100),
        ("10.0.0.3", "10.0.0.1", None),
    }


def test_notify_takes_addresses_in_any_form(daemon: Daemon) -> None:
    assert ask(daemon, "Notify", client="::ffff:10.0.0.2") == {"notified": ["10.0.0.2"]}
    assert ask(daemon, "Notify", server="2001:db8:0::1") == {"notified": ["2001:db8::1"]}
    for wrong in ({"client": "web1"}, {"server": "x"}):
        with pytest.raises(ControlError, match="InvalidParameter"):
            ask(daemon, "Notify", **wrong)


@pytest.mark.parametrize("what", [{}, {"svid": 1}, {"file": "xyz"}])
def test_release_of_nothing_in_particular_is_refused(daemon: Daemon, what: dict[str, object]) -> None:
    with pytest.raises(ControlError, match="InvalidParameter"):
        ask(daemon, "Release", **what)


def test_a_grace_period_can_be_begun_and_ended(daemon: Daemon) -> None:
    begun = ask(daemon, "Grace", action="start")
    assert begun["grace"] is True and begun["grace_left"] > 0
    assert ask(daemon, "Status")["grace"] is True
    assert ask(daemon, "Grace", action="end") == {"grace": False, "grace_left": 0.0}
    with pytest.raises(ControlError, match="InvalidParameter"):
        ask(daemon, "Grace", action="maybe")


def test_drop_all_voids_everything_and_begins_a_grace_period(daemon: Daemon) -> None:
    daemon.world.client(2).lock()
    assert ask(daemon, "DropAll") == {"freed": 1}
    assert ask(daemon, "Status")["grace"] is True
    assert ask(daemon, "Status")["pid"] == 7


def test_counters_are_kept_by_procedure_and_by_what_was_decided(daemon: Daemon) -> None:
    daemon.world.client(2).lock()
    stats = ask(daemon, "Stats")
    assert stats["procedures"]["nlm"]["4"]["LOCK"] == 1
    assert stats["statuses"]["LOCK"] == {"GRANTED": 1}
    assert stats["shell"] == {"datagrams in": 3}


def test_what_changes_anything_is_for_the_trusted(daemon: Daemon) -> None:
    offered = interface(daemon)
    assert {name for name, method in offered.methods.items() if method.trusted} == {
        "Release",
        "Grace",
        "DropAll",
        "Notify",
    }
    assert offered.name == NAME
    assert ask(daemon, "Notify", client="10.0.0.2") == {"notified": ["10.0.0.2"]}
