# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls answered together are answered as they would have been one after the other."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.locking import World
from fakes.twins import HOSTS, Twins
from hosts import nlmcalls as nlm
from hosts import rpc
from hosts.nlmcalls import Alock
from pydaemons.engine.protocol import Buffer, Transport, behind


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
        origin = self.quick.origins(host, 700, Transport.UDP)
        quick = self.quick.glance(buffer, [(3, size, size + 3, len(calls))], origin)
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


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 12), st.integers(0, 3), st.booleans(), st.sampled_from([1, 1, 1, 0, -3])),
        max_size=30,
    ),
    st.sampled_from([b"", b"gap"]),
)
def test_many_calls_at_once_are_the_same_as_one_after_the_other(asked, gap):
    """Also where xids come again, of the same call or of another."""
    quick, slow = World(), World(prompt=False)
    calls = []
    xid = 1000
    for svid, place, lock, step in asked * 3:
        xid += step
        one = Alock(svid=svid, offset=place * 10)
        packed = nlm.lock(4, one) if lock else nlm.unlock(4, one)
        calls.append(rpc.call_bytes(rpc.NLM, 4, nlm.LOCK if lock else nlm.UNLOCK, packed, xid=xid))
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
                glanced = world.glance(buffer, runs, origin)
                found += glanced
                runs = behind(runs, len(glanced))
            if runs:
                at, size, _, _ = runs[0]
                found.append(world.engine.receive(buffer[at : at + size], origin, world.now))
                runs = behind(runs, 1)
        world.carry()
    assert answers[quick] == answers[slow]
    assert Twins.told(quick) == Twins.told(slow)
