# SPDX-License-Identifier: GPL-3.0-or-later
"""The procedure table: what is there in which version, and what is answered to all the rest."""

from __future__ import annotations

import pytest

from fakes.locking import World
from hosts import nlmcalls as nlm
from hosts import rpc
from pydaemons.nlm import procs

VERSION_1 = set(range(17))
VERSION_3_4 = VERSION_1 | {20, 21, 22, 23}
TABLE = {1: VERSION_1, 3: VERSION_3_4, 4: VERSION_3_4}
TWINS = ("TEST", "LOCK", "CANCEL", "UNLOCK", "GRANTED")
NAMES = {
    0: "NULL",
    **{1 + n: name for n, name in enumerate(TWINS)},
    **{6 + n: name + "_MSG" for n, name in enumerate(TWINS)},
    **{11 + n: name + "_RES" for n, name in enumerate(TWINS)},
    16: "SM_NOTIFY",
    **dict(zip((20, 21, 22, 23), ("SHARE", "UNSHARE", "NM_LOCK", "FREE_ALL"), strict=True)),
}


@pytest.fixture
def world() -> World:
    return World()


def test_the_table_is_that_of_the_protocol(world):
    program = world.engine.service.programs[rpc.NLM]
    assert {version: set(rows) for version, rows in program.versions.items()} == TABLE
    for rows in program.versions.values():
        assert {number: row.name for number, row in rows.items()} == {n: NAMES[n] for n in rows}


@pytest.mark.parametrize("version", nlm.VERSIONS)
def test_what_a_version_does_not_have_is_proc_unavail(world, version):
    for number in {*range(17, 30), 2**31, 2**32 - 1} - TABLE[version]:
        reply = world.client(version=version).call(number, b"")
        assert (reply.accepted, reply.body) == (3, b""), number


@pytest.mark.parametrize("version", [0, 2, 5, 6, 2**32 - 1])
def test_other_versions_are_a_mismatch_of_1_to_4(world, version):
    reply = world.client().call(nlm.NULL, b"", version=version)
    assert (reply.accepted, reply.body) == (2, rpc.u32(1, 4))


@pytest.mark.parametrize("version", nlm.VERSIONS)
def test_null_answers_nothing_at_any_length_of_arguments(world, version):
    for arguments in (b"", b"surplus!"):
        reply = world.client(version=version).call(nlm.NULL, arguments)
        assert (reply.accepted, reply.body) == (0, b"")


@pytest.mark.parametrize("version", nlm.VERSIONS)
def test_arguments_that_do_not_decode_are_garbage(world, version):
    for number in TABLE[version] - {nlm.NULL}:
        reply = world.client(version=version).call(number, b"\xff\xff\xff\xff")
        assert (reply.accepted, reply.body) == (4, b""), number
    assert len(world.server.hosts) == 0


def test_surplus_behind_the_arguments_is_ignored(world):
    one = world.client()
    assert one.result(nlm.LOCK, nlm.lock(4, one.alock()) + b"more").status == nlm.OK


def test_exactly_what_changes_state_is_executed_at_most_once(world):
    once = {row.name for row in world.engine.service.programs[rpc.NLM].versions[4].values() if row.once}
    assert once == {"LOCK", "CANCEL", "UNLOCK", "SHARE", "UNSHARE", "NM_LOCK", "FREE_ALL"}


def test_callbacks_are_those_of_the_kernels_server():
    assert set(procs.CALLBACKS) == {5, 10, 11, 12, 13, 14, 16}


def test_calls_are_counted_by_procedure_and_version(world):
    one = world.client(version=3)
    one.lock()
    one.lock()
    rows = world.engine.service.programs[rpc.NLM].versions
    assert (rows[3][nlm.LOCK].calls, rows[4][nlm.LOCK].calls) == (2, 0)
