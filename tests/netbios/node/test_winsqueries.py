# SPDX-License-Identifier: GPL-3.0-or-later
"""What the WINS server answers."""

import pytest

from fakes.claims import addresses, claim, query, release, wire
from fakes.winssite import WINS
from pydaemons.netbios import name, nspacket
from pydaemons.netbios.codes import GROUP, NODE_H, Rcode
from pydaemons.netbios.node.winsdb import WinsDb


def test_the_lifetime_in_an_answer_is_what_is_left_of_it(site):
    site.ask(site.a, claim("NEW#20", "10.0.0.8", ttl=100000))
    site.ether.run(5000)
    assert 94990 <= site.ask(site.a, query("NEW#20")).answers[0].ttl <= 95001


def test_a_normal_group_answers_with_the_limited_broadcast_address(site):
    assert site.rcode(site.a, claim("OFFICE#00", "10.0.0.8", flags=NODE_H | GROUP)) == Rcode.OK
    assert site.rcode(site.b, claim("OFFICE#00", "10.0.0.9", flags=NODE_H | GROUP)) == Rcode.OK
    packet = site.ask(site.a, query("OFFICE#00"))
    assert addresses(packet) == ["255.255.255.255"]
    assert nspacket.unpack_nb(packet.answers[0].data)[0].flags & GROUP
    assert site.rcode(site.a, release("OFFICE#00", "10.0.0.8")) == Rcode.OK
    assert site.found("OFFICE#00") == ["255.255.255.255"], "a group outlives its members"


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


def test_the_star_looks_at_no_more_masters_than_it_answers_with(site):
    db = site.server.node.db
    for number in range(300):
        site.ask(site.a, claim(f"D{number}#1b", f"10.1.{number // 250}.{number % 250}"))
    looked = []
    find_live = db.find_live
    db.find_live = lambda wire, wall: looked.append(wire) or find_live(wire, wall)
    assert len(site.found("*#1b")) == 25
    assert len(looked) == 25


def test_the_star_looks_at_no_master_that_is_none_any_more(site):
    db = site.server.node.db
    for number in range(50):
        site.ask(site.a, claim(f"D{number}#1b", "10.1.0.1"))
        site.ask(site.a, release(f"D{number}#1b", "10.1.0.1"))
        site.ask(site.a, claim(f"G{number}#1b", "10.1.0.1", flags=NODE_H | GROUP))
    assert not db.masters
    site.ask(site.a, claim("D7#1b", "10.1.0.7"))
    again = WinsDb()
    again.load(dict(site.server.stored))
    assert again.masters == db.masters == {wire("D7#1b"): None}
