# SPDX-License-Identifier: GPL-3.0-or-later
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from hosts.waiting import wait_for
from pydaemons.engine.effects import Persist
from pydaemons.netbios.node.events import StoreNames
from pydaemons.nmbd.store import StoreError, WinsStore

LIB = Path(__file__).resolve().parents[2] / "lib"


def names(**records: bytes | None) -> StoreNames:
    return StoreNames("wins", None, {key.encode(): record for key, record in records.items()})


def test_records_are_kept_changed_and_deleted(tmp_path):
    path = str(tmp_path / "deep/wins.db")
    store = WinsStore(path)
    assert store.open() == {}
    assert store.write([names(a=b"1", b=b"2")]) == {}
    assert store.write([names(a=b"3", b=None), names(c=b"4")]) == {}
    store.close()
    assert WinsStore(path).open() == {b"a": b"3", b"c": b"4"}


def test_what_was_written_is_there_after_a_kill(tmp_path):
    program = f"""
import os, sys
sys.path.insert(0, {str(LIB)!r})
from pydaemons.netbios.node.events import StoreNames
from pydaemons.nmbd.store import WinsStore
store = WinsStore({str(tmp_path / "wins.db")!r})
store.open()
for i in range(500):
    assert store.write([StoreNames("wins", None, {{b"%d" % i: b"x"}})]) == {{}}
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    assert done.returncode == -9
    assert len(WinsStore(str(tmp_path / "wins.db")).open()) == 500


def test_what_could_not_be_written_waits_and_the_newest_of_it_counts(tmp_path):
    path = str(tmp_path / "wins.db")
    store = WinsStore(path)
    store.open()
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    store._db.execute("PRAGMA busy_timeout = 0")
    assert "locked" in store.write([names(a=b"1", b=b"1")])["wins"]
    assert "locked" in store.write([names(a=b"2")])["wins"]
    blocker.execute("ROLLBACK")
    assert store.retry() == {}
    store.close()
    assert WinsStore(path).open() == {b"a": b"2", b"b": b"1"}


def test_the_log_is_folded_in_while_it_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("pydaemons.nmbd.store.FOLD_AT", 1000)
    store = WinsStore(str(tmp_path / "wins.db"))
    store.open()
    written = 0

    def some_more() -> bool:
        nonlocal written
        for _ in range(64):
            assert store.write([names(**{f"n{written}": bytes(200)})]) == {}
            written += 1
        return (tmp_path / "wins.db").stat().st_size > 20_000

    # the folding thread waits for the disk, however busy that is: by the clock, not by rows
    wait_for(some_more, what="rows to reach the database itself", timeout=120)
    store.close()
    assert len(WinsStore(str(tmp_path / "wins.db")).open()) == written


def test_under_writing_without_a_pause_the_log_does_not_grow_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr("pydaemons.nmbd.store.FOLD_AT", 20_000)
    store = WinsStore(str(tmp_path / "wins.db"))
    store.open()
    log, before, shrunk = tmp_path / "wins.db-wal", 0, 0

    def seen_shrinking() -> bool:
        nonlocal before, shrunk
        for n in range(64):
            assert store.write([names(**{f"n{n}": bytes(200)})]) == {}
        size = log.stat().st_size
        shrunk += size < before
        before = size
        return shrunk >= 3

    wait_for(seen_shrinking, what="the log to be cut off", timeout=120, every=0)
    store.close()
    assert len(WinsStore(str(tmp_path / "wins.db")).open()) == 64


def test_a_database_that_is_none_is_refused_with_its_name(tmp_path):
    path = tmp_path / "wins.db"
    path.write_bytes(os.urandom(5000))
    with pytest.raises(StoreError, match=r"wins\.db"):
        WinsStore(str(path)).open()


def test_a_database_of_a_newer_version_is_left_alone(tmp_path):
    path = str(tmp_path / "wins.db")
    store = WinsStore(path)
    store.open()
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer"):
        WinsStore(path).open()


def test_other_state_has_no_place_here(tmp_path):
    store = WinsStore(str(tmp_path / "wins.db"))
    store.open()
    with pytest.raises(TypeError):
        store.write([Persist("something", b"")])
