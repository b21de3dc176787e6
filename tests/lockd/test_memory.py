# SPDX-License-Identifier: GPL-3.0-or-later
"""When the journal of the last process is believed, and what comes of it when not."""

from __future__ import annotations

import os
import random

import pytest

from fakes.locking import SERVER, Monitor
from fakes.network import Clock, Origins
from fakes.shell import KeptLog
from hosts import nlmcalls as nlm
from hosts import rpc
from pydaemons.engine.effects import Append
from pydaemons.kit import journalfile
from pydaemons.lockd.access import Access
from pydaemons.lockd.engine import LockEngine
from pydaemons.lockd.memory import Memory
from pydaemons.lockd.settings import PylockdConfiguration
from pydaemons.nsm.store import Beginning, Host, Start, begin

MONITORED = {"state": b"5\n", "sm/10.0.0.2": Host("10.0.0.2").format()}


class Life:
    """A process on a runtime folder: it reads what it finds there, and ends without a word."""

    def __init__(self, folder, files=None, codec="opaque"):
        self.log = KeptLog()
        self.clock = Clock()
        self.memory = Memory(str(folder), self.log)
        self.start: Start
        files = {"state": b"5\n"} if files is None else files
        configuration = PylockdConfiguration()
        configuration.handles.codec = codec

        def compose(start):
            self.start = start
            return LockEngine(
                configuration,
                access=Access(("*",), attached=list, resolve=lambda address: None),
                entropy=random.Random(1),
                hostname=b"server",
                monitor=lambda rpc, engine: Monitor(),
                programs=[],
                locks_lost=start.needs_grace,
            )

        self.engine = self.memory.recall(lambda kept: begin(files, locks_kept=kept), compose, self.clock.now)
        self.engine.prepare(self.clock.now)
        self.settle()

    def settle(self):
        for effect in self.engine.drain():
            if isinstance(effect, Append):
                assert self.memory.file.append(effect.data) == ""

    def lock(self, svid=1, reclaim=False):
        call = rpc.call_bytes(
            rpc.NLM, 4, nlm.LOCK, nlm.lock(4, nlm.Alock().but(svid=svid), reclaim=reclaim), xid=svid
        )
        reply = self.engine.receive(call, Origins(SERVER)("10.0.0.2"), self.clock.now)
        self.settle()
        assert reply is not None
        return nlm.read(nlm.LOCK, rpc.Reply.parse(reply).body, 4).status


def test_a_first_start_has_nothing_to_say(tmp_path):
    life = Life(tmp_path, files={})
    assert life.start.beginning is Beginning.FRESH
    assert life.lock() == nlm.OK
    assert os.listdir(tmp_path) == ["journal"]


def test_a_killed_process_is_followed_by_one_that_knows_its_locks_without_grace_or_new_state(tmp_path):
    Life(tmp_path).lock()
    life = Life(tmp_path, files=MONITORED)
    assert (life.start.beginning, life.start.state, life.start.untold) == (Beginning.KEPT, 5, {})
    assert life.lock(svid=2) == nlm.DENIED
    assert life.log.lines == ["going on with what the last process knew: 1 locks, 1 clients"]


def spoil_boot(path, monkeypatch):
    monkeypatch.setattr(journalfile, "boot_id", lambda: bytes(16))


def spoil_time(path, monkeypatch):
    later = journalfile.boot_clock() + 61 * 10**9
    monkeypatch.setattr(journalfile, "boot_clock", lambda: later)


def spoil_bit(path, monkeypatch):
    with open(path, "r+b") as file:
        file.seek(70)
        byte = file.read(1)
        file.seek(70)
        file.write(bytes((byte[0] ^ 4,)))


def spoil_all(path, monkeypatch):
    os.unlink(path)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_boot, "not used: the machine was restarted"),
        (spoil_time, "not used: the daemon was away for 61 s"),
        (spoil_bit, "cannot be used (a frame"),
        (spoil_all, ""),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_locks_not_to_be_believed_are_reclaimed(tmp_path, monkeypatch, spoil, said):
    Life(tmp_path).lock()
    spoil(tmp_path / "journal", monkeypatch)
    life = Life(tmp_path, files=MONITORED)
    assert (life.start.beginning, life.start.state) == (Beginning.LOST, 7)
    assert list(life.start.untold) == ["10.0.0.2"]
    assert len(life.engine.server.table) == 0
    assert life.lock() == nlm.GRACE
    assert said in "".join(life.log.lines)
    monkeypatch.undo()
    again = Life(tmp_path, files=MONITORED)
    assert again.engine.server.grace.active, "and what was dropped does not come back"
    assert len(again.engine.server.table) == 0


def test_another_codec_of_handles_makes_other_locks(tmp_path):
    Life(tmp_path).lock()
    life = Life(tmp_path, files=MONITORED, codec="unfs3")
    assert life.start.beginning is Beginning.LOST
    assert (tmp_path / "journal.damaged").exists()
    assert "its files are found by opaque" in life.log.lines[0]


def test_state_that_says_otherwise_overrules_the_journal(tmp_path):
    """The state folder was lost: the number to go on from is not known."""
    Life(tmp_path).lock()
    life = Life(tmp_path, files={"sm/10.0.0.2": MONITORED["sm/10.0.0.2"]})
    assert life.start.beginning is Beginning.LOST
    assert len(life.engine.server.table) == 0


def test_locks_too_old_to_go_on_with_tell_when_everybody_has_them_again(tmp_path, monkeypatch):
    Life(tmp_path).lock()
    spoil_time(tmp_path / "journal", monkeypatch)
    life = Life(tmp_path, files=MONITORED)
    assert life.engine.server.grace.active
    assert life.lock(reclaim=True) == nlm.OK
    life.engine.tick(life.clock.now)
    assert not life.engine.server.grace.active
