# SPDX-License-Identifier: GPL-3.0-or-later
"""The fuzzer's corpus, told again, and the form it is kept in."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import stories
from fakes.stories import CLIENTS, Packet, Wait
from hosts import nlmcalls as nlm
from hosts import rpc
from pydaemons.nlm.server import Server
from soak import fuzzing

CORPUS = stories.read(Path(__file__).resolve().parents[1] / "golden" / "nlm-stories.txt")
EVENTS = st.one_of(
    st.builds(Packet, st.sampled_from(CLIENTS), st.sampled_from("ut"), st.binary(max_size=8)),
    st.builds(Wait, st.sampled_from([0.5, 6.0, 700.0])),
)


@pytest.mark.parametrize("part", range(10))
def test_every_story_of_the_corpus_ends_well(part):
    for story in CORPUS[part::10]:
        stories.tell(story)


@given(st.lists(EVENTS, max_size=5).map(tuple))
def test_a_story_is_read_as_it_was_written(story):
    assert stories.parse(stories.told(story)) == story


def test_a_server_that_does_wrong_is_found_out(monkeypatch):
    story = max(CORPUS, key=len)
    monkeypatch.setattr(stories, "known", lambda server, seen=[]: seen.append(server) or len(seen))
    with pytest.raises(AssertionError, match="journal"):
        stories.tell(story)


def test_the_fuzzer_keeps_what_reaches_further_and_reports_what_goes_wrong_in_short(monkeypatch):
    found, wrong, count = fuzzing.hunt(1.0, 1, [])
    assert count
    assert found
    assert not wrong
    cancel = Server.cancel

    def broken(self, args, call, now):
        assert args.offset != 5, "planted"
        return cancel(self, args, call, now)

    monkeypatch.setattr(Server, "cancel", broken)
    lock = nlm.Alock(offset=5)
    packets = [
        Packet(2, "u", rpc.call_bytes(rpc.NLM, 4, number, arguments, xid=number))
        for number, arguments in ((nlm.LOCK, nlm.lock(4, lock)), (nlm.CANCEL, nlm.cancel(4, lock)))
    ]
    _, wrong, _ = fuzzing.hunt(1.0, 1, [tuple(packets)])
    assert next(story for story, text in wrong if "planted" in text) == (packets[1],)
