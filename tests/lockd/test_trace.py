# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of a lock manager at work, bit by bit, and that nothing is when nobody asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.locking import World
from hosts import nlmcalls as nlm
from hosts import rpc
from pydaemons.engine.effects import Persist, Send
from pydaemons.engine.protocol import Address, Transport
from pydaemons.lockd.trace import WHAT
from pydaemons.nlm.tunables import NlmTunables
from pydaemons.sunrpc.program import Call

FH = b"\x0a\x0b"
BITS = NlmTunables().entries["nlm_debug"].kind.bits


def told(world: World, kind: str) -> list[str]:
    """Lines of that kind; the others must be none of these."""
    assert not [line for line in world.logs if line.partition(":")[0] in {*BITS} - {kind}]
    return [line.removeprefix(f"{kind}: ") for line in world.logs if line.startswith(f"{kind}: ")]


def busy(debug: str, **how: object) -> World:
    """One client locks, another is denied, waits, and has its turn."""
    world = World(nlm_debug=debug, **how)
    one, two = world.client(2, name=b"one"), world.client(3, name=b"two")
    one.lock(fh=FH, length=0)
    two.lock(fh=FH, offset=5)
    two.test(fh=FH, exclusive=False)
    two.wait(fh=FH)
    one.share(fh=FH, mode=2)
    one.unlock(fh=FH, length=0)
    world.run(1.0)
    return world


def test_every_bit_of_the_tunable_is_explained_and_in_the_manual():
    assert set(WHAT) == set(BITS.values())
    manual = Path(__file__).parents[2] / "docs" / "man" / "pylockd.8"
    section = manual.read_text().partition(".SH DEBUGGING")[2].partition(".SH ")[0]
    assert [name for name in BITS if f".B {name}\n" not in section] == []


def test_nothing_is_told_by_default():
    world = busy("0")
    assert world.logs == []
    assert world.engine.trace.flags == 0


def test_calls_and_what_they_are_answered():
    assert told(busy("svc"), "svc") == [
        "LOCK, version 4, of 10.0.0.2 port 700 over udp: GRANTED",
        "LOCK, version 4, of 10.0.0.3 port 700 over udp: DENIED",
        "TEST, version 4, of 10.0.0.3 port 700 over udp: DENIED, 1 (1@one) holds WRITE 0-EOF",
        "LOCK, version 4, of 10.0.0.3 port 700 over udp: BLOCKED",
        "SHARE, version 4, of 10.0.0.2 port 700 over udp: GRANTED",
        "UNLOCK, version 4, of 10.0.0.2 port 700 over udp: GRANTED",
    ]


def test_locks_with_their_owners_and_ranges():
    assert told(busy("svclock"), "svclock") == [
        "LOCK by 10.0.0.2:1 (1@one), WRITE 0-EOF of 0a0b: GRANTED",
        "LOCK by 10.0.0.3:1 (1@two), WRITE 5-14 of 0a0b: DENIED",
        "TEST by 10.0.0.3:1 (1@two), READ 0-9 of 0a0b: DENIED, 1 (1@one) holds WRITE 0-EOF",
        "LOCK by 10.0.0.3:1 (1@two), WRITE 0-9 of 0a0b, block: BLOCKED",
        "SHARE by 10.0.0.2 (1@one), read, denying write, of 0a0b: GRANTED",
        "UNLOCK by 10.0.0.2:1 (1@one), 0-EOF of 0a0b: GRANTED",
    ]


def test_calls_back_and_the_questions_before_them():
    world = busy("clntlock")
    assert told(world, "clntlock") == ["GRANTED to 10.0.0.3 port 5000 over udp, from 10.0.0.1"]
    assert told(busy("clntsubs"), "clntsubs") == ["asks the rpcbind of 10.0.0.3 port 111 over udp, version 2"]


def test_results_of_calls_by_message_are_calls_back_too():
    world = World(nlm_debug="clntlock")
    one = world.client(2)
    one.call(nlm.LOCK_MSG, nlm.lock(4, one.alock()))
    world.run(1.0)
    assert told(world, "clntlock") == ["LOCK_RES to 10.0.0.2 port 5000 over udp, from 10.0.0.1"]


