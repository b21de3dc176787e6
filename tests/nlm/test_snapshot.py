# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot taken bit by bit while the lock manager goes on: it, and what was noted since, say what is true;
so does the journal that it is to replace."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.locking import World
from fakes.locksteps import STEPS, step
from fakes.succession import known, successor
from hosts import nlmcalls as nlm
from pydaemons.nlm import journal

OFTEN = st.lists(
    st.sampled_from(["begin", "take", "take", "end", "go on", "go on"]), min_size=40, max_size=40
)


class Renewed:
    """The next generation of a world's journal, in the making."""

    def __init__(self, world: World) -> None:
        self.parts = world.engine.snapshot()
        self.taken: list[bytes] = []
        self.begun = len(world.journal)

    def take(self) -> None:
        self.taken += [part for part in [next(self.parts, None)] if part is not None]

    def whole(self, world: World) -> list[bytes]:
        """The file when it takes the old one's place."""
        self.taken += self.parts
        return self.taken + world.journal[self.begun :]


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, often=OFTEN)
def test_before_and_after_the_change_the_successor_knows_what_was_known(steps, often):
    old, journal.PART = journal.PART, 64
    try:
        world, renewed = World(), None
        for each, what in zip(steps, often, strict=False):
            step(world, *each, rewrite=False)
            if what == "begin":
                renewed = Renewed(world)
            elif what == "take" and renewed is not None:
                renewed.take()
            elif what == "end" and renewed is not None:
                assert known(successor(world).server) == known(world.server), "killed just before"
                world.journal = renewed.whole(world)
                renewed = None
            assert known(successor(world).server) == known(world.server)
        if renewed is not None:
            world.journal = renewed.whole(world)
            assert known(successor(world).server) == known(world.server)
    finally:
        journal.PART = old


def test_answers_given_meanwhile_to_a_client_only_the_cache_knows_are_in_both():
    world = World()
    one = world.client(2)
    one.unlock(xid=5)
    renewed = Renewed(world)
    one.unlock(xid=6)
    for parts in (world.journal, renewed.whole(world)):
        engine = successor(world, list(parts))
        assert {digest[1] for digest, *_ in engine.cache.freeze()} == {b"\0\0\0\5", b"\0\0\0\6"}


def test_it_is_of_the_moment_it_was_asked_for():
    world = World()
    one = world.client(2)
    for number in range(40):
        one.lock(fh=b"many", offset=10 * number, length=1, exclusive=bool(number % 2))
    one.lock(fh=b"few", offset=0, length=1)
    one.lock(fh=b"few", offset=5, length=1)
    one.lock(fh=b"one")
    then = known(world.server)
    parts = world.engine.snapshot()
    one.unlock(fh=b"many", offset=0, length=0)
    one.unlock(fh=b"few", offset=0, length=0)
    one.unlock(fh=b"one")
    assert one.lock(fh=b"two") == nlm.OK
    assert known(successor(world, list(parts)).server)["locks"] == then["locks"]
