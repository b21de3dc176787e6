# SPDX-License-Identifier: GPL-3.0-or-later
"""The WINS server's cases, one by one: who gets which name."""

import random

import pytest

from fakes.claims import addresses, claim, query, release, wire
from fakes.ether import Ether, Host, Station
from pydaemons.netbios import name, nspacket
from pydaemons.netbios.codes import GROUP, NODE_H, Opcode, Rcode
from pydaemons.netbios.node import winsdb
from pydaemons.netbios.node.events import RunHook, StopRequested
from pydaemons.netbios.node.settings import Settings
from pydaemons.netbios.node.winsdb import WinsDb
from pydaemons.netbios.nspacket import Packet
from pydaemons.tunables.declare import TunableChanged

WINS = "10.0.0.1"


class Site:
    """A WINS server and two clients."""

    def __init__(self, **settings: object) -> None:
        self.ether = Ether()
        options = {"wins_support": True, "dns_proxy": False, **settings}
        self.server: Station = self.ether.add(Settings("WINS", **options), WINS)
        self.a = self.ether.host("10.0.0.8", 137)
        self.b = self.ether.host("10.0.0.9", 137)
        self.ether.run(2)

    def ask(self, host: Host, data: bytes, seconds: float = 0.1) -> Packet:
        (answer,) = host.ask(data, WINS, seconds)
        return nspacket.unpack(answer)

    def rcode(self, host: Host, data: bytes) -> int:
        return self.ask(host, data).rcode

    def found(self, text: str) -> list[str] | int:
        """Addresses, or the reason why there are none."""
        packet = self.ask(self.a, query(text))
        return packet.rcode or addresses(packet)


@pytest.fixture
def site() -> Site:
    return Site()


def test_a_new_name_is_granted_found_and_released(site):
    packet = site.ask(site.a, claim("NEW#20", "10.0.0.8"))
    assert packet.flags == 0xAD80
    assert packet.answers[0].ttl == 300000
    assert packet.answers[0].data == bytes.fromhex("6000 0a000008")
    assert site.found("NEW#20") == ["10.0.0.8"]
    assert site.rcode(site.a, release("NEW#20", "10.0.0.8")) == Rcode.OK
    assert site.found("NEW#20") == Rcode.NAM_ERR


@pytest.mark.parametrize(("asked", "granted"), [(0, 21600), (60, 21600), (300000, 300000), (10**9, 518400)])
def test_lifetimes_are_clamped(site, asked, granted):
    assert site.ask(site.a, claim("NEW#20", "10.0.0.8", ttl=asked)).answers[0].ttl == granted


def test_the_lifetime_in_an_answer_is_what_is_left_of_it(site):
    site.ask(site.a, claim("NEW#20", "10.0.0.8", ttl=100000))
    site.ether.run(5000)
    assert 94990 <= site.ask(site.a, query("NEW#20")).answers[0].ttl <= 95001


def test_refreshes_keep_a_name_alive_and_silence_ends_it(site):
    site.ask(site.a, claim("NEW#20", "10.0.0.8", ttl=21600))
    for opcode in (Opcode.REFRESH, Opcode.REFRESH_9, Opcode.REGISTRATION):
        site.ether.run(20000)
        assert site.rcode(site.a, claim("NEW#20", "10.0.0.8", opcode=opcode, ttl=21600)) == Rcode.OK
    site.ether.run(21700)
    assert site.found("NEW#20") == Rcode.NAM_ERR


def test_a_name_lives_on_as_released_and_tombstone_until_it_is_forgotten(site):
    site.ask(site.a, claim("NEW#20", "10.0.0.8", ttl=21600))
    db = site.server.node.db
    states = []
    for days in (0.3, 3.5, 1, 1.5):
        site.ether.run(days * 86400)
        record = db.find(wire("NEW#20"))
        states.append(None if record is None else winsdb.State(record.state).name)
    assert states == ["RELEASED", "RELEASED", "TOMBSTONE", None]
    assert wire("NEW#20") not in site.server.stored


def test_a_refresh_of_an_unknown_name_registers_it(site):
    assert site.rcode(site.a, claim("NEW#20", "10.0.0.8", opcode=Opcode.REFRESH)) == Rcode.OK
    assert site.found("NEW#20") == ["10.0.0.8"]


