# SPDX-License-Identifier: GPL-3.0-or-later
"""The WINS server's cases, one by one: who gets which name."""

import random

import pytest

from fakes.claims import addresses, claim, query, release, wire
from fakes.ether import Ether
from fakes.winssite import WINS, Site
from pydaemons.netbios import nspacket
from pydaemons.netbios.codes import GROUP, NODE_H, Opcode, Rcode
from pydaemons.netbios.node import winsrecord
from pydaemons.netbios.node.events import Reconfigured, RunHook
from pydaemons.netbios.node.settings import Settings
from pydaemons.netbios.node.winsdb import WinsDb
from pydaemons.netbios.node.winsrecord import Record, State
from pydaemons.netbios.winsra import RecordKind


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
        states.append(None if record is None else winsrecord.State(record.state).name)
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
    site.ether.tune(site.server, "refused_names", "")
    assert site.rcode(site.a, claim("WPAD#00", "10.0.0.8")) == Rcode.OK


def test_a_full_database_refuses_new_names_and_keeps_serving_old_ones():
    site = Site()
    site.server.node.tunables.set("max_names", "100", "test")
    rcodes = [site.rcode(site.a, claim(f"N{i}#00", "10.0.0.8")) for i in range(110)]
    assert rcodes.count(Rcode.SRV_ERR) == 110 - (100 - 5)
    assert site.rcode(site.a, claim("N1#00", "10.0.0.8", opcode=Opcode.REFRESH)) == Rcode.OK


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
    assert db.find(wire("FREED#20")).state == winsrecord.State.RELEASED


@pytest.mark.parametrize("opcode", [Opcode.REFRESH, Opcode.REFRESH_9])
def test_a_refresh_makes_no_group_of_a_host_and_no_host_of_a_group(site, opcode):
    group = NODE_H | GROUP
    site.ask(site.a, claim("OFFICE#00", "10.0.0.8", flags=group))
    assert site.rcode(site.a, claim("OFFICE#00", "10.0.0.8", opcode=opcode)) == Rcode.RFS_ERR
    assert site.found("OFFICE#00") == ["255.255.255.255"]
    site.ask(site.a, claim("NEW#20", "10.0.0.8"))
    assert site.rcode(site.a, claim("NEW#20", "10.0.0.8", opcode=opcode, flags=group)) == Rcode.RFS_ERR
    assert site.found("NEW#20") == ["10.0.0.8"]


@pytest.mark.parametrize("address", ["0.0.0.0", "224.0.0.1", "239.1.2.3", "255.255.255.255", "127.0.0.1"])
def test_no_address_that_is_no_hosts_is_ever_asked_whether_it_has_a_name(site, address):
    site.ask(site.a, claim("NEW#20", address))
    site.ether.seen.clear()
    assert site.rcode(site.b, claim("NEW#20", "10.0.0.9")) == Rcode.OK
    assert {to.host for _, to, _ in site.ether.seen} == {WINS, "10.0.0.9"}
    assert site.found("NEW#20") == ["10.0.0.9"]


def test_a_host_without_an_address_as_only_a_partner_can_tell_of_gives_way(site):
    told = Record(State.ACTIVE, NODE_H, 2**32 - 1, (), RecordKind.MULTIHOMED, b"\x0a\0\0\2", 7)
    for flags, found in ((NODE_H, ["10.0.0.9"]), (NODE_H | GROUP, ["255.255.255.255"])):
        site.server.node.db.keep(wire("NEW#20"), told)
        assert site.rcode(site.b, claim("NEW#20", "10.0.0.9", flags=flags)) == Rcode.OK
        assert site.found("NEW#20") == found


def test_names_that_expire_just_when_the_configuration_is_read_reach_the_hook_too():
    settings = {"wins_support": True, "dns_proxy": False, "wins_hook": ("/bin/hook",)}
    site = Site(**settings)
    site.ask(site.a, claim("NEW#20", "10.0.0.8", ttl=21600))
    site.ether.run(21590)
    site.server.other.clear()
    site.ether.mono += 120  # nothing has ticked yet
    site.ether.tell(site.server, Reconfigured(Settings("WINS", **settings)))
    site.ether.run(60)
    assert [effect.arguments[1:3] for effect in site.server.other if isinstance(effect, RunHook)] == [
        ("delete", "NEW")
    ]
