# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor's door to the network: who may, files that pass through, answers that come later."""

from __future__ import annotations

import random

import pytest

from fakes.rxbos import PIECE, RxWorld
from fakes.rxnet import content
from fakes.systemd_units import End
from hosts import rx
from hosts.rx import PING, text, texts, u32
from pydaemons.bnode.bozo import ROWS
from pydaemons.bnode.events import Performed
from pydaemons.bnode.model import Code
from pydaemons.bnode.rxdoor import FIRST_PIECE
from pydaemons.bnode.verb import Who
from pydaemons.bnode.verbs import TABLE

ACCESS, SYNTAX, IO = 39430, 39431, 39432
CREATE = texts("simple", "a", "/bin/x", "", "", "", "", "__NONOTIFIER__")
SOME = {
    80: CREATE, 81: text("a"), 82: text("a") + u32(1), 87: text("u"), 88: text("u"), 90: u32(0),
    91: u32(1) + bytes(32), 92: u32(1), 93: text("c"), 96: text("h"), 97: text("h"), 98: text("a") + u32(1),
    102: u32(1), 104: text("a"), 106: text("f"), 108: text("true"), 109: u32(1), 110: u32(1, 16, 0, 0, 0, 0),
    112: text("BosLog"), 116: u32(1), 105: text("f") + u32(3, 0o755, 1) + b"xyz",
}  # fmt: skip
"""Arguments that fit."""


def administrative(number: int) -> bool:
    verb = ROWS[number].verb or ROWS[number].name
    return verb in TABLE and TABLE[verb].who is Who.ADMIN


@pytest.mark.parametrize("number", [n for n in ROWS if administrative(n)])
def test_without_noauth_callers_may_look_and_change_nothing(number: int) -> None:
    world = RxWorld(no_auth=False)
    before = dict(world.files)
    assert world.code(number, SOME.get(number, b"")) == ACCESS
    assert world.files == before and not world.contents and not list(world.supervisor.bnodes())


@pytest.mark.parametrize("number", [n for n in ROWS if not administrative(n)])
def test_without_noauth_callers_may_look(number: int) -> None:
    world = RxWorld(no_auth=False)
    world.create("a", "/bin/x")
    world.ask("AddUser", user="u")
    world.ask("AddHost", host="h")
    world.contents["f"] = b""
    arguments = {
        83: text("a"),
        84: u32(0),
        85: text("a"),
        86: text("a") + u32(0),
        107: text("f"),
        114: text("a"),
    }
    assert world.code(number, arguments.get(number, u32(1) if number == 111 else u32(0))) == 0


def test_with_the_file_noauth_everybody_may_as_at_the_peer() -> None:
    world = RxWorld(no_auth=False)
    world.ask("SetAuth", required=False)
    assert world.call(80, CREATE) == b""
    assert world.call(102, u32(0)) == b""
    assert world.code(81, text("a")) == ACCESS


def test_what_cannot_be_kept_is_no_yes() -> None:
    world = RxWorld()
    world.full = {"BosConfig", "local/UserList"}
    assert world.code(80, CREATE) == IO and world.code(87, text("joe")) == IO
    world.full.clear()
    assert world.code(87, text("jim")) == 0


def test_what_they_do_is_written_down_with_their_address() -> None:
    world = RxWorld()
    world.call(80, CREATE)
    (entry,) = [each for each in world.entries if each.fields.get("BOS_EVENT") == "Create"]
    assert entry.fields["BOS_USER"] == "unauthenticated 10.0.0.9"


@pytest.mark.parametrize("size", [0, 1, 1404, 5000, 128 << 10, (128 << 10) + 1, 1_000_000])
def test_a_file_is_installed_whole(size: int) -> None:
    world = RxWorld()
    file = random.Random(size).randbytes(size)
    assert world.call(105, text("/usr/afs/bin/inst") + u32(size, 0o755, 1795257844) + file) == b""
    assert world.contents == {"/usr/afs/bin/inst": file}


