# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole lock manager against a naive one: random calls of several clients, byte by byte compared; and
against clients' own belief, with packets lost and clients that fall silent."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.locking import HOURS, LockClient, World
from fakes.succession import known, successor
from hosts import nlmcalls as nlm
from pydaemons.nlm.ranges import EOF

BYTES = 4
"""Bytes a model's file has one by one; one more stands for all the rest, to the end."""
Owner = tuple[int, int]
"""Number of a client, svid."""
Bytes = range


def span(offset: int, length: int) -> Bytes:
    return range(offset, offset + length if length else BYTES + 1)


@dataclass
class Waiting:
    fh: bytes
    owner: Owner
    offset: int
    length: int
    exclusive: bool

    @property
    def bytes(self) -> Bytes:
        return span(self.offset, self.length)


@dataclass
class Naive:
    """NLM as one would explain it: who holds which byte how, and who waits, in order."""

    held: dict[tuple[bytes, int], dict[Owner, bool]] = field(default_factory=dict)
    waits: list[Waiting] = field(default_factory=list)

    def blockers(self, wanted: Waiting) -> set[Owner]:
        return {
            other
            for byte in wanted.bytes
            for other, writes in self.held.get((wanted.fh, byte), {}).items()
            if other != wanted.owner and (writes or wanted.exclusive)
        }

    def lock(self, wanted: Waiting, *, block: bool) -> int:
        blockers = self.blockers(wanted)
        if not blockers:
            self.take(wanted)
            self.waits = [wait for wait in self.waits if wait != wanted]
            self.serve()
            return nlm.OK
        if not block:
            return nlm.DENIED
        if wanted not in self.waits:
            if self.reaches(blockers, wanted.owner):
                return nlm.DEADLOCK
            self.waits.append(wanted)
        return nlm.BLOCKED

    def reaches(self, owners: set[Owner], goal: Owner) -> bool:
        seen: set[Owner] = set()
        while owners - seen:
            seen |= owners
            owners = {other for wait in self.waits if wait.owner in seen for other in self.blockers(wait)}
        return goal in seen

    def take(self, wanted: Waiting) -> None:
        for byte in wanted.bytes:
            self.held.setdefault((wanted.fh, byte), {})[wanted.owner] = wanted.exclusive

    def unlock(self, fh: bytes, owner: Owner, bytes_: Bytes) -> None:
        for byte in bytes_:
            self.held.get((fh, byte), {}).pop(owner, None)
        self.serve()

    def cancel(self, wanted: Waiting) -> None:
        self.waits = [wait for wait in self.waits if wait != wanted]

    def forget(self, client: int) -> None:
        self.waits = [wait for wait in self.waits if wait.owner[0] != client]
        for holders in self.held.values():
            for owner in [owner for owner in holders if owner[0] == client]:
                del holders[owner]
        self.serve()

    def serve(self) -> None:
        while ready := next((wait for wait in self.waits if not self.blockers(wait)), None):
            self.waits.remove(ready)
            self.take(ready)

    def rows(self) -> set[tuple[bytes, int, Owner, bool]]:
        return {
            (fh, byte, owner, mode)
            for (fh, byte), holders in self.held.items()
            for owner, mode in holders.items()
        }


def number_of(address: str) -> int:
    return int(address.rpartition(".")[2])


def rows(world: World) -> set[tuple[bytes, int, Owner, bool]]:
    return {
        (fh, byte, (number_of(address), svid), exclusive)
        for address, svid, fh, start, end, exclusive in world.locks()
        for byte in range(start, BYTES + 1 if end == EOF else end)
    }


def waits(world: World) -> list[Waiting]:
    found = sorted(world.server.waiters.waiters(), key=lambda waiter: waiter.turn)
    return [
        Waiting(
            waiter.file,
            (number_of(waiter.owner.host.address), waiter.owner.svid),
            waiter.start,
            0 if waiter.end == EOF else waiter.end - waiter.start,
            waiter.exclusive,
        )
        for waiter in found
    ]


CLIENTS = (2, 3, 4)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["wait", "wait", "wait", "unlock", "lock", "test", "cancel", "unlock all", "free all"]
        ),
        st.sampled_from(CLIENTS),
        st.sampled_from([1, 1, 2]),
        st.sampled_from([b"a", b"a", b"b"]),
        st.integers(0, BYTES - 1),
        st.sampled_from([1, 2, 0, 3]),
        st.booleans(),
    ),
    min_size=15,
    max_size=60,
)


