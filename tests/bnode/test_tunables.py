# SPDX-License-Identifier: GPL-3.0-or-later
"""kernel.bos.*"""

from __future__ import annotations

from fakes.systemd_units import World, dies
from pydaemons.bnode.tunables import BosTunables


def test_defaults_are_the_seeds_rule():
    tunables = BosTunables()
    rule = (tunables.error_stop_limit, tunables.error_stop_window, tunables.error_stop_policy)
    assert rule == (11, 30, "stop")
    assert (tunables.stop_timeout, tunables.file_stop_timeout) == (60, 1800)
    assert tunables.key("error_stop_limit") == "kernel.bos.error_stop_limit"


def test_states_are_counted_live():
    world = World()
    world.programs["bos-b.service"] = dies()
    world.create("a", "/bin/x")
    world.create("b", "/bin/x")
    world.run(1)
    assert {
        name: world.tunables.text(name) for name in ("bnodes", "running", "error_stopped", "adopted")
    } == {
        "bnodes": "2",
        "running": "1",
        "error_stopped": "1",
        "adopted": "0",
    }
