# SPDX-License-Identifier: GPL-3.0-or-later
"""Which port a program has at a host: the questions to that host's rpcbind, in the order worth asking, and
what its answers mean. client sends them.

IPv4 hosts are asked by portmap version 2 first, over UDP, which nearly every rpcbind answers, then by rpcbind
4 and 3, then by version 2 over TCP. Version 2 cannot speak of IPv6, and 3 and 4 answer for the transport they
are asked over, whatever netid the question names (RFC 1833 section 2.2.1).
"""

from __future__ import annotations

from typing import NamedTuple

from pydaemons.engine.protocol import Transport
from pydaemons.sunrpc.message import AcceptStat, ReplyMessage
from pydaemons.sunrpc.rpcbind import (
    MAPPING,
    PORT_NUMBER,
    PORTMAP,
    PROTOCOLS,
    RPCB,
    RPCBIND3,
    RPCBIND4,
    UNIVERSAL_ADDRESS,
    Mapping,
    PortmapProc,
    Rpcb,
    RpcbindProc,
    is_ipv6,
    netid,
    parse_uaddr,
)
from pydaemons.wire.errors import WireError


class Sought(NamedTuple):
    """Whose port is wanted."""

    host: str
    program: int
    version: int
    transport: Transport


class Question(NamedTuple):
    """One call of the host's rpcbind."""

    transport: Transport
    version: int
    procedure: int
    args: bytes


def questions(sought: Sought) -> list[Question]:
    """What to ask, one after the other until one is answered."""
    by_netid = [(sought.transport, RPCBIND4), (sought.transport, RPCBIND3)]
    order = by_netid
    if not is_ipv6(sought.host):
        order = [(Transport.UDP, PORTMAP), *by_netid, (Transport.TCP, PORTMAP)]
    return [_question(sought, transport, version) for transport, version in order]


def _question(sought: Sought, transport: Transport, version: int) -> Question:
    if version == PORTMAP:
        mapping = Mapping(sought.program, sought.version, PROTOCOLS[sought.transport], 0)
        return Question(transport, version, PortmapProc.GETPORT, MAPPING.pack(mapping))
    wanted = netid(sought.transport, sought.host).encode()
    # the address tells a server of version 4 which of its own addresses we can reach
    place = (f"{sought.host.partition('%')[0]}.0.111").encode()
    row = Rpcb(sought.program, sought.version, wanted, place, b"")
    return Question(transport, version, RpcbindProc.GETADDR, RPCB.pack(row))


def answered_port(question: Question, reply: ReplyMessage) -> int | None:
    """The port (0: the program is not registered), or None when this was no answer to the question and the
    next one should be asked."""
    if reply.accept_stat is not AcceptStat.SUCCESS:
        return None
    try:
        if question.version == PORTMAP:
            port = PORT_NUMBER.unpack(reply.data, 0).port
            return port if port < 65536 else None
        text = UNIVERSAL_ADDRESS.unpack(reply.data, 0).uaddr
        return parse_uaddr(text.decode("ascii", "replace")).port if text else 0
    except WireError:
        return None
