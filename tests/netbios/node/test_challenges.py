# SPDX-License-Identifier: GPL-3.0-or-later
"""The owner of a claimed name is asked: what it says, and what its silence means."""

from dataclasses import replace

import pytest

from fakes.claims import claim, release, wire
from fakes.winssite import WINS
from pydaemons.netbios import nspacket
from pydaemons.netbios.codes import Opcode, Rcode
from pydaemons.netbios.node.events import Reconfigured


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


def test_a_name_that_went_to_somebody_else_during_the_challenge_stays_there(site):
    site.ask(site.a, claim("NEW#20", "10.0.0.8"))
    site.b.got.clear()
    site.b.send(claim("NEW#20", "10.0.0.9"), WINS)
    site.ether.run(0.1)
    assert site.rcode(site.a, release("NEW#20", "10.0.0.8")) == Rcode.OK
    third = site.ether.host("10.0.0.7", 137)
    assert site.rcode(third, claim("NEW#20", "10.0.0.7")) == Rcode.OK
    site.ether.run(10)
    assert nspacket.unpack(site.b.got[-1][1]).rcode == Rcode.ACT_ERR
    assert site.found("NEW#20") == ["10.0.0.7"]


def test_a_name_the_server_took_for_itself_during_the_challenge_is_not_given_away(site):
    site.ask(site.a, claim("NEW#20", "10.0.0.8"))
    site.b.got.clear()
    site.b.send(claim("NEW#20", "10.0.0.9"), WINS)
    site.ether.run(0.1)
    site.ether.tell(site.server, Reconfigured(replace(site.server.node.settings, aliases=("NEW",))))
    site.ether.run(10)
    assert nspacket.unpack(site.b.got[-1][1]).rcode == Rcode.ACT_ERR
    assert site.found("NEW#20") == [WINS]
