# SPDX-License-Identifier: GPL-3.0-or-later
"""simple: kept running."""

from __future__ import annotations

import pytest

from fakes.systemd_units import World
from pydaemons.bnode.model import Restart

UNIT = "bos-x.service"


@pytest.mark.parametrize(
    "end", [{"code": 0, "signal": 0}, {"code": 3, "signal": 0}, {"signal": 9}, {"signal": 15}]
)
def test_any_exit_is_answered_by_systemds_restart(end):
    world = World()
    world.create("x", "/bin/sleep 100")
    world.run(1)
    assert world.units[UNIT].effect.restart is Restart.ALWAYS
    world.kill(UNIT, **end)
    world.run(1)
    assert len(world.spawned(UNIT)) == 2 and world.bnode("x").starts == 2


def test_exit_0_term_quit_and_kill_are_exits_but_no_errors():
    world = World()
    world.create("x", "/bin/sleep 100")
    for end in ({"code": 0, "signal": 0}, {"signal": 15}, {"signal": 3}, {"signal": 9}):
        world.run(1)
        world.kill(UNIT, **end)
    bnode = world.bnode("x")
    assert (
        bnode.last_any_exit and not bnode.last_error_exit and (bnode.error_code, bnode.error_signal) == (0, 0)
    )
    assert bnode.window.count == 4


def test_a_code_clears_the_signal_and_a_signal_the_code():
    world = World()
    world.create("x", "/bin/sleep 100")
    world.run(1)
    world.kill(UNIT, signal=6)
    assert (world.bnode("x").error_code, world.bnode("x").error_signal) == (0, 6)
    world.run(1)
    world.kill(UNIT, signal=0, code=4)
    assert (world.bnode("x").error_code, world.bnode("x").error_signal) == (4, 0)


def test_a_relative_command_is_looked_for_in_the_binary_folder():
    world = World()
    world.create("x", "ptserver -p 16")
    assert world.units[UNIT].effect.argv == ("/usr/lib/openafs/ptserver", "-p", "16")


def test_a_second_command_is_refused_where_the_peer_drops_it():
    assert World().create("x", "/bin/a", "/bin/b").code == 39428
