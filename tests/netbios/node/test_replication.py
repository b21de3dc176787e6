# SPDX-License-Identifier: GPL-3.0-or-later
"""Two and three servers in virtual time; smbtorture asks the real daemon in tests/e2e."""

import random

import pytest

from fakes.claims import claim, query, release, wire
from fakes.ether import Ether, Station
from fakes.wires import Wires
from pydaemons.netbios import name, nspacket, winsra
from pydaemons.netbios.codes import GROUP, NODE_H, Opcode
from pydaemons.netbios.node import winsrecord
from pydaemons.netbios.node.events import Asked, LinkProgressed, LinkReceived, Reconfigured
from pydaemons.netbios.node.settings import Partner, Settings
from pydaemons.netbios.node.telling import SLICE
from pydaemons.netbios.node.winsdb import WinsDb
from pydaemons.netbios.node.winsrecord import LOCAL, Record, State
from pydaemons.netbios.winsra import Command, Kind, NameRecord, OwnedAddress, Owner, RecordKind, RecordState

A, B, C = "10.0.1.1", "10.0.2.1", "10.0.3.1"
DAY = 86400


def packed(host: str) -> bytes:
    return bytes(map(int, host.split(".")))


def settings(own: str, *partners: str | Partner) -> Settings:
    return Settings(
        own,
        wins_support=True,
        dns_proxy=False,
        partners=tuple(each if isinstance(each, Partner) else Partner(each) for each in partners),
    )


class Site:
    """Servers, each on its own network, and a client on each."""

    def __init__(self, *servers: tuple[str, tuple[str | Partner, ...]]) -> None:
        self.ether = Ether()
        self.wires = Wires(self.ether)
        self.stations: dict[str, Station] = {}
        for address, partners in servers:
            self.stations[address] = self.ether.add(settings(f"W{address[5]}", *partners), address)
        self.ether.run(10)

    def register(self, at: str, text: str, address: str, **options: int) -> int:
        (answer, *_) = self.ether.host(f"{at[:-1]}9").ask(claim(text, address, **options), at)
        return nspacket.unpack(answer).rcode

    def find(self, at: str, text: str) -> list[str] | int:
        (answer, *_) = self.ether.host(f"{at[:-1]}8").ask(query(text), at)
        packet = nspacket.unpack(answer)
        if packet.rcode:
            return packet.rcode
        return [".".join(map(str, nb.address)) for nb in nspacket.unpack_nb(packet.answers[0].data)]

    def record(self, at: str, text: str) -> Record:
        record = self.stations[at].node.db.find(wire(text))
        assert record is not None
        return record

    def commands(self, sender: str, to: str) -> list[int]:
        found = []
        for source, target, data in self.wires.said:
            if (source, target) == (sender, to):
                message = winsra.unpack(data)
                if message.kind == Kind.REPLICATION:
                    found.append(message.command)
        return found


def two() -> Site:
    return Site((A, (B,)), (B, (A,)))


def test_a_name_registered_at_one_server_is_found_at_the_other_within_seconds():
    site = two()
    assert site.register(A, "FILES#20", "10.0.1.77") == 0
    site.ether.run(10)
    assert site.find(B, "FILES#20") == ["10.0.1.77"]
    record = site.record(B, "FILES#20")
    assert (record.owner, record.kind) == (packed(A), RecordKind.UNIQUE)
    assert record.version == site.record(A, "FILES#20").version


def test_every_kind_of_name_arrives_as_it_was_registered():
    site = two()
    site.register(A, "GROUP#00", "10.0.1.77", flags=GROUP | NODE_H)
    site.register(A, "OFFICE#1c", "10.0.1.77", flags=GROUP | NODE_H)
    site.register(A, "OFFICE#1c", "10.0.1.78", flags=GROUP | NODE_H)
    site.register(A, "OFFICE#1b", "10.0.1.77")
    site.ether.run(10)
    assert site.find(B, "GROUP#00") == ["255.255.255.255"]
    assert site.find(B, "OFFICE#1c") == ["10.0.1.77", "10.0.1.78"]
    assert site.find(B, "OFFICE#1b") == ["10.0.1.77"]
    assert site.find(B, "*#1b") == ["10.0.1.77"]
    members = site.record(B, "OFFICE#1c").members
    assert {member.owner for member in members} == {packed(A)}


def test_a_refresh_is_no_news_and_a_change_is():
    site = two()
    site.register(A, "FILES#20", "10.0.1.77")
    site.ether.run(10)
    version = site.record(A, "FILES#20").version
    site.wires.said.clear()
    for _ in range(3):
        site.register(A, "FILES#20", "10.0.1.77", opcode=Opcode.REFRESH)
        site.ether.run(60)
    assert site.record(A, "FILES#20").version == version
    assert Command.INFORM not in site.commands(A, B)
    site.ether.host("10.0.1.77").ask(release("FILES#20", "10.0.1.77"), A)
    site.register(A, "FILES#20", "10.0.1.99")
    site.ether.run(10)
    assert site.record(A, "FILES#20").version > version
    assert site.find(B, "FILES#20") == ["10.0.1.99"]
    assert site.commands(A, B).count(Command.INFORM) == 1


