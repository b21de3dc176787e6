# SPDX-License-Identifier: GPL-3.0-or-later
"""An rpcbind for hosts that have none: it tells where our own programs are, nothing else. Read Portmapper.

Versions 2, 3 and 4 (RFC 1833). Nobody can register with it over the network. It never forwards a call
(CALLIT, BCAST, INDIRECT: known for amplifying and for borrowed addresses) nor answers them, lists what it has
to loopback only, and its other answers are about as long as the questions.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

from pydaemons.engine.protocol import Address, Now, Origin, Transport
from pydaemons.sunrpc.message import AuthStat
from pydaemons.sunrpc.program import Call, Procedure, Program
from pydaemons.sunrpc.rpcbind import (
    MAPPING,
    MAPPINGS,
    NETIDS,
    PORT,
    PORT_NUMBER,
    PORTMAP,
    PROGRAM,
    PROTOCOLS,
    RPCB,
    RPCBIND3,
    RPCBIND4,
    RPCBS,
    SECONDS,
    TRUTH,
    UNIVERSAL_ADDRESS,
    Mapping,
    PortmapProc,
    PortNumber,
    Rpcb,
    RpcbindProc,
    Seconds,
    Truth,
    UniversalAddress,
    format_uaddr,
    is_ipv6,
    netid,
)
from pydaemons.wire.xdr import NOTHING, VOID, Void

NO = Truth(value=False)
NETID_OF_PROTOCOL = {PROTOCOLS[transport]: transport.value for transport in Transport}


class Portmapper:
    """Where programs are, by program, version and netid. `owner` is the name shown for the rows."""

    def __init__(self, owner: str = "superuser", *, port: int = PORT) -> None:
        self._owner = owner.encode()
        self._own_port = port
        self._ports: dict[tuple[int, int, str], int] = {}

    def set(self, program: int, version: int, netid: str, port: int) -> None:
        """Have a program found."""
        self._ports[program, version, netid] = port

    def unset(self, program: int) -> None:
        """Have a program found no more, in any version."""
        self._ports = {row: port for row, port in self._ports.items() if row[0] != program}

    def serve(self, netids: Iterable[str]) -> None:
        """It is listening on its port by these transports itself: have that found too."""
        self.unset(PROGRAM)
        for name in netids:
            for version in (PORTMAP, RPCBIND3, RPCBIND4):
                if version != PORTMAP or NETIDS[name][1] == 4:
                    self.set(PROGRAM, version, name, self._own_port)

    def find(self, program: int, version: int, netid: str) -> int:
        """The port of that version, else of any version of the program (the caller is then told by a
        PROG_MISMATCH which there are), else 0."""
        port = self._ports.get((program, version, netid))
        if port is None:
            others = [port for row, port in self._ports.items() if row[0] == program and row[2] == netid]
            port = others[0] if others else 0
        return port

    def admit(self, call: Call, now: Now) -> AuthStat | None:
        """Lists are for loopback only: whether this call is refused (sunrpc.program.Admission)."""
        dump = call.procedure is not None and call.procedure.name == PortmapProc.DUMP.name
        return AuthStat.TOOWEAK if dump and not _is_local(call.origin) else None

    def program(self) -> Program:
        """The rows."""
        portmap = [
            Procedure(PortmapProc.NULL, "NULL", VOID, VOID, _null),
            Procedure(PortmapProc.SET, "SET", MAPPING, TRUTH, _refuse),
            Procedure(PortmapProc.UNSET, "UNSET", MAPPING, TRUTH, _refuse),
            Procedure(PortmapProc.GETPORT, "GETPORT", MAPPING, PORT_NUMBER, self._getport),
            Procedure(PortmapProc.DUMP, "DUMP", VOID, MAPPINGS, self._dump_mappings),
            Procedure(PortmapProc.CALLIT, "CALLIT", VOID, VOID, _silence),
        ]
        versions = {PORTMAP: {row.number: row for row in portmap}}
        for version in (RPCBIND3, RPCBIND4):
            rows = [
                Procedure(RpcbindProc.NULL, "NULL", VOID, VOID, _null),
                Procedure(RpcbindProc.SET, "SET", RPCB, TRUTH, _refuse),
                Procedure(RpcbindProc.UNSET, "UNSET", RPCB, TRUTH, _refuse),
                Procedure(RpcbindProc.GETADDR, "GETADDR", RPCB, UNIVERSAL_ADDRESS, self._getaddr),
                Procedure(RpcbindProc.DUMP, "DUMP", VOID, RPCBS, self._dump_rpcbs),
                Procedure(RpcbindProc.BCAST, "BCAST", VOID, VOID, _silence),
                Procedure(RpcbindProc.GETTIME, "GETTIME", VOID, SECONDS, _time),
            ]
            if version == RPCBIND4:
                rows += [
                    Procedure(
                        RpcbindProc.GETVERSADDR, "GETVERSADDR", RPCB, UNIVERSAL_ADDRESS, self._getversaddr
                    ),
                    Procedure(RpcbindProc.INDIRECT, "INDIRECT", VOID, VOID, _silence),
                ]
            versions[version] = {row.number: row for row in rows}
        return Program(PROGRAM, "rpcbind", versions, self.admit)

    # ---- procedures

    def _getport(self, args: Mapping, call: Call, now: Now) -> PortNumber:
        name = NETID_OF_PROTOCOL.get(args.protocol, "")
        if is_ipv6(call.origin.local.host):
            name += "6"
        return PortNumber(self.find(args.program, args.version, name))

    def _getaddr(self, args: Rpcb, call: Call, now: Now) -> UniversalAddress:
        return _uaddr(self.find(args.program, args.version, _netid_of(call.origin)), call.origin)

    def _getversaddr(self, args: Rpcb, call: Call, now: Now) -> UniversalAddress:
        port = self._ports.get((args.program, args.version, _netid_of(call.origin)), 0)
        return _uaddr(port, call.origin)

    def _dump_mappings(self, args: Void, call: Call, now: Now) -> tuple[Mapping, ...] | None:
        if not _is_local(call.origin):
            return None
        return tuple(
            Mapping(program, version, PROTOCOLS[NETIDS[name][0]], port)
            for (program, version, name), port in self._ports.items()
            if NETIDS[name][1] == 4
        )

    def _dump_rpcbs(self, args: Void, call: Call, now: Now) -> tuple[Rpcb, ...] | None:
        if not _is_local(call.origin):
            return None
        return tuple(
            Rpcb(program, version, name.encode(), _anywhere(name, port), self._owner)
            for (program, version, name), port in self._ports.items()
        )


def _anywhere(name: str, port: int) -> bytes:
    return format_uaddr(Address("::" if NETIDS[name][1] == 6 else "0.0.0.0", port)).encode()


def _netid_of(origin: Origin) -> str:
    """Versions 3 and 4 answer for the transport they were asked over, whatever netid the arguments name (RFC
    1833 section 2.2.1)."""
    return netid(origin.transport, origin.local.host)


def _uaddr(port: int, origin: Origin) -> UniversalAddress:
    """The local address the question came to is one the asker can reach."""
    return UniversalAddress(format_uaddr(Address(origin.local.host, port)).encode() if port else b"")


def _is_local(origin: Origin) -> bool:
    return ip_address(origin.peer.host.partition("%")[0]).is_loopback


def _null(args: Any, call: Call, now: Now) -> Void:
    return NOTHING


def _refuse(args: Any, call: Call, now: Now) -> Truth:
    return NO


def _silence(args: Any, call: Call, now: Now) -> None:
    return None


def _time(args: Any, call: Call, now: Now) -> Seconds:
    return Seconds(int(now.wall) & 0xFFFFFFFF)