def test_clients_that_come_and_go():
    world = World(nlm_debug="hostcache")
    one = world.client(2)
    one.lock()
    assert told(world, "hostcache") == ["10.0.0.2 is known"]
    one.unlock()
    world.run(3600.0)
    assert told(world, "hostcache") == ["10.0.0.2 is known", "10.0.0.2 is forgotten"]


def test_the_file_that_a_handle_is_of():
    unfs3 = bytes(16) + b"\1\2\3\4" + bytes([2, 7, 9])
    world = World(nlm_debug="svcsubs", codec="unfs3")
    world.client(2).lock(fh=unfs3)
    (line,) = told(world, "svcsubs")
    assert line == f"handle {unfs3.hex()} is file {world.server.file(unfs3, call_of(world)).hex()}"
    assert told(busy("svcsubs"), "svcsubs") == [], "a handle that is the file is not worth a line"


def call_of(world: World) -> Call:
    return Call(world.clients["10.0.0.2"].origin(), args_at=0)


def test_a_call_that_is_not_understood_is_shown():
    world = World(nlm_debug="xdr")
    world.client(2).call(nlm.LOCK, b"rubbish!")
    (line,) = told(world, "xdr")
    assert line.startswith("from 10.0.0.2 port 700, not understood: ")
    assert line.endswith(b"rubbish!".hex())


def test_what_the_status_monitor_notes_and_whom_it_calls():
    world = World(nlm_debug="monitor,client")
    notice = rpc.call_bytes(rpc.NSM, 1, 6, b"")
    effects = [
        Persist("sm/10.0.0.2", b"x"),
        Persist("sm/10.0.0.3", None),
        Send(Transport.UDP, Address("10.0.0.2", 4002), notice, privileged=True),
    ]
    world.engine.trace.carried(effects)
    world.run()
    assert world.logs == [
        "monitor: sm/10.0.0.2 written",
        "monitor: sm/10.0.0.3 removed",
        "client: procedure 6 of program 100024 to 10.0.0.2 port 4002 over udp",
    ]


def test_it_begins_and_ends_while_it_runs_and_sees_what_would_be_answered_at_a_glance():
    world = World()
    one = world.client(2)

    def lock_and_unlock() -> None:
        one.lock()
        one.unlock()

    for _ in range(4):
        lock_and_unlock()
    glanced = world.prompted
    assert glanced > 0
    world.tune("nlm_debug", "svc,svclock")
    lock_and_unlock()
    assert world.prompted == glanced
    assert sum(line.startswith("svc:") for line in world.logs) == 2
    assert sum(line.startswith("svclock:") for line in world.logs) == 2
    world.tune("nlm_debug", "svc")
    lock_and_unlock()
    assert sum(line.startswith("svclock:") for line in world.logs) == 2
    world.tune("nlm_debug", "none")
    said = len(world.logs)
    for _ in range(4):
        lock_and_unlock()
    assert len(world.logs) == said
    assert world.prompted > glanced


def test_numbers_out_of_bounds_are_told_as_they_came():
    world = World(nlm_debug="svclock")
    one = world.client(2)
    one.lock(offset=2**63, length=5)
    one.share(mode=9, access=1)
    assert told(world, "svclock") == [
        "LOCK by 10.0.0.2:1 (1@client), WRITE 9223372036854775808+5 of 66696c65: FBIG",
        "SHARE by 10.0.0.2 (1@client), read, denying 9, of 66696c65: FAILED",
    ]


@pytest.mark.parametrize("flags", ["all", "0x1ff"])
def test_with_every_bit_set_the_answers_are_the_same(flags):
    quiet, loud = busy("0"), busy(flags)
    assert quiet.locks() == loud.locks()
    assert [grant.answer for grant in quiet.clients["10.0.0.3"].grants] == [
        grant.answer for grant in loud.clients["10.0.0.3"].grants
    ]