def test_a_released_name_stays_at_its_partner_until_it_is_a_tombstone():
    site = two()
    site.register(A, "FILES#20", "10.0.1.77")
    site.ether.run(10)
    site.ether.host("10.0.1.77").ask(release("FILES#20", "10.0.1.77"), A)
    site.ether.run(60)
    assert site.find(A, "FILES#20") == 3
    assert site.find(B, "FILES#20") == ["10.0.1.77"]
    site.ether.run(4 * DAY + 3600)
    assert site.find(B, "FILES#20") == 3
    assert site.record(B, "FILES#20").state == State.TOMBSTONE
    site.ether.run(3 * DAY)
    for at in (A, B):
        assert site.stations[at].node.db.find(wire("FILES#20")) is None


def test_a_client_that_moves_to_the_other_server_takes_its_name_there():
    site = two()
    site.register(A, "FILES#20", "10.0.1.77")
    site.ether.run(10)
    assert site.register(B, "FILES#20", "10.0.1.77", opcode=Opcode.REFRESH) == 0
    site.ether.run(10)
    assert site.record(B, "FILES#20").owner == LOCAL
    assert site.record(A, "FILES#20").owner == packed(B)


def test_a_third_server_hears_of_it_through_the_second():
    site = Site((A, (B,)), (B, (A, C)), (C, (B,)))
    site.register(A, "FILES#20", "10.0.1.77")
    site.ether.run(15)
    assert site.find(C, "FILES#20") == ["10.0.1.77"]
    assert site.record(C, "FILES#20").owner == packed(A)


def test_servers_in_a_circle_come_to_rest():
    site = Site((A, (B, C)), (B, (A, C)), (C, (A, B)))
    site.register(A, "OFFICE#1c", "10.0.1.77", flags=GROUP | NODE_H)
    site.register(B, "OFFICE#1c", "10.0.2.77", flags=GROUP | NODE_H)
    site.register(C, "WORKGROUP#00", "10.0.3.77", flags=GROUP | NODE_H)
    site.ether.run(120)
    site.wires.said.clear()
    versions = [station.node.db.highest[LOCAL] for station in site.stations.values()]
    site.ether.run(1500)
    assert [data for _, _, data in site.wires.said] == []
    assert [station.node.db.highest[LOCAL] for station in site.stations.values()] == versions
    for at in (A, B, C):
        assert set(site.find(at, "OFFICE#1c")) == {"10.0.1.77", "10.0.2.77"}


def test_a_partner_that_is_away_gets_everything_when_it_is_back():
    site = two()
    site.wires.cut.add(B)
    site.wires.break_all()
    site.register(A, "FILES#20", "10.0.1.77")
    site.ether.run(300)
    assert site.stations[A].node.replication.peers[B].error == "no route to host"
    assert sum("WINS partner 10.0.2.1: no route" in line for line in site.stations[A].logs) == 1
    site.wires.cut.clear()
    site.ether.run(120)
    assert site.find(B, "FILES#20") == ["10.0.1.77"]
    assert site.stations[A].node.replication.peers[B].error == ""


def test_versions_and_owners_survive_a_restart():
    site = two()
    for number in range(5):
        site.register(A, f"HOST{number}#20", "10.0.1.77")
    site.ether.run(10)
    station = site.stations[A]
    station.node.db.delete(wire("HOST4#20"))
    version = station.node.db.highest[LOCAL]
    site.ether.run(30)  # for the deletion to be stored
    site.ether.remove(station)
    site.wires.break_all()
    db = WinsDb()
    db.load(dict(station.stored))
    again = site.ether.add(settings("W1", B), A, db=db)
    site.stations[A] = again
    assert again.node.db.highest[LOCAL] >= version
    site.register(A, "LATER#20", "10.0.1.77")
    site.ether.run(120)
    assert site.find(B, "LATER#20") == ["10.0.1.77"]
    assert again.node.db.highest[packed(B)] == site.stations[B].node.db.highest[LOCAL]


def test_a_server_that_lost_its_database_goes_on_with_numbers_its_partners_have_not_seen():
    site = two()
    for number in range(20):
        site.register(A, f"HOST{number}#20", "10.0.1.77")
    site.ether.run(10)
    seen = site.stations[B].node.db.highest[packed(A)]
    site.ether.remove(site.stations[A])
    site.wires.break_all()
    site.stations[A] = site.ether.add(settings("W1", B), A)
    site.ether.run(10)
    site.register(A, "LATER#20", "10.0.1.77")
    site.ether.run(120)
    assert site.record(A, "LATER#20").version > seen
    assert site.find(B, "LATER#20") == ["10.0.1.77"]


