# SPDX-License-Identifier: GPL-3.0-or-later
import random
from itertools import count

import pytest

from fakes.claims import wire
from pydaemons.engine.effects import Effect
from pydaemons.netbios import winsra
from pydaemons.netbios.node.association import Job, Link, Links
from pydaemons.netbios.node.events import SendLink
from pydaemons.netbios.node.exchange import Exchanges
from pydaemons.netbios.node.owners import Owners
from pydaemons.netbios.node.replicas import Replicas
from pydaemons.netbios.node.telling import REQUESTS, SLICE, Jobs, Telling
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.netbios.node.winsdb import WinsDb
from pydaemons.netbios.node.winsrecord import LOCAL, Member, Record, State
from pydaemons.netbios.winsra import Command, Message, Owner
from pydaemons.wire.errors import WireError

US, HOST = b"\x0a\0\0\1", b"\x0a\0\0\x63"
WALL = 1_000_000.0


class Teller:
    def __init__(self) -> None:
        self.db = WinsDb()
        self.db.count(0.0)
        tunables = NetbiosTunables()
        self.effects: list[Effect] = []
        self.failed: list[str] = []
        self.links = Links(count(-1, -1), entropy=random.Random(1), emit=self.effects.append)
        owners = Owners(self.db, tunables)
        replicas = Replicas(
            self.db,
            Exchanges(random.Random(1)),
            tunables,
            is_ours=lambda wire: False,
            is_refused=lambda wire: False,
            log=lambda level, message, message_id=None: None,
        )
        owners.address = replicas.address = US
        self.telling = Telling(self.db, replicas, owners, self.links)
        self.jobs = Jobs(lambda link, reason: self.failed.append(reason))

    def link(self, id_: int = 1) -> Link:
        self.links.accept(id_, "10.0.0.2")
        link = self.links.find(id_)
        assert link is not None
        return link

    def keep(self, text: str, *, state: State = State.ACTIVE, expires: float = WALL + 100) -> None:
        self.db.keep(wire(text), Record(state, 0, int(expires), (Member(HOST, int(expires)),)))

    def names(self, link: Link, lowest: int = 0, highest: int = 0) -> Job:
        return self.telling.names(link, Owner(US, highest, lowest), lambda: WALL)

    def finish(self) -> None:
        while self.jobs:
            self.jobs.go_on()

    def said(self) -> list[Message]:
        return [winsra.unpack(effect.data) for effect in self.effects if isinstance(effect, SendLink)]


@pytest.fixture
def teller() -> Teller:
    return Teller()


def test_active_names_and_tombstones_are_told_and_released_and_expired_ones_are_not(teller):
    teller.keep("ALIVE#20")
    teller.keep("FREE#20", state=State.RELEASED)
    teller.keep("DEAD#20", state=State.TOMBSTONE, expires=WALL - 1)
    teller.keep("LATE#20", expires=WALL - 1)
    teller.jobs.do(link := teller.link(), teller.names(link))
    (message,) = teller.said()
    assert [(record.version, record.state) for record in message.body] == [
        (1, State.ACTIVE),
        (3, State.TOMBSTONE),
    ]


def test_only_the_versions_that_were_asked_for_are_told(teller):
    for number in range(1, 10):
        teller.keep(f"N{number}#20")
    teller.jobs.do(link := teller.link(), teller.names(link, 4, 6))
    (message,) = teller.said()
    assert [record.version for record in message.body] == [4, 5, 6]


def test_requests_on_one_connection_are_answered_in_their_order(teller):
    for number in range(2 * SLICE):
        teller.keep(f"N{number}#20")
    link = teller.link()
    teller.jobs.do(link, teller.names(link))
    teller.jobs.do(link, teller.telling.table(link))
    teller.jobs.do(link, teller.names(link, 7, 7))
    assert teller.said() == []
    teller.finish()
    long, table, short = teller.said()
    assert (len(long.body), table.command, len(short.body)) == (2 * SLICE, Command.TABLE_REPLY, 1)


def test_a_short_question_on_another_connection_does_not_wait_for_a_long_one(teller):
    for number in range(2 * SLICE):
        teller.keep(f"N{number}#20")
    first, second = teller.link(1), teller.link(2)
    teller.jobs.do(first, teller.names(first))
    teller.jobs.do(second, teller.telling.table(second))
    (message,) = teller.said()
    assert message.command == Command.TABLE_REPLY
    assert message.body == (Owner(US, 2 * SLICE),)


def test_a_name_that_changes_while_it_is_told_is_left_to_its_new_version(teller):
    for number in range(SLICE + 10):
        teller.keep(f"N{number}#20")
    link = teller.link()
    teller.jobs.do(link, teller.names(link, 1, SLICE + 10))
    teller.db.keep(wire(f"N{SLICE + 5}#20"), Record(State.ACTIVE, 0, 2**31, (Member(US, 2**31),)))
    teller.finish()
    (message,) = teller.said()
    assert SLICE + 6 not in [record.version for record in message.body]
    assert teller.db.highest[LOCAL] == SLICE + 11


def test_who_asks_and_never_takes_is_given_up(teller):
    for number in range(2 * SLICE):
        teller.keep(f"N{number}#20")
    link = teller.link()
    for _ in range(REQUESTS):
        teller.jobs.do(link, teller.names(link))
    assert teller.failed == []
    teller.jobs.do(link, teller.names(link))
    assert teller.failed == ["asks for more than it takes"]
    teller.links.hang_up(link)
    teller.effects.clear()
    teller.finish()
    assert teller.effects == []


def test_a_job_that_meets_nonsense_fails_alone(teller):
    def nonsense() -> Job:
        yield
        raise WireError("no", 3)

    link = teller.link()
    teller.jobs.do(link, nonsense())
    teller.jobs.do(link, teller.telling.table(link))
    teller.finish()
    assert [reason.partition(":")[0] for reason in teller.failed] == ["sent nonsense"]
    assert len(teller.said()) == 1
