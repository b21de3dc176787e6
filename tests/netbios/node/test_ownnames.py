# SPDX-License-Identifier: GPL-3.0-or-later
from fakes.claims import query, sent, states, wire
from fakes.ether import Ether
from pydaemons.netbios.codes import Opcode
from pydaemons.netbios.node.events import Reconfigured, StopRequested
from pydaemons.netbios.node.ownnames import REPEATS
from pydaemons.netbios.node.settings import Settings, WinsServer


def test_names_are_released_on_the_wire_when_we_stop():
    ether = Ether()
    alpha = ether.add(Settings("ALPHA"), "10.0.0.1")
    ether.run(2)
    ether.seen.clear()
    ether.tell(alpha, StopRequested())
    ether.run(2)
    assert alpha.left
    for text in ("ALPHA#00", "ALPHA#20", "WORKGROUP#1e"):
        assert len(sent(ether, Opcode.RELEASE, text)) == REPEATS
    asker = ether.host("10.0.0.9")
    assert asker.ask(query("ALPHA#20", broadcast=True), "10.0.0.255") == []


def test_a_reload_claims_new_names_and_releases_old_ones():
    ether = Ether()
    alpha = ether.add(Settings("ALPHA", aliases=("OLD",)), "10.0.0.1")
    ether.run(2)
    ether.seen.clear()
    ether.tell(alpha, Reconfigured(Settings("ALPHA", aliases=("NEW",), workgroup="OFFICE")))
    ether.run(2)
    assert sent(ether, Opcode.RELEASE, "OLD#20")
    assert sent(ether, Opcode.RELEASE, "WORKGROUP#00")
    assert not sent(ether, Opcode.REGISTRATION, "ALPHA#20")
    assert states(alpha)["NEW<20>"] == "OWNED"
    assert states(alpha)["OFFICE<1e>"] == "OWNED"
    assert "OLD<20>" not in states(alpha)


def test_wins_is_told_of_the_end_too_and_then_we_leave_once():
    ether = Ether()
    server = ether.add(Settings("WINS", wins_support=True, dns_proxy=False), "10.0.1.1")
    alpha = ether.add(Settings("ALPHA", wins_servers=(WinsServer("*", "10.0.1.1"),)), "10.0.0.1")
    ether.run(10)
    assert server.node.db.find_live(wire("ALPHA#20"), ether.now.wall) is not None
    ether.tell(alpha, StopRequested())
    ether.seen.clear()
    ether.tell(alpha, StopRequested())
    assert not ether.seen, "asked twice, done once"
    ether.run(5)
    assert alpha.left
    assert server.node.db.find_live(wire("ALPHA#20"), ether.now.wall) is None
    said = len(ether.seen)
    ether.run(3600)
    assert not [data for source, _, data in ether.seen[said:] if source.host == "10.0.0.1"]
