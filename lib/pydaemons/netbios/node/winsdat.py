# SPDX-License-Identifier: GPL-3.0-or-later
"""wins.dat, the text form in which Samba's nmbd keeps its WINS names: read to take over from it, written for
whoever reads it.

`VERSION 1 0`, then a line per name: `"FILESRV#20" 1795537718 192.0.2.4 64R`: name and suffix, when it expires
(wall clock seconds; 0: never), addresses, NB flags in hexadecimal (the high byte only) and an R. The format
has no place for the state of a name, so only active names are written.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from ipaddress import IPv4Address

from pydaemons.netbios import name
from pydaemons.netbios.codes import ACTIVE, GROUP, NODE_MASK, PERMANENT
from pydaemons.netbios.node import winsrecord
from pydaemons.netbios.node.winsrecord import Member, Record, State
from pydaemons.netbios.winsra import RecordKind
from pydaemons.wire.errors import WireError

VERSION = "VERSION 1 0"
_FOREVER = 0xFFFFFFFF
_NO_OWNER = (bytes(4), b"\xff" * 4)
"""What stands where a group's members would."""
_LINE = re.compile(
    r'"(?P<name>[^"]*)#(?P<suffix>[0-9A-Fa-f]{2})(?:\.(?P<scope>[^"]+))?"\s+(?P<expires>\d+)'
    r"(?P<addresses>(?:\s+\d+\.\d+\.\d+\.\d+)+)\s+(?P<flags>[0-9A-Fa-f]{1,2})R\s*"
)


def parse(text: str, file: str, *, charset: str = "cp850") -> tuple[dict[bytes, bytes], list[str]]:
    """The records of a file in their packed form, and a sentence for each line that is none."""
    records: dict[bytes, bytes] = {}
    problems: list[str] = []
    lines = text.splitlines()
    if not lines or lines[0].split()[:2] != VERSION.split()[:2]:
        return records, [f"{file}:1: not a wins.dat: want {VERSION!r}"]
    for number, line in enumerate(lines[1:], 2):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        try:
            if found is None:
                raise ValueError("not a name, a time, addresses and flags")
            wire = name.pack(
                name.make(
                    found["name"], int(found["suffix"], 16), scope=found["scope"] or "", charset=charset
                )
            )
            addresses = [IPv4Address(word).packed for word in found["addresses"].split()]
        except (ValueError, WireError) as error:
            problems.append(f"{file}:{number}: {error}")
            continue
        expires = min(int(found["expires"]) or _FOREVER, _FOREVER)
        flags = (int(found["flags"], 16) << 8) & (GROUP | NODE_MASK)
        members = tuple(Member(address, expires) for address in addresses[:25] if address not in _NO_OWNER)
        if not members and not flags & GROUP:
            problems.append(f"{file}:{number}: a name without an owner")
            continue
        records[wire] = Record(State.ACTIVE, flags, expires, members).pack()
    return records, problems


def format_(
    records: Iterable[tuple[bytes, bytes]],
    wall: float,
    *,
    charset: str = "cp850",
    own: Collection[bytes] = (),
) -> Iterator[str]:
    """The lines of a file, line feeds included. Names that text between quotes cannot hold are left out.
    `own` are the names of the server itself, which nmbd marks as permanent though they have an end."""
    yield f"{VERSION}\n"
    for wire, packed in records:
        record = winsrecord.unpack(packed)
        if record.state != State.ACTIVE or record.expires <= wall:
            continue
        shown = name.unpack(wire)
        text = shown.label[:15].rstrip(b" ").decode(charset, "replace")
        if not text or not text.isprintable() or '"' in text:
            continue
        scope = f".{shown.scope.decode('latin-1')}" if shown.scope else ""
        if not scope.isprintable() or '"' in scope:
            continue
        if winsrecord.kind_of(wire, record) is RecordKind.GROUP:
            addresses = "255.255.255.255"
        else:
            addresses = " ".join(str(IPv4Address(member.address)) for member in record.members)
        permanent = record.expires == _FOREVER
        marked = permanent or (wire in own and not record.group)
        flags = (record.flags | ACTIVE | (PERMANENT if marked else 0)) >> 8
        expires = 0 if permanent else record.expires
        yield f'"{text}#{shown.suffix:02x}{scope}" {expires} {addresses} {flags:02x}R\n'
