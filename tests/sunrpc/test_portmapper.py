# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded rpcbind, asked over the wire as other hosts ask it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydaemons.engine.protocol import Address, Now, Origin, Transport
from pydaemons.sunrpc.dupcache import ReplyCache
from pydaemons.sunrpc.message import AcceptStat, pack_call, unpack_reply
from pydaemons.sunrpc.portmapper import Portmapper
from pydaemons.sunrpc.program import Service
from pydaemons.sunrpc.rpcbind import (
    MAPPING,
    MAPPINGS,
    PROGRAM,
    RPCB,
    RPCBS,
    Mapping,
    PortmapProc,
    Rpcb,
    RpcbindProc,
)

NLM, NSM = 100021, 100024
NOW = Now(1.0, 1_800_000_000.5)
UDP, TCP = Transport.UDP, Transport.TCP


def origin(peer: str, local: str, transport: Transport = UDP) -> Origin:
    return Origin(transport, Address(peer, 700), Address(local, 111))


REMOTE = origin("192.0.2.9", "192.0.2.1")
REMOTE6 = origin("2001:db8::9", "2001:db8::1")
LOCAL = origin("127.0.0.1", "127.0.0.1", TCP)


@pytest.fixture
def portmapper() -> Portmapper:
    portmapper = Portmapper("pylockd")
    portmapper.serve(["udp", "tcp", "udp6", "tcp6"])
    for version in (1, 3, 4):
        for name, port in {"udp": 4045, "tcp": 4046, "udp6": 4047, "tcp6": 4048}.items():
            portmapper.set(NLM, version, name, port)
    return portmapper


@pytest.fixture
def ask(portmapper):
    service = Service([portmapper.program()], admit=portmapper.admit, cache=ReplyCache())

    def ask(version, procedure, args=b"", place=REMOTE):
        call = pack_call(xid=7, program=PROGRAM, version=version, procedure=procedure, args=args)
        reply = service.receive(call, place, NOW)
        ask.sizes = (len(call), len(reply or b""))
        return None if reply is None else unpack_reply(reply)

    return ask


def getport(ask, program, version, protocol, place=REMOTE):
    reply = ask(2, PortmapProc.GETPORT, MAPPING.pack(Mapping(program, version, protocol, 0)), place)
    return int.from_bytes(reply.data, "big")


def getaddr(ask, version, place, program=NLM, wanted=4, netid=b"tcp", procedure=RpcbindProc.GETADDR):
    data = ask(version, procedure, RPCB.pack(Rpcb(program, wanted, netid, b"", b"")), place).data
    return data[4 : 4 + int.from_bytes(data[:4], "big")]


def test_getport_names_the_port_of_the_protocol(ask):
    assert getport(ask, NLM, 4, 17) == 4045
    assert getport(ask, NLM, 4, 6) == 4046
    assert getport(ask, PROGRAM, 2, 17) == 111


def test_getport_of_what_is_not_here_is_0(ask):
    assert getport(ask, NSM, 1, 17) == 0
    assert getport(ask, NLM, 4, 99) == 0


def test_another_version_of_the_program_is_better_than_none(ask):
    assert getport(ask, NLM, 2, 17) == 4045


@pytest.mark.parametrize("version", [3, 4])
def test_getaddr_answers_with_the_address_asked_and_for_the_transport_asked_over(ask, version):
    assert getaddr(ask, version, REMOTE) == b"192.0.2.1.15.205"
    assert getaddr(ask, version, origin("192.0.2.9", "192.0.2.1", TCP), netid=b"udp") == b"192.0.2.1.15.206"
    assert getaddr(ask, version, REMOTE6) == b"2001:db8::1.15.207"
    assert getaddr(ask, version, REMOTE, program=NSM) == b""


def test_getversaddr_insists_on_the_version(ask):
    assert getaddr(ask, 4, REMOTE, wanted=3, procedure=RpcbindProc.GETVERSADDR) == b"192.0.2.1.15.205"
    assert getaddr(ask, 4, REMOTE, wanted=2, procedure=RpcbindProc.GETVERSADDR) == b""
    assert getaddr(ask, 4, REMOTE, wanted=2) == b"192.0.2.1.15.205"


