# SPDX-License-Identifier: GPL-3.0-or-later
"""What is noted of a lock manager's life, and that it is all. replay's own tests are in test_replay.py."""

from __future__ import annotations

from fakes.locking import World
from fakes.succession import known, successor
from hosts import nlmcalls as nlm
from pydaemons.nlm import journal


def test_a_granted_lock_is_in_the_journal_when_its_answer_is_given():
    world = World()
    before = len(world.journal)
    assert world.client().lock(fh=b"file") == nlm.OK
    assert len(world.journal) == before + 1, "one record for a batch"
    assert b"file" in world.journal[-1]


def test_what_changes_nothing_adds_only_its_answer():
    world = World()
    one = world.client()
    one.lock(fh=b"file")
    before = len(b"".join(world.journal))
    one.test(fh=b"file")
    assert len(b"".join(world.journal)) == before
    one.unlock(fh=b"other")
    assert len(b"".join(world.journal)) - before < 48


def test_a_new_name_of_a_client_is_kept_even_if_its_lock_is_denied():
    world = World()
    world.client(2).lock()
    other = world.client(3, name=b"old")
    other.lock(fh=b"other")
    other.name = b"new"
    assert other.lock() == nlm.DENIED
    assert [name for _, name, *_ in known(successor(world).server)["hosts"] if name != b"client"] == [b"new"]


def test_a_lock_and_its_answer_take_less_than_a_hundred_bytes():
    world = World()
    one = world.client()
    one.lock(fh=bytes(28))
    before = len(b"".join(world.journal))
    for n in range(1, 101):
        one.lock(fh=bytes(28), offset=10 * n, length=5)
    assert len(b"".join(world.journal)) - before < 100 * 100
    assert len(b"".join(world.engine.snapshot())) < 100 * 100


def test_it_is_rewritten_when_it_says_much_more_than_is_true(monkeypatch):
    monkeypatch.setattr(journal, "FLOOR", 4096)
    world = World()
    world.engine.cache.size = 8
    one = world.client()
    one.lock(fh=b"kept")
    longest = 0
    for _ in range(400):
        one.lock(fh=b"file")
        one.unlock(fh=b"file")
        longest = max(longest, sum(map(len, world.journal)))
    assert 4096 < longest < 3 * 4096
    assert b"kept" in world.journal[0]