def test_a_refresh_from_another_address_is_refused(site):
    site.ask(site.a, claim("NEW#20", "10.0.0.8"))
    assert site.rcode(site.b, claim("NEW#20", "10.0.0.9", opcode=Opcode.REFRESH)) == Rcode.RFS_ERR
    assert site.found("NEW#20") == ["10.0.0.8"]


@pytest.mark.parametrize("opcode", [Opcode.REGISTRATION, Opcode.MULTIHOMED, Opcode.REFRESH])
def test_a_name_registered_with_a_loopback_address_is_anybodys(site, opcode):
    site.ask(site.a, claim("NEW#20", "127.64.64.1"))
    assert site.rcode(site.b, claim("NEW#20", "10.0.0.9", opcode=opcode)) == Rcode.OK
    assert site.found("NEW#20") == ["10.0.0.9"]


def test_a_living_owner_keeps_its_name(site):
    site.ask(site.a, claim("NEW#20", "10.0.0.8"))
    site.a.got.clear()
    site.b.send(claim("NEW#20", "10.0.0.9"), WINS)
    site.ether.run(0.1)
    (_, data), *_ = site.b.got
    wack = nspacket.unpack(data)
    assert (wack.opcode, wack.answers[0].ttl, wack.answers[0].data) == (7, 60, b"\x29\0")
    (_, asked), *_ = site.a.got
    challenge = nspacket.unpack(asked)
    assert (challenge.flags, challenge.questions[0].name) == (0, wire("NEW#20"))
    site.b.got.clear()
    answer = nspacket.answer(0, challenge.id, wire("NEW#20"), bytes.fromhex("60000a000008"), ttl=60)
    site.a.send(answer, WINS)
    site.ether.run(0.1)
    ((_, data),) = site.b.got
    refused = nspacket.unpack(data)
    assert (refused.id, refused.rcode) == (77, Rcode.ACT_ERR)
    assert site.found("NEW#20") == ["10.0.0.8"]
    assert any("10.0.0.9 claims NEW<20>, which 10.0.0.8 defends" in line for line in site.server.logs)


@pytest.mark.parametrize("gone", ["silent", "denies"])
def test_a_dead_owner_loses_its_name(site, gone):
    site.ask(site.a, claim("NEW#20", "10.0.0.8"))
    site.a.got.clear()
    site.b.got.clear()
    site.b.send(claim("NEW#20", "10.0.0.9", id_=500), WINS)
    site.ether.run(0.1)
    if gone == "denies":
        challenge = nspacket.unpack(site.a.got[0][1])
        site.a.send(nspacket.negative_query_answer(challenge.id, wire("NEW#20"), Rcode.NAM_ERR), WINS)
        site.ether.run(0.1)
    else:
        site.ether.run(4)
        assert len(site.a.got) == 3
    final = nspacket.unpack(site.b.got[-1][1])
    assert (final.id, final.opcode, final.rcode) == (500, Opcode.REGISTRATION, Rcode.OK)
    assert site.found("NEW#20") == ["10.0.0.9"]


def test_a_stranger_cannot_answer_for_the_challenged_owner(site):
    site.ask(site.a, claim("NEW#20", "10.0.0.8"))
    site.b.got.clear()
    site.b.send(claim("NEW#20", "10.0.0.9"), WINS)
    site.ether.run(0.1)
    forger = site.ether.host("10.0.0.66", 137)
    challenge = nspacket.unpack(site.a.got[-1][1])
    forger.send(nspacket.negative_query_answer(challenge.id, wire("NEW#20"), Rcode.NAM_ERR), WINS)
    site.ether.run(0.1)
    assert site.found("NEW#20") == ["10.0.0.8"]


def test_a_claim_sent_again_during_the_challenge_is_told_to_wait_again(site):
    site.ask(site.a, claim("NEW#20", "10.0.0.8"))
    for id_ in (1, 2, 3):
        assert site.ask(site.b, claim("NEW#20", "10.0.0.9", id_=id_)).opcode == Opcode.WACK
    site.b.got.clear()
    site.ether.run(5)
    assert [nspacket.unpack(data).id for _, data in site.b.got] == [3]


