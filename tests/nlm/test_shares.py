# SPDX-License-Identifier: GPL-3.0-or-later
"""Share reservations: the whole access × deny matrix, several per owner, against a plain list."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pydaemons.nlm.shares import READ, WRITE, Share, Shares

FILE = b"file"
NONE, BOTH = 0, READ | WRITE
MODES = range(4)


@pytest.mark.parametrize(("access", "deny"), list(itertools.product(MODES, MODES)))
def test_opens_clash_when_either_wants_what_the_other_denies(access, deny):
    for other_access, other_deny in itertools.product(MODES, MODES):
        shares: Shares[str] = Shares()
        assert shares.share(FILE, "a", access, deny)
        clash = bool(access & other_deny) or bool(deny & other_access)
        assert shares.share(FILE, "b", other_access, other_deny) is not clash
        assert len(shares) == 2 - clash


def test_the_same_share_again_is_granted_and_one_unshare_ends_it():
    shares: Shares[str] = Shares()
    assert shares.share(FILE, "a", READ, WRITE) and shares.share(FILE, "a", READ, WRITE)
    assert len(shares) == 1
    assert shares.unshare(FILE, "a", READ, WRITE)
    assert not shares.unshare(FILE, "a", READ, WRITE)
    assert shares.files == 0


def test_an_owner_keeps_several_shares_and_each_binds_others_until_its_own_unshare():
    shares: Shares[str] = Shares()
    assert shares.share(FILE, "a", READ, WRITE) and shares.share(FILE, "a", WRITE, NONE)
    assert not shares.share(FILE, "b", WRITE, NONE)
    assert not shares.share(FILE, "b", READ, WRITE)
    assert shares.unshare(FILE, "a", READ, WRITE)
    assert shares.share(FILE, "b", WRITE, NONE)
    assert not shares.share(FILE, "c", READ, WRITE)
    assert list(shares.shares(FILE, "a")) == [(FILE, Share("a", WRITE, NONE))]


def test_access_none_with_a_deny_mode_keeps_others_out():
    shares: Shares[str] = Shares()
    assert shares.share(FILE, "a", NONE, BOTH)
    assert not shares.share(FILE, "b", READ, NONE)
    assert shares.share(FILE, "b", NONE, BOTH)


def test_unshare_needs_the_owner_the_access_and_the_deny_mode():
    shares: Shares[str] = Shares()
    shares.share(FILE, "a", READ, WRITE)
    assert not shares.unshare(FILE, "b", READ, WRITE)
    assert not shares.unshare(FILE, "a", BOTH, WRITE)
    assert not shares.unshare(FILE, "a", READ, NONE)
    assert not shares.unshare(b"other", "a", READ, WRITE)
    assert len(shares) == 1


files = st.sampled_from([b"one", b"two"])
owners = st.sampled_from([(host, oh) for host in ("h1", "h2") for oh in (b"x", b"y")])
modes = st.integers(0, 3)


class AgainstAList(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.shares: Shares[tuple[str, bytes]] = Shares()
        self.model: set[tuple[bytes, tuple[str, bytes], int, int]] = set()

    @rule(file=files, owner=owners, access=modes, deny=modes)
    def share(self, file, owner, access, deny):
        clash = any(f == file and o != owner and (a & deny or access & d) for f, o, a, d in self.model)
        assert self.shares.share(file, owner, access, deny) is not clash
        if not clash:
            self.model.add((file, owner, access, deny))

    @rule(file=files, owner=owners, access=modes, deny=modes)
    def unshare(self, file, owner, access, deny):
        row = (file, owner, access, deny)
        assert self.shares.unshare(*row) == (row in self.model)
        self.model.discard(row)

    @rule(host=st.sampled_from(["h1", "h2"]))
    def drop_a_host(self, host):
        kept = {row for row in self.model if row[1][0] != host}
        assert self.shares.drop(lambda owner: owner[0] == host) == len(self.model) - len(kept)
        self.model = kept

    @rule(owner=owners)
    def drop_owner(self, owner):
        kept = {row for row in self.model if row[1] != owner}
        assert self.shares.drop(lambda other: other == owner) == len(self.model) - len(kept)
        self.model = kept

    @rule(file=files)
    def release_file(self, file):
        kept = {row for row in self.model if row[0] != file}
        assert self.shares.release_file(file) == len(self.model) - len(kept)
        self.model = kept

    @rule()
    def reload(self):
        rows = list(self.shares.dump())
        self.shares.clear()
        assert len(self.shares) == self.shares.files == 0
        self.shares.load(reversed(rows))

    @invariant()
    def holds_exactly_the_list(self):
        rows = list(self.shares.dump())
        assert len(rows) == len(self.shares) and set(rows) == self.model
        assert self.shares.files == len({row[0] for row in self.model})


AgainstAList.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestSharesAgainstAList = AgainstAList.TestCase
