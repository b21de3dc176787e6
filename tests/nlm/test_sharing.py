# SPDX-License-Identifier: GPL-3.0-or-later
"""SHARE and UNSHARE, spoken to in bytes by clients in virtual time. test_shares.py has the matrix."""

from __future__ import annotations

from itertools import product

import pytest

from fakes.locking import LockClient, World
from hosts import nlmcalls as nlm


def pair(version: int, **settings: int) -> tuple[World, LockClient, LockClient]:
    world = World(**settings)
    return world, world.client(2, version=version), world.client(3, version=version)


# ---------------------------------------------------------------------- SHARE


@pytest.mark.parametrize("version", [3, 4])
def test_shares_of_two_owners_clash_exactly_when_one_denies_what_the_other_wants(version):
    kinds = list(product(range(4), repeat=2))
    for (access, deny), (other_access, other_deny) in product(kinds, repeat=2):
        _, one, two = pair(version)
        assert one.share(access=access, mode=deny) == nlm.OK
        clash = access & other_deny or other_access & deny
        assert two.share(access=other_access, mode=other_deny) == (nlm.DENIED if clash else nlm.OK)


def test_one_owner_may_have_several_shares_and_gives_each_back(one, two):
    """Windows opens a file several times."""
    assert one.share(access=1, mode=0) == nlm.OK
    assert one.share(access=0, mode=3) == nlm.OK
    assert two.share(access=1, mode=0) == nlm.DENIED
    assert one.unshare(access=0, mode=3) == nlm.OK
    assert two.share(access=1, mode=0) == nlm.OK
    assert two.share(access=1, mode=1) == nlm.DENIED, "one reads"


def test_the_owner_of_a_share_is_a_client_and_an_owner_handle(one, two):
    one.share(access=3, mode=3, oh=b"a")
    assert one.share(access=1, mode=0, oh=b"b") == nlm.DENIED
    assert two.unshare(access=3, mode=3, oh=b"a") == nlm.OK
    assert two.share(access=1, mode=0, oh=b"a") == nlm.DENIED


def test_unsharing_nothing_succeeds(one):
    assert one.unshare(access=3, mode=3) == nlm.OK


def test_shares_and_locks_do_not_meet(one, two):
    one.share(access=3, mode=3)
    assert two.lock() == nlm.OK


@pytest.mark.parametrize(("access", "mode"), [(4, 0), (0, 4), (2**32 - 1, 0), (0, 2**32 - 1)])
def test_a_share_of_no_known_kind_fails(one, access, mode):
    assert one.share(access=access, mode=mode) == nlm.FAILED
    assert one.unshare(access=access, mode=mode) in (nlm.OK, nlm.FAILED)
