# SPDX-License-Identifier: GPL-3.0-or-later
"""What operations work with."""

from __future__ import annotations

import json

import pytest

from fakes.bos_typist import Typist
from fakes.systemd_units import World
from pydaemons.cli.bos_session import worst


@pytest.fixture
def bos():
    world = World()
    typist = Typist(world)
    assert typist("create", "a", "simple", "/bin/sleep 1000") == 0
    world.run(1)
    return typist


@pytest.mark.parametrize(
    "verb", ["status", "listusers", "listhosts", "listkeys", "getrestart", "getrestricted"]
)
def test_tables_can_be_had_as_json(bos, verb):
    assert bos(verb, as_json=True) == 0
    shown = json.loads(bos.out)
    assert isinstance(shown, list if verb in ("listusers", "listkeys") else dict)


def test_a_bnode_has_the_keys_that_all_commands_have(bos):
    assert bos("status", "a", as_json=True) == 0
    (view,) = json.loads(bos.out)["instances"]
    assert {"name", "file_goal", "error_stop", "exits_in_window"} < view.keys()
    assert all(key == key.lower() for key in view)


def test_the_last_failure_is_the_status_of_several():
    assert (worst([]), worst([0, 0]), worst([1, 0, 2, 0])) == (0, 0, 2)


def test_what_fails_is_told_after_what_was_said(bos):
    assert bos("delete", "a") == 2
    assert bos.err.startswith("bos: ")