def test_another_claimer_hears_nothing_while_a_challenge_runs(site):
    site.ask(site.a, claim("NEW#20", "10.0.0.8"))
    site.ask(site.b, claim("NEW#20", "10.0.0.9"))
    third = site.ether.host("10.0.0.7", 137)
    assert third.ask(claim("NEW#20", "10.0.0.7"), WINS, 0.1) == []


def test_a_second_address_of_the_same_host_is_added_when_the_host_says_so(site):
    site.ask(site.a, claim("NEW#20", "10.0.0.8"))
    site.a.got.clear()
    site.a.send(claim("NEW#20", "10.0.0.88", opcode=Opcode.MULTIHOMED), WINS)
    site.ether.run(0.1)
    challenge = next(p for _, d in site.a.got if not (p := nspacket.unpack(d)).response)
    both = bytes.fromhex("60000a000008 60000a000058")
    site.a.send(nspacket.answer(0, challenge.id, wire("NEW#20"), both, ttl=60), WINS)
    site.ether.run(0.1)
    assert nspacket.unpack(site.a.got[-1][1]).rcode == Rcode.OK
    assert site.found("NEW#20") == ["10.0.0.8", "10.0.0.88"]
    assert site.rcode(site.a, release("NEW#20", "10.0.0.8")) == Rcode.OK
    assert site.found("NEW#20") == ["10.0.0.88"]


def test_a_normal_group_answers_with_the_limited_broadcast_address(site):
    assert site.rcode(site.a, claim("OFFICE#00", "10.0.0.8", flags=NODE_H | GROUP)) == Rcode.OK
    assert site.rcode(site.b, claim("OFFICE#00", "10.0.0.9", flags=NODE_H | GROUP)) == Rcode.OK
    packet = site.ask(site.a, query("OFFICE#00"))
    assert addresses(packet) == ["255.255.255.255"]
    assert nspacket.unpack_nb(packet.answers[0].data)[0].flags & GROUP
    assert site.rcode(site.a, release("OFFICE#00", "10.0.0.8")) == Rcode.OK
    assert site.found("OFFICE#00") == ["255.255.255.255"], "a group outlives its members"


def test_nobody_gets_a_group_name_alone(site):
    site.ask(site.a, claim("OFFICE#00", "10.0.0.8", flags=NODE_H | GROUP))
    assert site.rcode(site.b, claim("OFFICE#00", "10.0.0.9")) == Rcode.RFS_ERR
    assert site.rcode(site.a, claim("OFFICE#00", "10.0.0.8")) == Rcode.RFS_ERR
    site.ask(site.a, claim("OTHER#71", "10.0.0.8", flags=NODE_H | GROUP))
    assert site.rcode(site.a, claim("OTHER#71", "10.0.0.8")) == Rcode.ACT_ERR, "as smbtorture wants it"


def test_an_internet_group_lists_its_members_and_holds_25_of_them(site):
    group = {"flags": NODE_H | GROUP}
    site.ask(site.a, claim("DOMAIN#1b", "10.0.7.1"))
    for i in range(1, 26):
        assert site.rcode(site.a, claim("DOMAIN#1c", f"10.0.7.{i}", **group)) == Rcode.OK
        site.ether.run(1)
    assert site.found("DOMAIN#1c") == [f"10.0.7.{i}" for i in range(1, 26)]
    assert site.rcode(site.a, claim("DOMAIN#1c", "10.0.7.99", **group)) == Rcode.OK
    members = site.found("DOMAIN#1c")
    assert len(members) == 25
    assert "10.0.7.99" in members
    assert "10.0.7.1" in members, "the domain master stays"
    assert "10.0.7.2" not in members
    assert site.rcode(site.a, release("DOMAIN#1c", "10.0.7.5", **group)) == Rcode.OK
    assert "10.0.7.5" not in site.found("DOMAIN#1c")


def test_members_of_an_internet_group_expire_one_by_one(site):
    group = {"flags": NODE_H | GROUP, "ttl": 21600}
    site.ask(site.a, claim("DOMAIN#1c", "10.0.7.1", **group))
    site.ether.run(20000)
    site.ask(site.a, claim("DOMAIN#1c", "10.0.7.2", **group))
    site.ether.run(5000)
    assert site.found("DOMAIN#1c") == ["10.0.7.2"]
    site.ether.run(21600)
    assert site.found("DOMAIN#1c") == Rcode.NAM_ERR


