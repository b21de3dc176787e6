# SPDX-License-Identifier: GPL-3.0-or-later
"""install, uninstall, getdate, prune, getlog, on a real folder."""

from __future__ import annotations

import base64
import os

import pytest

from pydaemons.bnode.folders import Folders
from pydaemons.bnode.model import Code
from pydaemons.bosd import files

NOW = 1_800_000_000.0
DAY = 86400


@pytest.fixture
def folders(tmp_path):
    for name in ("bin", "log", "etc", "local"):
        (tmp_path / name).mkdir()
    return Folders(*(str(tmp_path / name) for name in ("bin", "log", "etc", "local")))


def put(folders, data, *, name="/usr/afs/bin/x", mtime=int(NOW), wall=NOW, **more):
    arguments = {"file": name, "mode": 0o755, "mtime": mtime, "data": base64.b64encode(data).decode(), **more}
    return files.perform("Install", folders, arguments, wall)


def content(folders):
    return {name: open(f"{folders.bin}/{name}", "rb").read() for name in sorted(os.listdir(folders.bin))}


def test_install_keeps_mode_and_time_and_the_version_before(folders):
    assert put(folders, b"one", mtime=1000)[0] is Code.OK
    put(folders, b"two", mtime=2000)
    found = os.stat(f"{folders.bin}/x")
    assert (found.st_mode & 0o7777, found.st_mtime) == (0o755, 2000)
    assert content(folders) == {"x": b"two", "x.BAK": b"one"}


def test_a_backup_of_more_than_a_week_becomes_old(folders):
    put(folders, b"one", mtime=int(NOW - 9 * DAY))
    put(folders, b"two", mtime=int(NOW - 8 * DAY))
    put(folders, b"three")
    assert content(folders) == {"x": b"three", "x.BAK": b"two", "x.OLD": b"one"}
    put(folders, b"four")
    assert content(folders) == {"x": b"four", "x.BAK": b"three", "x.OLD": b"two"}
    put(folders, b"five")
    assert content(folders)["x.OLD"] == b"two", "a fresh .BAK does not push the .OLD out"


def test_uninstall_brings_the_last_one_back_step_by_step(folders):
    for data, age in ((b"one", 9), (b"two", 8), (b"three", 0)):
        put(folders, data, mtime=int(NOW - age * DAY))
    for expected in ({"x": b"two", "x.BAK": b"one"}, {"x": b"one"}):
        assert files.perform("Uninstall", folders, {"file": "x"}, NOW)[0] is Code.OK
        assert content(folders) == expected
    assert files.perform("Uninstall", folders, {"file": "x"}, NOW)[0] is Code.NOENT
    assert content(folders) == {"x": b"one"}, "the last one there is stays"


def test_a_large_file_comes_in_pieces_and_is_seen_only_whole(folders):
    put(folders, b"old")
    code, result, _ = put(folders, b"a" * 10, offset=0, size=15)
    assert (code, result) == (Code.OK, {"received": 10})
    assert content(folders)["x"] == b"old"
    put(folders, b"b" * 5, offset=10, size=15)
    assert content(folders) == {"x": b"a" * 10 + b"b" * 5, "x.BAK": b"old"}


def test_a_piece_out_of_order_is_refused(folders):
    put(folders, b"a" * 10, offset=0, size=30)
    assert put(folders, b"c" * 10, offset=20, size=30)[0] is Code.IO


@pytest.mark.parametrize("name", ["/usr/afs/bin/", "/usr/afs/bin/../../etc/x", "..", "/usr/afs/bin"])
def test_what_is_no_file_name_is_refused(folders, name):
    assert put(folders, b"x", name=name)[0] in (Code.SYNTAX, Code.IO)


def test_data_that_are_no_base64_are_refused(folders):
    arguments = {"file": "x", "mode": 0, "mtime": 0, "data": "*"}
    assert files.perform("Install", folders, arguments, NOW)[0] is Code.SYNTAX


def test_getdate_tells_three_times_and_zero_for_none(folders):
    put(folders, b"x", mtime=1000)
    result = files.perform("GetDate", folders, {"file": "/usr/afs/bin/x"}, NOW)[1]
    assert (result["new"], result["bak"], result["old"]) == (1000, 0, 0)


def test_prune_removes_what_was_asked_for_and_nothing_else(folders):
    for name in ("a.BAK", "a.OLD", "a"):
        open(f"{folders.bin}/{name}", "w").close()
    for name in ("corea", "BosLog"):
        open(f"{folders.log}/{name}", "w").close()
    files.perform("Prune", folders, {"bak": True, "old": False, "core": False}, NOW)
    assert sorted(os.listdir(folders.bin)) == ["a", "a.OLD"]
    files.perform("Prune", folders, {"bak": False, "old": True, "core": True}, NOW)
    assert os.listdir(folders.bin) == ["a"] and os.listdir(folders.log) == ["BosLog"]


def test_getlog_comes_in_pieces_that_make_the_file(folders):
    data = os.urandom(files.PIECE * 2 + 17)
    with open(f"{folders.log}/L", "wb") as file:
        file.write(data)
    got, end = b"", False
    while not end:
        code, result, _ = files.perform("GetLog", folders, {"file": "L", "offset": len(got)}, NOW)
        assert code is Code.OK
        got += base64.b64decode(result["data"])
        end = result["end"]
    assert got == data


def test_a_missing_log_is_no_entity_and_a_folder_no_log(folders):
    assert files.perform("GetLog", folders, {"file": "nope"}, NOW)[0] is Code.NOENT
    assert files.perform("GetLog", folders, {"file": folders.log}, NOW)[0] is Code.IO