@pytest.mark.parametrize(("version", "procedure"), [(2, 5), (3, 5), (4, 5), (4, 10)])
def test_calls_to_be_forwarded_are_not_answered(ask, version, procedure):
    assert ask(version, procedure, bytes(64)) is None
    assert ask(version, procedure, bytes(64), LOCAL) is None


@pytest.mark.parametrize("version", [2, 3, 4])
def test_lists_are_for_loopback_only(ask, version):
    assert ask(version, 4).refusal == "authentication refused: TOOWEAK"
    assert ask(version, 4, place=LOCAL).accept_stat is AcceptStat.SUCCESS
    assert ask(version, 4, place=origin("::1", "::1")).accept_stat is AcceptStat.SUCCESS


def test_the_program_judges_its_callers_itself_whatever_the_service_would_say(portmapper):
    service = Service([portmapper.program()], admit=lambda call, now: None, cache=ReplyCache())
    for version in (2, 3, 4):
        call = pack_call(xid=7, program=PROGRAM, version=version, procedure=4, args=b"")
        reply = unpack_reply(service.receive(call, REMOTE, NOW))
        assert reply.accept_stat is None and "TOOWEAK" in reply.refusal


def test_the_portmap_list_has_ipv4_rows(ask):
    rows = MAPPINGS.unpack(ask(2, 4, place=LOCAL).data, 0)
    assert set(rows) == {Mapping(NLM, v, *row) for v in (1, 3, 4) for row in ((17, 4045), (6, 4046))} | {
        Mapping(PROGRAM, v, protocol, 111) for v in (2, 3, 4) for protocol in (17, 6)
    }


def test_the_rpcbind_list_has_all_rows_with_their_owner(ask):
    rows = RPCBS.unpack(ask(4, 4, place=LOCAL).data, 0)
    assert Rpcb(NLM, 4, b"tcp6", b"::.15.208", b"pylockd") in rows
    assert Rpcb(NLM, 4, b"udp", b"0.0.0.0.15.205", b"pylockd") in rows
    assert Rpcb(PROGRAM, 2, b"udp6", b"::.0.111", b"pylockd") not in rows


@pytest.mark.parametrize("procedure", [1, 2])
@pytest.mark.parametrize("place", [REMOTE, LOCAL])
def test_nobody_registers_or_removes_anything_over_the_network(ask, procedure, place):
    for version in (3, 4):
        row = Rpcb(NLM, 4, b"udp", b"6.6.6.6.6.6", b"evil")
        assert ask(version, procedure, RPCB.pack(row), place).data == bytes(4)
    assert ask(2, procedure, MAPPING.pack(Mapping(NLM, 4, 17, 666)), place).data == bytes(4)
    assert getport(ask, NLM, 4, 17) == 4045


def test_what_is_unset_is_gone(ask, portmapper):
    portmapper.unset(NLM)
    assert getport(ask, NLM, 4, 17) == 0
    assert getport(ask, PROGRAM, 2, 17) == 111


def test_gettime_tells_the_time(ask):
    assert ask(4, RpcbindProc.GETTIME).data == (1_800_000_000).to_bytes(4, "big")


def test_null_answers_in_every_version_and_others_are_told_the_range(ask):
    assert [ask(v, 0).data for v in (2, 3, 4)] == [b"", b"", b""]
    assert ask(1, 0).accept_stat is AcceptStat.PROG_MISMATCH
    assert ask(3, 9).accept_stat is AcceptStat.PROC_UNAVAIL


@given(
    st.sampled_from([2, 3, 4]), st.integers(0, 13), st.binary(max_size=80), st.sampled_from([REMOTE, REMOTE6])
)
def test_no_stranger_gets_a_longer_answer_than_the_question(version, procedure, args, place):
    portmapper = Portmapper()
    portmapper.set(NLM, 4, "udp6", 65535)
    service = Service([portmapper.program()], admit=portmapper.admit, cache=ReplyCache())
    if procedure == 3 and version > 2:
        args = RPCB.pack(Rpcb(NLM, 4, b"udp6", b"2001:db8::1.0.111", args))
    call = pack_call(xid=7, program=PROGRAM, version=version, procedure=procedure, args=args)
    assert len(service.receive(call, place, NOW) or b"") <= len(call)