@settings(max_examples=150)
@given(steps=STEPS, versions=st.tuples(*[st.sampled_from(nlm.VERSIONS)] * len(CLIENTS)))
def test_every_answer_and_every_state_is_that_of_a_naive_lock_manager(steps, versions):
    world, model = World(), Naive()
    clients = {n: world.client(n, version=v) for n, v in zip(CLIENTS, versions, strict=True)}
    for what, number, svid, fh, offset, length, exclusive in steps:
        client, owner = clients[number], (number, svid)
        if length and offset + length > BYTES:
            length = BYTES - offset
        where = {"svid": svid, "fh": fh, "offset": offset, "length": length}
        wanted = Waiting(fh, owner, offset, length, exclusive)
        match what:
            case "lock" | "wait":
                status = model.lock(wanted, block=what == "wait")
                if status == nlm.DEADLOCK and client.version < 4:
                    status = nlm.DENIED
                assert client.lock(block=what == "wait", exclusive=exclusive, **where) == status
            case "unlock":
                model.unlock(fh, owner, wanted.bytes)
                assert client.unlock(**where) == nlm.OK
            case "unlock all":
                model.unlock(fh, owner, span(0, 0))
                assert client.unlock(**{**where, "offset": 0, "length": 0}) == nlm.OK
            case "cancel":
                model.cancel(wanted)
                assert client.cancel(exclusive=exclusive, **where) == nlm.OK
            case "test":
                blockers = model.blockers(wanted)
                found = client.test(exclusive=exclusive, **where)
                assert found.status == (nlm.DENIED if blockers else nlm.OK)
                assert found.holder is None or found.holder.svid in {svid for _, svid in blockers}
            case "free all" if client.version > 1:
                model.forget(number)
                client.waits.clear()
                client.free_all()
        world.run(0.01)
        assert rows(world) == model.rows()
        assert waits(world) == model.waits
        assert not world.server.grants
        world.check()
    told = {id(grant): grant.answer for client in clients.values() for grant in client.grants}
    assert set(told.values()) <= {nlm.OK}


Byte = tuple[bytes, int]


@dataclass
class Doubtful(Naive):
    """A naive lock manager whose clients may be slow to answer a GRANTED, and may refuse it. Each byte is
    held by an owner as often as it was given it: surely (no grant), or by a grant not answered yet; the last
    counts. A refusal takes that one away."""

    stacks: dict[tuple[Byte, Owner], list[tuple[Waiting | None, bool]]] = field(default_factory=dict)
    open: list[Waiting] = field(default_factory=list)

    def show(self) -> None:
        self.held = {}
        for (byte, owner), stack in self.stacks.items():
            if stack:
                self.held.setdefault(byte, {})[owner] = stack[-1][1]

    def serve(self) -> None:
        self.show()
        while ready := next((wait for wait in self.waits if not self.blockers(wait)), None):
            self.waits.remove(ready)
            self.open.append(ready)
            for byte in ready.bytes:
                self.stacks.setdefault(((ready.fh, byte), ready.owner), []).append((ready, ready.exclusive))
            self.show()

    def take(self, wanted: Waiting) -> None:
        if wanted in self.open:
            self.sure(wanted)
        for byte in wanted.bytes:
            self.stacks[(wanted.fh, byte), wanted.owner] = [(None, wanted.exclusive)]

    def sure(self, grant: Waiting) -> None:
        """It is known to its client."""
        self.open.remove(grant)
        for stack in self.stacks.values():
            at = next((n for n, (which, _) in enumerate(stack) if which is not None and which == grant), None)
            if at is not None:
                stack[: at + 1] = [(None, stack[at][1])]

    def refuse(self, grant: Waiting) -> None:
        self.open.remove(grant)
        for (byte, owner), stack in self.stacks.items():
            if (grant, grant.exclusive) in stack:
                last = stack[-1][0]
                stack.remove((grant, grant.exclusive))
                others = any(had for (at, other), had in self.stacks.items() if at == byte and other != owner)
                if last == grant and stack and stack[-1][1] and others:
                    stack[-1] = (stack[-1][0], False)  # others read meanwhile
        self.serve()

    def unlock(self, fh: bytes, owner: Owner, bytes_: Bytes) -> None:
        held = any(self.stacks.get(((fh, byte), owner)) for byte in bytes_)
        for grant in [each for each in self.open if held and (each.fh, each.owner) == (fh, owner)]:
            if set(grant.bytes) & set(bytes_):
                self.sure(grant)
        for byte in bytes_:
            self.stacks.pop(((fh, byte), owner), None)
        self.serve()


ANSWERS = st.lists(
    st.tuples(
        st.sampled_from(["wait"] * 5 + ["lock", "lock", "unlock", "yes", "no", "no", "killed"]),
        st.sampled_from(CLIENTS[:2]),
        st.sampled_from([1, 1, 1, 2]),
        st.sampled_from([0, 0, 1, 2]),
        st.sampled_from([2, 0, 1]),
        st.booleans(),
        st.integers(0, 5),
    ),
    min_size=10,
    max_size=60,
)


