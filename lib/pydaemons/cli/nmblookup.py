# SPDX-License-Identifier: GPL-3.0-or-later
"""pynmblookup(8): ask the network who has a NetBIOS name, with nmblookup's options and output. Read main.

Each part says what it finds as it goes, as nmblookup does, and returns it: that is what --json prints.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Interface
from typing import Any, NoReturn

import pydaemons
from pydaemons.cli.shared import json_option, port, run_program
from pydaemons.kit.interfaces import addresses
from pydaemons.netbios import name, nspacket
from pydaemons.netbios.codes import (
    ACTIVE,
    AUTHORITATIVE,
    BROADCAST,
    CONFLICT,
    DEREGISTERING,
    GROUP,
    NAME_PORT,
    PERMANENT,
    RECURSION_AVAILABLE,
    RECURSION_DESIRED,
    TRUNCATED,
    Suffix,
    node_letter,
)
from pydaemons.netbios.nspacket import Nb, Packet
from pydaemons.wire.errors import WireError

TRIES = 3
INTERVAL = 0.25
"""Seconds: RFC 1002 section 6 for broadcasts."""
UNICAST_INTERVAL = 1.0
STATES = (
    (ACTIVE, "active"),
    (PERMANENT, "permanent"),
    (CONFLICT, "conflict"),
    (DEREGISTERING, "deregistering"),
)
"""Flags of a name in a node status."""
MSBROWSE = name.Name(b"\x01\x02__MSBROWSE__\x02\x01")


class Asker:
    """A socket and the questions on it."""

    def __init__(self, *, low_port: bool) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if low_port:
            self._sock.bind(("", NAME_PORT))

    def ask(self, request: bytes, to: str, *, port: int, many: bool) -> Iterator[tuple[str, Packet]]:
        """Answers to a request as they come; of a broadcast, all of one round."""
        for _ in range(TRIES):
            self._sock.sendto(request, (to, port))
            until = time.monotonic() + (INTERVAL if many else UNICAST_INTERVAL)
            answered = False
            while (left := until - time.monotonic()) > 0:
                self._sock.settimeout(left)
                try:
                    data, (host, _) = self._sock.recvfrom(65536)
                    packet = nspacket.unpack(data)
                except (TimeoutError, ConnectionError):
                    break
                except WireError:
                    continue
                if not packet.response or packet.id != int.from_bytes(request[:2], "big"):
                    continue
                answered = True
                yield host, packet
                if not many:
                    return
            if answered:
                return


def run() -> NoReturn:
    """The whole program of `bin/pynmblookup`."""
    run_program(main)


def main(argv: Sequence[str] | None = None) -> int:
    """As `run`, returning the exit status."""
    arguments = _parse(argv)
    try:
        asker = Asker(low_port=arguments.root_port)
        found = [_one(asker, arguments, text) for text in arguments.node]
    except OSError as error:
        print(f"pynmblookup: {error.strerror or error}", file=sys.stderr)
        return 1
    except WireError as error:
        print(f"pynmblookup: {error}", file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    return 0 if all(row["found"] for row in found) else 1


def _say(arguments: argparse.Namespace, text: str) -> None:
    if not arguments.json:
        print(text)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="pynmblookup", description="Look NetBIOS names up.", epilog="See pynmblookup(8)."
    )
    add = parser.add_argument
    add("-B", "--broadcast", metavar="ADDRESS", help="broadcast address to ask")
    add("-U", "--unicast", metavar="ADDRESS", help="ask this host only")
    add("-R", "--recursion", action="store_true", help="set the recursion desired bit: ask a WINS server")
    add(
        "-M", "--master-browser", action="store_true", help="look for master browsers of the given workgroups"
    )
    add("-S", "--status", action="store_true", help="ask the hosts found for their node status too")
    add("-A", "--lookup-by-ip", action="store_true", help="node status of the given addresses")
    add("-f", "--flags", action="store_true", help="show the flags of answers")
    add("-T", "--translate", action="store_true", help="show host names of addresses found, by the DNS")
    add("-r", "--root-port", action="store_true", help=f"ask from port {NAME_PORT} (old hosts answer there)")
    add("-p", "--port", type=port, default=NAME_PORT, metavar="PORT", help=f"port to ask at ({NAME_PORT})")
    add("--netbios-scope", default="", metavar="SCOPE", help="scope of the names")
    add("-d", "--debuglevel", metavar="LEVEL", help="accepted")
    add("-s", "--configfile", metavar="FILE", help="accepted: no configuration is needed")
    json_option(parser)
    add("-V", "--version", action="version", version=f"pynmblookup {pydaemons.__version__}")
    add("node", nargs="+", metavar="NAME", help="NAME or NAME#TYPE; - after -M for all workgroups")
    return parser.parse_args(argv)


def _one(asker: Asker, arguments: argparse.Namespace, text: str) -> dict[str, Any]:
    """What came of one operand."""
    if arguments.lookup_by_ip:
        try:
            IPv4Address(text)
        except ValueError:
            print(f"pynmblookup: {text} is no IPv4 address", file=sys.stderr)
            return {"address": text, "found": False}
        return _status(asker, arguments, text)
    wanted = name.parse(text, scope=arguments.netbios_scope)
    if arguments.master_browser:
        wanted = MSBROWSE if text == "-" else name.make(text, Suffix.MASTER, scope=arguments.netbios_scope)
    found = _query(asker, arguments, wanted)
    row: dict[str, Any] = {"name": f"{_printable(_text(wanted))}#{wanted.suffix:02x}", "found": bool(found)}
    if not found:
        suffix = f"#{wanted.suffix:02x}" if wanted.suffix else ""
        _say(arguments, f"name_query failed to find name {_text(wanted)}{suffix}")
        return row
    row["answers"] = [_answer(arguments, wanted, *each) for each in found]
    if arguments.status:
        addresses = dict.fromkeys(str(IPv4Address(nb.address)) for _, _, nb in found)
        row["status"] = [_status(asker, arguments, address) for address in addresses]
    return row


def _answer(
    arguments: argparse.Namespace, wanted: name.Name, host: str, packet: Packet, nb: Nb
) -> dict[str, Any]:
    """One address of a name."""
    address, letter = str(IPv4Address(nb.address)), node_letter(nb.flags)
    row = {"address": address, "from": host, "group": bool(nb.flags & GROUP), "node": letter}
    translated = ""
    if arguments.translate:
        row["host"] = _host_name(address)
        translated = f"{row['host']}, "
    _say(arguments, f"{translated}{address} {_text(wanted)}<{wanted.suffix:02x}>")
    if arguments.flags:
        shown = _flags(packet.flags)
        row["flags"] = shown.lower().split()
        _say(arguments, f"Response {shown}Node {letter} from {host}")
    return row


def _text(wanted: name.Name) -> str:
    return wanted.label[:15].rstrip(b" \0").decode("cp850", "replace")


def _query(asker: Asker, arguments: argparse.Namespace, wanted: name.Name) -> list[tuple[str, Packet, Nb]]:
    broadcast = arguments.unicast is None
    if arguments.unicast is not None:
        targets: Iterable[str] = [arguments.unicast]
    elif arguments.broadcast is not None:
        targets = [arguments.broadcast]
    else:
        targets = _broadcasts()
    request = nspacket.query(
        _id(), name.pack(wanted), broadcast=broadcast, recursion_desired=arguments.recursion
    )
    found: dict[bytes, tuple[str, Packet, Nb]] = {}
    if arguments.unicast is not None or arguments.broadcast is not None:
        _say(arguments, f"querying {_text(wanted)} on {arguments.unicast or arguments.broadcast}")
    for target in targets:
        for host, packet in asker.ask(request, target, port=arguments.port, many=broadcast):
            if packet.rcode:
                continue
            for record in packet.answers:
                try:
                    for nb in nspacket.unpack_nb(record.data):
                        found.setdefault(nb.address, (host, packet, nb))
                except WireError:
                    continue
    return list(found.values())


def _status(asker: Asker, arguments: argparse.Namespace, address: str) -> dict[str, Any]:
    """The names that a host has."""
    _say(arguments, f"Looking up status of {address}")
    asked = name.pack(name.make("*", 0, scope=arguments.netbios_scope))
    request = nspacket.status_request(_id(), asked)
    for _, packet in asker.ask(request, address, port=arguments.port, many=False):
        for record in packet.answers:
            try:
                status = nspacket.unpack_status(record.data)
            except WireError:
                continue
            rows = []
            for entry in status.names:
                shown, group = _printable(entry.label[:15].decode("cp850", "replace")), entry.flags & GROUP
                mark = "<GROUP>" if group else "       "
                _say(arguments, f"\t{shown} <{entry.label[15]:02x}> - {mark} {_name_flags(entry.flags)}")
                rows.append(
                    {
                        "name": f"{shown.rstrip()}#{entry.label[15]:02x}",
                        "group": bool(group),
                        "node": node_letter(entry.flags),
                        **{key: bool(entry.flags & bit) for bit, key in STATES},
                    }
                )
            mac = "-".join(f"{byte:02X}" for byte in status.statistics.unit_id)
            _say(arguments, f"\n\tMAC Address = {mac}\n")
            return {"address": address, "found": True, "names": rows, "mac": mac}
    _say(arguments, f"No reply from {address}\n")
    return {"address": address, "found": False}


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "." for char in text)


def _name_flags(flags: int) -> str:
    shown = [node_letter(flags)]
    shown += [f"<{key.upper()}>" for bit, key in STATES if flags & bit]
    return " ".join(shown) + " "


def _flags(flags: int) -> str:
    known = (
        (BROADCAST, "Broadcast"),
        (RECURSION_AVAILABLE, "Recursion_Available"),
        (RECURSION_DESIRED, "Recursion_Desired"),
        (TRUNCATED, "Truncated"),
        (AUTHORITATIVE, "Authoritative"),
    )
    return "".join(f"{text} " for bit, text in known if flags & bit)


def _host_name(address: str) -> str:
    try:
        return socket.gethostbyaddr(address)[0]
    except OSError:
        return address


def _broadcasts() -> list[str]:
    """The broadcast addresses of our networks."""
    return list(
        dict.fromkeys(
            entry.broadcast
            for entry in addresses()
            if entry.broadcast is not None
            and isinstance(entry.address, IPv4Interface)
            and not entry.address.ip.is_loopback
        )
    )


def _id() -> int:
    return int.from_bytes(os.urandom(2), "big")