def test_a_living_host_of_ours_keeps_its_name_against_a_replica_and_a_dead_one_does_not():
    for alive in (True, False):
        site = two()
        site.wires.cut.add(B)
        site.wires.break_all()
        if alive:
            site.ether.add(Settings("TWIN"), "10.0.1.77")
        site.register(A, "TWIN#20", "10.0.1.77")
        site.register(B, "TWIN#20", "10.0.2.77")
        site.wires.cut.clear()
        site.ether.run(200)
        assert site.find(A, "TWIN#20") == (["10.0.1.77"] if alive else ["10.0.2.77"])


def test_a_host_with_an_address_at_each_server_becomes_multihomed():
    site = two()
    site.wires.cut.add(B)
    site.wires.break_all()
    site.ether.add(Settings("BOTH"), "10.0.1.77", "10.0.2.77")
    site.register(A, "BOTH#20", "10.0.1.77")
    site.register(B, "BOTH#20", "10.0.2.77")
    site.wires.cut.clear()
    site.ether.run(300)
    assert set(site.find(A, "BOTH#20")) == {"10.0.1.77", "10.0.2.77"}


def test_a_host_whose_name_became_a_group_is_told_to_give_it_up():
    site = two()
    site.wires.cut.add(B)
    site.wires.break_all()
    client = site.ether.host("10.0.1.77", 137)
    site.register(A, "THING#00", "10.0.1.77")
    site.register(B, "THING#00", "10.0.2.77", flags=GROUP | NODE_H)
    site.wires.cut.clear()
    site.ether.run(200)
    demands = [nspacket.unpack(data) for _, data in client.got]
    assert {packet.opcode for packet in demands} == {Opcode.RELEASE}
    assert site.find(A, "THING#00") == ["255.255.255.255"]


def test_our_own_names_are_not_a_partners_to_take():
    site = two()
    site.wires.cut.add(B)
    site.wires.break_all()
    db = site.stations[B].node.db
    db.put(
        wire("W1#20"),
        Record(State.ACTIVE, 0, 2**32 - 2, (winsrecord.Member(packed("10.0.2.66"), 2**32 - 2),)).pack(),
    )
    site.wires.cut.clear()
    site.ether.run(200)
    assert site.find(A, "W1#20") == [A]
    site.ether.run(60)
    assert site.find(B, "W1#20") == [A], "and the partner hears who is right"


def test_refused_names_do_not_come_in_by_a_partner_either():
    site = two()
    site.stations[B].node.db.put(
        wire("WPAD#20"),
        Record(State.ACTIVE, 0, 2**32 - 2, (winsrecord.Member(packed("10.0.2.66"), 2**32 - 2),)).pack(),
    )
    site.ether.run(2000)
    assert site.find(A, "WPAD#20") == 3


@pytest.mark.parametrize("push", [True, False])
def test_a_partner_gets_only_what_it_may_have(push):
    site = Site((A, (Partner(B, push=push, pull=not push),)))
    client = site.wires.connect(site.stations[A], B)
    site.ether.run(1)
    client.send(winsra.pack(winsra.start(0, 99)))
    site.ether.run(1)
    ours = winsra.unpack(client.got[-1]).body.context
    client.send(winsra.pack(winsra.replication(Command.TABLE_QUERY, ours)))
    site.ether.run(1)
    message = winsra.unpack(client.got[-1])
    assert message.context == 99
    if push:
        assert message.command == Command.TABLE_REPLY
        assert [owner.address for owner in message.body] == [packed(A)]
    else:
        assert (message.kind, message.body) == (Kind.STOP, winsra.STOPPED_BY_ERROR)
        assert client.closed


def test_who_is_no_partner_is_not_spoken_to():
    site = two()
    client = site.wires.connect(site.stations[A], "10.0.9.9")
    site.ether.run(1)
    client.send(winsra.pack(winsra.start(0, 99)))
    site.ether.run(1)
    assert client.closed
    assert client.got == []


def test_without_partners_there_are_no_versions_and_no_links():
    site = Site((A, ()))
    site.register(A, "FILES#20", "10.0.1.77")
    node = site.stations[A].node
    assert node.replication is None
    assert node.db.by_version == {}
    assert node.db.find(wire("FILES#20")).version == 0
    client = site.wires.connect(site.stations[A], B)
    site.ether.run(1)
    client.send(winsra.pack(winsra.start(0, 99)))
    site.ether.run(1)
    assert client.got == []