@settings(max_examples=300)
@given(steps=ANSWERS)
def test_a_grant_that_is_refused_takes_back_what_it_added_and_nothing_else(steps):
    """Clients answer when they like: in any order, between any of their other calls, and after a restart."""
    world, model = World(), Doubtful()
    clients = {n: world.client(n, silent=True) for n in CLIENTS}
    fh = b"a"
    for what, number, svid, offset, length, exclusive, nth in steps:
        client, owner = clients[number], (number, svid)
        if length and offset + length > BYTES:
            length = BYTES - offset
        where = {"svid": svid, "fh": fh, "offset": offset, "length": length}
        wanted = Waiting(fh, owner, offset, length, exclusive)
        match what:
            case "lock" | "wait":
                status = model.lock(wanted, block=what == "wait")
                assert client.lock(block=what == "wait", exclusive=exclusive, **where) == status
            case "unlock":
                model.unlock(fh, owner, wanted.bytes)
                assert client.unlock(**where) == nlm.OK
            case "yes" | "no" if model.open:
                grant = model.open[nth % len(model.open)]
                number, svid = grant.owner
                told = next(
                    told
                    for told in reversed(clients[number].grants)
                    if (told.lock.svid, told.lock.offset, told.lock.length, told.exclusive)
                    == (svid, grant.offset, grant.length, grant.exclusive)
                )
                if what == "yes":
                    model.sure(grant)
                    clients[number].answer(told, nlm.OK)
                else:
                    model.refuse(grant)
                    clients[number].answer(told, nlm.DENIED)
            case "killed":
                assert known(successor(world).server) == known(world.server)
        world.run(0.01)
        assert rows(world) == model.rows()
        assert waits(world) == model.waits
        assert len(world.server.grants) == len(model.open)
        world.check()


@dataclass
class Belief:
    """What clients believe to hold: what they were told, less what they gave back."""

    locks: dict[tuple[str, int], tuple[bytes, int, int, bool]] = field(default_factory=dict)

    def check(self) -> None:
        for mine, (fh, start, end, exclusive) in self.locks.items():
            for other, (other_fh, other_start, other_end, other_exclusive) in self.locks.items():
                if mine == other or fh != other_fh or not (exclusive or other_exclusive):
                    continue
                assert end <= other_start or other_end <= start, (mine, other, self.locks)


@settings(max_examples=80)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1), asynchronous=st.booleans())
def test_no_two_clients_ever_believe_to_hold_the_same_byte(data, seed, asynchronous):
    """Up to three packets are lost, clients fall silent for up to half a minute and time passes in leaps. A
    client that was told holds its lock until it unlocks; nobody waits for ever for what is free. (More
    silence and more losses, and all six GRANTED may be in vain: then the client is taken for gone.)"""
    world, dice, belief = World(), random.Random(seed), Belief()
    left = [3]

    def lose(packet: object) -> bool:
        lost = left[0] > 0 and dice.random() < 0.25
        left[0] -= lost
        return lost

    world.lose = lose
    clients = [world.client(number) for number in CLIENTS]
    for client in clients:
        client.accepted = _learn(client, belief)
    wanted: dict[tuple[str, int], tuple[LockClient, dict[str, object], bool]] = {}
    svid = 0
    for _ in range(data.draw(st.integers(10, 30))):
        client = data.draw(st.sampled_from(clients))
        match data.draw(st.sampled_from(["want", "want", "want", "give back", "silence", "time", "repeat"])):
            case "want":
                svid += 1  # a process of its own for each lock: what one is refused takes nothing of another
                where: dict[str, object] = {
                    "svid": svid,
                    "offset": data.draw(st.integers(0, 3)),
                    "length": data.draw(st.integers(1, 5)),
                }
                exclusive = data.draw(st.booleans())
                wanted[client.address, svid] = client, where, exclusive
                alock = client.alock(**where)
                if asynchronous:
                    client.remember(alock, exclusive)
                    client.call(nlm.LOCK_MSG, nlm.lock(4, alock, block=True, exclusive=exclusive))
                    world.run(0.01)
                # who missed LOCK_RES asks again, as everybody does in the end
                known = (client.address, svid) in belief.locks
                if not known and client.wait(exclusive=exclusive, **where) == nlm.OK:
                    _learn(client, belief)(alock, exclusive)
            case "repeat":
                for wait in list(client.waits):
                    who = {"svid": wait.lock.svid, "offset": wait.lock.offset, "length": wait.lock.length}
                    if client.wait(exclusive=wait.exclusive, **who) == nlm.OK:
                        _learn(client, belief)(wait.lock, wait.exclusive)
            case "give back":
                for key in [key for key in wanted if key[0] == client.address]:
                    _, where, exclusive = wanted.pop(key)
                    belief.locks.pop(key, None)
                    client.cancel(exclusive=exclusive, **where)
                    client.unlock(**where)
            case "silence":
                client.silent = not client.silent
            case "time":
                leap = data.draw(st.sampled_from([0.001, 1.0, 11.0, 100.0, 500.0]))
                if leap > 1.0:
                    for each in clients:
                        each.silent = False
                world.run(leap)
        world.run(0.01)
        belief.check()
        world.check()
    for client in clients:
        client.silent = False
    world.run(HOURS)
    belief.check()
    world.check()
    held = {(row[0], row[1]) for row in world.locks()}
    assert set(belief.locks) <= held, "a lock was taken away from who was told to have it"
    assert len(world.server.grants) == 0


def _learn(client: LockClient, belief: Belief):
    def learn(lock: nlm.Alock, exclusive: bool) -> None:
        belief.locks[client.address, lock.svid] = lock.fh, lock.offset, lock.offset + lock.length, exclusive

    return learn
