# SPDX-License-Identifier: GPL-3.0-or-later
"""The questions to an rpcbind and the meaning of its answers (test_client asks them over a network)."""

from __future__ import annotations

import pytest

from pydaemons.engine.protocol import Transport
from pydaemons.sunrpc.lookup import Question, Sought, answered_port, questions
from pydaemons.sunrpc.message import AcceptStat, ReplyMessage
from pydaemons.sunrpc.rpcbind import MAPPING, RPCB, Mapping, Rpcb

UDP, TCP = Transport.UDP, Transport.TCP
NLM = Sought("192.0.2.7", 100021, 4, TCP)


@pytest.mark.parametrize("transport", [UDP, TCP])
def test_an_ipv4_host_is_asked_by_portmap_first_and_by_netid_over_the_transport_wanted(transport):
    asked = [
        (question.transport, question.version) for question in questions(NLM._replace(transport=transport))
    ]
    assert asked == [(UDP, 2), (transport, 4), (transport, 3), (TCP, 2)]


def test_an_ipv6_host_is_never_asked_by_portmap():
    asked = questions(NLM._replace(host="2001:db8::7"))
    assert [(question.transport, question.version) for question in asked] == [(TCP, 4), (TCP, 3)]
    assert RPCB.unpack(asked[0].args, 0) == Rpcb(100021, 4, b"tcp6", b"2001:db8::7.0.111", b"")


def test_portmap_is_asked_by_protocol_number():
    assert MAPPING.unpack(questions(NLM)[0].args, 0) == Mapping(100021, 4, 6, 0)


def reply(data: bytes, stat: AcceptStat | None = AcceptStat.SUCCESS) -> ReplyMessage:
    return ReplyMessage(1, stat, None if stat is not None else "denied", data)


@pytest.mark.parametrize(
    ("version", "answer", "port"),
    [
        (2, reply(b"\0\0\x0f\xcd"), 4045),
        (2, reply(bytes(4)), 0),
        (2, reply(b"\0\1\0\0"), None),
        (2, reply(b""), None),
        (4, reply(b"\0\0\0\x0d10.0.0.2.8.1\0\0\0\0"), None),
        (4, reply(b"\0\0\0\x0c10.0.0.2.8.1"), 2049),
        (3, reply(b"\0\0\0\0"), 0),
        (3, reply(b"\0\0\0\x02hi\0\0"), None),
        (3, reply(b"\0\0\0\x02\xff\xff\0\0"), None),
        (2, reply(b"", AcceptStat.PROG_MISMATCH), None),
        (4, reply(b"", None), None),
    ],
)
def test_an_answer_is_a_port_or_not_registered_or_no_answer(version, answer, port):
    assert answered_port(Question(UDP, version, 3, b""), answer) == port