def test_partners_come_and_go_with_the_configuration():
    site = Site((A, ()), (B, (A,)))
    site.register(A, "BEFORE#20", "10.0.1.77")
    site.ether.tell(site.stations[A], Reconfigured(settings("W1", B)))
    site.ether.run(120)
    assert site.find(B, "BEFORE#20") == ["10.0.1.77"], "what was there before has versions now"
    site.ether.tell(site.stations[A], Reconfigured(settings("W1")))
    site.wires.said.clear()
    site.register(A, "AFTER#20", "10.0.1.77")
    site.ether.run(3000)
    assert site.find(B, "AFTER#20") == 3
    assert site.stations[A].node.replication is None


def update(owner: str, version: int, records: list[NameRecord]) -> tuple[bytes, bytes]:
    table = (Owner(packed(owner), version),)
    return (
        winsra.pack(winsra.replication(Command.UPDATE, 0, table)),
        winsra.pack(winsra.replication(Command.NAMES_REPLY, 0, tuple(records))),
    )


def associated(site: Site, host: str = B):
    client = site.wires.connect(site.stations[A], host)
    site.ether.run(1)
    client.send(winsra.pack(winsra.start(0, 99)))
    site.ether.run(1)
    context = winsra.unpack(client.got[-1]).body.context.to_bytes(4, "big")

    def say(data: bytes) -> None:
        client.send(data[:4] + context + data[8:])
        site.ether.run(1)

    return client, say


def unique(text: str, address: str, version: int) -> NameRecord:
    return NameRecord(
        name.parse(text),
        RecordKind.UNIQUE,
        RecordState.ACTIVE,
        3,
        static=False,
        version=version,
        addresses=(OwnedAddress(b"", packed(address)),),
    )


def test_a_partner_may_lend_its_connection_for_a_pull():
    site = Site((A, (B,)))
    client, say = associated(site)
    begin, names = update("10.7.7.7", 12, [unique("LENT#20", "10.7.7.9", 12)])
    say(begin)
    asked = winsra.unpack(client.got[-1])
    assert (asked.command, asked.body) == (Command.NAMES_REQUEST, Owner(packed("10.7.7.7"), 12, 1))
    say(names)
    done = winsra.unpack(client.got[-1])
    assert (done.kind, done.body) == (Kind.STOP, winsra.STOPPED)
    assert client.closed
    assert site.find(A, "LENT#20") == ["10.7.7.9"]
    assert site.stations[A].node.db.highest[packed("10.7.7.7")] == 12


def test_a_partner_that_lent_its_connection_has_it_back_before_hosts_are_asked():
    site = Site((A, (B,)))
    site.register(A, "TWIN#20", "10.0.1.77")
    host = site.ether.host("10.0.1.77", 137)
    client = site.wires.connect(site.stations[A], B)
    site.ether.run(1)
    client.send(winsra.pack(winsra.start(0, 99)))
    site.ether.run(1)
    context = winsra.unpack(client.got[-1]).body.context.to_bytes(4, "big")
    for data in update("10.7.7.7", 12, [unique("TWIN#20", "10.7.7.9", 12)]):
        client.send(data[:4] + context + data[8:])
        site.ether.run(0.01)
    assert client.closed
    assert host.got == []
    site.ether.run(1)
    ((_, question),) = host.got
    assert nspacket.unpack(question).opcode == Opcode.QUERY


def test_an_association_is_spoken_to_over_another_connection_of_its_partner_and_answers_over_its_own():
    site = Site((A, (B, C)))
    first, _ = associated(site)
    context = winsra.unpack(first.got[-1]).body.context
    question = winsra.pack(winsra.replication(Command.TABLE_QUERY, context))
    second, _ = associated(site)
    stranger, _ = associated(site, C)
    for client in (second, stranger):
        count = len(client.got)
        client.send(question)
        site.ether.run(1)
        assert len(client.got) == count
    assert [winsra.unpack(data).command for data in first.got[1:]] == [Command.TABLE_REPLY], "once: not for C"
    second.send(winsra.pack(winsra.stop(context, winsra.STOPPED_BY_ERROR)))
    site.ether.run(1)
    assert first.closed
    assert not second.closed


def test_many_names_are_taken_and_told_in_slices_and_none_is_lost():
    site = Site((A, (B,)))
    client, say = associated(site)
    count = 3 * SLICE + 7
    begin, names = update(B, count, [unique(f"N{i}#20", "10.7.7.9", i + 1) for i in range(count)])
    say(begin)
    say(names)
    site.ether.run(5)
    assert sum(w.startswith(b" EO") for w in site.stations[A].node.db.records) == count
    client, say = associated(site)
    say(winsra.pack(winsra.replication(Command.NAMES_REQUEST, 0, Owner(packed(B), 0))))
    site.ether.run(5)
    told = winsra.unpack(client.got[-1]).body
    assert [record.version for record in told] == list(range(1, count + 1))
    say(winsra.pack(winsra.replication(Command.NAMES_REQUEST, 0, Owner(packed(B), 9, 4))))
    site.ether.run(5)
    assert [record.version for record in winsra.unpack(client.got[-1]).body] == [4, 5, 6, 7, 8, 9]


