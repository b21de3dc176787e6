# SPDX-License-Identifier: GPL-3.0-or-later
"""What has been decided, in the order it is handed out."""

from __future__ import annotations

from pydaemons.bnode.effects import Answer, BosLog, StopUnit
from pydaemons.bnode.model import Code
from pydaemons.bnode.outbox import Outbox
from pydaemons.engine.effects import Level, Persist


def test_answers_come_last_whenever_they_were_given():
    out = Outbox()
    out.answer("t", Code.OK)
    out.put(StopUnit("u"))
    out.put_first(Persist("BosConfig", b"x"))
    assert list(out.drain()) == [Persist("BosConfig", b"x"), StopUnit("u"), Answer("t", Code.OK)]
    assert list(out.drain()) == []


def test_a_log_line_has_fields_and_perhaps_an_id():
    out = Outbox()
    out.log(Level.INFO, "text", "id", BOS_BNODE="a")
    assert list(out.drain()) == [BosLog(Level.INFO, "text", {"BOS_BNODE": "a"}, "id")]


def test_what_is_put_while_draining_is_drained_too():
    out = Outbox()
    out.put(StopUnit("a"))
    drained = []
    for effect in out.drain():
        drained.append(effect)
        if len(drained) == 1:
            out.put(StopUnit("b"))
    assert drained == [StopUnit("a"), StopUnit("b")]


def test_it_knows_whether_there_is_anything():
    out = Outbox()
    assert not out
    out.config_changed = True
    assert out
    out.config_changed = False
    out.answer("t", Code.OK)
    assert out and list(out.drain()) and not out
