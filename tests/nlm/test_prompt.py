# SPDX-License-Identifier: GPL-3.0-or-later
"""What is answered at a glance is answered as it would have been otherwise: two servers, one of which never
answers so, get the same packets and must not be told apart. Read Twins."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.locking import SERVER, World
from hosts import nlmcalls as nlm
from hosts import rpc
from hosts.nlmcalls import LAST, Alock
from pydaemons.engine.protocol import Buffer, Transport, behind
from pydaemons.nlm import prompt as prompt_module

HOSTS = ("10.0.0.2", "10.0.0.3")


class Twins:
    """A server that answers at a glance what it can, and one that does not."""

    def __init__(self, **how: object) -> None:
        self.quick, self.slow = World(**how), World(prompt=False, **how)
        self.worlds = self.quick, self.slow
        for world in self.worlds:
            for host in HOSTS:
                world.client(address=host, rpcbind=False)
        self.xid = 5000

    def packet(self, data: bytes, host: str = HOSTS[0], transport: Transport = Transport.UDP) -> bytes | None:
        quick, slow = (world.receive(data, world.origins(host, 700, transport)) for world in self.worlds)
        assert quick == slow
        assert self.quick.locks() == self.slow.locks()
        return quick

    def call(
        self,
        procedure: int,
        arguments: bytes,
        *,
        version: int = 4,
        xid: int | None = None,
        host: str = HOSTS[0],
        transport: Transport = Transport.UDP,
    ) -> int:
        """The status, or -1."""
        self.xid += 1
        message = rpc.call_bytes(rpc.NLM, version, procedure, arguments, xid=self.xid if xid is None else xid)
        data = self.packet(message, host, transport)
        return -1 if data is None else int.from_bytes(data[-4:], "big")

    def lock(self, lock: Alock | None = None, **how: object) -> int:
        where = {key: how.pop(key) for key in ("version", "xid", "host", "transport") if key in how}
        packed = nlm.lock(where.get("version", 4), lock or Alock(), **how)
        return self.call(nlm.LOCK, packed, **where)

    def unlock(self, lock: Alock | None = None, **where: object) -> int:
        return self.call(nlm.UNLOCK, nlm.unlock(where.get("version", 4), lock or Alock()), **where)

    def both(self, do: object) -> None:
        """Something happens to both."""
        for world in self.worlds:
            do(world)
            world.carry()
        self.compare()

    def warm(self, **where: object) -> None:
        """The usual lock of the usual owner, until it is known."""
        for _ in range(3):
            assert self.lock(**where) == self.unlock(**where) == nlm.OK
        assert self.quick.prompted

    def glances(self) -> int:
        """How many calls were answered at a glance since this was asked last."""
        count, self.quick.prompted = self.quick.prompted, 0
        return count

    def compare(self) -> None:
        quick, slow = (self.told(world) for world in self.worlds)
        assert quick == slow

    @staticmethod
    def told(world: World) -> dict[str, object]:
        """All that anybody could ever see of a server."""
        engine, server = world.engine, world.server
        world.carry()
        return {
            "locks": world.locks(),
            "journal": b"".join(bytes(part) for part in world.journal),
            "counts": server.counts,
            "calls": {
                (version, number): procedure.calls
                for version, table in engine.service.programs[rpc.NLM].versions.items()
                for number, procedure in table.items()
            },
            "failures": engine.service.counts,
            "cache": set(engine.cache.freeze()),
            "hits": engine.cache.hits,
            "hosts": [
                (host.address, host.name, host.state, host.last_seen, host.monitored) for host in server.hosts
            ],
            "owners": sorted((o.svid, o.oh) for host in server.hosts for o in host.owners.values()),
            "waiting": sorted((w.owner.svid, w.start, w.end) for w in server.waiters.waiters()),
            "sent": world.sent,
            "deadline": engine.deadline(),
        }


def test_what_comes_again_and_again_is_answered_at_a_glance():
    twins = Twins()
    twins.warm()
    twins.glances()
    for offset in (0, 5, 2**40, LAST):
        one = Alock(offset=offset, length=0 if offset == LAST else 7)
        assert twins.lock(one) == nlm.OK
        assert twins.unlock(one) == nlm.OK
    assert twins.glances() == 8


@pytest.mark.parametrize("version", [1, 3])
def test_so_it_is_in_the_old_versions(version):
    twins = Twins()
    twins.warm(version=version)
    twins.glances()
    far = Alock(offset=2**32 - 1, length=2**32 - 1)
    assert twins.lock(far, version=version) == twins.unlock(far, version=version) == nlm.OK
    assert twins.glances() == 2


def test_a_repeated_call_gets_its_first_answer():
    twins = Twins()
    twins.warm()
    for transport in Transport:
        assert twins.lock(xid=1, transport=transport) == nlm.OK
        assert twins.unlock(xid=2, transport=transport) == nlm.OK
        assert twins.lock(xid=1, transport=transport) == nlm.OK
        assert not twins.quick.locks(), "the lock was not taken a second time"


def test_another_client_in_the_way_is_found_and_the_blocked_call_waits():
    twins = Twins()
    twins.warm()
    assert twins.lock(Alock(svid=9), host=HOSTS[1]) == nlm.OK
    assert twins.lock() == nlm.DENIED
    assert twins.lock(block=True) == nlm.BLOCKED
    assert twins.unlock(Alock(svid=9), host=HOSTS[1]) == nlm.OK
    assert ("10.0.0.2", 1, b"file", 0, 10, True) in twins.quick.locks(), "it was handed on"


def test_what_is_being_told_is_settled_by_the_clients_next_call():
    twins = Twins()
    twins.warm()
    assert twins.lock(Alock(svid=9), host=HOSTS[1]) == nlm.OK
    assert twins.lock(block=True) == nlm.BLOCKED
    assert twins.unlock(Alock(svid=9), host=HOSTS[1]) == nlm.OK
    assert len(twins.quick.server.grants) == 1
    assert twins.unlock() == nlm.OK
    assert len(twins.quick.server.grants) == 0


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda world: world.server.host_restarted(HOSTS[0], 7, world.now), id="restarted"),
        pytest.param(lambda world: world.engine.drop_all(world.now), id="all dropped"),
        pytest.param(lambda world: world.engine.start_grace(world.now, "test"), id="grace"),
        pytest.param(lambda world: world.tune("nlm_max_locks", 1), id="full"),
        pytest.param(lambda world: world.tune("nlm_max_locks_per_client", 1), id="client full"),
        pytest.param(lambda world: setattr(world.server, "refuse", True), id="refusing"),
        pytest.param(lambda world: world.clock.pass_(1000) and world.engine.tick(world.now), id="idle"),
        pytest.param(lambda world: list(world.engine.snapshot()), id="journal written anew"),
        pytest.param(lambda world: world.engine.service.forget_callers(), id="callers judged anew"),
    ],
)
def test_nothing_is_believed_beyond_a_change(change):
    twins = Twins()
    twins.warm()
    twins.lock(Alock(svid=3))
    twins.both(change)
    for _ in range(4):
        for one in (Alock(), Alock(offset=100)):
            twins.lock(one)
        for one in (Alock(), Alock(offset=100)):
            twins.unlock(one)
        twins.compare()


def test_a_client_no_longer_admitted_is_refused():
    twins = Twins()
    twins.warm()
    for world in twins.worlds:
        world.engine.access = type(world.engine.access)((), attached=list, resolve=world.asked.append)
        world.engine.reload()
    assert twins.lock() == 1, "AUTH_BADCRED"
    assert not twins.quick.locks()


@pytest.mark.parametrize("procedure", [nlm.LOCK_MSG, nlm.NM_LOCK, nlm.CANCEL])
def test_another_procedure_with_the_same_arguments_is_another(procedure):
    twins = Twins()
    twins.warm()
    assert twins.lock() == nlm.OK
    twins.glances()
    twins.call(procedure, nlm.lock(4, Alock(offset=50)))
    assert not twins.glances()
    twins.compare()


@pytest.mark.parametrize("new", [{"state": 3}, {"state": 0}, {"reclaim": True}, {"block": True}])
def test_what_a_lock_says_besides_is_not_overheard(new):
    twins = Twins()
    twins.warm()
    for _ in range(3):
        twins.lock(**new)
        twins.compare()


@pytest.mark.parametrize(
    ("offset", "length"), [(LAST, 2), (LAST + 1, 0), (LAST + 1, 1), (2**64 - 1, 2**64 - 1), (1, LAST + 1)]
)
def test_ranges_beyond_the_largest_file_are_refused(offset, length):
    twins = Twins()
    twins.warm()
    assert twins.lock(Alock(offset=offset, length=length)) == nlm.FBIG
    assert twins.unlock(Alock(offset=offset, length=length)) == nlm.FBIG


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"lock": Alock(oh=b"aaaa")}, {"lock": Alock(oh=b"bbbb")}),
        ({"lock": Alock(caller=b"aaaa", oh=b"o")}, {"lock": Alock(caller=b"bbbb", oh=b"o")}),
        ({"state": 1}, {"state": 3}),
    ],
)
def test_nothing_is_learned_from_a_call_repeated_late(old, new):
    twins = Twins()
    assert twins.lock(**old, xid=1) == nlm.OK
    assert twins.lock(**new, xid=2) == nlm.OK
    for _ in range(3):
        assert twins.lock(**old, xid=1) == nlm.OK
    assert twins.lock(**old, xid=3) == nlm.OK
    twins.compare()


def test_reclaims_are_for_the_grace_period():
    twins = Twins()
    twins.both(lambda world: world.engine.start_grace(world.now, "test"))
    for _ in range(3):
        assert twins.lock(reclaim=True) == nlm.OK
    twins.both(lambda world: world.engine.end_grace())
    assert twins.lock(reclaim=True) == nlm.GRACE
    assert twins.lock() == nlm.OK


def test_answers_of_an_earlier_process_are_given_again():
    twins = Twins()
    twins.warm()
    assert twins.lock(xid=1) == twins.unlock(xid=2) == nlm.OK
    heirs = Twins()
    for old, new in zip(twins.worlds, heirs.worlds, strict=True):
        new.engine.restore(old.journal)
        new.clock.mono = old.clock.mono
    heirs.xid = twins.xid
    for _ in range(3):
        assert heirs.lock() == heirs.unlock() == nlm.OK
    assert heirs.lock(xid=1) == nlm.OK
    assert not heirs.quick.locks(), "the lock was not taken a second time"


def test_the_reply_cache_keeps_its_bounds():
    twins = Twins()
    for world in twins.worlds:
        world.engine.cache.size = 8
    for _ in range(20):
        assert twins.lock() == twins.unlock() == nlm.OK
        assert len(twins.quick.engine.cache) <= 16
    twins.compare()


def test_a_cookie_that_is_padded_with_anything_is_given_back_padded_with_zeros():
    twins = Twins()
    packed = nlm.lock(4, Alock(), cookie=b"odd")
    for _ in range(4):
        twins.call(nlm.LOCK, packed[:7] + b"!" + packed[8:])
    assert not twins.quick.prompted


def test_an_owner_that_shows_another_handle_is_reported_by_that():
    twins = Twins()
    for oh in (b"one", b"two") * 5:
        twins.lock(Alock(oh=oh))
        (owner,) = twins.quick.server.hosts.find((HOSTS[0], SERVER)).owners.values()
        assert owner.oh == oh
        twins.unlock(Alock(oh=oh))


def test_hostile_calls_cost_no_memory(monkeypatch):
    monkeypatch.setattr(prompt_module, "MOST", 50)
    twins = Twins()
    for svid in range(300):
        twins.lock(Alock(svid=svid, offset=svid * 100))
        lanes = twins.quick.engine.prompt._lanes
        plans = [plan for lane in lanes.values() for plan in lane.all_plans()]
        assert sum(len(plan.met) + len(plan.known) for plan in plans) <= 100


class Streams:
    """A server and its slow twin, that are given many calls at once."""

    def __init__(self) -> None:
        self.quick, self.slow = World(), World(prompt=False)
        self.xid = 0

    def calls(
        self, procedure: int, svids: list[int], *, start: int = 0, xids: list[int] | None = None
    ) -> list[bytes]:
        pack = nlm.lock if procedure == nlm.LOCK else nlm.unlock
        found = []
        for number, svid in enumerate(svids):
            self.xid += 1
            packed = pack(4, Alock(svid=svid, offset=start + svid * 20))
            xid = self.xid if xids is None else xids[number]
            found.append(rpc.call_bytes(rpc.NLM, 4, procedure, packed, xid=xid))
        return found

    def ask(
        self, calls: list[bytes], *, kind: Callable[[bytes], Buffer] = bytes, host: str = HOSTS[0]
    ) -> tuple[list[int], int]:
        """The statuses, and how many of them were found at the first glance."""
        (size,) = set(map(len, calls))
        buffer = kind(b"gap" + b"gap".join(calls))
        quick: list[bytes] = []
        origin = self.quick.origins(host, 700, Transport.UDP)
        self.quick.engine.prompt.answer(
            buffer, [(3, size, size + 3, len(calls))], origin, self.quick.now, quick
        )
        glance = len(quick)
        if isinstance(buffer, mmap.mmap):
            buffer[:] = bytes(len(buffer))
        quick += [self.quick.engine.receive(call, origin, self.quick.now) for call in calls[glance:]]
        origin = self.slow.origins(host, 700, Transport.UDP)
        slow = [self.slow.engine.receive(call, origin, self.slow.now) for call in calls]
        assert quick == slow
        assert Twins.told(self.quick) == Twins.told(self.slow)
        return [int.from_bytes(reply[-4:], "big") for reply in quick], glance


MANY = list(range(1000, 1040))


def mapped(data: bytes) -> mmap.mmap:
    """The same in memory that is used again, as UDP's is."""
    memory = mmap.mmap(-1, len(data))
    memory[:] = data
    return memory