def test_the_context_of_an_association_stays_the_same_and_another_one_is_passed_over():
    site = Site((A, (B,)))
    client, say = associated(site)
    first = client.got[-1]
    client.send(winsra.pack(winsra.start(0, 99)))
    site.ether.run(1)
    assert client.got[-1] == first
    count = len(client.got)
    client.send(winsra.pack(winsra.replication(Command.TABLE_QUERY, 12345)))
    site.ether.run(1)
    assert len(client.got) == count
    say(winsra.pack(winsra.stop(0)))
    assert client.closed


@pytest.mark.parametrize("seed", range(20))
def test_nonsense_ends_the_link_and_nothing_else(seed):
    dice = random.Random(seed)
    site = Site((A, (B,)))
    _, say = associated(site)
    begin, names = update(B, 3, [unique(f"N{i}#20", "10.7.7.9", i + 1) for i in range(3)])
    for data in (begin, names, winsra.pack(winsra.replication(Command.TABLE_QUERY, 0))):
        bad = bytearray(data)
        for _ in range(dice.randrange(1, 6)):
            bad[dice.randrange(8, len(bad))] = dice.randrange(256)
        say(bytes(bad[: dice.randrange(len(bad) + 1)] if dice.random() < 0.3 else bad))
    assert site.register(A, "FILES#20", "10.0.1.77") == 0
    assert site.find(A, "FILES#20") == ["10.0.1.77"]


def quick(site: Site) -> Site:
    """Replicas are believed for two hours instead of 24 days."""
    for station in site.stations.values():
        station.node.tunables.set("wins_verify_interval", "7200", "test")
    return site


def test_records_nobody_confirms_are_not_kept_forever():
    site = quick(two())
    site.register(A, "FILES#20", "10.0.1.77")
    site.ether.run(10)
    site.ether.remove(site.stations[A])
    site.wires.break_all()
    site.ether.run(7000)
    assert site.find(B, "FILES#20") == ["10.0.1.77"]
    site.ether.run(300)
    assert site.find(B, "FILES#20") == 3
    site.ether.run(DAY + 300)
    assert site.stations[B].node.db.find(wire("FILES#20")) is None


def test_names_that_never_change_are_confirmed_and_stay():
    site = quick(two())
    site.register(A, "FILES#20", "10.0.1.77")
    for _ in range(10):
        site.ether.run(3600)
        site.register(A, "FILES#20", "10.0.1.77", opcode=Opcode.REFRESH)
    assert site.find(B, "FILES#20") == ["10.0.1.77"]
    assert site.record(B, "FILES#20").owner == packed(A)


def test_an_administrators_deletion_reaches_the_partners():
    site = two()
    site.register(A, "FILES#20", "10.0.1.77")
    site.ether.run(10)
    assert site.stations[A].node.wins.delete(wire("FILES#20"), site.ether.now)
    site.ether.tell(site.stations[A], None)
    site.register(A, "OTHER#20", "10.0.1.78")
    site.ether.run(10)
    assert site.find(B, "FILES#20") == 3


def test_a_pull_that_is_cut_short_by_a_crash_is_made_again_whole():
    site = Site((A, (B,)))
    _, say = associated(site)
    count = 3 * SLICE
    # the latest first: what is stored when the crash comes has the highest versions
    records = [unique(f"N{version}#20", "10.7.7.9", version) for version in range(count, 0, -1)]
    begin, names = update("10.7.7.7", count, records)
    say(begin)
    site.stations[A].node.handle(LinkReceived(1, names), site.ether.now)
    site.ether._drain(site.stations[A])
    station = site.stations[A]
    assert 0 < sum(w.startswith(b" EO") for w in station.stored) < count
    site.ether.remove(station)
    db = WinsDb()
    db.load(dict(station.stored))
    again = site.stations[A] = site.ether.add(settings("W1", B), A, db=db)
    site.ether.run(10)
    client, say = associated(site)
    say(begin)
    assert winsra.unpack(client.got[-1]).body == Owner(packed("10.7.7.7"), count, 1)
    say(names)
    site.ether.run(5)
    assert sum(w.startswith(b" EO") for w in again.node.db.records) == count
    assert again.stored[b"\0" + packed("10.7.7.7")] == count.to_bytes(8, "big")


