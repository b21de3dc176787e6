# SPDX-License-Identifier: GPL-3.0-or-later
"""One session typed as an administrator would, against the engine: every text and exit code."""

from __future__ import annotations

import io
import json

import pytest

from fakes.systemd_units import ROOT, End, World, dies, lives
from pydaemons.bnode.events import Caller
from pydaemons.cli import bos_verbs
from pydaemons.cli.bos_link import Refused
from pydaemons.cli.bos_syntax import find_verb, parse
from pydaemons.cli.bos_verbs import VERBS, Session


class DirectLink:
    """A link without a socket: requests go straight to the engine; waiting lets time pass."""

    def __init__(self, world):
        self.world = world
        self.caller = ROOT

    def call(self, verb, **arguments):
        given = {name: value for name, value in arguments.items() if value is not None}
        before = set(self.world.answers)
        answer = self.world.ask(verb, caller=self.caller, **given)
        for _ in range(2000):
            if answer is not None:
                break
            self.world.run(0.1)
            fresh = set(self.world.answers) - before
            answer = self.world.answers[fresh.pop()] if fresh else None
        assert answer is not None, f"{verb} was never answered"
        if answer.code:
            raise Refused({"code": int(answer.code), "text": answer.code.text, "message": answer.reason})
        return dict(answer.result)


class Typist:
    """Types commands, keeps what came back."""

    def __init__(self, world):
        self.world = world
        self.link = DirectLink(world)

    def __call__(self, *words, as_json=False):
        out, err = io.StringIO(), io.StringIO()
        session = Session("bos", self.link, "localhost", json=as_json, out=out, err=err)
        verb = find_verb(VERBS, words[0])
        status = verb.run(session, parse(verb, words[1:]))
        self.out, self.err = out.getvalue(), err.getvalue()
        return status


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
        (("stop", "nope"), "failed to stop instance 'nope' (no such entity)"),
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


def test_users(bos):
    assert bos("adduser", "joe", "ann") == 0
    assert bos("adduser", "joe") == 1 and bos.err == "bos: failed to add user 'joe' (File exists)\n"
    assert bos("listusers") == 0 and bos.out == "SUsers are: joe ann \n"
    assert bos("removeuser", "joe") == 0
    assert bos("removeuser", "joe") == 1 and bos.err == "bos: failed to delete user 'joe', (no such user)\n"


def test_cell_and_hosts(bos):
    assert bos("setcellname", "example.org") == 0
    assert bos("addhost", "db1") == 0 and bos("addhost", "db2", "-clone") == 0
    assert bos("listhosts") == 0
    assert bos.out == "Cell name is example.org\n    Host 1 is db1\n    Host 2 is [db2]\n"
    assert bos("removehost", "nope") == 1 and "failed to delete host nope (no such entity)" in bos.err


def test_keys(bos):
    assert bos("addkey", "-key", "0123456789abcdef", "-kvno", "3") == 0
    assert bos("listkeys") == 0
    lines = bos.out.splitlines()
    assert lines[0].startswith("key 3 has cksum ") and lines[-1] == "All done."
    assert bos("listkeys", "-showkey") == 0 and "key 3 is '0123456789abcdef'" in bos.out
    assert bos("removekey", "3") == 0 and bos("removekey", "7") == 1
    assert bos("addkey", "-key", "x", "-kvno", "y") == 1
    assert bos("removekey", "x") == 1


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
    assert bos("setrestricted", "2") == 1


def test_setauth_wants_on_or_off(bos):
    assert bos("setauth", "maybe") == 1
    assert bos.err == "bos: illegal authentication specifier 'maybe', must be 'off' or 'on'.\n"
    assert bos("setauth", "off") == 0 and bos.world.files["local/NoAuth"] == b""


def test_somebody_else_may_look_and_not_touch(bos):
    bos.link.caller = Caller("joe", False)
    assert bos("status") == 0
    assert bos("stop", "a") == 6
    assert bos.err == "bos: failed to stop instance 'a' (you are not authorized for this operation)\n"


def test_install_of_nothing_quits(bos):
    assert bos("install", "/nope") == 1
    assert bos.err == "bos: can't find file '/nope', quitting\n"


def test_an_error_stop_is_shown(bos):
    bos.world.programs["bos-b.service"] = dies()
    bos("create", "b", "simple", "/bin/false")
    bos.world.run(1)
    bos("status", "b")
    assert "temporarily disabled, stopped for too many errors, currently shutdown." in bos.out


def test_salvage_shuts_down_salvages_and_restarts(bos, monkeypatch):
    monkeypatch.setattr(bos_verbs.time, "sleep", bos.world.run)
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
    assert entry.fields["BOS_COMMAND"] == "/usr/afs/bin/salvager -force /vicepa"
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


@pytest.mark.parametrize(
    "verb", ["status", "listusers", "listhosts", "listkeys", "getrestart", "getrestricted"]
)
def test_tables_can_be_had_as_json(bos, verb):
    assert bos(verb, as_json=True) == 0
    assert json.loads(bos.out)


def test_figures(bos):
    assert bos("statistics") == 0
    assert "bnodes" in bos.out and "unknown_units" in bos.out