@pytest.mark.parametrize("flags", [NODE_H, NODE_H | GROUP])
def test_a_local_masters_name_is_granted_and_not_kept(site, flags):
    assert site.rcode(site.a, claim("OFFICE#1d", "10.0.0.8", flags=flags)) == Rcode.OK
    assert site.found("OFFICE#1d") == Rcode.NAM_ERR


def test_the_star_finds_every_domain_master(site):
    site.ask(site.a, claim("ONE#1b", "10.0.7.1"))
    site.ask(site.a, claim("TWO#1b", "10.0.7.2"))
    site.ask(site.a, claim("GONE#1b", "10.0.7.3"))
    site.ask(site.a, release("GONE#1b", "10.0.7.3"))
    assert site.found("*#1b") == ["10.0.7.1", "10.0.7.2"]
    assert site.found("*#1b.scope") == ["10.0.7.1", "10.0.7.2"]


@pytest.mark.parametrize("at", range(12, 46))
@pytest.mark.parametrize("byte", [0, 0x3A, 0x41, 0xFF])
def test_what_only_looks_like_the_star_is_not_answered_and_breaks_nothing(at, byte, site):
    site.ask(site.a, claim("ONE#1b", "10.0.7.1"))
    data = bytearray(query("*#1b"))
    if data[at] != byte:
        data[at] = byte
        assert not any(nspacket.unpack(answer).answers[0].data for answer in site.a.ask(bytes(data), WINS))


def test_our_own_names_are_found_and_not_given_away(site):
    assert site.found("WINS#20") == [WINS]
    assert site.found("WORKGROUP#00") == ["255.255.255.255"]
    assert site.rcode(site.a, claim("WINS#20", "10.0.0.8")) == Rcode.RFS_ERR
    assert site.rcode(site.a, claim("WINS#20", "10.0.0.8", opcode=Opcode.REFRESH)) == Rcode.ACT_ERR
    site.ether.run(7 * 86400)
    assert site.found("WINS#20") == [WINS]


def test_the_release_of_an_unknown_name_succeeds_and_of_somebody_elses_does_not(site):
    assert site.rcode(site.a, release("NOBODY#20", "10.0.0.8")) == Rcode.OK
    site.ask(site.a, claim("NEW#20", "10.0.0.8"))
    assert site.rcode(site.b, release("NEW#20", "10.0.0.9")) == Rcode.NAM_ERR
    assert site.found("NEW#20") == ["10.0.0.8"]


@pytest.mark.parametrize("text", ["WPAD#00", "wpad#20", "ISATAP#00", "*#00", "*#1c"])
def test_names_that_clients_trust_blindly_are_refused(site, text):
    assert site.rcode(site.a, claim(text, "10.0.0.8")) == Rcode.RFS_ERR
    assert any("net.netbios.refused_names" in line for line in site.server.logs)


def test_refused_names_can_be_allowed(site):
    site.server.node.tunables.set("refused_names", "", "test")
    site.ether.tell(site.server, TunableChanged("net.netbios.refused_names", (), ()))
    assert site.rcode(site.a, claim("WPAD#00", "10.0.0.8")) == Rcode.OK


def test_a_full_database_refuses_new_names_and_keeps_serving_old_ones():
    site = Site()
    site.server.node.tunables.set("max_names", "100", "test")
    rcodes = [site.rcode(site.a, claim(f"N{i}#00", "10.0.0.8")) for i in range(110)]
    assert rcodes.count(Rcode.SRV_ERR) == 110 - (100 - 5)
    assert site.rcode(site.a, claim("N1#00", "10.0.0.8", opcode=Opcode.REFRESH)) == Rcode.OK


def test_names_keep_their_case_but_capitals_find_capitals(site):
    lower = name.pack(name.Name(b"lower          \x20"))
    capital = wire("LOWER#20")
    request = nspacket.claim(
        5, 1, lower, nspacket.Nb(NODE_H, b"\n\0\0\x08"), ttl=0, broadcast=False, recursion_desired=True
    )
    assert site.rcode(site.a, request) == Rcode.OK
    assert site.rcode(site.a, nspacket.query(1, lower, broadcast=False)) == Rcode.OK
    assert site.rcode(site.a, nspacket.query(1, capital, broadcast=False)) == Rcode.NAM_ERR
    site.ask(site.a, claim("UPPER#20", "10.0.0.8"))
    upper = name.pack(name.Name(b"upper          \x20"))
    assert site.rcode(site.a, nspacket.query(1, upper, broadcast=False)) == Rcode.OK


