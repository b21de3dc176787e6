# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from fakes.locking import World
from fakes.succession import successor
from pydaemons.nlm import records
from pydaemons.nlm.ranges import EOF
from pydaemons.nlm.records import Op


def test_every_kind_of_record_has_a_number_of_its_own():
    assert len({int(op) for op in Op}) == len(Op)


def test_a_record_is_what_stands_around_its_range_and_the_range():
    world = World()
    world.client().lock(fh=b"file", svid=7)
    (host,) = world.server.hosts
    owner = host.owners[7]
    for op in (records.SHARED, records.EXCLUSIVE, records.UNLOCKED):
        before, behind = records.around_range(op, b"file")
        whole = records.pack_range(op, owner, b"file", 5, 2**63)
        assert before + records.pack_owned(owner) + records.pack_span(5, 2**63) + behind == whole


def test_records_taken_together_say_what_they_say_one_by_one():
    world = World()
    for svid in (7, 8):
        world.client(svid - 5).lock(fh=b"other", svid=svid, offset=svid, length=1)
    owners = [owner for host in world.server.hosts for owner in host.owners.values()]
    named = [records.pack_owned(owner) for owner in owners]
    world.journal.append(records.pack_together(records.EXCLUSIVE, b"file", named, [5, 9], [7, EOF]))
    found = successor(world).server.table.locks(b"file")
    assert [(held.owner.svid, held.start, held.end, held.exclusive) for _, held in found] == [
        (7, 5, 7, True),
        (8, 9, EOF, True),
    ]
    world.journal.append(records.pack_together(records.UNLOCKED, b"file", named, [0, 9], [6, 20]))
    found = successor(world).server.table.locks(b"file")
    assert [(held.start, held.end) for _, held in found] == [(6, 7), (20, EOF)]
