# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests about users, keys, cell and hosts."""

from __future__ import annotations

from fakes.systemd_units import World
from pydaemons.bnode.events import Caller
from pydaemons.bnode.model import Code

NOBODY = Caller("nobody", False)


def test_userlist_and_noauth_make_administrators():
    world = World()
    world.ask("AddUser", user="nobody")
    assert world.ask("AddUser", user="x", caller=NOBODY).code == 0
    assert world.files["local/UserList"] == b"nobody\nx\n"
    assert world.ask("AddUser", user="x").code == Code.EXISTS
    world.ask("RemoveUser", user="nobody")
    assert world.ask("AddUser", user="y", caller=NOBODY).code == Code.ACCESS
    world.ask("SetAuth", required=False)
    assert world.ask("AddUser", user="y", caller=NOBODY).code == 0
    assert world.files["local/NoAuth"] == b""
    world.ask("SetAuth", required=True)
    assert "local/NoAuth" not in world.files


def test_hosts_and_cell_are_kept_in_the_peers_files():
    world = World()
    world.ask("SetCell", name="example.org")
    world.ask("AddHost", host="db1")
    world.ask("AddHost", host="[db2]")
    assert world.ask("AddHost", host="db2").code == Code.EXISTS
    assert world.ask("GetCell").result == {"cell": "example.org", "hosts": ["db1", "[db2]"]}
    assert world.files["etc/ThisCell"] == b"example.org\n"
    assert world.files["etc/CellServDB"].startswith(b">example.org\t#Cell name\ndb1")
    world.ask("RemoveHost", host="db2")
    assert world.ask("RemoveHost", host="db2").code == Code.NOENT


def test_keys_are_listed_by_checksum():
    world = World()
    world.ask("AddKey", kvno=3, key="0123456789abcdef")
    (key,) = world.ask("ListKeys").result["keys"]
    assert key["kvno"] == 3 and isinstance(key["checksum"], int)
    assert world.ask("AddKey", kvno=4, key="secret").code == Code.SYNTAX
    world.ask("RemoveKey", kvno=3)
    assert world.ask("RemoveKey", kvno=3).code == Code.NOENT
