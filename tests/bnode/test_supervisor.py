# SPDX-License-Identifier: GPL-3.0-or-later
"""Goals, waiting, holding, deleting, adopting, restarting: the engine against a fake service manager."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.systemd_units import SLEEP, A, B, End, World, config, dies, lives, status
from pydaemons.bnode import bosconfig
from pydaemons.bnode.bosconfig import Entry
from pydaemons.bnode.effects import StartAnew
from pydaemons.bnode.events import (
    AccessSeen,
    Disconnected,
    Forgotten,
    Gone,
    HandOver,
    Refused,
    Released,
    ShutdownAsked,
    Started,
)
from pydaemons.bnode.model import Goal
from pydaemons.engine.events import Persisted, PersistFailed

# -- goals


def test_start_and_stop_set_both_goals_and_the_file():
    world = World()
    world.create("a", *SLEEP)
    world.ask("SetStatus", instance="a", goal=0)
    world.run(1)
    assert (world.bnode("a").goal, world.bnode("a").file_goal, status(world, "a")) == (0, 0, 0)
    assert b"bnode simple a 0\n" in world.files["BosConfig"]
    world.ask("SetStatus", instance="a", goal=1)
    world.run(1)
    assert status(world, "a") == 1 and b"bnode simple a 1\n" in world.files["BosConfig"]


def test_startup_and_shutdown_set_the_goal_only():
    world = World()
    world.create("a", *SLEEP)
    world.run(1)
    world.ask("SetTemporaryStatus", instance="a", goal=0)
    world.run(1)
    assert (world.bnode("a").goal, world.bnode("a").file_goal, status(world, "a")) == (0, 1, 0)
    assert b"bnode simple a 1\n" in world.files["BosConfig"]


def test_set_goal_alone_keeps_the_error_stop_and_set_stat_ends_it():
    world = World()
    world.programs[A] = dies()
    world.create("a", "/bin/false")
    world.run(1)
    world.supervisor.set_goal(world.bnode("a"), Goal.NORMAL, world.now)
    assert world.bnode("a").error_stop
    world.supervisor.set_stat(world.bnode("a"), Goal.SHUTDOWN, world.now)
    assert not world.bnode("a").error_stop


def test_nothing_is_started_before_the_manager_answered():
    world = World(config(("a", Goal.NORMAL)), connect=False)
    world.run(100)
    assert not world.spawns
    world.connect()
    world.run(1)
    assert world.spawned(A)


def test_file_goals_decide_at_start():
    world = World(config(("a", Goal.NORMAL), ("b", Goal.SHUTDOWN)))
    world.run(1)
    assert world.spawned(A) and not world.spawned(B)


# -- waiting and holding


def test_wait_all_answers_when_everything_has_settled():
    world = World()
    world.programs[A] = lives(deaf=40)
    world.create("a", *SLEEP)
    world.create("b", *SLEEP)
    world.run(1)
    world.ask("ShutdownAll")
    ticket = world.ask("WaitAll")
    assert ticket is None
    world.run(39)
    assert len(world.answers) == 3
    world.run(2)
    assert len(world.answers) == 4 and world.bnode("a").holds == 0


def test_wait_status_fails_when_the_goal_changes_and_lets_go():
    world = World()
    world.programs[A] = lives(deaf=40)
    world.create("a", *SLEEP)
    world.run(1)
    world.ask("SetTemporaryStatus", instance="a", goal=0)
    world.ask("WaitStatus", instance="a", goal=0)
    assert world.bnode("a").holds == 1
    world.ask("SetTemporaryStatus", instance="a", goal=1)
    code = next(a.code for a in world.answers.values() if a.code)
    assert code == -1
    assert world.bnode("a").holds == 0, "the seed keeps this hold for ever"


def test_restart_answers_when_it_was_started_again():
    world = World()
    world.programs[A] = lives(deaf=10)
    world.create("a", *SLEEP)
    world.run(1)
    assert world.ask("Restart", instance="a") is None
    world.run(9)
    assert len(world.answers) == 1
    world.run(2)
    assert len(world.answers) == 2 and len(world.spawned(A)) == 2


def test_restart_all_is_for_file_goal_1_only():
    world = World(config(("a", Goal.NORMAL), ("b", Goal.SHUTDOWN)))
    world.run(1)
    world.ask("SetTemporaryStatus", instance="b", goal=1)
    world.run(1)
    world.ask("RestartAll")
    world.run(1)
    assert len(world.spawned(A)) == 2 and len(world.spawned(B)) == 1


def test_a_restart_goes_on_when_the_one_who_asked_has_left():
    world = World()
    world.programs[A] = lives(deaf=10)
    world.create("a", *SLEEP)
    world.run(1)
    world.ask("Restart", instance="a")
    ticket = max(world.answers) + 1
    world.feed(Forgotten(ticket))
    world.run(20)
    assert len(world.spawned(A)) == 2 and ticket not in world.answers


def test_a_held_bnode_is_deleted_when_released():
    world = World()
    world.create("a", *SLEEP, notifier="/bin/note")
    world.run(1)
    world.ask("SetStatus", instance="a", goal=0)
    world.run(1)
    assert world.bnode("a").holds == 1, "its notifier runs"
    assert world.ask("Delete", instance="a").code == 0
    assert world.supervisor.find("a") is not None
    assert b"bnode" not in world.files["BosConfig"]
    world.feed(Released("a"))
    assert world.supervisor.find("a") is None


def test_deleting_a_running_one_is_refused_even_when_held():
    world = World()
    world.create("a", *SLEEP)
    world.run(1)
    world.supervisor.hold(world.bnode("a"))
    assert world.ask("Delete", instance="a").code == 39426
    assert not world.bnode("a").doomed


def test_one_in_error_stop_can_be_deleted_and_leaves_nothing():
    world = World()
    world.programs[A] = dies()
    world.create("a", "/bin/false")
    world.run(1)
    assert world.ask("Delete", instance="a").code == 0
    assert world.barred == set() and set(world.files) == {"BosConfig"}
    world.run(100)


def test_order_of_creation_is_kept_over_a_delete():
    world = World()
    for name in "dbca":
        world.create(name, *SLEEP)
    world.run(1)
    world.ask("SetStatus", instance="b", goal=0)
    world.run(1)
    world.ask("Delete", instance="b")
    world.create("b", *SLEEP)
    entries = bosconfig.parse(world.files["BosConfig"].decode(), "x").entries
    assert [entry.name for entry in entries] == ["d", "c", "a", "b"]


def test_a_deactivated_bnode_leaves_the_list_but_not_the_file():
    world = World()
    world.create("a", *SLEEP)
    world.create("b", *SLEEP)
    assert world.supervisor.deactivate(world.bnode("a")) == 0
    assert [bnode.name for bnode in world.supervisor.bnodes()] == ["b"]
    assert [entry.name for entry in world.supervisor.config().entries] == ["a", "b"]
    assert world.ask("Restart", instance="a").code == 39425
    assert world.create("a", *SLEEP).code == 39427


def test_deactivating_twice_says_not_active_where_the_seed_loops():
    world = World()
    world.create("a", *SLEEP)
    bnode = world.bnode("a")
    world.supervisor.deactivate(bnode)
    assert world.supervisor.deactivate(bnode) == 39424


def test_one_write_of_the_file_for_many_changes_of_a_batch():
    world = World()
    for name in "abc":
        world.supervisor.create(Entry("simple", name, Goal.NORMAL, SLEEP), world.now)
    world._obey()
    assert world.writes.count("BosConfig") == 1


# -- spawning


def test_a_refused_spawn_is_logged_and_counts_and_leaves_nothing_behind():
    world = World()
    world.create("a", *SLEEP)
    for _ in range(12):
        unit = world.units.pop(A, None)
        assert unit is not None
        world.feed(Refused(A, "no memory"))
    assert world.boslog("Failed to spawn process for bnode 'a': no memory")
    assert world.bnode("a").error_stop and world.bnode("a").idle
    world.ask("SetStatus", instance="a", goal=1)
    world.run(1)
    assert status(world, "a") == 1


def test_a_start_whose_exit_was_not_reported_counts_an_exit():
    world = World()
    world.create("a", *SLEEP)
    world.run(1)
    world.feed(Started(A, 9999, world.wall, 1))
    assert world.bnode("a").window.count == 1 and world.bnode("a").starts == 2


def test_a_report_told_twice_is_one_start():
    world = World()
    world.create("a", *SLEEP)
    world.run(1)
    pid = world.bnode("a").processes[0].pid
    world.feed(Started(A, pid, world.wall, 0))
    assert world.bnode("a").starts == 1


def test_reports_about_units_of_nobody_are_counted():
    world = World()
    world.feed(Gone("bos-stranger.service", "success"))
    assert world.supervisor.strangers == 1
    assert world.tunables.value("unknown_units") == 1


# -- the manager


def test_while_the_manager_is_away_nothing_is_claimed_or_ordered():
    world = World()
    world.create("a", *SLEEP)
    world.run(1)
    world.feed(Disconnected("connection reset"))
    assert world.ask("Status", instances=[], long=False).result["instances"][0]["status"] is None
    assert world.ask("SetStatus", instance="a", goal=0).code == 0
    assert not world.stops
    world.connect()
    world.run(1)
    assert world.stops == [A] and status(world, "a") == 0


def test_handing_over_leaves_at_once_and_stops_nothing():
    world = World()
    world.create("a", *SLEEP)
    world.run(1)
    world.feed(HandOver())
    assert world.left and not world.stops


# -- leaving


def test_an_orderly_stop_waits_for_everything_and_leaves_the_file_alone():
    world = World()
    world.programs[A] = lives(deaf=30)
    world.create("a", *SLEEP)
    world.create("b", *SLEEP)
    world.run(1)
    file = world.files["BosConfig"]
    world.feed(ShutdownAsked("signal 15"))
    world.run(29)
    assert not world.left
    world.run(2)
    assert len(world.left) == 1 and world.files["BosConfig"] == file
    assert world.boslog("Shutdown of BOS server and processes in response to signal 15")


def test_nothing_is_started_while_leaving():
    world = World()
    world.programs[A] = lives(deaf=30)
    world.create("a", *SLEEP)
    world.run(1)
    world.feed(ShutdownAsked("signal 15"))
    world.ask("SetStatus", instance="a", goal=1)
    assert world.create("b", *SLEEP).code == 39426
    world.run(60)
    assert world.left and len(world.spawned(A)) == 1


def test_restart_of_the_server_stops_everything_and_asks_for_a_fresh_copy():
    world = World()
    world.create("a", *SLEEP)
    world.run(1)
    world.ask("RestartServer")
    world.run(1)
    assert world.bnode("a").idle and world.other == [StartAnew()]


# -- whatever happens


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("kill"), st.sampled_from([0, 9, 11])),
        st.tuples(st.sampled_from(["SetStatus", "SetTemporaryStatus"]), st.sampled_from([0, 1])),
        st.tuples(st.sampled_from(["Restart", "Delete", "create", "crash"]), st.none()),
        st.tuples(st.just("run"), st.floats(0.01, 40)),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(ACTIONS, st.sampled_from(["simple", "fs", "dafs"]), st.booleans())
def test_after_any_story_processes_are_what_the_goal_says(actions, kind, flaky):
    """The fake manager refuses a second unit of one name, so two copies of a process cannot go unseen."""
    world = World()
    commands = {"simple": 1, "fs": 3, "dafs": 4}[kind]
    if flaky:
        world.programs["bos-x.service"] = lambda number: End(0.7, number % 2)
    world.programs["bos-x-salv.service"] = lambda _: End(0.5)
    for what, value in actions:
        if what == "create":
            world.create("x", *["/bin/p"] * commands, kind=kind)
        elif what == "crash":
            world.crash()
        elif what == "run":
            world.run(value)
        elif what == "kill":
            for name, unit in list(world.units.items()):
                if unit.pid:
                    world.kill(name, signal=value)
        elif what in ("Restart", "Delete"):
            world.ask(what, instance="x")
        else:
            world.ask(what, instance="x", goal=value)
    world.programs.clear()
    world.programs["bos-x-salv.service"] = lambda _: End(0.5)
    world.run(400)
    bnode = world.supervisor.find("x")
    running = {name for name, unit in world.units.items() if unit.pid}
    if bnode is None:
        assert not running
        return
    assert bnode.holds == 0 and not world.supervisor.waiting
    wanted = bnode.kind.wanted(bnode, world.wall)
    assert running == {bnode.process(part).unit for part in wanted}
    assert (bnode.goal is Goal.NORMAL) == bool(running)
    assert bosconfig.parse(world.files["BosConfig"].decode(), "f") == world.supervisor.config()


def test_folders_that_are_too_open_are_named_and_shown():
    world = World()
    world.feed(AccessSeen([]))
    assert world.boslog("Server directory access is okay")
    world.feed(AccessSeen(["/s/local is drwxrwxrwx, want drwx???---"]))
    assert world.boslog("Server directory access is not okay") and world.boslog("/s/local is drwxrwxrwx")
    shown = world.ask("Status", instances=[], long=True).result
    assert shown["tooOpen"] == ["/s/local is drwxrwxrwx, want drwx???---"]


def test_what_the_disk_refuses_is_in_force_told_and_not_forgotten():
    world = World()
    world.feed(PersistFailed("BosConfig", "No space left on device"))
    world.create("a", *SLEEP)
    world.run(1)
    assert status(world, "a") == 1
    shown = world.ask("Status", instances=[], long=False).result
    assert shown["unwritten"] == {"BosConfig": "No space left on device"}
    assert world.ask("Statistics").result["unwritten"] == "BosConfig"
    world.feed(Persisted("BosConfig"))
    assert world.ask("Status", instances=[], long=False).result["unwritten"] == {}