def test_a_disputed_name_reaches_the_third_server_when_its_host_has_spoken():
    site = Site((A, (B, C)), (C, (A,)))
    site.register(A, "TWIN#20", "10.0.1.77")
    site.ether.run(20)
    _, say = associated(site)
    owner = packed("10.7.7.7")
    for data in update("10.7.7.7", 3, [unique("ONE#20", "10.7.7.8", 1), unique("TWIN#20", "10.7.7.9", 2)]):
        say(data)
    assert site.stations[A].node.db.highest[owner] == 1, "its host is being asked"
    site.ether.run(2)
    assert site.find(C, "ONE#20") == ["10.7.7.8"], "nobody else waits for that"
    site.ether.run(20)
    assert site.stations[A].node.db.highest[owner] == 3
    assert site.find(C, "TWIN#20") == ["10.7.7.9"]
    assert site.stations[C].node.db.highest[owner] == 3


def test_a_dispute_outlives_a_crash():
    site = Site((A, (B,)))
    site.register(A, "TWIN#20", "10.0.1.77")
    _, say = associated(site)
    for data in update("10.7.7.7", 2, [unique("TWIN#20", "10.7.7.9", 2)]):
        say(data)
    station = site.stations[A]
    site.ether.remove(station)
    db = WinsDb()
    db.load(dict(station.stored))
    site.stations[A] = site.ether.add(settings("W1", B), A, db=db)
    site.ether.run(10)
    _, say = associated(site)
    for data in update("10.7.7.7", 2, [unique("TWIN#20", "10.7.7.9", 2)]):
        say(data)
    site.ether.run(20)
    assert site.find(A, "TWIN#20") == ["10.7.7.9"]


def test_a_partner_that_is_behind_undoes_nothing():
    site = Site((A, (B, C)))
    (_, fresh), (_, behind) = associated(site), associated(site, C)
    ahead = update("10.7.7.7", 9, [unique("FILES#20", "10.7.7.9", 9)])
    late = update("10.7.7.7", 4, [unique("FILES#20", "10.7.7.4", 4), unique("OTHER#20", "10.7.7.4", 3)])
    fresh(ahead[0])
    behind(late[0])
    fresh(ahead[1])
    behind(late[1])
    assert site.find(A, "FILES#20") == ["10.7.7.9"]
    assert site.find(A, "OTHER#20") == ["10.7.7.4"]
    assert site.stations[A].node.db.highest[packed("10.7.7.7")] == 9


def test_names_two_partners_tell_of_are_fetched_from_one():
    site = Site((A, (B, C)))
    (one, first), (two, second) = associated(site), associated(site, C)
    seventh, eighth = Owner(packed("10.7.7.7"), 5), Owner(packed("10.8.8.8"), 5)
    for say in (first, second):
        say(winsra.pack(winsra.replication(Command.UPDATE, 0, (seventh, eighth))))
    for say in (first, first, second):
        say(winsra.pack(winsra.replication(Command.NAMES_REPLY, 0, ())))
    asked = [
        message.body.address
        for client in (one, two)
        for message in map(winsra.unpack, client.got)
        if message.command == Command.NAMES_REQUEST
    ]
    assert asked.count(packed("10.8.8.8")) == 1
    assert one.closed
    assert two.closed


def test_names_outside_the_versions_that_were_asked_for_are_not_taken():
    site = Site((A, (B,)))
    _, say = associated(site)
    for data in update("10.7.7.7", 5, [unique("IN#20", "10.7.7.9", 5), unique("OUT#20", "10.7.7.9", 6)]):
        say(data)
    assert site.find(A, "IN#20") == ["10.7.7.9"]
    assert site.find(A, "OUT#20") == 3


def test_a_long_answer_may_take_long_while_it_comes():
    site = Site((A, (B,)))
    client, say = associated(site)
    begin, names = update("10.7.7.7", 1, [unique("SLOW#20", "10.7.7.9", 1)])
    say(begin)
    for _ in range(10):
        site.ether.run(20)
        site.wires.deliver(site.stations[A], LinkProgressed(client._link))
    say(names)
    assert site.find(A, "SLOW#20") == ["10.7.7.9"]
    client, say = associated(site)
    say(update("10.7.7.7", 2, [])[0])
    site.ether.run(40)
    assert client.closed, "but who says nothing at all is given up"
    assert any("WINS partner 10.0.2.1: no answer" in line for line in site.stations[A].logs)


def test_nonsense_is_logged_once_whatever_it_is():
    site = Site((A, (B,)))
    site.wires.servers[B] = lambda data: []
    before = len(site.stations[A].logs)
    for length in range(30):
        client, _ = associated(site)
        client.send(bytes(range(100, 100 + length)))
        site.ether.run(1)
        assert client.closed
    said = [line for line in site.stations[A].logs[before:] if "nonsense" in line]
    assert len(said) <= 2, "again only after another trouble"