def test_names_of_every_scope_are_kept_apart(site):
    site.ask(site.a, claim("NEW#20.one", "10.0.0.8"))
    site.ask(site.a, claim("NEW#20.two.deep", "10.0.0.9"))
    assert site.found("NEW#20.one") == ["10.0.0.8"]
    assert site.found("NEW#20.two.deep") == ["10.0.0.9"]
    assert site.found("NEW#20.ONE") == Rcode.NAM_ERR
    assert site.found("NEW#20") == Rcode.NAM_ERR


def test_every_change_is_stored_before_its_answer_leaves():
    site = Site()
    dice = random.Random(5)
    order = []
    site.ether.on_effect = lambda station, effect: order.append(type(effect).__name__)
    for _ in range(300):
        text = f"N{dice.randrange(30)}#20"
        build = dice.choice((claim, claim, release))
        site.a.ask(build(text, "10.0.0.8", id_=dice.randrange(65536)), WINS, dice.uniform(0, 5000))
    assert site.server.stored == site.server.node.db.records
    assert "StoreNames" in order


def test_a_restarted_server_knows_every_name_and_state():
    site = Site()
    site.ask(site.a, claim("KEPT#20", "10.0.0.8"))
    site.ask(site.a, claim("FREED#20", "10.0.0.8"))
    site.ask(site.a, release("FREED#20", "10.0.0.8"))
    db = WinsDb()
    db.load(dict(site.server.stored))
    again = Ether()
    again.add(Settings("WINS", wins_support=True, dns_proxy=False), WINS, db=db)
    host = again.host("10.0.0.8")
    again.run(2)
    assert addresses(nspacket.unpack(host.ask(query("KEPT#20"), WINS)[0])) == ["10.0.0.8"]
    assert nspacket.unpack(host.ask(query("FREED#20"), WINS)[0]).rcode == Rcode.NAM_ERR
    assert db.find(wire("FREED#20")).state == winsdb.State.RELEASED


def test_a_stopping_server_withdraws_its_own_names(site):
    site.ether.tell(site.server, StopRequested())
    site.ether.run(2)
    assert site.server.left
    assert winsdb.unpack(site.server.stored[wire("WINS#20")]).state == winsdb.State.RELEASED


class TestHook:
    def run(self, text: str) -> list[tuple[str, ...]]:
        site = Site(wins_hook=("/bin/hook", "--flag"))
        site.server.other.clear()
        label = text.encode("latin-1").ljust(15) + b"\x20"
        wire_ = name.pack(name.Name(label))
        nb = nspacket.Nb(NODE_H, b"\n\0\0\x08")
        for opcode in (Opcode.REGISTRATION, Opcode.REFRESH, Opcode.RELEASE):
            ttl = 0 if opcode == Opcode.RELEASE else 30000
            site.ask(
                site.a,
                nspacket.claim(opcode, 1, wire_, nb, ttl=ttl, broadcast=False, recursion_desired=True),
            )
        return [effect.arguments for effect in site.server.other if isinstance(effect, RunHook)]

    def test_a_hook_hears_of_every_change_by_its_arguments(self):
        assert self.run("NORMAL") == [
            ("/bin/hook", "--flag", "add", "NORMAL", "20", "30000", "10.0.0.8"),
            ("/bin/hook", "--flag", "refresh", "NORMAL", "20", "30000", "10.0.0.8"),
            ("/bin/hook", "--flag", "delete", "NORMAL", "20", "0", "10.0.0.8"),
        ]
        assert len(self.run("hyphen-dot.0")) == 3

    @pytest.mark.parametrize(
        "text", ["|look|", "look&true", "look\\;false", "&ls>foo", "has spaces", "", "$(id)", "-rf", "x\n"]
    )
    def test_a_name_a_shell_could_misread_reaches_no_hook(self, text):
        assert self.run(text) == []
