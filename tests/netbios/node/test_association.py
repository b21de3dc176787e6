# SPDX-License-Identifier: GPL-3.0-or-later
import random
from itertools import count

import pytest

from pydaemons.engine.effects import Effect
from pydaemons.engine.protocol import Now
from pydaemons.netbios import winsra
from pydaemons.netbios.node.association import LINKS, PATIENCE, Link, Links, Phase
from pydaemons.netbios.node.events import CloseLink, OpenLink, SendLink
from pydaemons.netbios.winsra import Kind

HOST, OTHER, HERE = "10.0.2.1", "10.0.3.1", "10.0.1.1"


class Board:
    """Links and the effects they made."""

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self.links = Links(count(-1, -1), entropy=random.Random(1), emit=self.effects.append)

    def accept(self, id_: int, host: str = HOST) -> Link:
        self.links.accept(id_, host)
        link = self.links.find(id_)
        assert link is not None
        return link


@pytest.fixture
def board() -> Board:
    return Board()


def at(mono: float) -> Now:
    return Now(mono, mono)


def test_links_of_ours_are_numbered_downwards_and_a_partners_as_the_shell_says(board):
    ours = [board.links.call(HOST, HERE, at(0)) for _ in range(2)]
    assert [link.id for link in ours] == [-1, -2]
    assert board.effects == [OpenLink(-1, HOST, HERE), OpenLink(-2, HOST, HERE)]
    board.accept(7)
    assert [link.id for link in board.links.of(HOST)] == [-1, -2, 7]
    assert board.links.of(OTHER) == []


def test_every_association_has_a_context_of_its_own_that_is_never_zero(board):
    links = [board.accept(id_, f"10.0.2.{id_}") for id_ in range(1, 200)]
    contexts = {link.context for link in links}
    assert len(contexts) == len(links)
    assert all(0 < context < 1 << 31 for context in contexts)


def test_an_association_is_found_by_its_context_for_its_host_only(board):
    link = board.accept(1)
    board.accept(2)
    assert board.links.find_associated(HOST, link.context) is link
    assert board.links.find_associated(OTHER, link.context) is None
    board.links.hang_up(link)
    assert board.links.find_associated(HOST, link.context) is None


def test_a_partner_with_too_many_connections_loses_its_oldest(board):
    ours = board.links.call(HOST, HERE, at(0))
    stranger = board.accept(99, OTHER)
    links = [board.accept(id_) for id_ in range(1, LINKS + 3)]
    assert [link in board.links for link in links] == [False] * 2 + [True] * LINKS
    assert [e.link for e in board.effects if isinstance(e, CloseLink)] == [1, 2]
    assert ours in board.links
    assert stranger in board.links


def test_the_start_of_an_association_tells_each_side_the_others_context(board):
    ours = board.links.call(HOST, HERE, at(0))
    board.links.start(ours, at(0))
    theirs = board.accept(5)
    board.links.agree(theirs, 99)
    first, second = [winsra.unpack(e.data) for e in board.effects if isinstance(e, SendLink)]
    assert (first.kind, first.context, first.body.context) == (Kind.START, 0, ours.context)
    assert (second.kind, second.context, second.body.context) == (Kind.START_REPLY, 99, theirs.context)


def test_a_stop_leaves_before_the_connection_is_closed(board):
    link = board.accept(5)
    board.links.stop(link, winsra.STOPPED_BY_ERROR)
    sent, closed = board.effects
    assert winsra.unpack(sent.data).body == winsra.STOPPED_BY_ERROR
    assert closed == CloseLink(5)
    assert link not in board.links


def test_who_owes_an_answer_has_its_time_and_more_while_pieces_come(board):
    link = board.links.call(HOST, HERE, at(0))
    board.links.expect(link, Phase.ASKED_NAMES, at(10))
    assert board.links.deadline() == 10 + PATIENCE
    board.links.go_on(link.id, at(30))
    assert board.links.overdue(at(10 + PATIENCE)) == []
    assert board.links.overdue(at(30 + PATIENCE)) == [link]


def test_who_owes_nothing_is_never_late(board):
    link = board.links.call(HOST, HERE, at(0))
    board.links.has(link, Phase.RESTING)
    board.links.go_on(link.id, at(1))
    board.links.go_on(12345, at(1))
    assert board.links.deadline() is None
    assert board.links.overdue(at(1000)) == []


def test_a_link_that_ended_is_not_told_to_close_when_it_closed_itself(board):
    link = board.accept(5)
    board.links.hang_up(link, tell=False)
    assert board.effects == []
    board.links.refuse(6)
    assert board.effects == [CloseLink(6)]
