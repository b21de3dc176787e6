# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, keys, cell and hosts, as an administrator types them."""

from __future__ import annotations

import pytest

from fakes.bos_typist import Typist
from fakes.systemd_units import World


@pytest.fixture
def bos():
    world = World()
    typist = Typist(world)
    assert typist("create", "a", "simple", "/bin/sleep 1000") == 0
    world.run(1)
    return typist


def test_users(bos):
    assert bos("adduser", "joe", "ann") == 0
    assert bos("adduser", "joe") == 1 and bos.err == "bos: failed to add user 'joe' (File exists)\n"
    assert bos("listusers") == 0 and bos.out == "SUsers are: joe ann \n"
    assert bos("removeuser", "joe") == 0
    assert bos("removeuser", "joe") == 1 and bos.err == "bos: failed to delete user 'joe', (no such user)\n"


def test_cell_and_hosts(bos):
    assert bos("setcellname", "example.org") == 0
    assert bos("addhost", "db1") == 0 and bos("addhost", "db2", "-clone") == 0
    assert bos("listhosts") == 0
    assert bos.out == "Cell name is example.org\n    Host 1 is db1\n    Host 2 is [db2]\n"
    assert bos("removehost", "nope") == 1 and "failed to delete host nope (no such entity)" in bos.err


def test_keys(bos):
    assert bos("addkey", "-key", "0123456789abcdef", "-kvno", "3") == 0
    assert bos("listkeys") == 0
    lines = bos.out.splitlines()
    assert lines[0].startswith("key 3 has cksum ") and lines[-1] == "All done."
    assert bos("listkeys", "-showkey") == 0 and "key 3 is '0123456789abcdef'" in bos.out
    assert bos("removekey", "3") == 0 and bos("removekey", "7") == 1
    assert bos("addkey", "-key", "x", "-kvno", "y") == 1
    assert bos("removekey", "x") == 1