@pytest.mark.parametrize("kind", [bytes, mapped])
def test_what_comes_together_is_answered_together(kind):
    streams = Streams()
    for _ in range(2):
        streams.ask(streams.calls(nlm.LOCK, MANY))
        streams.ask(streams.calls(nlm.UNLOCK, MANY))
    for start in (0, 5, 5):
        for procedure in (nlm.LOCK, nlm.UNLOCK):
            calls = streams.calls(procedure, MANY, start=start)
            assert streams.ask(calls, kind=kind) == ([0] * 40, 40)
            assert streams.ask(calls) == ([0] * 40, 0), "repeated, each gets the answer it got"


def test_together_as_far_as_nothing_is_in_the_way():
    streams = Streams()
    for _ in range(2):
        streams.ask(streams.calls(nlm.LOCK, MANY))
        streams.ask(streams.calls(nlm.UNLOCK, MANY))
    statuses, glance = streams.ask(
        streams.calls(nlm.LOCK, MANY, xids=[*range(5000, 5020), *range(5000, 5020)])
    )
    assert glance == 20, "an xid comes again with another call"
    assert statuses == [0] * 40
    streams.ask(streams.calls(nlm.UNLOCK, MANY))
    streams.ask(streams.calls(nlm.LOCK, [1025]), host=HOSTS[1])
    statuses, glance = streams.ask(streams.calls(nlm.LOCK, MANY))
    assert glance == 25, "up to the first that another has"
    assert statuses == [0] * 25 + [nlm.DENIED] + [0] * 14
    statuses, glance = streams.ask(streams.calls(nlm.UNLOCK, MANY))
    assert (statuses, glance) == ([0] * 40, 40), "freeing what one does not have is a success too"


