# SPDX-License-Identifier: GPL-3.0-or-later
"""The WINS server's own names."""

from fakes import ether
from fakes.claims import claim, query, release, wire
from fakes.winssite import WINS
from pydaemons.engine.events import ClockStepped
from pydaemons.netbios.codes import Opcode, Rcode
from pydaemons.netbios.node import winsrecord
from pydaemons.netbios.node.events import StopRequested


def test_our_own_names_are_found_and_not_given_away(site):
    assert site.found("WINS#20") == [WINS]
    assert site.found("WORKGROUP#00") == ["255.255.255.255"]
    assert site.rcode(site.a, claim("WINS#20", "10.0.0.8")) == Rcode.RFS_ERR
    assert site.rcode(site.a, claim("WINS#20", "10.0.0.8", opcode=Opcode.REFRESH)) == Rcode.ACT_ERR
    site.ether.run(7 * 86400)
    assert site.found("WINS#20") == [WINS]


def test_a_stopping_server_withdraws_its_own_names(site):
    site.ether.tell(site.server, StopRequested())
    site.ether.run(2)
    assert site.server.left
    assert winsrecord.unpack(site.server.stored[wire("WINS#20")]).state == winsrecord.State.RELEASED


def test_nobody_else_releases_our_own_names(site):
    assert site.rcode(site.a, release("WINS#20", WINS)) == Rcode.ACT_ERR
    assert site.found("WINS#20") == [WINS]


def test_our_own_names_outlive_a_clock_that_is_set(site, monkeypatch):
    far = site.ether.host("10.9.9.9")  # whom the database answers, and not what is prepared for neighbours
    assert site.rcode(far, query("WINS#20")) == Rcode.OK
    monkeypatch.setattr(ether, "EPOCH", ether.EPOCH + 30 * 86400)
    assert site.rcode(far, query("WINS#20")) == Rcode.NAM_ERR
    site.ether.tell(site.server, ClockStepped(30 * 86400.0))
    assert site.rcode(far, query("WINS#20")) == Rcode.OK
