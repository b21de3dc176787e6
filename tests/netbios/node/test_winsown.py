# SPDX-License-Identifier: GPL-3.0-or-later
"""The WINS server's own names."""

from fakes.claims import claim, wire
from fakes.winssite import WINS
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