files = st.sampled_from([b"file", b"elsewhere"])
ranges = st.tuples(
    st.sampled_from([0, 5, 10, 90, 2**31, 2**32 - 1]), st.sampled_from([0, 1, 5, 10, 2**32 - 1])
)
far = st.sampled_from(
    [(LAST, 0), (LAST, 1), (LAST, 2), (2**63, 0), (2**64 - 1, 2**64 - 1), (1, LAST), (1, LAST + 1)]
)


@st.composite
def packets(draw: st.DrawFn) -> tuple[bytes, str, Transport]:
    """A call of few owners about few files, sometimes damaged, sometimes repeated."""
    version = draw(st.sampled_from([4, 4, 4, 3, 1]))
    offset, length = draw(st.one_of(ranges, far) if version == 4 else ranges)
    one = Alock(
        fh=draw(files),
        svid=draw(st.sampled_from([1, 2, 10])),
        offset=offset,
        length=length,
        caller=draw(st.sampled_from([b"client", b"client", b"client", b"other"])),
        oh=draw(st.sampled_from([b"", b"", b"", b"handle"])),
    )
    procedure = draw(st.sampled_from([nlm.LOCK, nlm.LOCK, nlm.UNLOCK, nlm.UNLOCK, nlm.TEST, nlm.CANCEL]))
    exclusive = draw(st.booleans())
    if procedure == nlm.LOCK:
        packed = nlm.lock(
            version,
            one,
            block=draw(st.booleans()),
            exclusive=exclusive,
            reclaim=draw(st.sampled_from([False, False, False, True])),
            state=draw(st.sampled_from([1, 1, 1, 0, 3])),
        )
    elif procedure == nlm.UNLOCK:
        packed = nlm.unlock(version, one)
    elif procedure == nlm.TEST:
        packed = nlm.test(version, one, exclusive=exclusive)
    else:
        packed = nlm.cancel(version, one, exclusive=exclusive)
    xid = draw(st.integers(0, 2**20))
    data = rpc.call_bytes(rpc.NLM, version, procedure, packed, xid=xid)
    match draw(st.integers(0, 9)):
        case 0:
            at = draw(st.integers(0, len(data) - 1))
            data = data[:at] + bytes([data[at] ^ draw(st.integers(1, 255))]) + data[at + 1 :]
        case 1:
            data = data[: draw(st.integers(0, len(data)))] + draw(st.binary(max_size=8))
    return data, draw(st.sampled_from(HOSTS)), draw(st.sampled_from(list(Transport)))


