# SPDX-License-Identifier: GPL-3.0-or-later
"""One session typed as an administrator would, against the engine: every text and exit code."""

from __future__ import annotations

import pytest

from fakes.bos_typist import Typist
from fakes.systemd_units import World, dies, lives
from pydaemons.bnode.events import Caller


@pytest.fixture
def bos():
    world = World()
    typist = Typist(world)
    assert typist("create", "a", "simple", "/bin/sleep 1000") == 0
    world.run(1)
    return typist


def test_creating_is_silent_and_refusals_say_why(bos):
    assert (bos.out, bos.err) == ("", "")
    assert bos("create", "a", "simple", "/bin/x") == 3
    assert bos.err == "bos: failed to create new server instance a of type 'simple' (entity already exists)\n"
    assert bos("create", "x", "what", "/bin/x") == 10
    assert "failed to create new server instance x of type 'what' (unrecognized bnode type)" in bos.err
    assert bos("create", "x", "simple", "/bin/x", "/bin/y") == 4
    assert "(failed to create entity): simple takes 1 command(s)" in bos.err


def test_status_short_and_long(bos):
    assert bos("status") == 0
    assert bos.out == "Instance a, currently running normally.\n"
    assert bos("status", "a", "-long") == 0
    assert bos.out.startswith(
        "Instance a, (type is simple) currently running normally.\n    Process last started"
    )
    assert bos.out.endswith("    Command 1 is '/bin/sleep 1000'\n\n")


def test_status_of_a_name_nobody_knows_exits_1_where_the_peer_exits_0(bos):
    assert bos("status", "a", "nope") == 1
    assert bos.err == "bos: failed to get instance info for 'nope' (no such entity)\n"
    assert bos.out == "Instance a, currently running normally.\n"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("start", "nope"), "failed to start instance 'nope' (no such entity)"),
        (("stop", "nope"), "failed to change stop instance 'nope' (no such entity)"),
        (("startup", "nope"), "failed to start instance nope (no such entity)"),
        (("shutdown", "nope"), "failed to shutdown instance nope (no such entity)"),
        (("restart", "nope"), "failed to restart instance nope (no such entity)"),
        (("delete", "nope"), "failed to delete instance 'nope' (no such entity)"),
    ],
)
def test_names_nobody_knows_are_exit_1_everywhere(bos, words, text):
    assert bos(*words) == 1 and text in bos.err


def test_stop_wait_delete(bos):
    bos.world.programs["bos-a.service"] = lives(deaf=30)
    assert bos("delete", "a") == 2
    assert bos.err == "bos: can't delete running instance 'a'\n"
    assert bos("stop", "a", "-wait") == 0
    assert bos("status") == 0 and bos.out == "Instance a, disabled, currently shutdown.\n"
    assert bos("delete", "a") == 0
    assert bos("status") == 0 and bos.out == ""


def test_restart_wants_to_know_what(bos):
    assert bos("restart") == 1
    assert bos.err == "bos: To restart all processes please specify '-all'\n"
    assert bos("restart", "a", "-all") == 1
    assert bos("restart", "-all") == 0
    assert len(bos.world.spawned("bos-a.service")) == 2
    assert bos("restart", "a") == 0
    assert len(bos.world.spawned("bos-a.service")) == 3


def test_shutdown_and_startup_of_all(bos):
    assert bos("shutdown", "-wait") == 0
    bos("status")
    assert bos.out == "Instance a, temporarily disabled, currently shutdown.\n"
    assert bos("startup") == 0
    bos("status")
    assert bos.out.endswith("currently starting up.\n") or bos.out.endswith("currently running normally.\n")


def test_restart_times(bos):
    assert bos("getrestart") == 0
    assert bos.out == (
        "Server localhost restarts never\nServer localhost restarts for new binaries at 5:00 am\n"
    )
    assert bos("setrestart", "sat 3:30") == 0 and bos("setrestart", "4:00", "-newbinary") == 0
    bos("getrestart")
    assert bos.out == (
        "Server localhost restarts at sat 3:30 am\nServer localhost restarts for new binaries at 4:00 am\n"
    )
    assert bos("setrestart", "25:00") == 255 and "failed to parse '25:00'" in bos.err
    assert bos("setrestart", "5:00", "-general", "-newbinary") == 255
    assert bos.err == "bos: can't specify more than one restart time at a time\n"


def test_restricted_mode(bos):
    assert bos("getrestricted") == 0 and bos.out == "Restricted mode is off\n"
    assert bos("setrestricted", "1") == 0
    assert bos("setrestricted", "0") == 6
    assert "failed to set restricted mode (you are not authorized for this operation)" in bos.err
    assert bos("create", "z", "simple", "/bin/x") == 6
    assert bos("setrestricted", "2") == 5


def test_setauth_wants_on_or_off(bos):
    assert bos("setauth", "maybe") == 1
    assert bos.err == "bos: illegal authentication specifier 'maybe', must be 'off' or 'on'.\n"
    assert bos("setauth", "off") == 0 and bos.world.files["local/NoAuth"] == b""


def test_somebody_else_may_look_and_not_touch(bos):
    bos.link.caller = Caller("joe", False)
    assert bos("status") == 0
    assert bos("stop", "a") == 6
    assert bos.err == "bos: failed to change stop instance 'a' (you are not authorized for this operation)\n"


def test_an_error_stop_is_shown(bos):
    bos.world.programs["bos-b.service"] = dies()
    bos("create", "b", "simple", "/bin/false")
    bos.world.run(1)
    bos("status", "b")
    assert "temporarily disabled, stopped for too many errors, currently shutdown." in bos.out


def test_figures(bos):
    assert bos("statistics") == 0
    assert "bnodes" in bos.out and "unknown_units" in bos.out


def test_figures_for_prometheus_have_those_of_each_bnode(bos):
    bos.world.programs["bos-b.service"] = dies()
    bos("create", "b", "simple", "/bin/false")
    bos.world.run(1)
    assert bos("statistics", "-prometheus") == 0
    lines = bos.out.splitlines()
    assert "pybosd_error_stopped 1" in lines and "pybosd_manager_answers 1" in lines
    assert 'pybosd_bnode_error_stop{bnode="b"} 1' in lines and 'pybosd_bnode_running{bnode="b"} 0' in lines
    assert 'pybosd_bnode_starts_total{bnode="b"} 12' in lines