def test_a_file_that_cannot_be_written_ends_its_call_in_the_middle() -> None:
    world = RxWorld()
    world.held = True
    call = world.begin(105, text("f") + u32(400_000, 0o755, 1) + content(0, 400_000))
    assert not call.done
    world.feed(Performed(world.performed[0].ticket, Code.IO, {}, "No space left on device"))
    world.exchange(call)
    assert call.code == IO and len(world.performed) == 1


def test_a_path_that_is_too_long_or_a_file_that_is_too_big_is_refused() -> None:
    world = RxWorld()
    assert world.code(105, u32(300) + bytes(2000)) == -453
    assert world.code(105, text("f") + u32(0xFFFF_FFFF, 0o755, 1) + bytes(2000)) == IO


@pytest.mark.parametrize("size", [0, 3, 1415, 99_999, 100_000, 1_000_000])
def test_a_log_is_read_whole_and_ends_with_a_zero(size: int) -> None:
    world = RxWorld()
    world.contents["BosLog"] = random.Random(size).randbytes(size)
    assert world.call(112, text("BosLog")) == world.contents["BosLog"] + b"\0"


def test_of_a_log_little_is_read_for_who_has_not_proved_to_be_there() -> None:
    world = RxWorld()
    world.contents["BosLog"] = bytes(1_000_000)
    packet = rx.Packet(0x80000001, 400, 1, 1, 1, rx.DATA, rx.CLIENT | rx.LAST, 0, 0, 0, 1)
    world.give(packet._replace(body=u32(112) + text("BosLog")).bytes())
    assert world.asked_for == [FIRST_PIECE]
    world.asked_for.clear()
    assert world.call(112, text("BosLog")) == world.contents["BosLog"] + b"\0"
    assert world.asked_for[:2] == [FIRST_PIECE, PIECE]


def test_a_log_that_is_not_there() -> None:
    assert RxWorld().code(112, text("nono")) == 39425


def test_wait_is_answered_when_all_have_settled() -> None:
    world = RxWorld()
    world.call(80, CREATE)
    world.run(1)
    world.call(98, text("a") + u32(0))
    call = world.begin(113)
    assert not call.done and len(world.supervisor.waiting) == 1
    world.run(1)
    world.exchange(call)
    assert call.answer == b""


def test_a_command_that_takes_long_holds_up_nobody_and_its_client_is_asked_for() -> None:
    world = RxWorld()
    world.held = True
    call = world.begin(108, text("sleep 30"))
    assert world.numbers(115) == (0,), "others are served"
    pings = 0
    for _ in range(30):
        world.mono += 1.0
        world.door.tick(world.now)
        world._obey()
        pings += sum(data[20] == 2 and data[44] == PING for data in world.said)
        world.exchange(call)
    assert not call.done and call.pings_answered >= 5
    world.feed(Performed(world.performed[0].ticket, Code.OK, {"status": 0}))
    world.exchange(call)
    assert call.answer == b""


def test_nobody_waits_for_a_client_that_is_gone() -> None:
    world = RxWorld()
    world.call(80, CREATE)
    world.run(1)
    world.programs["bos-a.service"] = lambda _: End(deaf=500)
    world.kill("bos-a.service")
    world.run(1)
    world.call(98, text("a") + u32(0))
    world.begin(113)
    assert len(world.supervisor.waiting) == 1
    for _ in range(20):
        world.mono += 1.0
        world.door.tick(world.now)
        world._obey()
    assert len(world.supervisor.waiting) == 0


def test_a_name_that_is_no_text_cannot_be_read() -> None:
    assert RxWorld().code(83, u32(2) + b"\xff\xff\0\0") == -453


def test_the_door_keeps_the_supervisors_time_too() -> None:
    world = RxWorld()
    world.call(80, texts("cron", "c", "/bin/x", "now", "", "", "", ""))
    world.run(5)
    assert len(world.spawned("bos-c.service")) == 1


def test_its_deadline_is_the_earlier_one() -> None:
    world = RxWorld()
    assert world.door.deadline() == world.supervisor.deadline()
    world.begin(84, u32(0))
    assert world.door.deadline() is not None


def test_a_zero_byte_in_a_name_is_refused() -> None:
    assert RxWorld().code(81, text(b"a\0b")) == SYNTAX
