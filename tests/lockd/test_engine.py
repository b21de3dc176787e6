# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock engine: who may call, what every packet is answered, what events and time do. Rules are tested in
tests/nlm."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.locking import HOURS, World
from hosts import nlmcalls as nlm
from hosts import rpc
from hosts.nlmcalls import Alock
from pydaemons.engine.effects import SendFailed
from pydaemons.engine.events import Persisted, PersistFailed
from pydaemons.engine.protocol import Address, Transport
from pydaemons.lockd.engine import NamesFound

BADCRED, REJECTEDCRED, BADVERF, TOOWEAK = 1, 2, 3, 5
CALLBACKS = {5, 10, 11, 12, 13, 14, 16}
PROCEDURES = [*range(17), 20, 21, 22, 23]
OUTSIDER = "192.0.2.9"


def arguments(procedure: int, version: int = 4, **where: object) -> bytes:
    """Valid arguments of any procedure."""
    lock = Alock().but(**where)
    match procedure:
        case nlm.NULL:
            return b""
        case nlm.TEST | nlm.TEST_MSG | nlm.GRANTED | nlm.GRANTED_MSG:
            return nlm.test(version, lock)
        case nlm.LOCK | nlm.LOCK_MSG | nlm.NM_LOCK:
            return nlm.lock(version, lock)
        case nlm.CANCEL | nlm.CANCEL_MSG:
            return nlm.cancel(version, lock)
        case nlm.UNLOCK | nlm.UNLOCK_MSG:
            return nlm.unlock(version, lock)
        case nlm.SHARE | nlm.UNSHARE:
            return nlm.share(lock)
        case nlm.FREE_ALL:
            return nlm.free_all(b"client")
        case nlm.SM_NOTIFY:
            return nlm.sm_notify(b"client", 3)
        case _:
            return nlm.result(nlm.OK)


# ---------------------------------------------------------------------- who may call


@pytest.mark.parametrize("procedure", PROCEDURES)
def test_clients_that_are_not_allowed_may_only_ping_and_call_back(procedure):
    world = World(allow=("10.0.0.0/24",))
    reply = world.client(address=OUTSIDER).call(procedure, arguments(procedure))
    if procedure == nlm.GRANTED_MSG:
        assert reply is None, "executed, and such calls are not answered"
    elif procedure == nlm.NULL or procedure in CALLBACKS:
        assert reply.accepted == 0
    else:
        assert (reply.denied, reply.body) == (1, rpc.u32(BADCRED))
    assert len(world.server.table) == len(world.server.shares) == 0


def test_a_refused_client_is_logged_once():
    world = World(allow=("10.0.0.0/24",))
    outsider = world.client(address=OUTSIDER)
    for port in range(600, 620):
        outsider.call(nlm.LOCK, arguments(nlm.LOCK), port=port)
    assert world.logs == [f"refused LOCK: {OUTSIDER} is not in [access] allow"]


def test_a_privileged_port_is_wanted_when_configured():
    world = World(privileged=True)
    one = world.client()
    assert one.call(nlm.LOCK, arguments(nlm.LOCK), port=1023).accepted == 0
    refused = one.call(nlm.LOCK, arguments(nlm.LOCK), port=1024)
    assert (refused.denied, refused.body) == (1, rpc.u32(TOOWEAK))
    assert one.call(nlm.NULL, b"", port=1024).accepted == 0


def test_a_client_admitted_by_name_is_held_up_by_nobody():
    """While the resolver is asked its calls count as lost; they are answered when the name is known."""
    world = World(allow=("*.lab.example",))
    one, two = world.client(2), world.client(3)
    assert one.call(nlm.LOCK, arguments(nlm.LOCK), xid=1) is None
    assert one.call(nlm.LOCK, arguments(nlm.LOCK), xid=1) is None
    assert two.call(nlm.LOCK, arguments(nlm.LOCK), xid=1) is None
    assert world.asked == [one.address, two.address]
    assert one.call(nlm.NULL, b"").accepted == 0
    world.engine.handle(NamesFound(one.address, ("one.lab.example",), ()), world.now)
    world.engine.handle(NamesFound(two.address, ("two.other.example",), ()), world.now)
    assert one.call(nlm.LOCK, arguments(nlm.LOCK), xid=1).accepted == 0
    assert two.call(nlm.LOCK, arguments(nlm.LOCK), xid=1).denied == 1


def test_new_rules_of_admission_hold_from_the_next_call_on():
    world, other = World(allow=("10.0.0.2",)), World(allow=("10.0.0.3",))
    one, two = world.client(2), world.client(3)
    assert one.lock() == nlm.OK
    assert two.call(nlm.LOCK, arguments(nlm.LOCK)).denied == 1
    world.engine.access = other.engine.access
    world.engine.reload()
    assert one.call(nlm.UNLOCK, arguments(nlm.UNLOCK)).denied == 1
    assert two.lock() == nlm.DENIED


# ---------------------------------------------------------------------- credentials


