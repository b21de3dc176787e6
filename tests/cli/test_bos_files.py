# SPDX-License-Identifier: GPL-3.0-or-later
"""install, uninstall, getdate, prune, getlog and exec, as an administrator types them."""

from __future__ import annotations

import base64
import time

import pytest

from fakes.bos_typist import Typist
from fakes.systemd_units import World
from pydaemons.bnode.events import Performed
from pydaemons.bnode.model import Code
from pydaemons.cli import bos_files


@pytest.fixture
def bos():
    world = World()
    typist = Typist(world)
    assert typist("create", "a", "simple", "/bin/sleep 1000") == 0
    world.run(1)
    return typist


def test_install_of_nothing_quits(bos):
    assert bos("install", "/nope") == 1
    assert bos.err == "bos: can't find file '/nope', quitting\n"


def performing(bos, **results):
    """Answer what the engine hands to the shell."""
    ask = bos.world.ask

    def answer(verb, **given):
        said = ask(verb, **given)
        if said is None and bos.world.performed and bos.world.performed[-1].verb == verb:
            perform = bos.world.performed[-1]
            result = results[verb]
            result = result.pop(0) if isinstance(result, list) else result
            code, result = result if isinstance(result, tuple) else (Code.OK, result)
            bos.world.feed(Performed(perform.ticket, code, result, "why" if code else ""))
            return bos.world.answers[perform.ticket]
        return said

    bos.world.ask = answer


def test_a_file_is_sent_whole_in_pieces_with_mode_and_time(bos, tmp_path):
    data = bytes(range(256)) * 800
    (tmp_path / "prog").write_bytes(data)
    (tmp_path / "prog").chmod(0o751)
    performing(bos, Install={})
    assert bos("install", f"{tmp_path}/prog", "-dir", "/usr/afs/bin") == 0
    assert bos.out == f"bos: installed file {tmp_path}/prog\n"
    pieces = [perform.arguments for perform in bos.world.performed]
    assert b"".join(base64.b64decode(piece["data"]) for piece in pieces) == data
    assert [piece["offset"] for piece in pieces] == [0, bos_files.PIECE, 2 * bos_files.PIECE]
    assert {(piece["file"], piece["size"], piece["mode"]) for piece in pieces} == {
        ("/usr/afs/bin/prog", len(data), 0o751)
    }


def test_an_install_that_is_refused_stops_at_once(bos, tmp_path):
    (tmp_path / "prog").write_bytes(b"x" * 300_000)
    performing(bos, Install=(Code.IO, {}))
    assert bos("install", f"{tmp_path}/prog") == 1, "whatever the reason, as the peer"
    assert bos.err == f"bos: failed to install {tmp_path}/prog (I/O error): why\n"
    assert len(bos.world.performed) == 1


def test_dates_are_told_as_the_peer_tells_them(bos):
    performing(bos, GetDate=[{"new": 0, "bak": 0, "old": 0}, {"new": 86400, "bak": 86400, "old": 86400}])
    assert bos("getdate", "a", "b", "-dir", "/d") == 0
    day = time.ctime(86400)
    assert bos.out == (
        "File /d/a does not exist, no .BAK file, no .OLD file.\n"
        f"File /d/b dated {day}, .BAK file dated {day}, .OLD file dated {day}.\n"
    )


def test_uninstall_says_what_it_did_or_why_not(bos):
    performing(bos, Uninstall=[{}, (Code.NOENT, {})])
    assert bos("uninstall", "a", "b") == 1
    assert bos.out == "bos: uninstalled file a\n"
    assert bos.err == "bos: failed to uninstall b (no such entity): why\n"


def test_prune_all_is_all_three(bos):
    performing(bos, Prune={})
    assert bos("prune", "-all") == 0 and bos("prune", "-bak") == 0
    one, two = (perform.arguments for perform in bos.world.performed)
    assert one == {"bak": True, "old": True, "core": True}
    assert two == {"bak": True, "old": False, "core": False}


def test_a_log_comes_in_pieces(bos):
    pieces = [{"data": base64.b64encode(b"one\n").decode(), "end": False}]
    pieces += [{"data": base64.b64encode(b"two\n").decode(), "end": True}]
    performing(bos, GetLog=pieces)
    assert bos("getlog", "L") == 0
    assert bos.out == "Fetching log file 'L'...\none\ntwo\n"
    assert [perform.arguments["offset"] for perform in bos.world.performed] == [0, 4]


def test_a_log_that_is_not_there(bos):
    performing(bos, GetLog=(Code.NOENT, {}))
    assert bos("getlog", "L") == 1
    assert bos.err == "bos: no such entity (while reading log)\n"


@pytest.mark.parametrize(
    ("wait_status", "status", "text"),
    [
        (0, 0, ""),
        (768, 3, "(exit code 3)"),
        (9, 137, "(killed by signal 9)"),
        (139, 139, "(killed by signal 11)"),
    ],
)
def test_exec_exits_as_its_command_did(bos, wait_status, status, text):
    performing(bos, Exec={"status": wait_status})
    assert bos("exec", "x") == status
    assert text in bos.err