@settings(max_examples=200, deadline=None)
@given(st.lists(packets(), min_size=1, max_size=6), st.lists(st.integers(0, 5), min_size=10, max_size=40))
def test_the_two_cannot_be_told_apart(kinds, order):
    twins = Twins()
    for number, index in enumerate(order):
        packet, host, transport = kinds[index % len(kinds)]
        if number % 7:  # otherwise it is a repeated call, perhaps
            packet = packet[:3] + bytes([number]) + packet[4:]
        twins.packet(packet, host, transport)
        if number % 15 == 14:
            twins.both(lambda world: world.run(0.5))
    twins.compare()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 12), st.integers(0, 3), st.booleans()), max_size=30),
    st.sampled_from([b"", b"gap"]),
)
def test_many_calls_at_once_are_the_same_as_one_after_the_other(asked, gap):
    quick, slow = World(), World(prompt=False)
    calls = []
    for number, (svid, place, lock) in enumerate(asked * 3):
        one = Alock(svid=svid, offset=place * 10)
        packed = nlm.lock(4, one) if lock else nlm.unlock(4, one)
        calls.append(rpc.call_bytes(rpc.NLM, 4, nlm.LOCK if lock else nlm.UNLOCK, packed, xid=number))
    answers = {}
    for world in (quick, slow):
        origin = world.origins(HOSTS[0])
        found = answers[world] = []
        buffer, runs = b"", []
        for size, alike in groupby(calls, key=len):
            run = [*alike]
            runs.append((len(buffer) + len(gap), size, len(gap) + size, len(run)))
            buffer += b"".join(gap + call for call in run)
        while runs:
            if world.prompt:
                before = len(found)
                world.engine.prompt.answer(buffer, runs, origin, world.now, found)
                runs = behind(runs, len(found) - before)
            if runs:
                at, size, _, _ = runs[0]
                found.append(world.engine.receive(buffer[at : at + size], origin, world.now))
                runs = behind(runs, 1)
        world.carry()
    assert answers[quick] == answers[slow]
    assert Twins.told(quick) == Twins.told(slow)