@pytest.mark.parametrize("procedure", [nlm.NULL, nlm.LOCK, nlm.GRANTED])
@pytest.mark.parametrize("flavor", [2, 3, 4, 5, 6, 300001, 390003, 2**32 - 1])
def test_credentials_but_auth_none_and_auth_sys_are_refused_even_for_null(procedure, flavor):
    reply = World().client().call(procedure, b"", credential=rpc.u32(flavor) + rpc.opaque(b"whatever"))
    assert (reply.denied, reply.body) == (1, rpc.u32(BADCRED))


@pytest.mark.parametrize(
    "credential",
    [rpc.AUTH_NONE, rpc.auth_sys(""), rpc.auth_sys("x" * 255, 2**32 - 1, 0), rpc.auth_sys("odd")],
    ids=["none", "sys, no name", "sys, long name", "sys"],
)
def test_auth_none_and_auth_sys_are_accepted(credential):
    one = World().client()
    reply = one.call(nlm.LOCK, arguments(nlm.LOCK), credential=credential)
    assert nlm.read_result(reply.body).status == nlm.OK


@pytest.mark.parametrize(
    "credential",
    [
        rpc.u32(0) + rpc.opaque(b"four"),
        rpc.u32(1) + rpc.opaque(b""),
        rpc.u32(1) + rpc.opaque(rpc.u32(1) + rpc.opaque("x" * 256) + rpc.u32(0, 0, 0)),
        rpc.u32(1) + rpc.opaque(rpc.u32(1) + rpc.opaque("h") + rpc.u32(0, 0, 17, *range(17))),
        rpc.auth_sys("h")[:-4],
    ],
    ids=["none with a body", "sys, empty", "name too long", "17 groups", "cut short"],
)
def test_credentials_that_do_not_decode_are_bad_or_dropped(credential):
    reply = World().client().call(nlm.NULL, b"", credential=credential)
    assert reply is None or (reply.denied, reply.body) == (1, rpc.u32(BADCRED))


def test_sixteen_groups_are_allowed():
    body = rpc.u32(1) + rpc.opaque("h") + rpc.u32(0, 0, 16, *range(16))
    reply = World().client().call(nlm.NULL, b"", credential=rpc.u32(1) + rpc.opaque(body))
    assert reply.accepted == 0


def test_a_verifier_that_is_not_empty_is_refused():
    world = World()
    message = rpc.u32(1, rpc.CALL, 2, rpc.NLM, 4, 0) + rpc.AUTH_NONE + rpc.u32(1) + rpc.opaque(b"verf")
    reply = rpc.Reply.parse(world.receive(message, world.client().origin()))
    assert (reply.denied, reply.body) == (1, rpc.u32(BADVERF))


@pytest.mark.parametrize("version", [0, 1, 3, 2**32 - 1])
def test_another_rpc_version_is_a_mismatch_of_2_to_2(version):
    world = World()
    message = rpc.call_bytes(rpc.NLM, 4, 0, rpc_version=version)
    reply = rpc.Reply.parse(world.receive(message, world.client().origin()))
    assert (reply.denied, reply.body) == (0, rpc.u32(2, 2))


@pytest.mark.parametrize("program", [0, 100000, 100003, 100020, 100024, 2**32 - 1])
def test_another_program_is_unavailable(program):
    world = World()
    reply = rpc.Reply.parse(world.receive(rpc.call_bytes(program, 4, 0), world.client().origin()))
    assert (reply.accepted, reply.body) == (1, b"")


# ---------------------------------------------------------------------- any bytes at all

VALID = [
    rpc.call_bytes(
        rpc.NLM, version, procedure, arguments(procedure, version), xid=1, credential=rpc.auth_sys("host")
    )
    for version in nlm.VERSIONS
    for procedure in PROCEDURES
    if version > 1 or procedure < 17
]


def busy_world() -> World:
    """Locks, shares, a wait and an unacknowledged grant, of clients that send nothing more."""
    world = World()
    one, two = world.client(2), world.client(3, silent=True)
    for fh in (b"a", b"b", b"c"):
        one.lock(fh=fh)
    one.share(mode=3, access=3)
    two.wait(fh=b"a")
    two.wait(fh=b"b")
    one.unlock(fh=b"b")
    return world


def picture(world: World) -> object:
    server = world.server
    return (
        world.locks(),
        sorted(repr(share) for _, share in server.shares.shares()),
        [(w.file, w.owner, w.start) for w in server.waiters.waiters()],
        len(server.grants),
        server.grace.active,
    )


@pytest.mark.parametrize("transport", list(Transport))
def test_every_valid_call_cut_short_anywhere_is_answered_or_dropped_and_changes_nothing(transport):
    world = busy_world()
    stranger = world.client(9, transport=transport)
    before = picture(world)
    for message in VALID:
        for size in range(len(message)):
            if message[20:24] == rpc.u32(nlm.NULL):
                continue
            reply = world.receive(message[:size], stranger.origin())
            if reply is not None:
                found = rpc.Reply.parse(reply)
                assert found.accepted not in (0, 5), (message, size, found)
    assert picture(world) == before


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=300), max_size=30))
def test_garbage_is_answered_or_dropped_and_changes_nothing(packets):
    world = busy_world()
    origin, before = world.client(9).origin(), picture(world)
    for packet in packets:
        reply = world.receive(packet, origin)
        assert reply is None or rpc.Reply.parse(reply)
    assert picture(world) == before


