# SPDX-License-Identifier: GPL-3.0-or-later
import random
from itertools import count

import pytest

from fakes.claims import wire
from pydaemons.engine.effects import Effect
from pydaemons.engine.protocol import Now
from pydaemons.netbios import name, nspacket, winsra
from pydaemons.netbios.codes import NODE_H
from pydaemons.netbios.node.association import Link, Links, Phase
from pydaemons.netbios.node.events import SendLink
from pydaemons.netbios.node.exchange import Exchanges
from pydaemons.netbios.node.owners import Owners
from pydaemons.netbios.node.pulling import ASK_AFTER, LOOK_AGAIN, Pulling
from pydaemons.netbios.node.replicas import Replicas
from pydaemons.netbios.node.telling import SLICE, Jobs
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.netbios.node.winsdb import WinsDb
from pydaemons.netbios.node.winsrecord import Member, Record, State
from pydaemons.netbios.winsra import Command, NameRecord, OwnedAddress, Owner, RecordKind, RecordState

US, THEM, THIRD = b"\x0a\0\0\1", b"\x0a\0\0\2", b"\x0a\0\0\3"
OURS, RIVAL = b"\x0a\0\0\x63", b"\x0a\0\0\x64"


class Puller:
    def __init__(self) -> None:
        self.mono = 100.0
        self.db = WinsDb()
        self.db.count(0.0)
        self.tunables = NetbiosTunables()
        self.effects: list[Effect] = []
        self.said: list[str] = []
        self.ended: list[Link] = []
        self.failed: list[str] = []
        self.settled = 0
        self.exchanges = Exchanges(random.Random(1))
        self.links = Links(count(-1, -1), entropy=random.Random(1), emit=self.effects.append)
        self.owners = Owners(self.db, self.tunables)
        self.jobs = Jobs(lambda link, reason: self.failed.append(reason))
        replicas = Replicas(
            self.db,
            self.exchanges,
            self.tunables,
            is_ours=lambda wire: False,
            is_refused=lambda wire: False,
            log=self.log,
        )
        self.owners.address = replicas.address = US
        self.pulling = Pulling(
            replicas,
            self.owners,
            self.links,
            self.jobs,
            self.tunables,
            ended=lambda link, now: self.ended.append(link),
            settled=self.settle,
            log=self.log,
        )
        self.link = self.links.call("10.0.0.2", "10.0.0.1", self.now)
        self.links.has(self.link, Phase.RESTING)

    @property
    def now(self) -> Now:
        return Now(self.mono, 1_000_000.0 + self.mono)

    def log(self, level: int, message: str, message_id: str | None = None) -> None:
        self.said.append(message)

    def settle(self, now: Now) -> None:
        self.settled += 1

    def asked(self) -> list[Owner]:
        """What names were requested so far."""
        messages = [winsra.unpack(effect.data) for effect in self.effects if isinstance(effect, SendLink)]
        return [message.body for message in messages if message.command == Command.NAMES_REQUEST]

    def begin(self, *told: Owner) -> None:
        self.pulling.begin(self.link, told, self.now)

    def names(self, *records: NameRecord) -> None:
        message = winsra.replication(Command.NAMES_REPLY, self.link.context, records)
        self.pulling.received(self.link, winsra.pack(message), self.now)

    def pass_(self, seconds: float) -> None:
        self.mono += seconds
        self.exchanges.tick(self.now)
        self.pulling.tick(self.now)


@pytest.fixture
def puller() -> Puller:
    return Puller()


def unique(text: str, version: int, address: bytes = RIVAL) -> NameRecord:
    addresses = (OwnedAddress(b"", address),)
    return NameRecord(
        name.parse(text),
        RecordKind.UNIQUE,
        RecordState.ACTIVE,
        3,
        static=False,
        version=version,
        addresses=addresses,
    )


def test_owners_are_asked_for_one_after_the_other_and_then_it_is_over(puller):
    puller.begin(Owner(THEM, 5), Owner(THIRD, 7))
    assert puller.asked() == [Owner(THEM, 5, 1)]
    puller.names(unique("A#20", 5))
    assert puller.asked() == [Owner(THEM, 5, 1), Owner(THIRD, 7, 1)]
    assert puller.ended == []
    puller.names()
    assert puller.ended == [puller.link]
    assert (puller.link.phase, puller.link.news) == (Phase.RESTING, 1)
    assert puller.owners.table()[1:] == [Owner(THEM, 5), Owner(THIRD, 7)]


