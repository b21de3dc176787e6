# SPDX-License-Identifier: GPL-3.0-or-later
"""Each procedure of bos(8), called over Rx by an independent client; codes as OpenAFS 1.8.9 answers."""

from __future__ import annotations

import struct

import pytest

from fakes.rxbos import RxWorld
from fakes.systemd_units import dies
from hosts.rx import read_text, text, texts, u32
from pydaemons.bnode.bozo import ROWS
from pydaemons.bnode.verbs import TABLE

NOENT, BUSY, EXISTS, NOCREATE, DOM, ACCESS, SYNTAX, IO = range(39425, 39433)
BADTYPE, KEY_IN_USE = 39434, 39435


@pytest.fixture
def world() -> RxWorld:
    return RxWorld()


def new(name: str, *commands: str, kind: str = "simple", notifier: str = "__NONOTIFIER__") -> bytes:
    five = [*commands, *[""] * 5][:5]
    return texts(kind, name, *five, notifier)


def test_every_number_of_the_peer_is_there_and_names_a_request_that_is() -> None:
    assert sorted(ROWS) == list(range(80, 117))
    assert {row.verb for row in ROWS.values() if row.verb} <= set(TABLE)
    for row in ROWS.values():
        assert (row.look is not None) + bool(row.verb) == (row.number not in (105, 112)), row.name
        if row.verb:
            assert TABLE[row.verb].number in (row.number, 94), row.name


def test_create_and_what_it_refuses(world: RxWorld) -> None:
    assert world.call(80, new("a", "/bin/x 1")) == b""
    assert world.code(80, new("a", "/bin/x 1")) == EXISTS
    assert world.code(80, new("z", "/bin/x", kind="bogus")) == BADTYPE
    assert world.code(80, new("n", "/bin/x", notifier="/nonexistent")) == NOCREATE
    assert world.code(80, new("b c", "/bin/x")) == NOCREATE
    assert world.call(80, new("n", "/bin/x", notifier="/bin/notify")) == b""
    assert world.call(80, new("f", "/bin/1", "/bin/2", "/bin/3", kind="fs")) == b""
    world.run(1)
    assert [bnode.name for bnode in world.supervisor.bnodes()] == ["a", "n", "f"]
    assert world.spawned("bos-a.service") and world.bnode("n").notifier == "/bin/notify"


def test_delete(world: RxWorld) -> None:
    world.call(80, new("a", "/bin/x"))
    world.run(1)
    assert world.code(81, text("a")) == BUSY
    assert world.code(81, text("NOPE")) == NOENT
    world.call(98, text("a") + u32(0))
    world.run(1)
    assert world.call(81, text("a")) == b"" and world.supervisor.find("a") is None


def test_start_and_stop_set_both_goals_startup_and_shutdown_one(world: RxWorld) -> None:
    world.call(80, new("a", "/bin/x"))
    world.call(98, text("a") + u32(0))
    assert world.numbers(85, text("a"))[3:5] == (0, 1)
    world.call(82, text("a") + u32(0))
    assert world.numbers(85, text("a"))[3:5] == (0, 0)
    world.call(98, text("a") + u32(1))
    assert world.numbers(85, text("a"))[3:5] == (1, 0)
    for number in (82, 98):
        assert world.code(number, text("NOPE") + u32(1)) == NOENT
        assert world.code(number, text("a") + u32(7)) == DOM


def test_enumerate_names_them_in_the_order_of_their_creation(world: RxWorld) -> None:
    for name in ("b", "a"):
        world.call(80, new(name, "/bin/x"))
    assert [world.name(84, u32(index)) for index in (0, 1)] == ["b", "a"]
    assert world.code(84, u32(2)) == DOM and world.code(84, u32(-1)) == DOM