def test_two_servers_with_one_name_come_to_rest():
    site = two()
    site.ether.remove(site.stations[B])
    site.wires.break_all()
    site.stations[B] = site.ether.add(settings("W1", A), B)
    site.ether.run(600)
    site.wires.said.clear()
    site.ether.run(3600)
    assert site.find(A, "W1#20") == [A]
    assert site.find(B, "W1#20") == [B]
    assert site.commands(A, B).count(Command.INFORM) < 15
    assert site.commands(B, A).count(Command.INFORM) < 15


def test_a_partner_that_asks_over_our_connection_what_it_may_not_is_called_again_later():
    site = Site((A, (Partner(B, push=False),)))

    def answer(data: bytes) -> list[bytes]:
        message = winsra.unpack(data)
        if message.kind != Kind.START:
            return []
        return [winsra.pack(winsra.start(message.body.context, 99, reply=True))]

    site.wires.servers[B] = answer
    site.ether.run(70)
    node = site.stations[A].node
    link = node.replication.peers[B].link
    assert link is not None
    site.wires.deliver(
        site.stations[A],
        LinkReceived(link.id, winsra.pack(winsra.replication(Command.TABLE_QUERY, link.context))),
    )
    site.ether.run(1)
    assert node.replication.peers[B].link is None
    node.replication.pull(B, site.ether.now)
    assert node.replication.peers[B].link is not None


def test_without_partners_disputes_are_dropped():
    site = Site((A, (B,)))
    site.register(A, "TWIN#20", "10.0.1.77")
    _, say = associated(site)
    for data in update("10.7.7.7", 2, [unique("TWIN#20", "10.7.7.9", 2)]):
        say(data)
    site.ether.tell(site.stations[A], Reconfigured(settings("W1")))
    site.ether.run(30)
    assert site.find(A, "TWIN#20") == ["10.0.1.77"]


def test_names_registered_before_the_first_word_of_a_partner_that_saw_more_reach_it():
    site = two()
    for number in range(20):
        site.register(A, f"HOST{number}#20", "10.0.1.77")
    site.ether.run(10)
    site.ether.remove(site.stations[A])
    site.wires.break_all()
    site.wires.cut.add(B)
    site.stations[A] = site.ether.add(settings("W1", B), A)
    site.register(A, "EARLY#20", "10.0.1.77")
    site.ether.run(60)
    site.wires.cut.clear()
    site.ether.run(200)
    assert site.find(B, "EARLY#20") == ["10.0.1.77"]


def test_names_there_is_no_room_for_are_said_and_fetched_when_there_is():
    site = Site((A, (B,)), (B, (A,)))
    node = site.stations[A].node
    node.tunables.set("max_names", "100", "test")
    for number in range(120):
        site.register(B, f"N{number}#20", f"10.0.2.{number + 10}")
    site.ether.run(30)
    assert len(node.db) == 100
    assert any("no room for" in line and "max_names is 100" in line for line in site.stations[A].logs)
    assert node.db.highest[packed(B)] < site.stations[B].node.db.highest[LOCAL]
    node.tunables.set("max_names", "1000", "test")
    node.replication.pull(None, site.ether.now)
    site.ether.tell(site.stations[A], None)
    site.ether.run(10)
    assert site.find(A, "N119#20") == ["10.0.2.129"]
    assert node.db.highest[packed(B)] == site.stations[B].node.db.highest[LOCAL]


def test_what_becomes_of_replicas_is_counted():
    site = Site((A, (B,)))
    site.register(A, "TWIN#20", "10.0.1.77")
    _, say = associated(site)
    names = [
        unique("ONE#20", "10.7.7.8", 1),
        unique("TWIN#20", "10.7.7.9", 2),
        unique("WPAD#20", "10.7.7.9", 3),
    ]
    for data in update("10.7.7.7", 3, names):
        say(data)
    got: list[dict[str, int]] = []
    site.ether.tell(site.stations[A], Asked("stats", {}, got.append))
    (stats,) = got
    counted = {what: count for what, count in stats.items() if "replicas" in what or "dispute" in what}
    assert counted == {
        "replicas taken": 1,
        "replicas not taken": 1,
        "replicas without room": 0,
        "names in dispute": 1,
    }


