# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a status, as bos 1.8.9 prints it."""

from __future__ import annotations

import pytest

from fakes.systemd_units import World, dies
from pydaemons.bnode import views


def date(seconds):
    return f"<{seconds:.0f}>"


def text(world, name="a", *, long=False):
    (view,) = world.ask("Status", instances=[name], long=long).result["instances"]
    return views.format_long(view, date) if long else views.format_status(view, date)


def running():
    world = World()
    world.create("a", "/bin/sleep 100")
    world.run(1)
    return world


@pytest.mark.parametrize(
    ("goal", "file_goal", "words"),
    [(1, 1, ""), (0, 0, "disabled, "), (0, 1, "temporarily disabled, "), (1, 0, "temporarily enabled, ")],
)
def test_goals_have_the_peers_words(goal, file_goal, words):
    world = running()
    world.ask("SetStatus", instance="a", goal=file_goal)
    world.run(1)
    world.ask("SetTemporaryStatus", instance="a", goal=goal)
    world.run(1)
    state = "running normally" if goal else "shutdown"
    assert text(world) == f"Instance a, {words}currently {state}.\n"


def test_an_error_stop_says_so():
    world = World()
    world.programs["bos-a.service"] = dies()
    world.create("a", "/bin/false")
    world.run(1)
    assert (
        text(world) == "Instance a, temporarily disabled, stopped for too many errors, currently shutdown.\n"
    )


def test_under_backoff_it_reads_as_the_peers_does():
    world = World(error_stop_policy="backoff")
    world.programs["bos-a.service"] = dies()
    world.create("a", "/bin/false")
    world.run(0.5)
    said = "Instance a, temporarily disabled, stopped for too many errors, currently starting up.\n"
    assert text(world) == said


def test_flapping_and_cores_show():
    world = running()
    for _ in range(3):
        world.kill("bos-a.service")
        world.run(0.5)
    world.bnode("a").has_core = True
    assert text(world) == "Instance a, flapping, has core file, currently running normally.\n"


def test_the_long_form():
    world = World()
    world.create("a", "/bin/sleep  100", notifier="/bin/note")
    world.run(1)
    world.kill("bos-a.service", signal=0, code=3)
    world.run(1)
    at = f"<{world.wall - 1:.0f}>"
    assert text(world, long=True) == (
        "Instance a, (type is simple) currently running normally.\n"
        f"    Process last started at {at} (2 proc starts)\n"
        f"    Last exit at {at}\n"
        f"    Last error exit at {at}, by exiting with code 3\n"
        "    Command 1 is '/bin/sleep  100'\n"
        "    Notifier  is '/bin/note'\n"
        "\n"
    )


def test_a_part_and_a_signal_are_named():
    world = World()
    world.create("d", "/a", "/b", "/c", "/d", kind="dafs")
    world.run(1)
    world.kill("bos-d-vol.service", signal=11)
    world.run(1)
    assert ", by vol, due to signal 11\n" in text(world, "d", long=True)
    assert "    Auxiliary status is: file server running.\n" in text(world, "d")


def test_the_next_run_of_a_cron_is_a_date():
    world = World()
    world.create("c", "/bin/job", "4:00", kind="cron")
    at = world.bnode("c").next_run
    assert text(world, "c") == (
        f"Instance c, currently running normally.\n    Auxiliary status is: run next at <{at:.0f}>.\n"
    )


def test_a_manager_that_does_not_answer_is_told_and_not_guessed():
    world = running()
    world.supervisor.connected = False
    assert "systemd does not answer" in text(world)


def test_tables_line_up():
    assert views.format_table([["a", "b"], ["long", ""]]) == "a     b\nlong\n"
    assert views.format_table([]) == ""