def test_status_is_a_number_and_perhaps_a_sentence(world: RxWorld) -> None:
    world.call(80, new("a", "/bin/x"))
    world.call(80, new("c", "/bin/x", "never", kind="cron"))
    world.run(1)
    assert world.call(83, text("a")) == u32(1) + text("")
    assert world.call(83, text("c")) == u32(1) + text("never run")
    assert world.code(83, text("NOPE")) == NOENT


def test_the_time_of_a_cron_bnode_is_told_as_the_peer_does(world: RxWorld) -> None:
    world.call(80, new("c", "/bin/x", "5:00", kind="cron"))
    world.run(1)
    said, _ = read_text(world.call(83, text("c")), 4)
    assert said.startswith("run next at ") and " 05:00:00 20" in said and not said.endswith(".")


def test_nothing_is_claimed_while_systemd_does_not_answer() -> None:
    world = RxWorld(connect=False)
    world.call(80, new("a", "/bin/x"))
    assert world.code(83, text("a")) == IO


def test_the_numbers_of_a_bnode(world: RxWorld) -> None:
    world.programs["bos-a.service"] = dies(7)
    world.call(80, new("a", "/bin/x"))
    world.run(5)
    answer = world.call(85, text("a"))
    kind, at = read_text(answer)
    goal, file_goal, start, starts, last, error, code, signal, flags, *spare = struct.unpack_from(
        "!17i", answer, at
    )
    assert kind == "simple" and len(answer) == at + 68 and spare == [0] * 8
    assert (goal, file_goal, starts, code, signal) == (0, 1, 12, 7, 0)
    assert flags == 2, "stopped for too many errors"
    assert start and last == error >= start
    assert world.code(85, text("NOPE")) == NOENT


def test_the_commands_of_a_bnode_and_its_notifier(world: RxWorld) -> None:
    world.call(80, new("f", "/bin/1 a", "/bin/2", "/bin/3", kind="fs", notifier="/bin/notify"))
    assert [world.name(86, text("f") + u32(n)) for n in (0, 1, 2, 999)] == [
        "/bin/1 a",
        "/bin/2",
        "/bin/3",
        "/bin/notify",
    ]
    assert world.code(86, text("f") + u32(3)) == DOM
    world.call(80, new("a", "/bin/x"))
    assert world.code(86, text("a") + u32(999)) == NOENT
    assert world.code(86, text("NOPE") + u32(0)) == NOENT


def test_the_part_that_failed(world: RxWorld) -> None:
    world.call(80, new("a", "/bin/x"))
    assert world.call(114, text("a")) == texts("", "", "", "")
    assert world.code(114, text("NOPE")) == NOENT


def test_users(world: RxWorld) -> None:
    assert world.code(89, u32(0)) == 1
    assert world.call(87, text("joe")) == b"" and world.code(87, text("joe")) == 17
    assert world.name(89, u32(0)) == "joe" and world.code(89, u32(1)) == 1
    assert world.call(88, text("joe")) == b"" and world.code(88, text("joe")) == 2


KEY = bytes.fromhex("0000005e0000006d0000006dffffffecffffffd3ffffff83ffffffdfffffffd3")


def test_keys(world: RxWorld) -> None:
    assert world.call(91, u32(1) + KEY) == b""
    assert world.code(91, u32(1) + KEY) == KEY_IN_USE
    assert world.call(90, u32(0))[:36] == u32(1) + KEY
    assert world.code(90, u32(1)) == DOM
    for kvno in range(2, 9):
        world.call(91, u32(kvno) + KEY)
    assert world.code(91, u32(9) + KEY) == 0x04318706
    assert world.call(92, u32(1)) == b"" and world.code(92, u32(1)) == 0x04318701


def test_cell_and_hosts(world: RxWorld) -> None:
    world.call(93, text("example.org"))
    assert world.name(94) == "example.org" and world.code(95, u32(0)) == DOM
    world.call(96, text("db1.example.org"))
    world.call(96, text("[db2.example.org]"))
    assert world.code(96, text("db1.example.org")) == 0, "the peer does not mind"
    assert [world.name(95, u32(n)) for n in (0, 1)] == ["db1.example.org", "[db2.example.org]"]
    assert world.call(97, text("db1.example.org")) == b""
    assert world.code(97, text("db1.example.org")) == NOENT