@pytest.mark.parametrize("chain", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_whatever_breaks_meanwhile_all_servers_know_all_names_in_the_end(seed: int, chain: bool):
    """Hosts roam between three servers, in a row or a triangle, that lose their connections, crash, and crash
    with their databases."""
    dice = random.Random(seed)
    partners = {A: (B,), B: (A, C), C: (B,)} if chain else {A: (B, C), B: (A, C), C: (A, B)}
    site = Site(*partners.items())
    homes = {f"HOST{number}#20": f"10.0.9.{number + 1}" for number in range(12)}
    alive: set[str] = set()
    for _ in range(60):
        text = dice.choice(sorted(homes))
        at = dice.choice((A, B, C))
        match dice.randrange(8):
            case 0:
                site.wires.cut.add(at)
                site.wires.break_all()
            case 1:
                site.wires.cut.discard(at)
            case 2 | 3:
                station = site.stations[at]
                site.ether.remove(station)
                site.wires.break_all()
                db = WinsDb()
                if dice.random() < 0.7:
                    db.load(dict(station.stored))
                again = site.ether.add(settings(f"W{at[5]}", *partners[at]), at, db=db)
                again.stored.update(db.records)
                again.stored.update({b"\0" + owner: n.to_bytes(8, "big") for owner, n in db.highest.items()})
                site.stations[at] = again
            case _:
                assert site.register(at, text, homes[text]) == 0
                alive.add(text)
        site.ether.run(dice.choice((0.1, 1, 30, 400)))
    site.wires.cut.clear()
    for _ in range(2):
        # hosts refresh their names: what was in a lost database is there again then. Twice, because the first
        # time a server may still be told that the name belongs to one that has forgotten it
        for text in sorted(alive):
            site.register(dice.choice((A, B, C)), text, homes[text], opcode=Opcode.REFRESH)
        site.ether.run(7200)
    for text in sorted(alive):
        assert [site.find(at, text) for at in (A, B, C)] == [[homes[text]]] * 3
    tables = [station.node.replication.table() for station in site.stations.values()]
    assert sorted(tables[0]) == sorted(tables[1]) == sorted(tables[2])


def test_a_server_that_lost_its_database_has_its_names_back_from_a_partner():
    site = two()
    site.register(A, "FILES#20", "10.0.1.77")
    site.register(A, "OFFICE#1c", "10.0.1.77", flags=GROUP | NODE_H)
    site.register(A, "OFFICE#1c", "10.0.1.78", flags=GROUP | NODE_H)
    site.register(A, "GONE#20", "10.0.1.79")
    site.ether.run(10)
    before = site.record(A, "FILES#20").version
    assert site.stations[A].node.wins.delete(wire("GONE#20"), site.ether.now)
    site.ether.tell(site.stations[A], None)
    site.register(A, "OTHER#20", "10.0.1.80")
    site.ether.run(10)
    site.ether.remove(site.stations[A])
    site.wires.break_all()
    site.stations[A] = site.ether.add(settings("W1", B), A)
    site.ether.run(120)
    assert site.find(A, "FILES#20") == site.find(B, "FILES#20") == ["10.0.1.77"]
    assert set(site.find(A, "OFFICE#1c")) == {"10.0.1.77", "10.0.1.78"}
    assert site.find(A, "GONE#20") == 3
    record = site.record(A, "FILES#20")
    assert (record.owner, record.kind) == (LOCAL, RecordKind.UNIQUE)
    assert record.version > before
    assert site.record(B, "FILES#20").version == record.version, "and partners hear that it is alive"
    assert any("3 names of ours are back, from 10.0.2.1" in line for line in site.stations[A].logs)
    site.ether.run(6 * DAY + 3600)
    assert site.find(A, "FILES#20") == 3, "nobody refreshed it"


def test_what_was_registered_since_the_loss_counts_more_than_what_a_partner_remembers():
    site = two()
    site.register(A, "FILES#20", "10.0.1.77")
    site.ether.run(10)
    site.ether.remove(site.stations[A])
    site.wires.break_all()
    site.wires.cut.add(B)
    site.stations[A] = site.ether.add(settings("W1", B), A)
    site.register(A, "FILES#20", "10.0.1.99")
    site.wires.cut.clear()
    site.ether.run(200)
    assert site.find(A, "FILES#20") == site.find(B, "FILES#20") == ["10.0.1.99"]


def test_a_server_with_its_database_takes_no_names_of_its_own_from_partners():
    site = Site((A, (B,)))
    site.register(A, "FILES#20", "10.0.1.77")
    station = site.stations[A]
    site.ether.run(10)
    site.ether.remove(station)
    db = WinsDb()
    db.load(dict(station.stored))
    site.stations[A] = site.ether.add(settings("W1", B), A, db=db)
    client, say = associated(site)
    say(winsra.pack(winsra.replication(Command.UPDATE, 0, (Owner(packed(A), 1 << 60),))))
    assert winsra.unpack(client.got[-1]).kind == Kind.STOP


def test_a_shorter_pull_interval_holds_from_the_moment_it_is_set():
    site = Site((A, (B,)), (B, (Partner(A, pull=False),)))
    server = site.stations[A]
    site.ether.tune(server, "wins_pull_interval", "864000")
    site.ether.run(1900)  # the last pull of the old rhythm
    pulled = server.node.replication.peers[B].pulled_at
    site.ether.run(3600)
    assert server.node.replication.peers[B].pulled_at == pulled
    site.ether.tune(server, "wins_pull_interval", "60")
    site.ether.run(61)
    assert server.node.replication.peers[B].pulled_at > pulled + 3600
