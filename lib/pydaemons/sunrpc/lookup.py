# SPDX-License-Identifier: GPL-3.0-or-later
"""Which port a program has at a host: the questions to that host's rpcbind, in the order worth asking, and
what its answers mean. client sends them.

IPv4 hosts are asked by portmap version 2 first, which every NLM peer but macOS and BSD answers, then by
rpcbind 4 and 3; IPv6 hosts by 4 and 3 (version 2 cannot speak of IPv6). First over UDP, then over TCP.
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
    versions = (RPCBIND4, RPCBIND3) if is_ipv6(sought.host) else (PORTMAP, RPCBIND4, RPCBIND3)
    return [_question(sought, transport, version) for transport in Transport for version in versions]


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