def test_nothing_new_is_over_at_once(puller):
    puller.begin(Owner(THEM, 0))
    assert puller.ended == [puller.link]
    assert puller.asked() == []


def test_names_nobody_asked_for_are_passed_over(puller):
    puller.names(unique("A#20", 5))
    assert len(puller.db) == 0
    puller.begin(Owner(THEM, 5))
    puller.links.has(puller.link, Phase.TAKING)
    puller.names(unique("A#20", 5))
    assert len(puller.db) == 0


def test_many_names_are_taken_slice_by_slice(puller):
    puller.begin(Owner(THEM, 3 * SLICE))
    puller.names(*(unique(f"N{number}#20", number + 1) for number in range(3 * SLICE)))
    slices = [len(puller.db)]
    while puller.jobs:
        puller.jobs.go_on()
        slices.append(len(puller.db))
    assert slices == [SLICE, 2 * SLICE, 3 * SLICE, 3 * SLICE]
    assert puller.ended == [puller.link]


def test_an_owner_is_known_when_all_its_names_are_here_and_not_before(puller):
    puller.begin(Owner(THEM, 9))
    message = winsra.replication(Command.NAMES_REPLY, 1, (unique("A#20", 9), unique("B#20", 8)))
    puller.pulling.received(puller.link, winsra.pack(message)[:-8], puller.now)
    assert [reason.partition(":")[0] for reason in puller.failed] == ["sent nonsense"]
    assert len(puller.db) == 1
    assert puller.owners.table()[1:] == []


def test_hosts_are_asked_a_moment_after_the_pull_and_then_their_owner_is_known(puller):
    expires = 2**32 - 2
    puller.db.keep(wire("PC#20"), Record(State.ACTIVE, NODE_H, expires, (Member(OURS, expires),)))
    puller.begin(Owner(THEM, 9))
    puller.names(unique("A#20", 3), unique("PC#20", 8), unique("B#20", 9))
    assert puller.ended == [puller.link]
    assert puller.owners.table()[1:] == [Owner(THEM, 7)]
    assert puller.exchanges.drain() == []
    assert puller.pulling.deadline() == puller.mono + ASK_AFTER
    puller.pass_(ASK_AFTER)
    (question,) = puller.exchanges.drain()
    id_ = nspacket.unpack(question.data).id
    answer = nspacket.answer(0, id_, wire("PC#20"), b"", ttl=0, rcode=3)
    puller.exchanges.receive(nspacket.unpack(answer), question.to.host, puller.now)
    assert puller.db.find(wire("PC#20")).owner == THEM
    assert puller.settled == 0
    puller.pass_(LOOK_AGAIN)
    assert puller.owners.table()[1:] == [Owner(THEM, 9)]
    assert puller.settled == 1
    assert puller.pulling.deadline() is None


def test_a_demand_leaves_after_a_pull_that_failed_too(puller):
    expires = 2**32 - 2
    puller.db.keep(wire("PC#20"), Record(State.ACTIVE, NODE_H, expires, (Member(OURS, expires),)))
    group = unique("PC#20", 8)._replace(kind=RecordKind.GROUP)
    puller.begin(Owner(THEM, 9))
    message = winsra.replication(Command.NAMES_REPLY, 1, (group, unique("B#20", 9)))
    puller.pulling.received(puller.link, winsra.pack(message)[:-8], puller.now)
    assert puller.failed
    puller.pass_(ASK_AFTER)
    assert len(puller.exchanges.drain()) == 1


def test_a_full_database_is_said_and_partners_words_move_nothing_for_a_while(puller):
    puller.tunables.set("max_names", "100", "test")
    for _ in range(2):
        puller.begin(Owner(THEM, 120))
        puller.names(*(unique(f"N{number}#20", number) for number in range(1, 121)))
    assert len(puller.said) == 1
    assert "no room for 20 names of 10.0.0.2" in puller.said[0]
    assert puller.owners.table()[1:] == []
    assert not puller.pulling.wants([Owner(THEM, 120)], puller.now)
    puller.mono += puller.tunables.wins_pull_interval
    assert puller.pulling.wants([Owner(THEM, 120)], puller.now)
