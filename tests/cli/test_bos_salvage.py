# SPDX-License-Identifier: GPL-3.0-or-later
"""pybos salvage, against the engine."""

from __future__ import annotations

import pytest

from fakes.bos_typist import Typist
from fakes.systemd_units import End, World, lives
from pydaemons.cli import bos_salvage


@pytest.fixture
def bos():
    world = World()
    typist = Typist(world)
    assert typist("create", "a", "simple", "/bin/sleep 1000") == 0
    world.run(1)
    return typist


def test_salvage_shuts_down_salvages_and_restarts(bos, monkeypatch):
    monkeypatch.setattr(bos_salvage.time, "sleep", bos.world.run)
    bos.world.programs["bos-fs-file.service"] = lives()
    bos.world.programs["bos-salvage\\x2dtmp.service"] = lambda _: End(2.0)
    bos("create", "fs", "fs", "/f", "/v", "/s")
    bos.world.run(1)
    assert bos("salvage", "a") == 0
    assert (
        bos.out
        == "bos: shutting down 'fs'.\nStarting salvage.\nbos: salvage completed\nbos: restarting 'fs'.\n"
    )
    (spawned,) = bos.world.spawned("bos-salvage\\x2dtmp.service")
    bos.world.run(1)
    assert bos.world.spawned("bos-fs-file.service")[-1] > spawned
    (entry,) = [e for e in bos.world.entries if "salvage-tmp started" in e.message]
    assert entry.fields["BOS_COMMAND"] == "/usr/lib/openafs/salvager -force /vicepa"
    assert bos.world.supervisor.find("salvage-tmp") is None


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        ((), 255, "must specify -all switch to salvage all partitions."),
        (("-all", "-volume", "5"), 255, "must specify partition to salvage individual volume."),
        (("a", "-salvagedirs"), 22, "-salvagedirs only possible with -all."),
        (("a",), 1, "can't find server instance 'fs' or 'dafs'"),
    ],
)
def test_salvages_that_cannot_be(bos, words, status, text):
    assert bos("salvage", *words) == status and text in bos.err


def test_a_demand_attach_server_is_salvaged_on_insistence_only(bos):
    bos("create", "fs", "dafs", "/f", "/v", "/ss", "/s")
    assert bos("salvage", "a") == 255 and "-forceDAFS" in bos.err