def test_all_at_once(world: RxWorld) -> None:
    for name in ("a", "b"):
        world.call(80, new(name, "/bin/x"))
    world.run(1)
    world.call(99)
    world.run(1)
    assert [world.numbers(83, text(name))[0] for name in ("a", "b")] == [0, 0]
    world.call(101)
    world.run(1)
    assert [world.numbers(83, text(name))[0] for name in ("a", "b")] == [1, 1]


def test_restarts_are_answered_when_they_are_done(world: RxWorld) -> None:
    for name in ("a", "b"):
        world.call(80, new(name, "/bin/x"))
    world.run(1)
    for procedure, arguments in ((104, text("a")), (100, b"")):
        call = world.begin(procedure, arguments)
        assert not call.done
        world.run(1)
        world.exchange(call)
        assert call.answer == b""
    assert len(world.spawned("bos-a.service")) == 3 and len(world.spawned("bos-b.service")) == 2
    assert world.code(104, text("NOPE")) == NOENT


def test_the_server_starts_anew(world: RxWorld) -> None:
    assert world.call(103) == b"" and world.supervisor.leaving is not None


def test_who_needs_no_proof(world: RxWorld) -> None:
    world.call(102, u32(1))
    assert "local/NoAuth" in world.files and world.desk.no_auth
    world.call(102, u32(0))
    assert not world.desk.no_auth


def test_files_of_the_server(world: RxWorld) -> None:
    world.contents["/usr/afs/bin/x"] = b"old"
    assert world.numbers(107, text("/usr/afs/bin/x")) == (5, 0, 7)
    assert world.call(106, text("/usr/afs/bin/x")) == b"" and not world.contents
    assert world.code(106, text("/usr/afs/bin/x")) == NOENT
    world.call(109, u32(5))
    assert world.contents == {"pruned": b"['core', 'old']"}


def test_the_code_of_exec_is_the_wait_status(world: RxWorld) -> None:
    assert world.call(108, text("true")) == b""
    world.exits = 768
    assert world.code(108, text("exit 3")) == 768


def test_restart_times_have_an_order_of_their_own(world: RxWorld) -> None:
    world.call(110, u32(2, 15, 4, 30, 5, 6))
    assert world.numbers(111, u32(2)) == (15, 4, 30, 5, 6)
    assert world.supervisor.binaries.day == 6 and world.supervisor.binaries.hour == 4
    assert world.numbers(111, u32(1))[0] == 16
    assert world.code(111, u32(3)) == DOM and world.code(110, u32(3, 15, 4, 0, 0, 0)) == DOM
    assert world.code(110, u32(1, 7, 25, 0, 0, 0)) == SYNTAX


def test_restricted_mode_goes_on_and_not_off(world: RxWorld) -> None:
    assert world.numbers(115) == (0,)
    world.call(116, u32(1))
    assert world.numbers(115) == (1,)
    assert world.code(116, u32(0)) == ACCESS
    for procedure, arguments in (
        (80, new("r", "/bin/x")), (81, text("a")), (106, text("f")), (108, text("true")), (109, u32(255)),
        (112, text("/etc/passwd")),
    ):  # fmt: skip
        assert world.code(procedure, arguments) == ACCESS
    world.contents["BosLog"] = b"x"
    assert world.call(112, text("BosLog")) == b"x\0"


@pytest.mark.parametrize("number", [79, 117, 0, 0xFFFF_FFFF])
def test_other_numbers_are_no_procedures(world: RxWorld, number: int) -> None:
    assert world.code(number) == -455


@pytest.mark.parametrize("number", [row.number for row in ROWS.values() if row.args.names])
def test_arguments_cut_short_cannot_be_read(world: RxWorld, number: int) -> None:
    assert world.code(number, b"\0\0") == -453