@settings(max_examples=200)
@given(
    message=st.sampled_from(VALID),
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4),
    tail=st.binary(max_size=8),
)
def test_changed_bytes_are_answered_or_dropped_and_never_touch_other_clients(message, changes, tail):
    world = busy_world()
    before = world.locks()
    data = bytearray(message + tail)
    for at, value in changes:
        data[at % len(data)] = value
    reply = world.receive(bytes(data), world.client(9).origin())
    assert reply is None or rpc.Reply.parse(reply)
    assert {row for row in world.locks() if row[0] != "10.0.0.9"} == before
    world.check()


def test_every_single_byte_changed_to_extremes_is_answered_or_dropped():
    world = busy_world()
    stranger = world.client(9)
    mine = world.locks()
    for message in VALID:
        for at in range(len(message)):
            for value in (0, 1, 0x7F, 0x80, 0xFF):
                reply = world.receive(message[:at] + bytes([value]) + message[at + 1 :], stranger.origin())
                assert reply is None or rpc.Reply.parse(reply)
    assert mine <= world.locks()
    world.check()


def test_replies_nobody_waits_for_are_ignored():
    world = busy_world()
    before = picture(world)
    dice = random.Random(1)
    for _ in range(1000):
        head = rpc.u32(dice.getrandbits(32), rpc.REPLY, dice.randrange(3), dice.randrange(3))
        data = head + dice.randbytes(dice.randrange(40))
        assert world.receive(data, world.client(9).origin()) is None
    assert picture(world) == before


# ---------------------------------------------------------------------- events, time, figures


def test_a_callback_that_cannot_be_sent_is_tried_again_and_given_up_in_the_end():
    world = World()
    one, two = world.client(2), world.client(3, rpcbind=False)
    one.lock()
    two.wait()
    one.unlock()
    for _ in range(400):
        world.run(1)
        world.engine.handle(SendFailed(Address(two.address, 111), Transport.UDP, "refused"), world.now)
        world.carry()
    assert world.locks() == set()


def test_an_engine_with_nothing_to_do_wants_no_time():
    world = World()
    assert world.engine.deadline() is None
    one = world.client()
    one.test()
    one.unlock()
    assert world.engine.deadline() is None


def test_a_tick_too_early_does_no_harm():
    world = busy_world()
    before, sent = picture(world), len(world.sent)
    for _ in range(100):
        world.engine.tick(world.now)
    assert picture(world) == before and len(world.sent) == sent


def test_the_tree_shows_what_is_held():
    world = busy_world()
    shown = {name: world.settings.tunables.text(name) for name in ("nlm_locks", "nlm_shares", "nlm_blocked")}
    assert shown == {"nlm_locks": "3", "nlm_shares": "1", "nlm_blocked": "1"}
    assert world.settings.tunables.text("nlm_clients") == "2"


def test_a_restarted_client_is_logged_and_asked_for_its_port_again():
    world = World()
    one, two = world.client(2), world.client(3)
    one.lock()
    two.wait()
    one.unlock()
    world.run(5)
    assert two.asked == 1
    world.engine.client_restarted(two.address, 3, world.now)
    world.carry()
    assert world.logs == ["client 10.0.0.3 restarted: 1 locks and shares freed"]
    two.port = 6000
    one.lock()
    two.wait()
    one.unlock()
    world.run(1)
    assert two.grants[-1].send.to.port == 6000 and two.asked == 2
    assert [send.to.port for _, send in world.sent if send.to.host == two.address] == [111, 5000, 111, 6000]


def test_a_cluster_s_program_hears_of_a_restarted_client_what_rpc_statd_s_would():
    told = []
    world = World(callout=lambda *words: told.append(words))
    one = world.client(2)
    one.lock()
    world.engine.client_restarted(one.address, 3, world.now)
    assert told == [
        ("add-client", one.address, "10.0.0.1"),
        ("sm-notify", one.address, one.address, "3"),
    ]


def test_two_servers_in_one_world_share_nothing():
    one, other = World(), World()
    one.client().lock()
    one.engine.start_grace(one.now, "a test")
    assert other.client().lock() == nlm.OK
    assert one.client(3).test().status == nlm.GRACE
    other.run(HOURS)
    assert one.server.grace.active


def test_while_a_clients_record_cannot_be_written_its_repeated_lock_is_not_answered():
    world = World()
    one, two = world.client(2), world.client(3)
    alock = one.alock()
    data = rpc.call_bytes(rpc.NLM, 4, nlm.LOCK, nlm.lock(4, alock))
    origin = world.origins(one.address)
    assert world.receive(data, origin) is not None, "the shell holds this one back"
    world.engine.handle(PersistFailed(f"sm/{one.address}", "No space left on device"), world.now)
    assert world.receive(data, origin) is None, "and this must not leave before it"
    assert two.lock(fh=b"another") == nlm.OK, "others are not concerned"
    world.engine.handle(Persisted(f"sm/{one.address}"), world.now)
    assert world.receive(data, origin) is not None
