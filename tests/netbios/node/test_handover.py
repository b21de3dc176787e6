# SPDX-License-Identifier: GPL-3.0-or-later
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.claims import query
from fakes.ether import Ether, Station, interface
from pydaemons.netbios import nspacket
from pydaemons.netbios.codes import Opcode
from pydaemons.netbios.node.events import InterfacesChanged
from pydaemons.netbios.node.handover import BELIEVED_FOR, Handover, parse
from pydaemons.netbios.node.node import Node
from pydaemons.netbios.node.settings import Browsing, Settings, WinsServer
from pydaemons.netbios.node.tunables import NetbiosTunables
from pydaemons.wire.errors import WireError

HOST = Settings("ALPHA", wins_servers=(WinsServer("*", "10.0.0.250"),), browsing=Browsing(local_master=False))


def restart(ether: Ether, station: Station, settings: Settings, after: float = 1.0) -> Station:
    """Another process takes the station's place."""
    told = parse(station.node.hand_over(ether.now).format())
    ether.remove(station)
    ether.run(after)
    ether.seen.clear()
    node = Node(settings, NetbiosTunables(), entropy=random.Random(2), before=told)
    fresh = Station(node, station.addresses)
    ether.stations.append(fresh)
    ether.tell(fresh, InterfacesChanged(tuple(map(interface, station.addresses))))
    return fresh


def site() -> tuple[Ether, Station]:
    ether = Ether()
    ether.add(Settings("WINS", wins_support=True, browsing=Browsing(local_master=False)), "10.0.0.250")
    station = ether.add(HOST, "10.0.0.1")
    ether.run(10)
    return ether, station


def claims(ether: Ether) -> list[nspacket.Packet]:
    """What was said about names, questions apart."""
    packets = [nspacket.unpack(data) for _, to, data in ether.seen if to.port == 137]
    return [packet for packet in packets if packet.opcode != Opcode.QUERY]


def test_the_next_process_has_the_names_without_a_word_on_the_network():
    ether, station = site()
    fresh = restart(ether, station, HOST)
    ether.run(60)
    assert not claims(ether)
    assert len(fresh.node.names) == len(station.node.names) == 5
    (answer,) = ether.host("10.0.0.9").ask(query("ALPHA#20", recursion=False), "10.0.0.1")
    assert nspacket.unpack(answer).rcode == 0


def test_registrations_are_refreshed_when_the_last_process_would_have():
    ether, station = site()
    before = {key: at for key in station.node.client.tags["*"].registered
              if (at := station.node.client.tags["*"].due.at(key))}  # fmt: skip
    assert len(before) == 5
    fresh = restart(ether, station, HOST)
    due = {key: fresh.node.client.tags["*"].due.at(key) for key in before}
    assert due == pytest.approx(before)
    ether.run(1200)
    assert {packet.opcode for packet in claims(ether) if not packet.response} == {Opcode.REFRESH}


def test_what_was_not_held_is_claimed():
    ether, station = site()
    restart(ether, station, Settings("ALPHA", aliases=("NEW",), wins_servers=HOST.wins_servers))
    ether.run(1)
    claimed = {
        str(nspacket.unpack(data).questions[0].name)
        for _, to, data in ether.seen
        if to == ("10.0.0.255", 137)
    }
    assert len(claimed) == 3


def test_a_name_in_conflict_is_not_handed_over():
    ether = Ether()
    ether.add(Settings("RIVAL", aliases=("MINE",)), "10.0.0.2")
    ether.run(3)
    station = ether.add(Settings("MINE"), "10.0.0.1")
    ether.run(3)
    told = station.node.hand_over(ether.now)
    assert len(told.held) == 2, "the workgroup's names"
    restart(ether, station, Settings("MINE"))
    ether.run(1)
    assert any(to.host == "10.0.0.255" for _, to, _ in ether.seen)


def test_an_old_word_counts_for_nothing():
    ether, station = site()
    restart(ether, station, HOST, after=BELIEVED_FOR + 1)
    ether.run(1)
    assert len({data for _, to, data in ether.seen if to.host == "10.0.0.255"}) >= 5


def test_a_network_that_comes_later_is_no_matter_of_the_last_process():
    ether, station = site()
    fresh = restart(ether, station, HOST)
    fresh.addresses.append("10.0.1.1")
    ether.tell(fresh, InterfacesChanged((interface("10.0.0.1"), interface("10.0.1.1"))))
    ether.run(1)
    assert {to.host for _, to, _ in ether.seen if to.host.endswith(".255") and to.port == 137} == {
        "10.0.1.255"
    }


addresses = st.tuples(*[st.integers(0, 255)] * 4)
hosts = addresses.map(lambda parts: ".".join(map(str, parts)))
times = st.floats(0, 2e9)
handovers = st.builds(
    Handover,
    times,
    st.dictionaries(st.tuples(hosts, st.binary(max_size=40)), st.tuples(st.booleans(), times), max_size=5),
    st.dictionaries(
        st.tuples(st.text(max_size=5), hosts),
        st.dictionaries(
            st.tuples(st.binary(max_size=40), addresses.map(bytes)),
            st.tuples(st.integers(0, 2**32 - 1), times),
            min_size=1, max_size=5,
        ),
        max_size=3,
    ),
)  # fmt: skip


@given(handovers)
def test_text_and_value_are_inverse(handover: Handover):
    assert parse(handover.format()) == handover


@given(st.text(max_size=50) | st.sampled_from(["{}", "[]", '{"at": 1, "held": 1, "registered": []}', "null"]))
def test_anything_else_is_a_wire_error(text: str):
    with pytest.raises(WireError):
        parse(text)
